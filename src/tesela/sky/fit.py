"""Least-squares fit of a WCS of degree 1 to 3 to matched stars, with clipping.

Where stars are too few for a whole polynomial, a *radial* model stands between degree 1 and 2: a
linear transform and one cubic term that grows with the distance from the image's centre, as most
optics distort. Which of the models such stars support is decided by Akaike's criterion, corrected
for small samples (Hurvich & Tsai 1989, Biometrika 76, 297).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tesela.sky import tangent, tpv
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MAX_DEGREE = 3
CLIP_SIGMA = 3.5
_STARS_A_TERM = 4  # as many ask no question
_FEWEST_A_TERM = 2  # as few may be asked whether they want another term
_BETTER = 6.0  # in Akaike's criterion, before a richer model is believed
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
        if n_stars >= _STARS_A_TERM * n_terms(degree):
            return degree
    return 1


@dataclass(frozen=True)
class Fit:
    """A fitted WCS, the stars that took part, (n,) bool, and its kind."""

    wcs: Wcs
    used: Flags
    degree: int
    radial: bool = False

    @property
    def n_parameters(self) -> int:
        """Free numbers of both axes."""
        return 7 if self.radial else 2 * n_terms(self.degree)


def fit_best(start: Wcs, stars: Stars, wanted: int) -> Fit:
    """Fit the degree wanted, or the richest model below it that the stars support."""
    degree = affordable_degree(len(stars), wanted)
    best = Fit(*fit_clipped(start, stars, degree), degree)
    if degree == wanted:
        return best
    richer = []
    if wanted == MAX_DEGREE and degree < wanted and len(stars) >= _STARS_A_TERM + 3:
        richer.append(Fit(*fit_clipped(start, stars, 1, radial=True), 1, radial=True))
    richer += [
        Fit(*fit_clipped(start, stars, more), more)
        for more in range(degree + 1, wanted + 1)
        if len(stars) >= _FEWEST_A_TERM * n_terms(more)
    ]
    for other in richer:
        if other.used.sum() >= best.used.sum() - 1 and _gain(best, other, stars) > _BETTER:
            best = other
    return best


def _gain(simple: Fit, other: Fit, stars: Stars) -> float:
    """How much Akaike's corrected criterion falls from one model to the richer other.

    With the scatter that the richer one leaves. All stars count, those that a fit clipped at the
    limit of clipping: a corner that the simple model had to leave out speaks against it.
    """
    ratio2 = [
        (dx**2 + dy**2) / stars.error_arcsec**2
        for dx, dy in (residuals_arcsec(each.wcs, stars) for each in (simple, other))
    ]
    n = 2 * int(other.used.sum())
    if n <= other.n_parameters + 1:
        return -np.inf
    scatter2 = max(ratio2[1][other.used].sum() / (n - other.n_parameters), _NEGLIGIBLE**2)
    chi2 = [np.minimum(each / scatter2, CLIP_SIGMA**2).sum() for each in ratio2]
    penalty = [
        2 * k + 2 * k * (k + 1) / (n - k - 1) for k in (simple.n_parameters, other.n_parameters)
    ]
    return float(chi2[0] - chi2[1] + penalty[0] - penalty[1])


def worst_error_arcsec(fit: Fit, stars: Stars) -> float:
    """Error an axis, one sigma, of the fitted position at the worst corner of the image.

    From the covariance of the fit, scaled by the scatter found: what the stars do not hold, such
    as a part of the image far from all of them, is uncertain. It knows nothing of distortion that
    the model cannot follow.
    """
    base, chosen = fit.wcs.linearised(), stars.select(fit.used)
    unit = 0.5 * np.hypot(*base.shape) * base.pixel_scale_arcsec / 3600.0
    ny, nx = base.shape
    corners = base.pix_to_plane([0, nx - 1, 0, nx - 1], [0, 0, ny - 1, ny - 1])

    def design(u: Floats, v: Floats) -> Floats:
        u, v = u / unit, v / unit
        if fit.radial:
            r2 = u * u + v * v
            return np.column_stack([np.ones_like(u), u, v, u * r2, v * r2])
        return np.column_stack([u**i * v**j for i, j in _exponents(fit.degree)])

    dx, dy = residuals_arcsec(fit.wcs, chosen)
    scale = np.median(np.hypot(dx, dy) / chosen.error_arcsec) / _RAYLEIGH_MEDIAN
    rows = design(*base.pix_to_plane(chosen.x, chosen.y))
    covariance = np.linalg.pinv(rows.T @ (rows / chosen.error_arcsec[:, None] ** 2))
    there = design(*corners)
    return float(scale * np.sqrt(np.einsum("ij,jk,ik->i", there, covariance, there).max()))


def residuals_arcsec(wcs: Wcs, stars: Stars) -> tuple[Floats, Floats]:
    """Observed minus reference along xi (east) and eta (north), arcsec, two (n,) arrays."""
    xi, eta = wcs.pix_to_plane(stars.x, stars.y)
    ref_xi, ref_eta = tangent.project(stars.ra_deg, stars.dec_deg, wcs.crval[0], wcs.crval[1])
    return (xi - ref_xi) * 3600.0, (eta - ref_eta) * 3600.0


def robust_sigma(dx: Floats, dy: Floats) -> float:
    """Sigma an axis of two-dimensional residuals, from the median of their length."""
    return float(np.median(np.hypot(dx, dy)) / _RAYLEIGH_MEDIAN) if len(dx) else np.nan


def fit_clipped(
    start: Wcs,
    stars: Stars,
    degree: int,
    *,
    radial: bool = False,
    clip_sigma: float = CLIP_SIGMA,
    max_passes: int = 10,
) -> tuple[Wcs, Flags]:
    """Fit by weighted least squares and leave out, pass by pass, the stars that do not agree.

    Parameters
    ----------
    start : Wcs
        Any solution good to a few arcsec; gives the tangent point and linearisation.
    stars : Stars
    degree : int
        1 to 3.
    radial : bool
        Add to degree 1 the cubic radial term; leaves `degree` out.
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
    fewest = min(4 * n_terms(degree), len(stars)) if degree > 1 else n_terms(1) + 1
    once = fit_radial_once if radial else partial(fit_once, degree=degree)
    for _ in range(max_passes):
        used = keep
        chosen = stars.select(used)
        # Twice: the second time about the tangent point and matrix that the first one found,
        # which leaves in the polynomial the distortion alone.
        wcs = once(once(base, chosen).linearised(), chosen)
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


def _exponents(degree: int) -> list[tuple[int, int]]:
    return [(d - k, k) for d in range(degree + 1) for k in range(d + 1)]


def fit_radial_once(base: Wcs, stars: Stars) -> Wcs:
    """As `fit_once` of degree 1 with a common term u r^2, v r^2 about the tangent point."""
    u, v = base.pix_to_plane(stars.x, stars.y)
    xi, eta = tangent.project(stars.ra_deg, stars.dec_deg, base.crval[0], base.crval[1])
    unit = 0.5 * np.hypot(*base.shape) * base.pixel_scale_arcsec / 3600.0
    p, q = u / unit, v / unit
    flat = np.column_stack([np.ones_like(p), p, q])
    none, r2 = np.zeros_like(flat), (p * p + q * q)[:, None]
    design = np.block([[flat, none, p[:, None] * r2], [none, flat, q[:, None] * r2]])
    found = least_squares(design, np.r_[xi, eta][:, None], np.tile(stars.error_arcsec**-2, 2))
    a, b, swell = found[:3, 0], found[3:6, 0], found[6, 0] / unit**3
    pv = np.zeros((2, tpv.N_TERMS))
    pv[0, :3] = a[0], a[1] / unit, a[2] / unit
    pv[1, :3] = b[0], b[2] / unit, b[1] / unit
    pv[:, 7] = pv[:, 9] = swell
    return Wcs(base.crval, base.crpix, base.cd, pv, base.shape)


def fit_once(base: Wcs, stars: Stars, degree: int) -> Wcs:
    """Weighted least squares about the tangent point, reference pixel and matrix of `base`."""
    u, v = base.pix_to_plane(stars.x, stars.y)
    xi, eta = tangent.project(stars.ra_deg, stars.dec_deg, base.crval[0], base.crval[1])
    # Coordinates of order one keep the normal equations well conditioned.
    unit = 0.5 * np.hypot(*base.shape) * base.pixel_scale_arcsec / 3600.0
    exponents = _exponents(degree)
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
