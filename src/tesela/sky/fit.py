"""Least-squares fit of a WCS of degree 1 to 3 to matched stars, with clipping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.sky import tangent, tpv
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_DEGREE = 3
_NEGLIGIBLE = 1e-3  # of a star's error: residuals that small are rounding, not disagreement
_RAYLEIGH_MEDIAN = 1.1774  # median length of a 2-D normal vector of unit sigma


@dataclass(frozen=True)
class Stars:
    """Matched stars: pixels (from 0), reference positions (degrees) and one error, arcsec an axis.

    All arrays are (n,) float64.
    """

    x: Floats
    y: Floats
    ra_deg: Floats
    dec_deg: Floats
    error_arcsec: Floats

    def __len__(self) -> int:
        return len(self.x)

    def select(self, keep: NDArray[np.generic]) -> Stars:
        """The stars of a boolean or index array."""
        fields = (self.x, self.y, self.ra_deg, self.dec_deg, self.error_arcsec)
        return Stars(*(each[keep] for each in fields))


def n_terms(degree: int) -> int:
    """Coefficients of a complete polynomial of two variables, an axis."""
    return (degree + 1) * (degree + 2) // 2


def affordable_degree(n_stars: int, wanted: int) -> int:
    """Highest degree, at most `wanted`, with four stars for every term; at least 1."""
    for degree in range(min(wanted, MAX_DEGREE), 1, -1):
        if n_stars >= 4 * n_terms(degree):
            return degree
    return 1


def residuals_arcsec(wcs: Wcs, stars: Stars) -> tuple[Floats, Floats]:
    """Observed minus reference along xi (east) and eta (north), arcsec, two (n,) arrays."""
    xi, eta = wcs.pix_to_plane(stars.x, stars.y)
    ref_xi, ref_eta = tangent.project(stars.ra_deg, stars.dec_deg, wcs.crval[0], wcs.crval[1])
    return (xi - ref_xi) * 3600.0, (eta - ref_eta) * 3600.0


def robust_sigma(dx: Floats, dy: Floats) -> float:
    """Sigma an axis of two-dimensional residuals, from the median of their length."""
    return float(np.median(np.hypot(dx, dy)) / _RAYLEIGH_MEDIAN) if len(dx) else np.nan


def fit_clipped(
    start: Wcs, stars: Stars, degree: int, *, clip_sigma: float = 3.5, max_passes: int = 10
) -> tuple[Wcs, Flags]:
    """Fit by weighted least squares and leave out, pass by pass, the stars that do not agree.

    Parameters
    ----------
    start : Wcs
        Any solution good to a few arcsec; gives the tangent point and linearisation.
    stars : Stars
    degree : int
        1 to 3.
    clip_sigma : float
        Limit on the residual over its error, in units of the robust scatter of that ratio: the
        errors need to be right relative to each other only.

    Returns
    -------
    wcs : Wcs
    used : (n,) bool
        Stars that took part.
    """
    base = start.linearised()
    keep = np.ones(len(stars), dtype=bool)
    fewest = 4 * n_terms(degree) if degree > 1 else n_terms(1) + 1
    for _ in range(max_passes):
        used = keep
        chosen = stars.select(used)
        # Twice: the second time about the tangent point and matrix that the first one found,
        # which leaves in the polynomial the distortion alone.
        wcs = fit_once(fit_once(base, chosen, degree).linearised(), chosen, degree)
        dx, dy = residuals_arcsec(wcs, stars)
        ratio = np.hypot(dx, dy) / stars.error_arcsec
        scale = np.median(ratio[used]) / _RAYLEIGH_MEDIAN
        keep = ratio <= clip_sigma * max(scale, _NEGLIGIBLE)
        if keep.sum() < fewest or np.array_equal(keep, used):
            break
        base = wcs.linearised()
    return wcs, used


def least_squares(design: Floats, values: Floats, weight: Floats | None = None) -> Floats:
    """Solve design (n, t) by parameters (t, k) = values (n, k), weights (n,), least squares.

    Through the normal equations, so columns should be of order one; when they are degenerate the
    solution of least norm is returned.
    """
    weighted = design if weight is None else design * weight[:, None]
    found, *_ = np.linalg.lstsq(weighted.T @ design, weighted.T @ values, rcond=1e-13)
    return np.asarray(found, dtype=np.float64)


def fit_once(base: Wcs, stars: Stars, degree: int) -> Wcs:
    """Weighted least squares about the tangent point, reference pixel and matrix of `base`."""
    u, v = base.pix_to_plane(stars.x, stars.y)
    xi, eta = tangent.project(stars.ra_deg, stars.dec_deg, base.crval[0], base.crval[1])
    # Coordinates of order one keep the normal equations well conditioned.
    unit = 0.5 * np.hypot(*base.shape) * base.pixel_scale_arcsec / 3600.0
    exponents = [(d - k, k) for d in range(degree + 1) for k in range(d + 1)]
    design = np.column_stack([(u / unit) ** i * (v / unit) ** j for i, j in exponents])
    found = least_squares(design, np.column_stack([xi, eta]), stars.error_arcsec**-2)
    found /= np.array([unit ** (i + j) for i, j in exponents])[:, None]
    if degree == 1:
        linear = found[1:3].T
        offset = np.linalg.solve(linear @ base.cd, found[0])
        return Wcs(base.crval, base.crpix - offset, linear @ base.cd, None, base.shape)
    pv = np.zeros((2, tpv.N_TERMS))
    lookup = {term: index for index, term in enumerate(tpv.TERMS)}
    for (i, j), (in_xi, in_eta) in zip(exponents, found):
        pv[0, lookup[i, j, 0]] = in_xi
        pv[1, lookup[j, i, 0]] = in_eta
    return Wcs(base.crval, base.crpix, base.cd, pv, base.shape)
