"""One field of the SDSS: its corrected frame as a raw frame, and its own calibration of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sep
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from tesela import cameras
from tesela.cameras import Camera
from tesela.config import Filter, Reference, Survey
from tesela.products import rawfile
from tesela.products.images import Master
from tesela.products.maskbit import MaskBit
from tesela.stages import reduce
from tesela.stages.ingest.describe import describe
from tesela.stages.reduce.settings import AstrometrySettings, PhotometrySettings

Floats = NDArray[np.float64]
SOFT_BIAS_ADU = 1000.0
APERTURE_ARCSEC = 14.86
"""Diameter of the aperture that the survey's own zero point means."""
R = 2  # r among u, g, r, i, z
INTERPOLATED, SATURATED, COSMIC_RAY = 1, 2, 10  # extensions of fpM


@dataclass(frozen=True)
class Field:
    """The files of a field, and an extraction of it that has nothing of ours."""

    folder: Path

    def path(self, kind: str) -> Path:
        """fpC, fpM, tsField or psField."""
        return next(self.folder.glob(f"{kind}-*"))

    def counts(self) -> Floats:
        """The corrected frame without its soft bias, ADU."""
        return fits.getdata(self.path("fpC")).astype(np.float64) - SOFT_BIAS_ADU

    def wcs(self) -> WCS:
        """That of the header, whose first axis is declination along y."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)  # RADECSYS, an old name
            return WCS(fits.getheader(self.path("fpC")))

    def calibration(self) -> dict[str, float]:
        """Zero point (ADU, 1 s), gain, noise and saturation by tsField."""
        row = fits.getdata(self.path("tsField"))[0]
        zero = -(row["aa"][R] + row["kk"][R] * row["airmass"][R])
        names = ("gain", "dark_variance", "saturation_level")
        return {"zeropoint_adu": float(zero), **{name: float(row[name][R]) for name in names}}

    def plane(self, extension: int) -> NDArray[np.bool_]:
        """A mask of fpM: spans (y, first x, last x) of its objects."""
        mask = np.zeros((1489, 2048), np.bool_)
        with fits.open(self.path("fpM")) as hdus:
            for row in hdus[extension].data:
                spans = np.ascontiguousarray(row["s"], np.uint8).view(">i2").reshape(-1, 3)
                for y, first, last in spans:
                    mask[y, first : last + 1] = True
        return mask

    def psf(self, x: float, y: float) -> Floats:
        """psField's PSF at a place: a sum of images whose weights are polynomials."""
        total = np.zeros((51, 51))
        for image in fits.getdata(self.path("psField"), 1 + R):
            weights = np.asarray(image["c"]).reshape(5, 5)
            weight = sum(
                weights[j, i] * (0.001 * y) ** i * (0.001 * x) ** j
                for i in range(image["nrow_b"])
                for j in range(image["ncol_b"])
            )
            total += weight * np.asarray(image["RROWS"]).reshape(51, 51)
        return total

    def extracted(self) -> dict[str, Floats]:
        """Sources above 5 sigma of a pixel: x, y, ra, dec, counts in the aperture, magnitude."""
        image = self.counts()
        sky = sep.Background(image, bw=128, bh=128)
        light = image - sky.back()
        found = sep.extract(light, 5.0, err=sky.globalrms, minarea=5)
        x, y, _ = sep.winpos(light, found["x"], found["y"], np.full(len(found), 1.45))
        counts, _, _ = sep.sum_circle(light, x, y, 0.5 * APERTURE_ARCSEC / 0.396, subpix=5)
        ra, dec = self.wcs().wcs_pix2world(x, y, 0)
        rate = np.maximum(counts, 1) / 53.907456
        mag = self.calibration()["zeropoint_adu"] - 2.5 * np.log10(rate)
        return {"x": x, "y": y, "ra": ra, "dec": dec, "counts": counts, "mag": mag}


def camera() -> Camera:
    """The description beside these tests."""
    return cameras.load("sdss", Path(__file__).parent / "cameras")


def reduced(
    field: Field, *, blind: bool = False, unit: Camera | None = None, with_mask: bool = False
) -> reduce.ReduceOutputs:
    """The frame through the recipe: a bias of 1000, a flat of one, its own stars as reference.

    `with_mask` hands fpM's interpolated pixels over as the mask of bad pixels.
    """
    unit = unit or camera()
    survey = Survey("sdss", (), {"r": Filter()}, {})
    facts = describe(field.path("fpC"), survey, [unit]).facts
    header, pixels = rawfile.read(field.path("fpC"))
    stars = field.extracted()
    sure = (stars["counts"] > 0) & (stars["mag"] < 22.5)
    known: dict[str, Any] = {name: stars[name][sure] for name in ("ra", "dec", "mag")}
    known["err"] = np.full(np.count_nonzero(sure), 0.01)
    masters = {"BIAS": _plane(unit, "BIAS", SOFT_BIAS_ADU), "FLAT": _plane(unit, "FLAT", 1.0)}
    if with_mask:
        bad = field.plane(INTERPOLATED) * np.uint8(MaskBit.BAD)
        masters["BADPIXEL"] = Master("BADPIXEL", np.empty((0, 0), np.float32), bad)
    settings = replace(
        reduce.ReduceSettings(),
        photometry=PhotometrySettings(aperture_arcsec=APERTURE_ARCSEC),
        astrometry=AstrometrySettings(blind_orientation=blind),
    )
    reference = Reference(mag="mag", err="err", mag_limits=(14.5, 20.5))
    calset = reduce.prepare(masters, unit, facts.name)
    return reduce.reduce(
        reduce.ReduceInputs(facts, header, pixels, unit, calset, known, reference), settings
    )


def _plane(unit: Camera, kind: str, value: float) -> Master:
    return Master(kind, np.full(unit.shape, value, np.float32), np.zeros(unit.shape, np.uint8))
