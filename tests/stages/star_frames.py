"""Frames as star lists: what the astrometric solution is given, without a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tesela.cameras import Amplifier, Camera, Section
from tesela.config import Reference
from tesela.products.frame import FrameFacts
from tesela.sky import chromatic, tpv
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs
from tesela.stages import reduce
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.measure import Sources

POINTING = (211.8, 55.1)
MJD = 57937.9


def camera(
    size: int, scale_arcsec: float, signs: tuple[tuple[float, float], tuple[float, float]]
) -> Camera:
    """One amplifier; a site."""
    whole = Section(0, size, 0, size)
    return Camera(
        "unseen", "none", "uns", "none", size, size, size, size, scale_arcsec, signs, ("01",),
        (Amplifier(1, whole, whole, 1.0, 3.0, 60000.0),), longitude_deg=-1.0163,
        latitude_deg=40.042,
    )  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A frame of a camera, wrong by as much as the telescope and the camera's description are."""

    size: int = 2048
    scale_arcsec: float = 0.55
    signs: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, 0.0), (0.0, 1.0))
    n_stars: int = 600
    n_false: int = 200
    noise_px: float = 0.05
    offset_arcsec: tuple[float, float] = (70.0, -60.0)
    rotation_deg: float = 1.5
    scale_error: float = 0.008
    distortion_px: float = 2.0
    band: str = "rSDSS"
    dcr_mas_per_mag: float = 0.0
    mirrored: bool = False
    seed: int = 7

    def truth(self) -> Wcs:
        """Where the pixels really lie."""
        shape = (self.size, self.size)
        east, north = (each / 3600 for each in self.offset_arcsec)
        ra = POINTING[0] + east / np.cos(np.radians(POINTING[1]))
        flat = nominal(ra, POINTING[1] + north, self.scale_arcsec, self.signs, shape)
        turn = np.radians(self.rotation_deg)
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        cd = (1 + self.scale_error) * matrix @ flat.cd
        if self.mirrored:
            cd = cd * np.array([-1.0, 1.0])
        corner = self.size * self.scale_arcsec / 3600 / np.sqrt(2)
        pv = tpv.identity()
        pv[:, 7] = pv[:, 9] = self.distortion_px * self.scale_arcsec / 3600 / corner**3
        return replace(flat, cd=cd, pv=pv)

    def inputs(self, **changes: Any) -> reduce.ReduceInputs:
        """What the reduction takes; `changes` to the reference catalogue, by column."""
        facts = FrameFacts(
            "frame", "", "", "", "none", "unseen", "01", self.band, "-", "science", "", "-", MJD,
            60.0, *POINTING, 1.2, "", "test", "2017-07-03", self.size, self.size, None,
        )  # fmt: skip
        _, ra, dec, mag, colour = self._stars()
        refcat = {"ra": ra, "dec": dec, "g": mag + colour, "r": mag, **changes}
        reference = Reference(mag="r", colour=("g", "r"), colour_pivot=0.8)
        unit = camera(self.size, self.scale_arcsec, self.signs)
        return reduce.ReduceInputs(
            facts, {}, np.zeros((1, 1), np.uint16), unit, {}, refcat, reference
        )

    def frame(self) -> Frame:
        """An empty one."""
        one = np.ones((1, 1), np.float32)
        return Frame(one, one.astype(np.uint8), one, one)

    def sources(self) -> Sources:
        """Stars where the air shows them, and false detections."""
        truth, ra, dec, mag, colour = self._stars()
        rng = np.random.default_rng(self.seed + 1)
        if self.dcr_mas_per_mag:
            zenith = chromatic.zenith(MJD + 30 / 86400, -1.0163, 40.042)
            east, north = chromatic.towards_zenith(ra, dec, zenith, truth.centre)
            shift = self.dcr_mas_per_mag * (colour - 0.8) / 3.6e6
            ra = ra + shift * east / np.cos(np.radians(dec))
            dec = dec + shift * north
        x, y = truth.sky_to_pix(ra, dec)
        seen = (x > 0) & (y > 0) & (x < self.size - 1) & (y < self.size - 1) & (mag < 20)
        n = np.count_nonzero(seen)
        flux = 10 ** (-0.4 * (mag[seen] - 25))
        false = rng.uniform(0, self.size, (2, self.n_false))
        table = {
            "x_win": np.r_[x[seen] + rng.normal(0, self.noise_px, n), false[0]],
            "y_win": np.r_[y[seen] + rng.normal(0, self.noise_px, n), false[1]],
            "flux_psf": np.r_[flux, 10 ** (-0.4 * (rng.uniform(14, 20, self.n_false) - 25))],
        }
        table["flux_psf_err"] = np.sqrt(table["flux_psf"] + 100.0)
        table["x_err"] = table["y_err"] = np.full(n + self.n_false, self.noise_px)
        table["flags"] = np.zeros(n + self.n_false, np.int16)
        table["x"] = table["x_win"]
        return Sources(table, np.array([3.0]))

    def _stars(self) -> tuple[Wcs, Any, Any, Any, Any]:
        rng = np.random.default_rng(self.seed)
        truth, n = self.truth(), int(1.6 * self.n_stars)
        ra, dec = truth.pix_to_sky(*rng.uniform(-0.13 * self.size, 1.13 * self.size, (2, n)))
        return truth, ra, dec, 14 + 7 * rng.power(3, n), rng.uniform(0.0, 1.8, n)
