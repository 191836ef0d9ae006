"""Simulated star fields for the tests of the astrometric solution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tesela.sky import tangent, tpv
from tesela.sky.wcs import Wcs


@dataclass(frozen=True)
class Recipe:
    """One field: what the sky holds, what the detector sees of it and how wrong the guess is."""

    n_stars: int = 400
    size_px: int = 2048
    scale_arcsec: float = 0.55
    noise_px: float = 0.1
    spurious: float = 0.5  # part of the detections that are no stars
    missing: float = 0.5  # part of the stars that are not detected
    saturated: float = 0.1  # part of the stars, the brightest, that are not detected
    reference_limit_mag: float = 22.0
    extra_faint: float = 0.0  # reference stars beyond the image's limit, per star
    offset_arcsec: tuple[float, float] = (80.0, -70.0)
    rotation_deg: float = 2.5
    scale_ratio: float = 1.015
    position_angle_deg: float = 0.0
    distortion_px: float = 2.0  # at the corners
    dec_deg: float = 40.0
    seed: int = 1


@dataclass(frozen=True)
class Field:
    """What `solve` is given, in its order, and the truth."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    ref_ra: np.ndarray
    ref_dec: np.ndarray
    ref_mag: np.ndarray
    guess: Wcs
    truth: Wcs

    def arguments(self) -> tuple:
        return (
            self.x,
            self.y,
            self.flux,
            self.ref_ra,
            self.ref_dec,
            self.ref_mag,
            self.guess,
        )

    def worst_px(self, wcs: Wcs) -> float:
        """Largest distance from the truth on a grid that covers the image."""
        ny, nx = self.truth.shape
        x, y = np.meshgrid(np.linspace(0, nx - 1, 9), np.linspace(0, ny - 1, 9))
        there_x, there_y = self.truth.sky_to_pix(*wcs.pix_to_sky(x, y))
        return float(np.hypot(there_x - x, there_y - y).max())


def make(recipe: Recipe) -> Field:
    """Make a field: uniform positions, steep counts, another band with 0.5 mag of colour."""
    rng = np.random.default_rng(recipe.seed)
    size, n = recipe.size_px, recipe.n_stars
    truth = distorted(recipe)
    margin = 0.15 * size
    n_all = int(n * 1.3**2)
    x, y = rng.uniform(-margin, size + margin, (2, n_all))
    mag = 14.0 + 8.0 * rng.power(3, n_all)
    ra, dec = truth.pix_to_sky(x, y)
    inside = np.flatnonzero((x > 0) & (x < size - 1) & (y > 0) & (y < size - 1))
    inside = inside[np.argsort(mag[inside])][int(recipe.saturated * len(inside)) :]
    seen = inside[rng.random(len(inside)) >= recipe.missing]
    n_false = int(len(seen) * recipe.spurious / (1 - recipe.spurious))
    det_x = np.r_[
        x[seen] + rng.normal(0, recipe.noise_px, len(seen)), rng.uniform(0, size, n_false)
    ]
    det_y = np.r_[
        y[seen] + rng.normal(0, recipe.noise_px, len(seen)), rng.uniform(0, size, n_false)
    ]
    det_mag = np.r_[mag[seen], 14.0 + 8.0 * rng.power(3, n_false)]
    order = rng.permutation(len(det_x))
    ref_mag = mag + rng.normal(0, 0.5, n_all)
    known = ref_mag < recipe.reference_limit_mag
    n_faint = int(recipe.extra_faint * n)
    faint = truth.pix_to_sky(*rng.uniform(-margin, size + margin, (2, n_faint)))
    return Field(
        x=det_x[order],
        y=det_y[order],
        flux=10 ** (-0.4 * (det_mag[order] - 25.0)),
        ref_ra=np.r_[ra[known], faint[0]],
        ref_dec=np.r_[dec[known], faint[1]],
        ref_mag=np.r_[ref_mag[known], rng.uniform(22, 24, n_faint)],
        guess=guess(recipe),
        truth=truth,
    )


def distorted(recipe: Recipe) -> Wcs:
    """The true WCS: radial cubic plus a little quadratic distortion."""
    shape = (recipe.size_px, recipe.size_px)
    flat = Wcs.tangent_plane(
        0.02,
        recipe.dec_deg,
        recipe.scale_arcsec * recipe.scale_ratio,
        shape,
        position_angle_deg=recipe.position_angle_deg + recipe.rotation_deg,
    )
    corner = recipe.size_px * recipe.scale_arcsec / 3600.0 / np.sqrt(2)
    push = recipe.distortion_px * recipe.scale_arcsec / 3600.0
    pv = tpv.identity()
    pv[:, 7] = pv[:, 9] = push / corner**3
    pv[0, 4] = 0.3 * push / corner**2
    pv[1, 5] = -0.2 * push / corner**2
    return replace(flat, pv=pv if recipe.distortion_px else None)


def guess(recipe: Recipe) -> Wcs:
    """What a header would say: the pointing is off, the orientation among the stars is kept.

    Meridians converge, so the position angle at the wrong place is another one.
    """
    east, north = (each / 3600.0 for each in recipe.offset_arcsec)
    ra, dec = tangent.deproject(east, north, 0.02, recipe.dec_deg)
    turn = (float(ra) - 0.02 + 180.0) % 360.0 - 180.0
    return Wcs.tangent_plane(
        float(ra),
        float(dec),
        recipe.scale_arcsec,
        (recipe.size_px, recipe.size_px),
        position_angle_deg=recipe.position_angle_deg + turn * np.sin(np.radians(recipe.dec_deg)),
    )
