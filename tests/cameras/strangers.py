"""Cameras that nobody here has seen: a TOML, and raw frames of a drawn sky as they write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from tesela import cameras
from tesela.cameras import Camera
from tesela.config import Filter, Reference, Survey
from tesela.products import rawfile
from tesela.products.frame import FrameFacts
from tesela.products.images import Master, Table
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs
from tesela.stages import reduce
from tesela.stages.ingest.describe import describe

Floats = NDArray[np.float64]
ZEROPOINT_MAG, EXPTIME_S, SKY_E, FWHM_PX = 22.0, 60.0, 200.0, 3.0
LEVEL_ADU, NOISE_E = 1000.0, 5.0
POINTING = (211.8, 55.1)
SURVEY = Survey("strange", (), {"r": Filter(names=("SDSS r'", "48"))}, {})

CARDS: dict[str, Any] = {
    "INSTRUME": "Strange CCD",
    "IMAGETYP": "object",
    "EXPTIME": EXPTIME_S,
    "DATE-OBS": "2017-07-03T21:36:00",
    "FILTER": "SDSS r'",
    "RA": POINTING[0],
    "DEC": POINTING[1],
}


def toml(
    amplifiers: list[dict[str, str]],
    *,
    raw: tuple[int, int],
    image: tuple[int, int],
    top: dict[str, str] | None = None,
    header: dict[str, str] | None = None,
    gain: float = 1.5,
) -> str:
    """A description; values of `top` and `header` are TOML already. Sizes are (nx, ny)."""
    first = {
        "name": '"strange"',
        "telescope": '"T"',
        "telescope_code": '"t"',
        "instrument": '"Strange"',
        "instruments": '["Strange CCD"]',
        "raw_nx": raw[0],
        "raw_ny": raw[1],
        "nx": image[0],
        "ny": image[1],
        "pixel_scale_arcsec": 0.55,
        "cd_signs": "[[-1, 0], [0, 1]]",
        "ccds": '["01"]',
        **(top or {}),
    }
    lines = [f"{key} = {value}" for key, value in first.items()]
    lines += ["[header]", *(f"{key} = {value}" for key, value in (header or {}).items())]
    lines += ["[defaults]", 'ccd = "01"', "[imagetypes]", 'Object = { obstype = "science" }']
    lines += ['"Light*" = { obstype = "science" }']
    lines += ['BIAS = { obstype = "bias" }', 'FLAT = { obstype = "flat", flat_kind = "dome" }']
    for n, amp in enumerate(amplifiers, 1):
        usual = {"gain_e_per_adu": gain, "readnoise_e": NOISE_E, "saturation_adu": 60000}
        rows = {"id": n, **usual, **amp}
        lines += ["[[amplifiers]]", *(f"{key} = {value}" for key, value in rows.items())]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Stranger:
    """A camera and how it writes a frame."""

    text: str
    cards: dict[str, Any] = field(default_factory=dict)
    """Of a science frame, beside or instead of the usual; None leaves one out."""
    gain: float = 1.5
    """Of the detector, whatever the description says."""
    pedestal_adu: float = LEVEL_ADU
    zero_adu: float = 0.0
    """What the master bias holds: the level, where no strip tells it."""
    dtype: str = "uint16"
    extension: bool = False
    images: int = 1
    compress: str = ""
    suffix: str = ".fits"

    def camera(self, folder: Path) -> Camera:
        """As a site would load it."""
        (folder / "strange.toml").write_text(self.text, encoding="utf-8")
        return cameras.camera.load.__wrapped__("strange", folder)

    def pixels(self, camera: Camera, seed: int = 31) -> Floats:
        """Photon and read noise over a level, in ADU, not yet of whole numbers."""
        rng = np.random.default_rng(seed)
        raw = rng.normal(self.pedestal_adu, NOISE_E / self.gain, (camera.raw_ny, camera.raw_nx))
        image = electrons(camera)
        for amp in camera.amplifiers:
            raw[amp.data.slices] += rng.poisson(image[amp.dest.slices]) / self.gain
        return raw

    def write(self, folder: Path, pixels: Floats, name: str = "s1", **cards: Any) -> Path:
        """The file."""
        whole = pixels if self.dtype.startswith("float") else np.rint(pixels)
        if self.dtype == "uint16":
            whole = np.clip(whole, 0, 65535)
        header = fits.Header()
        for key, value in {**CARDS, **self.cards, **cards}.items():
            if value is not None:
                header[key] = value
        path = folder / f"{name}{self.suffix}"
        data = whole.astype(self.dtype)
        if self.compress:
            image = fits.CompImageHDU(data, header, compression_type=self.compress)
            fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
        elif self.images > 1:
            parts = np.split(data, self.images, axis=1)
            outputs = [fits.ImageHDU(part) for part in parts]
            for output in outputs:
                output.header["GAIN"] = self.gain
            fits.HDUList([fits.PrimaryHDU(header=header), *outputs]).writeto(path)
        elif self.extension:
            image = fits.ImageHDU(data)
            fits.HDUList([fits.PrimaryHDU(header=header), image]).writeto(path)
        else:
            fits.PrimaryHDU(data, header).writeto(path)
        return path


@dataclass(frozen=True)
class Taken:
    """A frame that was taken in and reduced."""

    facts: FrameFacts
    camera: Camera
    made: reduce.ReduceOutputs


def take(stranger: Stranger, folder: Path, spoil: Any = None, **cards: Any) -> Taken:
    """From the TOML and a raw file to a reduced image; `spoil` changes the raw pixels."""
    camera = stranger.camera(folder)
    pixels = stranger.pixels(camera)
    if spoil is not None:
        spoil(pixels)
    path = stranger.write(folder, pixels, **cards)
    return reduced(path, camera, stranger.zero_adu)


def reduced(path: Path, camera: Camera, zero_adu: float = 0.0) -> Taken:
    """What ingest and reduction make of a file."""
    facts = describe(path, SURVEY, [camera]).facts
    header, pixels = rawfile.read(path, rawfile.known(camera.reading))
    camera = camera.for_ccd(facts.ccd).with_header(header, facts.name)
    masters = {kind: perfect(kind, camera, zero_adu) for kind in ("BIAS", "FLAT")}
    inputs = reduce.ReduceInputs(
        facts,
        header,
        pixels,
        camera,
        reduce.prepare(masters, camera, "frame"),
        refcat(camera),
        Reference(mag="mag", err="err"),
    )
    return Taken(facts, camera, reduce.reduce(inputs, reduce.ReduceSettings()))


def perfect(kind: str, camera: Camera, zero_adu: float) -> Master:
    """A master of a perfect detector."""
    value = zero_adu if kind == "BIAS" else 1.0
    return Master(kind, np.full(camera.shape, value, np.float32), np.zeros(camera.shape, np.uint8))


def wcs(camera: Camera) -> Wcs:
    """Where the frame points."""
    return nominal(*POINTING, camera.pixel_scale_arcsec, camera.cd_signs, camera.shape)


@cache
def _places(shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """x, y and magnitude of about a hundred stars, none near another."""
    rng = np.random.default_rng(1)
    ny, nx = shape
    rows, columns = max(round(ny / 30), 4), max(round(nx / 30), 4)
    gy, gx = (g.ravel() for g in np.mgrid[0:rows, 0:columns])
    x = (gx + 0.5) * nx / columns + rng.uniform(-5, 5, gx.size) - 0.5
    y = (gy + 0.5) * ny / rows + rng.uniform(-5, 5, gx.size) - 0.5
    return x, y, rng.uniform(13.5, 18.0, gx.size)


def refcat(camera: Camera) -> Table:
    """The reference catalogue that knows the stars."""
    x, y, mag = _places(camera.shape)
    ra, dec = wcs(camera).pix_to_sky(x, y)
    return {"ra": ra, "dec": dec, "mag": mag, "err": np.full(mag.size, 0.01)}


def electrons(camera: Camera, beta: float = 3.0) -> Floats:
    """Expected electrons: Moffats whose flux within 15 arcsec the zero point means."""
    alpha2 = (FWHM_PX / 2) ** 2 / (2 ** (1 / beta) - 1)
    within = 1 - (1 + (15 / camera.pixel_scale_arcsec) ** 2 / alpha2) ** (1 - beta)
    image = np.full(camera.shape, SKY_E)
    gy, gx = np.mgrid[0 : camera.ny, 0 : camera.nx]
    for x, y, mag in zip(*_places(camera.shape)):
        flux = EXPTIME_S * 10 ** (-0.4 * (mag - ZEROPOINT_MAG)) / within
        peak = flux * (beta - 1) / (np.pi * alpha2)
        rows = slice(max(int(y) - 45, 0), int(y) + 46)
        columns = slice(max(int(x) - 45, 0), int(x) + 46)
        box = (rows, columns)
        for dy in (-1 / 3, 0, 1 / 3):
            for dx in (-1 / 3, 0, 1 / 3):
                r2 = (gx[box] + dx - x) ** 2 + (gy[box] + dy - y) ** 2
                image[box] += peak / 9 * (1 + r2 / alpha2) ** -beta
    return image
