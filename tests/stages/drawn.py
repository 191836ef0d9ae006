"""A small camera and a drawn field of stars: raw frames whose every number is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tesela.cameras import Amplifier, Camera, Section
from tesela.config import Reference
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Table
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs
from tesela.stages import reduce

SIZE, STRIP, SCALE_ARCSEC = 320, 12, 0.55
LEVEL_ADU, GAIN, NOISE_E = 1000.0, 1.5, 4.0
ZEROPOINT_MAG, EXPTIME_S, SKY_E = 22.0, 60.0, 200.0
POINTING = (211.8, 55.1)
SIGNS = ((-1.0, 0.0), (0.0, 1.0))
Floats = NDArray[np.float64]


def camera(size: int = SIZE, crosstalk: tuple[tuple[float, ...], ...] = ()) -> Camera:
    """Two amplifiers side by side, the right one read from the right, strips in the middle."""
    half, amps = size // 2, []
    for n in range(2):
        x = n * (half + STRIP)
        data, strip = (x, x + half) if n == 0 else (x + STRIP, x)
        amps.append(
            Amplifier(
                n + 1,
                Section(data, data + half, 0, size),
                Section(n * half, (n + 1) * half, 0, size),
                GAIN,
                NOISE_E,
                60000.0,
                overscan=Section(strip, strip + STRIP, 0, size),
                flip_x=n == 1,
            )
        )
    wide = size + 2 * STRIP
    return Camera(
        "drawn", "none", "drw", "none", wide, size, size, size, SCALE_ARCSEC, SIGNS, ("01",),
        tuple(amps), crosstalk=crosstalk,
    )  # fmt: skip


def wcs(ra_deg: float = POINTING[0], dec_deg: float = POINTING[1], size: int = SIZE) -> Wcs:
    """The plane of an exposure or a tile."""
    return nominal(ra_deg, dec_deg, SCALE_ARCSEC, SIGNS, (size, size))


@dataclass(frozen=True)
class Stars:
    """Positions, magnitudes and a colour."""

    ra: Floats
    dec: Floats
    mag: Floats
    colour: Floats

    def refcat(self, colour_term: float = 0.0) -> Table:
        """The reference catalogue that knows them all."""
        red = self.mag + colour_term * (self.colour - 0.8)
        return {
            "ra": self.ra,
            "dec": self.dec,
            "mag": red,
            "err": np.full(len(red), 0.01),
            "blue": red + self.colour,
        }


@cache
def stars() -> Stars:
    """121 stars, none near another, on the plane of the pointing."""
    rng = np.random.default_rng(1)
    cell = SIZE / 11
    gy, gx = (g.ravel() for g in np.mgrid[0:11, 0:11])
    x = (gx + 0.5) * cell + rng.uniform(-5, 5, gx.size)
    y = (gy + 0.5) * cell + rng.uniform(-5, 5, gx.size)
    ra, dec = wcs().pix_to_sky(x, y)
    return Stars(ra, dec, rng.uniform(13.5, 18.0, gx.size), rng.uniform(0.3, 1.6, gx.size))


def moffat(
    image: Floats, x: Floats, y: Floats, flux: Floats, fwhm_px: float, beta: float = 3.0
) -> None:
    """Add stars whose flux is that within 15 arcsec, as zero points mean it.

    The light is collected over each pixel (nine points of it), as detectors do.
    """
    alpha2 = (fwhm_px / 2) ** 2 / (2 ** (1 / beta) - 1)
    within = 1 - (1 + (15 / SCALE_ARCSEC) ** 2 / alpha2) ** (1 - beta)
    peak = flux / within * (beta - 1) / (np.pi * alpha2)
    ny, nx = image.shape
    for sx, sy, top in zip(x, y, peak):
        x0, x1 = max(int(sx) - 45, 0), min(int(sx) + 46, nx)
        y0, y1 = max(int(sy) - 45, 0), min(int(sy) + 46, ny)
        gy, gx = np.mgrid[y0:y1, x0:x1]
        for dy in (-1 / 3, 0, 1 / 3):
            for dx in (-1 / 3, 0, 1 / 3):
                r2 = (gx + dx - sx) ** 2 + (gy + dy - sy) ** 2
                image[y0:y1, x0:x1] += top / 9 * (1 + r2 / alpha2) ** -beta


def electrons(
    pointing: tuple[float, float] = POINTING, fwhm_px: float = 3.0, zeropoint_mag: float = 22.0
) -> Floats:
    """Expected electrons of an exposure of the field."""
    image = np.full((SIZE, SIZE), SKY_E)
    found = stars()
    x, y = wcs(*pointing).sky_to_pix(found.ra, found.dec)
    near = (x > -40) & (x < SIZE + 40) & (y > -40) & (y < SIZE + 40)
    flux = EXPTIME_S * 10 ** (-0.4 * (found.mag - zeropoint_mag))
    moffat(image, x[near], y[near], flux[near], fwhm_px)
    return image


def raw(image_e: Floats, seed: int, unit: Camera | None = None) -> NDArray[np.uint16]:
    """Photon and read noise, a constant level, gain, 16 bits."""
    unit = unit or camera()
    rng = np.random.default_rng(seed)
    out = rng.normal(LEVEL_ADU, NOISE_E / GAIN, (unit.raw_ny, unit.raw_nx))
    for amp in unit.amplifiers:
        out[amp.data.slices] += rng.poisson(image_e[amp.dest.slices]) / GAIN
    return np.clip(np.rint(out), 0, 65535).astype(np.uint16)


def facts(
    name: str, obstype: str = "science", pointing: tuple[float, float] = POINTING, size: int = SIZE
) -> FrameFacts:
    """What ingest would say of a frame."""
    exptime = 0.0 if obstype == "bias" else EXPTIME_S
    return FrameFacts(
        name, "", "", "", "none", "drawn", "01", "r", "-", obstype, "", "-", 57937.9, exptime,
        *pointing, 1.0, "", "test", "2017-07-03", size, size, None,
    )  # fmt: skip


def perfect(kind: str, size: int = SIZE) -> Master:
    """A master of a perfect detector."""
    image = np.full((size, size), 0.0 if kind == "BIAS" else 1.0, np.float32)
    return Master(kind, image, np.zeros((size, size), np.uint8))


@dataclass(frozen=True)
class Exposure:
    """What is drawn, and what is done to the raw frame after."""

    name: str = "frame"
    seed: int = 31
    pointing: tuple[float, float] = POINTING
    fwhm_px: float = 3.0
    zeropoint_mag: float = ZEROPOINT_MAG
    spoil: Callable[[Floats], None] | None = field(default=None, compare=False)
    """Changes the expected electrons."""

    def raw(self, unit: Camera | None = None) -> NDArray[np.uint16]:
        """The raw frame."""
        image = electrons(self.pointing, self.fwhm_px, self.zeropoint_mag)
        if self.spoil is not None:
            self.spoil(image)
        return raw(image, self.seed, unit)

    def inputs(self) -> reduce.ReduceInputs:
        """What the reduction takes."""
        return reduce.ReduceInputs(
            facts(self.name, pointing=self.pointing),
            {},
            self.raw(),
            camera(),
            calset({"BIAS": perfect("BIAS"), "FLAT": perfect("FLAT")}),
            stars().refcat(),
            Reference(mag="mag", err="err"),
        )


def calset(
    masters: dict[str, Master], unit: Camera | None = None, profile: str = "reduced"
) -> reduce.Calset:
    """What frames are corrected with."""
    return reduce.prepare(masters, unit or camera(), "frame", profile)


def reduced(
    exposure: Exposure | None = None, masters: dict[str, Master] | None = None, **changes: object
) -> reduce.ReduceOutputs:
    """Reduce a drawn exposure; `changes` replace parts of the inputs."""
    inputs = (exposure or Exposure()).inputs()
    if masters is not None or "camera" in changes:
        known = masters or {"BIAS": perfect("BIAS"), "FLAT": perfect("FLAT")}
        inputs = replace(inputs, calset=calset(known, changes.get("camera")))  # type: ignore[arg-type]
    return reduce.reduce(replace(inputs, **changes), reduce.ReduceSettings())  # type: ignore[arg-type]
