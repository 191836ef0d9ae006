"""PSF-corrected flux: the colour of a source in equal light, on the scale of AUTO.

    i broader than D:   F_i = F_i^R * F_D^AUTO / F_{D->i}^R
    i sharper than D:   F_i = F_{i->D}^R * F_D^AUTO / F_D^R

R is a small ellipse of the detection band D; D->i is D's image convolved to the PSF of i. Pixels of
neighbours and pixels without data in either image are left out of both sums, so the ratio stays
that of equal pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import detect, forced, psfmatch
from tesela.pixels.noise import NoiseModel
from tesela.stages.catalog import errors
from tesela.stages.catalog.detection import Field, Sources
from tesela.stages.catalog.dual_settings import DualSettings
from tesela.stages.catalog.errors import SkyAt

if TYPE_CHECKING:
    from tesela.stages.catalog.dual_band import Reference

_BEYOND_PX = 20  # of the PSF stamps beyond the radius of their normalisation
_PLACES = 3  # along each axis, where kernels are fitted
_REACH_SIGMA = 2.0  # of the kernel, to which a hole spoils a convolved image
Floats = NDArray[np.float64]


@dataclass
class Colour:
    """PSF-corrected flux of a band; (n,) float64 each."""

    flux: Floats
    flux_err: Floats
    """Of the colour's part: the noise of this band in R."""
    lost: Floats
    """Part of R without data in this band or in the detection band."""
    sky: SkyAt
    match_residual: float
    scale_err: Floats | None = None
    """Relative error of F_D^AUTO / F_D^R; of the detection band only."""


def stamps(field: Field) -> NDArray[np.float32]:
    """The PSF at the places of `_places`, beyond the radius of its normalisation: (m, n, n)."""
    radius = int(np.ceil(field.model.norm_radius_px)) + _BEYOND_PX
    x, y = _places(field)
    return np.stack([field.model.stamp(*place, radius) for place in zip(x, y, strict=True)])


def _places(field: Field) -> tuple[Floats, Floats]:
    """Whole pixels on a grid that spans the tile: (m,) each."""
    ny, nx = field.image.shape
    fractions = (np.arange(_PLACES) + 0.5) / _PLACES
    x, y = np.meshgrid(np.floor(fractions * nx), np.floor(fractions * ny))
    return x.ravel(), y.ravel()


def measure(
    reference: Reference,
    field: Field,
    sources: Sources,
    noise: NoiseModel,
    sky: SkyAt,
    settings: DualSettings,
) -> Colour:
    """PSF-corrected fluxes in one band, with their errors."""
    if field is reference.field:
        return _own(reference, sources, noise, sky)
    sharp, broad = reference.stamps, stamps(field)
    band_is_broader = psfmatch.effective_sigma_px(broad) >= psfmatch.effective_sigma_px(sharp)
    if not band_is_broader:
        sharp, broad = broad, sharp
    found = psfmatch.varying_kernel(
        sharp,
        broad,
        *_places(field),
        radius_px=min(field.model.norm_radius_px, reference.field.model.norm_radius_px),
    )
    moved = reference.field if band_is_broader else field
    image, holes = psfmatch.convolve(moved.image, found, ~moved.covered)
    spoiled = detect.object_mask(holes.astype(np.int32), grow_px=_REACH_SIGMA * found.sigma_px)
    bad = spoiled | ~field.covered | ~reference.field.covered
    matched = replace(moved, image=image)
    if band_is_broader:
        ours, theirs = _region(reference, field, bad), _region(reference, matched, bad)
    else:
        ours, theirs = _region(reference, matched, bad), _region(reference, reference.field, bad)
        noise = errors.empirical(matched, sources, settings.detection)
    good = (theirs["flux"] > 0) & (reference.flux_auto > 0)
    scale = np.where(good, reference.flux_auto / np.where(good, theirs["flux"], 1), np.nan)
    error = sky.replace(ours["err"], ours["n_pixels"], noise)
    return Colour(ours["flux"] * scale, error * scale, ours["lost"], sky, found.residual)


def _own(reference: Reference, sources: Sources, noise: NoiseModel, sky: SkyAt) -> Colour:
    """The detection band itself: AUTO, with the relative error of R."""
    auto, inner = reference.flux_auto, _region(reference, reference.field, ~reference.field.covered)
    flux = inner["flux"]
    error = sky.replace(inner["err"], inner["n_pixels"], noise)
    good = (flux > 0) & (auto > 0)
    relative = np.where(good, error / np.where(good, flux, 1), np.nan)
    total = np.where(good, sources.table["flux_auto_err"] / np.where(good, auto, 1), np.nan)
    # R is a part of AUTO: their errors share what R has, 2 cov(A, R) / (A R) = 2 var(R) / (A R).
    shared = 2 * relative**2 * flux / np.where(good, auto, 1)
    scale_err = np.sqrt(np.maximum(total**2 + relative**2 - shared, 0))
    return Colour(np.where(good, auto, np.nan), relative * auto, inner["lost"], sky, 0.0, scale_err)


def _region(reference: Reference, field: Field, bad: NDArray[np.bool_]) -> dict[str, Floats]:
    return forced.region(
        field.image,
        field.variance,
        bad,
        reference.sources.segmentation,
        reference.sources.table,
        reach=reference.restricted_reach,
    )
