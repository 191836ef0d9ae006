"""Astrometric solution of one frame: detections, a reference catalogue and a rough guess.

1. *Prepare*: both catalogues in the tangent plane of the guess (`field`).
2. *Find and judge*: shifts of all stars, then votes of pairs of stars (`pattern`), propose
   similarities; one that chance cannot explain is accepted (`judge`, which states the criterion).
3. *Fit*: degree 1, 2, 3 (`fit`), matching anew before each with a radius that follows the scatter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tesela.errors import QualityError
from tesela.sky import fit, judge, tangent
from tesela.sky.field import Field, prepare
from tesela.sky.match import mutual_nearest
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_START_RADIUS_ARCSEC = 10.0
_MIN_FIT_RADIUS_PX = 0.4


@dataclass(frozen=True)
class Solution:
    """A solved frame.

    Attributes
    ----------
    wcs : Wcs
    i_det, i_ref : (n_matched,) int64
        The stars that took part in the fit: indices into the caller's detections and reference.
    dx_arcsec, dy_arcsec : (n_matched,) float64
        Observed minus reference along xi (east) and eta (north).
    rms_arcsec : (2,) float64
        Root mean square of dx and dy; `rms_bright_arcsec` that of the brightest third.
    n_matched : int
    n_chance : float
        Matches expected by chance where the match was judged.
    chance_log10 : float
        Logarithm of the probability that chance gave this match (see the module's criterion).
    degree : int
        Degree of the polynomial, lower than asked when stars are few.
    offset_arcsec, rotation_deg, scale_ratio : float
        Solution against guess: distance between their field centres, position angle (solution
        minus guess, each at its own centre), pixel scale (solution over guess).
    flipped : bool
        The image turned out to be the mirror image of the guess.
    """

    wcs: Wcs
    i_det: Indices
    i_ref: Indices
    dx_arcsec: Floats
    dy_arcsec: Floats
    rms_arcsec: Floats
    rms_bright_arcsec: Floats
    n_matched: int
    n_chance: float
    chance_log10: float
    degree: int
    offset_arcsec: float
    rotation_deg: float
    scale_ratio: float
    flipped: bool


def solve(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    ref_ra: ArrayLike,
    ref_dec: ArrayLike,
    ref_mag: ArrayLike,
    guess: Wcs,
    *,
    x_err: ArrayLike | None = None,
    y_err: ArrayLike | None = None,
    ref_err_arcsec: ArrayLike | None = None,
    degree: int = 3,
    max_offset_arcsec: float = 120.0,
    max_rotation_deg: float = 3.0,
    max_scale_error: float = 0.02,
    floor_px: float = 0.02,
    min_matches: int = 8,
    allow_flip: bool = False,
) -> Solution:
    """Solve the astrometry of a frame.

    Parameters
    ----------
    x, y : (n,) array_like
        Detections, pixels counted from 0; what is not finite or not on the image is left out.
    flux : (n,) array_like
        Any measure that grows with brightness; only its order is used. NaN counts as faintest.
    ref_ra, ref_dec : (m,) array_like
        Reference positions at the epoch of observation, ICRS degrees; may reach far outside.
    ref_mag : (m,) array_like
        Magnitude, in any band; only its order is used. NaN counts as faintest.
    guess : Wcs
        Rough solution; its distortion, if it has one, helps the search.
    x_err, y_err : (n,) array_like, optional
        Errors in pixels; `floor_px` is added in quadrature and stands alone when they are missing.
    ref_err_arcsec : (m,) array_like, optional
        Error of the reference an axis.
    degree : int
        1 to 3; lowered when there are fewer than four stars a term.
    max_offset_arcsec, max_rotation_deg, max_scale_error : float
        How wrong the guess may be.
    min_matches : int
        Fewest stars in the final fit.
    allow_flip : bool
        Try the mirror images of the guess too.

    Raises
    ------
    QualityError
        Too few stars, or no match that chance could not explain.
    """
    errors = (x_err, y_err, ref_err_arcsec)
    guesses = [guess, *_mirrored(guess)] if allow_flip else [guess]
    best: judge.Verdict | None = None
    for trial in guesses:
        field = prepare(
            (x, y, flux),
            (ref_ra, ref_dec, ref_mag),
            trial,
            errors,
            floor_px,
            (max_offset_arcsec, max_rotation_deg, max_scale_error),
        )
        _require_stars(field, min_matches)
        verdict = judge.search(field, min_matches)
        if verdict is not None and verdict.chance_log10 < judge.MAX_CHANCE_LOG10:
            return _finish(field, verdict, guess, degree, min_matches)
        if best is None or (verdict is not None and verdict.chance_log10 < best.chance_log10):
            best = verdict
    raise _unconvincing(len(np.ravel(x)), len(np.ravel(ref_ra)), best, allow_flip)


# -- preparation ------------------------------------------------------------------------------


def _require_stars(field: Field, min_matches: int) -> None:
    for name, n in (
        ("detections on the image", len(field.points)),
        ("reference stars within reach of the pointing", len(field.targets)),
    ):
        if n < min_matches:
            raise QualityError(
                "astrometric solution",
                found=f"{n} {name}",
                expected=f"at least {min_matches}",
                do="check the exposure (clouds, shutter) or the reference catalogue's coverage",
            )


def _mirrored(guess: Wcs) -> list[Wcs]:
    """The guess seen in a mirror, about either axis of the image's centre."""
    flat = guess.linearised()
    return [replace(flat, cd=flat.cd * np.array(signs)) for signs in ([-1.0, 1.0], [1.0, -1.0])]


# -- final fit --------------------------------------------------------------------------------


def _finish(
    field: Field, verdict: judge.Verdict, guess: Wcs, degree: int, min_matches: int
) -> Solution:
    wcs = _to_wcs(field, verdict.affine)
    radius = min(_START_RADIUS_ARCSEC, 2.0 * verdict.radius)
    smallest = _MIN_FIT_RADIUS_PX * guess.pixel_scale_arcsec
    # A guess that knows the distortion must not lose it on the way.
    steps = range(1, degree + 1) if guess.pv is None else [degree]
    for wanted in [*steps, degree, degree]:
        i, k = _match(field, wcs, radius)
        _require_matches(len(i), min_matches)
        stars = _matched(field, i, k)
        wcs, used = fit.fit_clipped(wcs, stars, fit.affordable_degree(len(stars), wanted))
        sigma = fit.robust_sigma(*fit.residuals_arcsec(wcs, stars))
        radius = float(np.clip(5.0 * sigma, smallest, radius))
    _require_matches(int(used.sum()), min_matches)
    dx, dy = fit.residuals_arcsec(wcs, stars.select(used))
    return _describe(field, verdict, guess, wcs, (i[used], k[used]), (dx, dy))


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


def _match(field: Field, wcs: Wcs, radius_arcsec: float) -> tuple[Indices, Indices]:
    centre = field.guess.centre
    ra, dec = wcs.pix_to_sky(field.stars.x, field.stars.y)
    points = 3600.0 * np.column_stack(tangent.project(ra, dec, *centre))
    i, k, _ = mutual_nearest(points, field.tree, radius_arcsec)
    return i, k


def _matched(field: Field, i: Indices, k: Indices) -> fit.Stars:
    error = np.hypot(field.stars.error_arcsec[i], field.ref_error_arcsec[k])
    return fit.Stars(field.stars.x[i], field.stars.y[i], field.ref_ra[k], field.ref_dec[k], error)


def _describe(
    field: Field,
    verdict: judge.Verdict,
    guess: Wcs,
    wcs: Wcs,
    pairs: tuple[Indices, Indices],
    residuals: tuple[Floats, Floats],
) -> Solution:
    dx, dy = residuals
    i, k = pairs
    bright = np.argsort(i, kind="stable")[: max(len(i) // 3, 1)]  # detections are sorted by flux
    before, after = guess.linearised(), wcs.linearised()
    turn = after.position_angle_deg - before.position_angle_deg
    return Solution(
        wcs=wcs,
        i_det=field.i_det[i],
        i_ref=field.i_ref[k],
        dx_arcsec=dx,
        dy_arcsec=dy,
        rms_arcsec=np.array([_rms(dx), _rms(dy)]),
        rms_bright_arcsec=np.array([_rms(dx[bright]), _rms(dy[bright])]),
        n_matched=len(i),
        n_chance=verdict.n_chance,
        chance_log10=verdict.chance_log10,
        degree=1 if wcs.pv is None else 3 if wcs.pv[:, 7:11].any() else 2,
        offset_arcsec=float(3600.0 * tangent.separation_deg(*guess.centre, *wcs.centre)),
        rotation_deg=float((turn + 180.0) % 360.0 - 180.0),
        scale_ratio=after.pixel_scale_arcsec / before.pixel_scale_arcsec,
        flipped=after.parity != before.parity,
    )


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _require_matches(n: int, min_matches: int) -> None:
    if n < min_matches:
        raise QualityError(
            "astrometric solution",
            found=f"{n} stars survive the fit",
            expected=f"at least {min_matches}",
            do="check the detections and the reference catalogue of this field",
        )


def _unconvincing(
    n_det: int, n_ref: int, best: judge.Verdict | None, flipped: bool
) -> QualityError:
    if best is None:
        found = f"no pattern of {n_det} detections among {n_ref} reference stars"
    else:
        found = (
            f"at best {best.n_matched} of {n_det} detections match within {best.radius:.1f} arcsec "
            f"where chance gives {best.n_chance:.1f} (log10 of the chance of the whole search "
            f"{best.chance_log10:.1f})"
        )
    mirror = "" if flipped else ", parity (the image may be mirrored)"
    return QualityError(
        "astrometric solution",
        found=found,
        expected=f"a match whose chance is below 10^{judge.MAX_CHANCE_LOG10:.0f}",
        do=f"check pointing, equinox, pixel scale, rotation{mirror} and the reference catalogue",
    )
