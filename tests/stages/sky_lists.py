"""Star lists of dithered images of one field, with an illumination that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tesela.config import Reference
from tesela.products.images import Table
from tesela.sky.nominal import nominal
from tesela.stages.masters import Detrended, ImageInputs

from . import drawn

Floats = NDArray[np.float64]
SIZE = 512
CAMERA = replace(drawn.camera(SIZE), pixel_scale_arcsec=2.0)
BAND = Reference(mag="mag", err="err")
KEY = "ILLUMINATION.TEST.drawn.01.r.slow.20170703"


def bowl_and_tilt(u: Floats, v: Floats) -> Floats:
    """30 mmag from centre to corner and a tilt of 30 mmag in x, -10 mmag in y; mean 0."""
    return 0.015 * (u**2 + v**2 - 2 / 3) + 0.015 * u - 0.005 * v


@dataclass(frozen=True)
class Field:
    """Images, and the catalogue of their stars."""

    images: list[Detrended]
    refcat: Table

    def inputs(self, **more: object) -> ImageInputs:
        """What the builder is given, with the catalogue unless said otherwise."""
        given: dict[str, object] = {"refcat": self.refcat, "band": BAND, **more}
        return ImageInputs(KEY, CAMERA, images=self.images, **given)  # type: ignore[arg-type]


def field(
    seed: int,
    illumination: Callable[[Floats, Floats], Floats] = bowl_and_tilt,
    *,
    n_stars: int = 900,
    n_images: int = 12,
    ext_scatter: float = 0.03,
    zeropoint_scatter: float = 0.05,
    matched: bool = True,
) -> Field:
    """Stars of magnitude 13 to 17 over twice the field, 6 mmag a measurement."""
    rng = np.random.default_rng(seed)
    plane = nominal(*drawn.POINTING, CAMERA.pixel_scale_arcsec, drawn.SIGNS, (SIZE, SIZE))
    place = rng.uniform(-0.5 * SIZE, 1.5 * SIZE, (2, 4 * n_stars))
    ra, dec = plane.pix_to_sky(*place)
    mag = rng.uniform(13, 17, len(ra))
    images = []
    for k in range(n_images):
        shift = rng.uniform(-0.25, 0.25, 2) * SIZE
        x, y = place[0] - shift[0], place[1] - shift[1]
        inside = np.flatnonzero((x > 0) & (x < SIZE - 1) & (y > 0) & (y < SIZE - 1))
        x, y = x[inside], y[inside]
        f = illumination(2 * x / (SIZE - 1) - 1, 2 * y / (SIZE - 1) - 1)
        seen = (
            mag[inside] - 23.0 - rng.normal(0, zeropoint_scatter) + f + rng.normal(0, 0.006, x.size)
        )
        flux = drawn.EXPTIME_S * 10 ** (-0.4 * seen)
        table = {
            "x": x, "y": y, "ra": ra[inside], "dec": dec[inside],
            "flux_psf": flux, "flux_psf_err": 0.003 * flux,
            "flags": np.zeros(x.size, np.int16),
            "i_ref": inside if matched else np.full(x.size, -1),
        }  # fmt: skip
        empty = np.empty((0, 0), np.float32)
        images.append(Detrended(drawn.facts(f"image{k:02d}", size=SIZE), empty, empty, {}, table))
    refcat = {
        "mag": mag + rng.normal(0, ext_scatter, mag.size),
        "err": np.full(mag.size, 0.01),
        "blue": rng.normal(0.8, 0.3, mag.size),
        "red": np.zeros(mag.size),
    }
    return Field(images, refcat)
