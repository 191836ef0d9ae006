"""Errors and depths from the noise that empty apertures show.

Resampled pixels are correlated: sums over N pixels scatter more than sqrt(N) times one pixel. The
law of Labbe et al. 2003, measured on this very coadd, replaces the sky's part of each error; the
photons of the source are added to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from tesela.pixels import noise
from tesela.pixels.apertures import KRON_FACTOR, KRON_MINIMUM, PETRO_FACTOR
from tesela.pixels.noise import NoiseModel
from tesela.products.catalogue import Table
from tesela.stages.catalog.detection import Field, Sources
from tesela.stages.catalog.settings import CatalogSettings

_SEED = 20170703
AROUND_PX = 7
"""Side of the box in which the weight of a source is looked for."""

_DEPTH_DIAMETER_ARCSEC = 3.0


def empirical(field: Field, sources: Sources, settings: CatalogSettings) -> NoiseModel:
    """Noise against area, from random empty apertures of the catalogue's sizes."""
    radii = np.unique(np.clip(sources.diameters_px / 2, 1.0, None))
    return noise.empty_apertures(
        field.image,
        field.weight,
        sources.segmentation,
        list(radii),
        n=settings.noise_apertures,
        seed=_SEED,
    )


@dataclass(frozen=True)
class SkyAt:
    """The sky's noise at the sources, (n,) float64; NaN where nothing around was observed."""

    sigma: NDArray[np.float64]
    """Of a pixel, from the weight."""
    local: NDArray[np.float64]
    """What the empirical noise, measured at the median weight, is to be multiplied by."""

    @classmethod
    def of(cls, field: Field, x: NDArray[np.float64], y: NDArray[np.float64]) -> SkyAt:
        """Look up the weights around positions (n,)."""
        ix, iy = pixel_of(field, x, y)
        # A hole in the core must not pass for certainty: the weight is that of the pixels around.
        weight = maximum_filter(field.weight, size=AROUND_PX)[iy, ix].astype(float)
        seen = weight > 0
        safe = np.where(seen, weight, 1)
        median = float(np.median(field.weight[field.covered]))
        return cls(
            np.where(seen, 1 / np.sqrt(safe), np.nan),
            np.where(seen, np.sqrt(median / safe), np.nan),
        )

    def replace(
        self,
        error: NDArray[np.float64],
        n_pixels: NDArray[np.float64] | float,
        model: NoiseModel,
    ) -> NDArray[np.float64]:
        """Errors (n,) of sums with `n_pixels` effective pixels, with the sky's part measured."""
        photons = np.maximum(error**2 - n_pixels * self.sigma**2, 0)
        return np.sqrt(photons + (model.sigma(n_pixels) * self.local) ** 2)


def apply(field: Field, sources: Sources, model: NoiseModel) -> SkyAt:
    """Replace the sky's part of every error by the measured one, at the local weight."""
    table = sources.table
    sky = SkyAt.of(field, table["x_win"], table["y_win"])
    for k, radius in enumerate(sources.diameters_px / 2):
        area = noise.effective_pixels(radius)
        table["flux_aper_err"][:, k] = sky.replace(table["flux_aper_err"][:, k], area, model)
    table["flux_auto_err"] = sky.replace(
        table["flux_auto_err"], _ellipse(table, table["kron_radius"] * KRON_FACTOR), model
    )
    if "flux_petro_err" in table:
        petro = _ellipse(table, table["petro_radius"] * PETRO_FACTOR)
        table["flux_petro_err"] = sky.replace(table["flux_petro_err"], petro, model)
        own = np.maximum(table["npix"], 1).astype(np.float64)
        table["flux_iso_err"] = sky.replace(table["flux_iso_err"], own, model)
    table["flux_psf_err"] = sky.replace(table["flux_psf_err"], psf_area(field), model)
    return sky


def _ellipse(table: Table, reach: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels in ellipses that reach so many isophotal radii, at least AUTO's and PETRO's least."""
    area = np.pi * table["a"] * table["b"] * np.square(np.maximum(reach, KRON_MINIMUM))
    return np.where(np.isfinite(area) & (area > 0), area, 1.0)


def psf_area(field: Field) -> float:
    """Pixels whose sky noise a PSF fit feels: 1 / sum(psf^2)."""
    ny, nx = field.image.shape
    stamp = field.model.stamp(nx / 2, ny / 2, 12).astype(float)
    return float(1 / np.sum(stamp**2))


def depths(field: Field, sources: Sources, model: NoiseModel) -> dict[str, float]:
    """5 sigma limits at the median weight: in a 3 arcsec aperture and for a PSF."""
    area = noise.effective_pixels(_DEPTH_DIAMETER_ARCSEC / field.scale_arcsec / 2)
    zero = field.zeropoint_mag
    return {
        "depth_3arcsec_mag": float(zero - 2.5 * np.log10(5 * model.sigma(area))),
        "depth_psf_mag": float(zero - 2.5 * np.log10(5 * model.sigma(psf_area(field)))),
    }


def pixel_of(
    field: Field, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (ix, iy) of the pixels under positions (n,); outside, those of the nearest ones."""
    ny, nx = field.image.shape
    ix = np.clip(np.rint(np.nan_to_num(x)), 0, nx - 1).astype(np.int64)
    iy = np.clip(np.rint(np.nan_to_num(y)), 0, ny - 1).astype(np.int64)
    return ix, iy
