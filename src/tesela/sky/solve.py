"""Astrometric solution of one frame: detections, a reference catalogue and a rough guess.

1. *Find*: shifts of all stars, then votes of pairs of stars (`pattern`), propose similarities.
2. *Judge*: each proposal is matched against all stars while the radius shrinks; the radius at
   which chance is least able to explain the number of matches decides. Chance means: with n_det
   detections in the field and reference density rho, mu = n_det (1 - exp(-rho pi r^2)) matches are
   expected at radius r, or the number counted on displaced copies of the detections if that is
   higher (clusters). The n matches obtained, less the 3 that an affine transform can buy, must
   satisfy  N_trials P(Poisson(mu) >= n - 3) < 1e-6,  N_trials the number of independent
   similarities in the search window.
3. *Fit*: degree 1, 2, 3 (`fit`), matching anew before each with a radius that follows the scatter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.stats import poisson

from tesela.errors import QualityError
from tesela.sky import fit, pattern, tangent
from tesela.sky.match import mutual_nearest
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MAX_CHANCE_LOG10 = -6.0
_CERTAIN_LOG10 = -30.0  # below, no better proposal is looked for; above, one may fit half the field
_FLOOR_LOG10 = -300.0  # the smallest chance that is told apart from none
_AFFINE_BUYS = 3  # an affine transform has six free numbers: it can force three matches
_MAX_CANDIDATES = 3000  # pairs of a detection and a reference star that vote pairwise
_MAX_DIFFERENCES = 150_000  # pairs that enter the histograms of shifts
_VOTERS = 80
_MAX_JUDGED = 500
_START_RADIUS_ARCSEC = 10.0
_MIN_JUDGED_RADIUS_PX = 0.8
_MIN_FIT_RADIUS_PX = 0.4
_DISPLACEMENTS = np.exp(2j * np.pi * np.arange(6) / 6)


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


@dataclass(frozen=True)
class _Field:
    """Both catalogues, cleaned and sorted by brightness, in the tangent plane of the guess.

    points (n, 2) and targets (m, 2) are arcsec from the centre of the image.
    """

    guess: Wcs
    points: Floats
    targets: Floats
    stars: fit.Stars  # detections; ra_deg, dec_deg are those of the guess
    ref_ra: Floats
    ref_dec: Floats
    ref_error_arcsec: Floats
    i_det: Indices
    i_ref: Indices
    tree: cKDTree
    window: pattern.Window


@dataclass(frozen=True)
class _Verdict:
    """How convincing a proposal is; `affine` (3, 2) maps (1, x, y) of points to targets."""

    affine: Floats
    radius: float
    n_matched: int
    n_chance: float
    chance_log10: float


def solve(  # noqa: PLR0917
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
        Detections, pixels counted from 0. Entries that are not finite are left out.
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
    _require_stars(x, ref_ra, min_matches)
    errors = (x_err, y_err, ref_err_arcsec)
    guesses = [guess, *_mirrored(guess)] if allow_flip else [guess]
    best: _Verdict | None = None
    for trial in guesses:
        field = _prepare(
            (x, y, flux),
            (ref_ra, ref_dec, ref_mag),
            trial,
            errors,
            floor_px,
            (max_offset_arcsec, max_rotation_deg, max_scale_error),
        )
        verdict = _search(field, min_matches)
        if verdict is not None and verdict.chance_log10 < MAX_CHANCE_LOG10:
            return _finish(field, verdict, guess, degree, min_matches)
        if best is None or (verdict is not None and verdict.chance_log10 < best.chance_log10):
            best = verdict
    raise _unconvincing(len(np.ravel(x)), len(np.ravel(ref_ra)), best, allow_flip)


# -- preparation ------------------------------------------------------------------------------


def _require_stars(x: ArrayLike, ref_ra: ArrayLike, min_matches: int) -> None:
    for name, values in (("detections", x), ("reference stars", ref_ra)):
        n = int(np.isfinite(np.asarray(values, dtype=np.float64)).sum())
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


def _prepare(  # noqa: PLR0917
    detections: tuple[ArrayLike, ...],
    reference: tuple[ArrayLike, ...],
    guess: Wcs,
    errors: tuple[ArrayLike | None, ...],
    floor_px: float,
    limits: tuple[float, float, float],
) -> _Field:
    x, y, flux = (np.ravel(np.asarray(each, dtype=np.float64)) for each in detections)
    ra, dec, mag = (np.ravel(np.asarray(each, dtype=np.float64)) for each in reference)
    scale = guess.pixel_scale_arcsec
    centre = guess.centre
    det_error = np.hypot(floor_px, _error_or_zero(errors[:2], len(x))) * scale
    ref_error = _error_or_zero(errors[2:], len(ra))

    i_det = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    i_det = i_det[np.argsort(_faintest_last(-flux[i_det]), kind="stable")]
    points = 3600.0 * np.column_stack(
        tangent.project(*guess.pix_to_sky(x[i_det], y[i_det]), *centre)
    )
    radius = 0.5 * float(np.hypot(*guess.shape)) * scale
    window = pattern.Window(limits[0], float(np.radians(limits[1])), limits[2], radius)

    plane = 3600.0 * np.column_stack(tangent.project(ra, dec, *centre))
    low, high = points.min(axis=0) - window.reach, points.max(axis=0) + window.reach
    i_ref = np.flatnonzero(((plane > low) & (plane < high)).all(axis=1))
    i_ref = i_ref[np.argsort(_faintest_last(mag[i_ref]), kind="stable")]
    stars = fit.Stars(x[i_det], y[i_det], points[:, 0], points[:, 1], det_error[i_det])
    return _Field(
        guess, points, plane[i_ref], stars, ra[i_ref], dec[i_ref], ref_error[i_ref],
        i_det, i_ref, cKDTree(plane[i_ref]), window,
    )  # fmt: skip


def _faintest_last(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.inf)


def _error_or_zero(errors: tuple[ArrayLike | None, ...], n: int) -> Floats:
    """Quadratic mean of the errors given; unknown ones (NaN, not positive) get the median."""
    given = [np.asarray(each, dtype=np.float64) for each in errors if each is not None]
    if not given:
        return np.zeros(n)
    error = np.sqrt(np.mean(np.square(given), axis=0))
    known = np.isfinite(error) & (error > 0)
    return np.where(known, error, np.median(error[known]) if known.any() else 0.0)


# -- search and judgement ---------------------------------------------------------------------


def _search(field: _Field, min_matches: int) -> _Verdict | None:
    best: _Verdict | None = None
    for proposal in _proposals(field):
        verdict = _judge(field, proposal, min_matches)
        if verdict is None:
            continue
        if best is None or verdict.chance_log10 < best.chance_log10:
            best = verdict
        if best.chance_log10 < _CERTAIN_LOG10:
            break
    return best


def _proposals(field: _Field) -> Iterator[pattern.Similarity]:
    """Proposals, the cheap and most likely first; the caller stops when one convinces."""
    points, targets, window = field.points, field.targets, field.window
    if len(targets) == 0:
        return
    area = _area(targets)
    near = np.pi * window.reach**2 / area  # part of the targets within reach of a point
    # As many targets as a detector of the same depth would show, and half again.
    comparable = targets[: int(1.5 * len(points) * max(area / _area(points), 1.0)) + 1]
    n = int(np.clip(_MAX_DIFFERENCES / max(len(comparable) * near, 1.0), 50, None))
    yield from pattern.by_shift(points[:n], comparable, window)
    yield from pattern.by_shift(points[:n], comparable, window, pattern.factor_grid(window))

    # The brightest detections may lack counterparts (saturated) and the reference may begin
    # fainter or brighter: slide both windows of brightness until a pattern is found.
    n_targets = int(np.clip(_MAX_CANDIDATES / (_VOTERS * near), 40, None))
    for start_point in (0, len(points) // 10, len(points) // 4):
        voters = points[start_point : start_point + _VOTERS]
        for start in range(0, max(len(targets) - n_targets // 2, 1), max(n_targets // 2, 1))[:12]:
            yield from pattern.by_pairs(voters, targets[start : start + n_targets], window)


def _area(points: Floats) -> float:
    return max(float(np.prod(np.ptp(points, axis=0))), 1.0)


def _judge(field: _Field, proposal: pattern.Similarity, min_matches: int) -> _Verdict | None:
    """Match at shrinking radii; the radius where chance explains least speaks for the proposal."""
    points = field.points[:: -(-len(field.points) // _MAX_JUDGED)]
    unit = field.window.radius
    design = np.column_stack([np.ones(len(points)), points / unit])
    affine = fit.least_squares(design, proposal(points))
    radius = 2.0 * field.window.cell
    smallest = _MIN_JUDGED_RADIUS_PX * field.guess.pixel_scale_arcsec
    best: _Verdict | None = None
    while radius > smallest:
        moved = design @ affine
        i, k, _ = mutual_nearest(moved, field.tree, radius)
        if len(i) < min_matches:
            break
        n_chance = _density_chance(moved, field.targets, radius)
        chance = _chance_log10(len(i), n_chance, field.window.trials(radius))
        if best is None or chance < best.chance_log10:
            best = _Verdict(affine, radius, len(i), n_chance, chance)
        affine = fit.least_squares(design[i], field.targets[k])
        radius *= 0.7
    if best is None or best.chance_log10 > 0:
        return None
    counted = _counted_chance(design @ best.affine, field.tree, best.radius)
    n_chance = max(best.n_chance, counted)
    chance = _chance_log10(best.n_matched, n_chance, field.window.trials(best.radius))
    affine = best.affine / np.array([1.0, unit, unit])[:, None]
    if not _inside(affine, field.window):
        return None
    return replace(best, affine=affine, n_chance=n_chance, chance_log10=chance)


def _chance_log10(n_matched: int, n_chance: float, trials: float) -> float:
    free = n_matched - _AFFINE_BUYS
    log_p = float(poisson.logsf(free - 1, n_chance)) if free > 0 else 0.0
    return max((log_p + float(np.log(trials))) / float(np.log(10.0)), _FLOOR_LOG10)


def _density_chance(moved: Floats, targets: Floats, radius: float) -> float:
    """Matches that unrelated points would have if the targets were spread evenly."""
    low, high = moved.min(axis=0), moved.max(axis=0)
    density = ((targets > low) & (targets < high)).all(axis=1).sum() / _area(moved)
    return float(len(moved) * -np.expm1(-density * np.pi * radius**2))


def _counted_chance(moved: Floats, tree: cKDTree, radius: float) -> float:
    """Matches that the same points have when displaced, clusters and all."""
    steps = 12.0 * radius * np.column_stack([_DISPLACEMENTS.real, _DISPLACEMENTS.imag])
    counts = [len(mutual_nearest(moved + step, tree, radius)[0]) for step in steps]
    return float(np.mean(counts))


def _inside(affine: Floats, window: pattern.Window) -> bool:
    """Whether the affine is a near-similarity within the search window (with a little room)."""
    matrix = affine[1:].T
    room = 1.2 * window.rotation + 0.002, 1.2 * window.scale + 0.002
    turn = np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])
    scale = np.sqrt(abs(np.linalg.det(matrix))) - 1.0
    return bool(
        abs(turn) < room[0]
        and abs(scale) < room[1]
        and np.hypot(*affine[0]) < 1.5 * window.offset + window.cell
    )


# -- final fit --------------------------------------------------------------------------------


def _finish(
    field: _Field, verdict: _Verdict, guess: Wcs, degree: int, min_matches: int
) -> Solution:
    wcs = _to_wcs(field, verdict.affine)
    radius = min(_START_RADIUS_ARCSEC, 2.0 * verdict.radius)
    smallest = _MIN_FIT_RADIUS_PX * guess.pixel_scale_arcsec
    used = i = k = np.empty(0, dtype=np.int64)
    stars = _matched(field, i, k)
    for wanted in [*range(1, degree + 1), degree, degree]:
        i, k = _match(field, wcs, radius)
        stars = _matched(field, i, k)
        if len(stars) < min_matches:
            break
        wcs, keep = fit.fit_clipped(wcs, stars, fit.affordable_degree(len(stars), wanted))
        used = np.flatnonzero(keep)
        sigma = fit.robust_sigma(*fit.residuals_arcsec(wcs, stars))
        radius = float(np.clip(5.0 * sigma, smallest, radius))
    if len(used) < min_matches:
        raise _too_few(len(used), min_matches)
    dx, dy = fit.residuals_arcsec(wcs, stars.select(used))
    return _describe(field, verdict, guess, wcs, (i[used], k[used]), (dx, dy))


def _to_wcs(field: _Field, affine: Floats) -> Wcs:
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


def _moved_fit(field: _Field, affine: Floats) -> Wcs:
    """Cubic through the moved positions of a grid of pixels."""
    guess = field.guess
    ny, nx = guess.shape
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(0, nx - 1, 12), np.linspace(0, ny - 1, 12)))
    plane = 3600.0 * np.column_stack(tangent.project(*guess.pix_to_sky(x, y), *guess.centre))
    moved = (np.column_stack([np.ones(len(plane)), plane]) @ affine) / 3600.0
    ra, dec = tangent.deproject(moved[:, 0], moved[:, 1], *guess.centre)
    grid = fit.Stars(x, y, ra, dec, np.ones(len(x)))
    return fit.fit_once(fit.fit_once(guess.linearised(), grid, 3).linearised(), grid, 3)


def _match(field: _Field, wcs: Wcs, radius_arcsec: float) -> tuple[Indices, Indices]:
    centre = field.guess.centre
    ra, dec = wcs.pix_to_sky(field.stars.x, field.stars.y)
    points = 3600.0 * np.column_stack(tangent.project(ra, dec, *centre))
    i, k, _ = mutual_nearest(points, field.tree, radius_arcsec)
    return i, k


def _matched(field: _Field, i: Indices, k: Indices) -> fit.Stars:
    error = np.hypot(field.stars.error_arcsec[i], field.ref_error_arcsec[k])
    return fit.Stars(field.stars.x[i], field.stars.y[i], field.ref_ra[k], field.ref_dec[k], error)


def _describe(  # noqa: PLR0917
    field: _Field,
    verdict: _Verdict,
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


def _too_few(n: int, min_matches: int) -> QualityError:
    return QualityError(
        "astrometric solution",
        found=f"{n} stars survive the fit",
        expected=f"at least {min_matches}",
        do="check the detections and the reference catalogue of this field",
    )


def _unconvincing(n_det: int, n_ref: int, best: _Verdict | None, flipped: bool) -> QualityError:
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
        expected=f"a match whose chance is below 10^{MAX_CHANCE_LOG10:.0f}",
        do=f"check pointing, equinox, pixel scale, rotation{mirror} and the reference catalogue",
    )
