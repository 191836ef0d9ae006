"""Astrometric solution of one frame: detections, a reference catalogue and a rough guess.

1. *Prepare*: both catalogues in the tangent plane of the guess (`field`).
2. *Find and judge*: shifts of all stars, then votes of pairs of stars (`pattern`), propose
   similarities; one that chance cannot explain is accepted (`judge`, which states the criterion).
   Where the orientation is not known, guesses turned all around are tried (`orientation`).
3. *Fit*: degree 1, 2, 3 (`refine`, `fit`), matching anew before each with a radius that follows
   the scatter; on request with the chromatic refraction (`chromatic`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tesela.errors import QualityError
from tesela.sky import chromatic, coverage, judge, orientation, tangent
from tesela.sky.field import Field, prepare
from tesela.sky.refine import Refined, refine
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_MANY = 3
_SEARCHED = 8  # guesses searched in full: all right angles of an unknown orientation
_GLANCE_REFERENCE = 20_000  # brightest reference stars where guesses are many


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
    error_arcsec : float
        Error an axis of the fitted position at the worst corner of the image.
    offset_arcsec, rotation_deg, scale_ratio : float
        Solution against guess: distance between their field centres, position angle (solution
        minus guess, each at its own centre), pixel scale (solution over guess).
    flipped : bool
        The image turned out to be the mirror image of the guess.
    refraction : chromatic.Refraction or None
        Fitted if asked for and if enough stars have colours. The residuals are what it leaves.
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
    error_arcsec: float
    offset_arcsec: float
    rotation_deg: float
    scale_ratio: float
    flipped: bool
    refraction: chromatic.Refraction | None


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
    max_error_px: float = 1.0,
    allow_flip: bool = False,
    any_orientation: bool = False,
    atmosphere: chromatic.Atmosphere | None = None,
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
    max_error_px : float
        Largest error an axis that the fitted position may have at a corner of the image.
    allow_flip : bool
        Try the mirror images of the guess too.
    any_orientation : bool
        The guess's position angle and parity may be anything; some seconds more.
    atmosphere : chromatic.Atmosphere, optional
        Fit the chromatic refraction too.

    Raises
    ------
    QualityError
        Too few stars, no match that chance could not explain, or a match that leaves a part of the
        frame uncertain (`coverage`, `fit.worst_error_arcsec`).
    """
    detections, reference = (x, y, flux), (ref_ra, ref_dec, ref_mag)
    errors = (x_err, y_err, ref_err_arcsec)
    limits = (max_offset_arcsec, max_rotation_deg, max_scale_error)
    guesses = _guesses(guess, max_rotation_deg, allow_flip, any_orientation)
    # Every guess is another throw of the dice.
    limit = judge.MAX_CHANCE_LOG10 - float(np.log10(len(guesses)))
    full = partial(
        prepare, detections, reference, errors=errors, floor_px=floor_px, limits=limits
    )  # fmt: skip
    best: judge.Verdict | None = None
    for verdict, trial in _search(full, guesses, min_matches):
        if verdict is not None and verdict.chance_log10 < limit:
            field = full(trial)
            refined = refine(field, verdict.affine, verdict.radius, degree, min_matches, atmosphere)
            _require_everywhere(field, refined, max_error_px)
            return _describe(field, verdict, guess, refined)
        if best is None or (verdict is not None and verdict.chance_log10 < best.chance_log10):
            best = verdict
    raise _unconvincing(len(np.ravel(x)), len(np.ravel(ref_ra)), best, len(guesses), limit)


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


def _guesses(guess: Wcs, max_rotation_deg: float, allow_flip: bool, anywhere: bool) -> list[Wcs]:
    if anywhere:
        return orientation.every(guess, max_rotation_deg)
    return [guess, *orientation.mirrored(guess)] if allow_flip else [guess]


def _search(
    make: Callable[[Wcs], Field], guesses: list[Wcs], min_matches: int
) -> Iterator[tuple[judge.Verdict | None, Wcs]]:
    """The verdict on one guess after the other; many are glanced at before a few are searched."""
    if len(guesses) > _MANY:
        fields = [make(guess).brightest(_GLANCE_REFERENCE) for guess in guesses]
        for glance in range(judge.N_GLANCES):
            for field in fields:
                _require_stars(field, min_matches)
                yield judge.search(field, min_matches, glance=glance), field.guess
    for guess in guesses[:_SEARCHED]:
        field = make(guess)
        _require_stars(field, min_matches)
        yield judge.search(field, min_matches), guess


# -- the answer --------------------------------------------------------------------------------


def _describe(field: Field, verdict: judge.Verdict, guess: Wcs, refined: Refined) -> Solution:
    wcs, i, k = refined.wcs, refined.i, refined.k
    dx, dy = refined.dx_arcsec, refined.dy_arcsec
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
        error_arcsec=refined.error_arcsec,
        offset_arcsec=float(3600.0 * tangent.separation_deg(*guess.centre, *wcs.centre)),
        rotation_deg=float((turn + 180.0) % 360.0 - 180.0),
        scale_ratio=after.pixel_scale_arcsec / before.pixel_scale_arcsec,
        flipped=after.parity != before.parity,
        refraction=refined.refraction,
    )


def _require_everywhere(field: Field, refined: Refined, max_error_px: float) -> None:
    """Refuse a solution that stars hold on one side of the frame alone."""
    flat = refined.wcs.linearised()
    size = np.array([flat.shape[1], flat.shape[0]])

    def places(x: Floats, y: Floats) -> Floats:
        return (np.column_stack([x, y]) + 0.5) / size

    detections = places(field.stars.x, field.stars.y)
    reference = places(*flat.sky_to_pix(field.ref_ra, field.ref_dec))
    coverage.require(detections, reference, detections[refined.i])
    error_px = refined.error_arcsec / flat.pixel_scale_arcsec
    if error_px > max_error_px:
        raise QualityError(
            "astrometric solution",
            found=f"{len(refined.i)} stars leave the position of a corner uncertain by "
            f"{error_px:.1f} px",
            expected=f"at most {max_error_px:g} px",
            do="check the exposure's depth and the reference catalogue, or ask for a lower degree",
        )


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _unconvincing(
    n_det: int, n_ref: int, best: judge.Verdict | None, n_guesses: int, limit: float
) -> QualityError:
    if best is None:
        found = f"no pattern of {n_det} detections among {n_ref} reference stars"
    else:
        found = (
            f"at best {best.n_matched} of {n_det} detections match within {best.radius:.1f} arcsec "
            f"where chance gives {best.n_chance:.1f} (log10 of the chance of the whole search "
            f"{best.chance_log10:.1f})"
        )
    mirror = ", parity (the image may be mirrored)" if n_guesses == 1 else ""
    turned = ", rotation" if n_guesses <= _MANY else ""
    return QualityError(
        "astrometric solution",
        found=found,
        expected=f"a match whose chance is below 10^{limit:.0f}",
        do=f"check pointing, equinox, pixel scale{turned}{mirror} and the reference catalogue",
    )
