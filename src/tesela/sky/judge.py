"""Proposing similarities between detections and reference, and judging them against chance.

Each proposal is matched against all stars while the radius shrinks; the radius at which chance is
least able to explain the number of matches decides. Chance means: with n_det detections in the
field and reference density rho,

    mu = n_det (1 - exp(-rho pi r^2))

matches are expected at radius r, or the number counted on displaced copies of the detections if
that is higher (clusters). The n matches obtained, less the 3 that an affine transform can buy,
must satisfy

    N_trials P(Poisson(mu) >= n - 3) < 1e-6,

N_trials being the number of independent similarities in the search window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import poisson

from tesela.sky import fit, pattern
from tesela.sky.field import Field
from tesela.sky.match import mutual_nearest

Floats = NDArray[np.float64]

MAX_CHANCE_LOG10 = -6.0
_CERTAIN_LOG10 = -30.0  # below, no better proposal is looked for; above, one may fit half the field
_FLOOR_LOG10 = -300.0  # the smallest chance that is told apart from none
_AFFINE_BUYS = 3  # an affine transform has six free numbers: it can force three matches
_MAX_CANDIDATES = 3000  # pairs of a detection and a reference star that vote pairwise
_MAX_DIFFERENCES = 150_000  # pairs that enter the histograms of shifts
_VOTERS = 80
_SKIPPED = (0.1, 0.0, 0.25)  # part of the detections, the brightest, that a glance leaves out
N_GLANCES = 4 * len(_SKIPPED)
_MAX_JUDGED = 500
_MIN_RADIUS_PX = 0.8
_DISPLACEMENTS = np.exp(2j * np.pi * np.arange(6) / 6)


@dataclass(frozen=True)
class Verdict:
    """How convincing a proposal is; `affine` (3, 2) maps (1, x, y) of points to targets."""

    affine: Floats
    radius: float
    n_matched: int
    n_chance: float
    chance_log10: float


def search(field: Field, min_matches: int, *, glance: int | None = None) -> Verdict | None:
    """Judge proposals until one is certain; the best, or None when not even one could be judged.

    A glance, by its number below N_GLANCES, takes the votes of one window of brightness alone:
    much cheaper, for trying many guesses in turn.
    The caller compares the chance with MAX_CHANCE_LOG10.
    """
    proposals = _proposals(field) if glance is None else _at_a_glance(field, glance)
    best: Verdict | None = None
    for proposal in proposals:
        verdict = _judge(field, proposal, min_matches)
        if verdict is None:
            continue
        if best is None or verdict.chance_log10 < best.chance_log10:
            best = verdict
        if best.chance_log10 < _CERTAIN_LOG10:
            break
    return best


def _proposals(field: Field) -> Iterator[pattern.Similarity]:
    """Proposals, the cheap and most likely first; the caller stops when one convinces."""
    points, targets, window = field.points, field.targets, field.window
    area = _area(targets)
    near = np.pi * window.reach**2 / area  # part of the targets within reach of a point
    # As many targets as a detector of the same depth would show, and half again.
    comparable = targets[: int(1.5 * len(points) * max(area / _area(points), 1.0)) + 1]
    n = int(np.clip(_MAX_DIFFERENCES / max(len(comparable) * near, 1.0), 50, None))
    yield from pattern.by_shift(points[:n], comparable, window)
    yield from pattern.by_shift(points[:n], comparable, window, pattern.factor_grid(window))

    # The brightest detections may lack counterparts (saturated) and the reference may begin
    # fainter or brighter: slide both windows of brightness until a pattern is found.
    n_targets = _window_of_targets(field, _MAX_CANDIDATES)
    for skipped in (0.0, 0.1, 0.25):
        for start in range(0, max(len(targets) - n_targets // 2, 1), max(n_targets // 2, 1))[:12]:
            yield from _by_pairs(field, skipped, start, n_targets)


def _at_a_glance(field: Field, glance: int) -> list[pattern.Similarity]:
    n_targets = _window_of_targets(field, _MAX_CANDIDATES // 2)
    step, which = divmod(glance, len(_SKIPPED))
    start = step * max(n_targets // 2, 1)
    if start >= max(len(field.targets) - n_targets // 2, 1):
        return []
    return _by_pairs(field, _SKIPPED[which], start, n_targets)


def _window_of_targets(field: Field, n_candidates: int) -> int:
    """So many targets give the voters that many candidates in all."""
    near = np.pi * field.window.reach**2 / _area(field.targets)
    return int(np.clip(n_candidates / (_VOTERS * near), 40, None))


def _by_pairs(field: Field, skipped: float, start: int, n_targets: int) -> list[pattern.Similarity]:
    """Votes of detections after that part of the brightest, with a window of targets."""
    first = int(skipped * len(field.points))
    voters = field.points[first : first + _VOTERS]
    return pattern.by_pairs(voters, field.targets[start : start + n_targets], field.window)


def _area(points: Floats) -> float:
    return max(float(np.prod(np.ptp(points, axis=0))), 1.0)


def _judge(field: Field, proposal: pattern.Similarity, min_matches: int) -> Verdict | None:
    """Match at shrinking radii; the radius where chance explains least speaks for the proposal."""
    points = field.points[:: -(-len(field.points) // _MAX_JUDGED)]
    unit = field.window.radius
    design = np.column_stack([np.ones(len(points)), points / unit])
    affine = fit.least_squares(design, proposal(points))
    radius = 2.0 * field.window.cell
    smallest = _MIN_RADIUS_PX * field.guess.pixel_scale_arcsec
    best: Verdict | None = None
    while radius > smallest:
        moved = design @ affine
        i, k, _ = mutual_nearest(moved, field.tree, radius)
        if len(i) < min_matches:
            break
        n_chance = _density_chance(moved, field.targets, radius)
        chance = _chance_log10(len(i), n_chance, field.window.trials(radius))
        if best is None or chance < best.chance_log10:
            best = Verdict(affine, radius, len(i), n_chance, chance)
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
