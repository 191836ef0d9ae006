"""From an accepted match to the final WCS: fit, match anew within a smaller radius, fit again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.errors import QualityError
from tesela.sky import chromatic, fit, tangent
from tesela.sky.field import Field
from tesela.sky.match import mutual_nearest
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_START_RADIUS_ARCSEC = 10.0
_MIN_FIT_RADIUS_PX = 0.4
_LAST_PASSES = 3
_SHRINK = 0.6


@dataclass(frozen=True)
class Refined:
    """The final fit: pairs (i, k) of the field's stars that took part, and their residuals."""

    wcs: Wcs
    i: Indices
    k: Indices
    dx_arcsec: Floats
    dy_arcsec: Floats
    error_arcsec: float
    refraction: chromatic.Refraction | None


def refine(
    field: Field,
    affine: Floats,
    radius_arcsec: float,
    degree: int,
    min_matches: int,
    atmosphere: chromatic.Atmosphere | None = None,
) -> Refined:
    """Fit degree 1, 2, ... after the affine (3, 2) of the plane by which the field was matched.

    With `atmosphere`, chromatic refraction is fitted in turn with the last degree.

    Raises
    ------
    QualityError
        Fewer than `min_matches` stars survive.
    """
    guess = field.guess
    wcs = _to_wcs(field, affine)
    radius = min(_START_RADIUS_ARCSEC, 2.0 * radius_arcsec)
    smallest = _MIN_FIT_RADIUS_PX * guess.pixel_scale_arcsec
    # A guess that knows the distortion must not lose it on the way.
    steps = range(1, degree) if guess.pv is None else []
    air = None if atmosphere is None else _Air(field, atmosphere)
    for wanted in [*steps, *[degree] * _LAST_PASSES]:
        i, k = _match(field, wcs, radius, air.tree() if air else field.tree)
        _require_matches(len(i), min_matches)
        seen = _matched(field, i, k)
        stars = air.moved(seen, k) if air else seen
        found = fit.fit_best(wcs, stars, wanted)
        wcs = found.wcs
        if air and wanted == degree:
            air.update(wcs, seen, k)
        sigma = fit.robust_sigma(*fit.residuals_arcsec(wcs, stars))
        # Corners that a low degree has to leave out must find their stars again.
        least = smallest if wanted == degree else _SHRINK * radius
        radius = float(np.clip(5.0 * sigma, min(least, radius), radius))
    _require_matches(int(found.used.sum()), min_matches)
    dx, dy = fit.residuals_arcsec(wcs, stars.select(found.used))
    return Refined(
        wcs, i[found.used], k[found.used], dx, dy, fit.worst_error_arcsec(found, stars),
        air.refraction if air else None,
    )  # fmt: skip


class _Air:
    """Chromatic refraction as known so far."""

    def __init__(self, field: Field, atmosphere: chromatic.Atmosphere) -> None:
        self.refraction: chromatic.Refraction | None = None
        self._pivot = atmosphere.pivot
        self._field = field
        self._colour = np.asarray(atmosphere.colour, dtype=np.float64)[field.i_ref]
        self._directions = chromatic.towards_zenith(
            field.ref_ra, field.ref_dec, atmosphere.zenith, field.guess.centre
        )

    def tree(self) -> cKDTree:
        """The targets where the air shows them, so that no colour is matched less than another."""
        if self.refraction is None:
            return self._field.tree
        shift = self.refraction.displacement(self._colour, self._directions)
        return cKDTree(self._field.targets + np.column_stack(shift))

    def moved(self, stars: fit.Stars, k: Indices) -> fit.Stars:
        """Stars with their reference positions where the air shows them."""
        if self.refraction is None:
            return stars
        east, north = self.refraction.displacement(self._colour[k], self._toward(k))
        ra = stars.ra_deg + east / 3600.0 / np.cos(np.radians(stars.dec_deg))
        dec = stars.dec_deg + north / 3600.0
        return fit.Stars(stars.x, stars.y, ra, dec, stars.error_arcsec)

    def update(self, wcs: Wcs, stars: fit.Stars, k: Indices) -> None:
        """Fit anew, to residuals against unmoved positions."""
        self.refraction = chromatic.fit(
            *fit.residuals_arcsec(wcs, stars), stars.error_arcsec, self._colour[k],
            self._toward(k), self._pivot,
        )  # fmt: skip

    def _toward(self, k: Indices) -> tuple[Floats, Floats]:
        return self._directions[0][k], self._directions[1][k]


def _to_wcs(field: Field, affine: Floats) -> Wcs:
    """The guess moved by the affine of the plane, as an undistorted WCS."""
    flat = field.guess.linearised()
    if field.guess.pv is not None:
        # Keep the guess's distortion: move its tangent plane instead of dropping it.
        return _moved_fit(field, affine)
    matrix = affine[1:].T
    cd = matrix @ flat.cd
    return Wcs(
        flat.crval, flat.crpix - np.linalg.solve(cd, affine[0] / 3600.0), cd, None, flat.shape
    )


def _moved_fit(field: Field, affine: Floats) -> Wcs:
    """Cubic through the moved positions of a grid of pixels."""
    guess = field.guess
    ny, nx = guess.shape
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(0, nx - 1, 12), np.linspace(0, ny - 1, 12)))
    plane = 3600.0 * np.column_stack(tangent.project(*guess.pix_to_sky(x, y), *guess.centre))
    moved = (np.column_stack([np.ones(len(plane)), plane]) @ affine) / 3600.0
    ra, dec = tangent.deproject(moved[:, 0], moved[:, 1], *guess.centre)
    grid = fit.Stars(x, y, ra, dec, np.ones(len(x)))
    return fit.fit_once(fit.fit_once(guess.linearised(), grid, 3).linearised(), grid, 3)


def _match(
    field: Field, wcs: Wcs, radius_arcsec: float, targets: cKDTree
) -> tuple[Indices, Indices]:
    centre = field.guess.centre
    ra, dec = wcs.pix_to_sky(field.stars.x, field.stars.y)
    points = 3600.0 * np.column_stack(tangent.project(ra, dec, *centre))
    i, k, _ = mutual_nearest(points, targets, radius_arcsec)
    return i, k


def _matched(field: Field, i: Indices, k: Indices) -> fit.Stars:
    error = np.hypot(field.stars.error_arcsec[i], field.ref_error_arcsec[k])
    return fit.Stars(field.stars.x[i], field.stars.y[i], field.ref_ra[k], field.ref_dec[k], error)


def _require_matches(n: int, min_matches: int) -> None:
    if n < min_matches:
        raise QualityError(
            "astrometric solution",
            found=f"{n} stars survive the fit",
            expected=f"at least {min_matches}",
            do="check the detections and the reference catalogue of this field",
        )
