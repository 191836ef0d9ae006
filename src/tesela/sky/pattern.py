"""Finding one pattern of stars in another when position, rotation and scale are roughly known.

Two point sets in one plane differ by q = p + t + z p (complex numbers; t a shift, z = scale
change + i rotation), up to spurious and missing points in both. A *candidate* is a point of each
set closer than the pointing error allows. Two candidates fix t and z: every compatible pair votes
in a four-dimensional histogram, in which the true pairs agree and chance ones scatter. Brightness
only chooses who takes part, it never decides a match, so bands may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_MAX_CELLS = 2_000_000
_MIN_CELL_ARCSEC = 2.0
_MAX_HISTOGRAMS = 60
_MIN_LEVER = 0.35  # pairs closer than this times the field's radius say too little about rotation


@dataclass(frozen=True)
class Window:
    """How far the guess may be wrong, and the size of the field.

    Attributes
    ----------
    offset : float
        Largest shift, arcsec.
    rotation : float
        Largest rotation, radians.
    scale : float
        Largest relative scale error.
    radius : float
        Distance from the centre to the corner of the field, arcsec.
    """

    offset: float
    rotation: float
    scale: float
    radius: float

    @property
    def reach(self) -> float:
        """Largest distance between a point's predicted and true position, arcsec."""
        return self.offset + self.radius * float(np.hypot(self.rotation, self.scale))

    @property
    def cell(self) -> float:
        """Side of a voting cell, as a displacement at the corner of the field, arcsec."""
        volume = (2 * self.offset) ** 2 * 4 * self.radius**2 * self.rotation * self.scale
        return max(_MIN_CELL_ARCSEC, (volume / _MAX_CELLS) ** 0.25)

    def trials(self, match_radius: float) -> float:
        """Number of independent similarities that the window holds at this match radius."""
        shifts = max(1.0, 2 * self.offset / match_radius) ** 2
        turns = max(1.0, 2 * self.rotation * self.radius / match_radius)
        scales = max(1.0, 2 * self.scale * self.radius / match_radius)
        return shifts * turns * scales


@dataclass(frozen=True)
class Similarity:
    """q = p + shift + factor p in the complex plane; `votes` candidates agree with it."""

    shift: complex
    factor: complex
    votes: int

    def __call__(self, points: Floats) -> Floats:
        """Move points, shape (n, 2), arcsec."""
        p = points[:, 0] + 1j * points[:, 1]
        q = p + self.shift + self.factor * p
        return np.column_stack([q.real, q.imag])


def candidates(points: Floats, targets: Floats, reach: float) -> tuple[Indices, Indices]:
    """Pairs (i, k) of a point and a target, shapes (n, 2) and (m, 2), closer than `reach`."""
    found = cKDTree(targets).query_ball_point(points, reach, return_sorted=True)
    i = np.repeat(np.arange(len(points)), [len(each) for each in found])
    k = np.concatenate([np.asarray(each, dtype=np.int64) for each in found]) if len(i) else i
    return i, k


def by_shift(
    points: Floats, targets: Floats, window: Window, factors: Sequence[complex] = (0j,)
) -> list[Similarity]:
    """Propose similarities from histograms of the differences of all candidates, best first.

    One histogram of shifts for each rotation and scale in `factors`: alone, the guess's own.
    """
    i, k = candidates(points, targets, window.reach)
    if len(i) < 2:
        return []
    p, d = points[i], targets[k] - points[i]
    zp, zd = p[:, 0] + 1j * p[:, 1], d[:, 0] + 1j * d[:, 1]
    peaks = []
    for factor in factors:
        excess, shift = _highest_peak(zd - factor * zp, window)
        peaks.append((excess, shift, factor))
    peaks.sort(key=lambda each: each[0], reverse=True)
    proposals = [_refine(p, d, s, f, window, 2.5 * window.cell) for _, s, f in peaks[:3]]
    return _distinct(proposals, window)


def factor_grid(window: Window) -> list[complex]:
    """Rotations and scales that cover the window; none where it would take too many."""
    step = 2.0 * window.cell / window.radius
    turns, scales = _steps(window.rotation, step), _steps(window.scale, step)
    if len(turns) * len(scales) > _MAX_HISTOGRAMS:
        return []
    return [complex(scale, turn) for scale in scales for turn in turns]


def _steps(limit: float, step: float) -> list[float]:
    n = int(np.floor(limit / step))
    return [step * m for m in range(-n, n + 1)]


def _highest_peak(shifts: NDArray[np.complex128], window: Window) -> tuple[float, complex]:
    """Most significant peak of a histogram of complex shifts, above its surroundings."""
    n = int(np.ceil(2 * window.offset / window.cell))
    side = 2 * window.offset / n
    column = np.floor((shifts.real + window.offset) / side).astype(np.int64)
    row = np.floor((shifts.imag + window.offset) / side).astype(np.int64)
    inside = (column >= 0) & (column < n) & (row >= 0) & (row < n)
    votes = np.bincount(row[inside] * n + column[inside], minlength=n * n).reshape(n, n)
    near = uniform_filter(votes.astype(np.float64), 3, mode="constant")
    around = uniform_filter(votes.astype(np.float64), 15, mode="nearest")
    excess = (near - around) / np.sqrt(around + 0.1)
    best = int(np.argmax(excess))
    centre = complex((best % n + 0.5) * side, (best // n + 0.5) * side)
    return float(excess.flat[best]), centre - complex(window.offset, window.offset)


def by_pairs(points: Floats, targets: Floats, window: Window) -> list[Similarity]:
    """Propose similarities from the votes of all pairs of candidates, best first."""
    i, k = candidates(points, targets, window.reach)
    if len(i) < 3:
        return []
    p, d = points[i], targets[k] - points[i]
    step = window.cell / window.radius
    n_scale = int(np.ceil(2 * window.scale / step))
    n_turn = int(np.ceil(2 * window.rotation / step))
    n_shift = int(np.ceil(2 * window.offset / window.cell))
    shape = (n_scale, n_turn, n_shift, n_shift)
    votes = np.zeros(shape, dtype=np.uint16)
    limits = np.array([window.scale, window.rotation, window.offset])
    lever = _MIN_LEVER * window.radius
    _vote(i, k, np.ascontiguousarray(p), np.ascontiguousarray(d), lever**2, limits, votes)
    flat = votes.ravel()
    high = np.flatnonzero(flat >= max(2, 0.6 * flat.max()))
    high = high[np.argsort(flat[high], kind="stable")[::-1][:12]]
    proposals = []
    for index in high:
        cell = (np.array(np.unravel_index(index, shape)) + 0.5) / np.array(shape) * 2 - 1
        factor = complex(cell[0] * window.scale, cell[1] * window.rotation)
        shift = complex(cell[2], cell[3]) * window.offset
        proposals.append(_refine(p, d, shift, factor, window, 2 * window.cell))
    proposals.sort(key=lambda each: each.votes, reverse=True)
    return _distinct(proposals, window)[:3]


def _distinct(proposals: list[Similarity], window: Window) -> list[Similarity]:
    kept: list[Similarity] = []
    for new in proposals:
        if all(
            abs(new.shift - old.shift) + abs(new.factor - old.factor) * window.radius
            > 0.5 * window.cell
            for old in kept
        ):
            kept.append(new)
    return kept


def _refine(
    p: Floats, d: Floats, shift: complex, factor: complex, window: Window, tolerance: float
) -> Similarity:
    """Least squares over the candidates that agree, while the tolerance shrinks."""
    zp, zd = p[:, 0] + 1j * p[:, 1], d[:, 0] + 1j * d[:, 1]
    votes = 0
    for _ in range(5):
        agree = np.abs(zd - shift - factor * zp) < tolerance
        votes = int(agree.sum())
        if votes < 3:
            break
        mean_p, mean_d = zp[agree].mean(), zd[agree].mean()
        lever = zp[agree] - mean_p
        spread = np.sum(np.abs(lever) ** 2)
        if spread > 0:
            factor = complex(np.sum(np.conj(lever) * (zd[agree] - mean_d)) / spread)
            factor = complex(
                np.clip(factor.real, -window.scale, window.scale),
                np.clip(factor.imag, -window.rotation, window.rotation),
            )
        shift = complex(mean_d - factor * mean_p)
        tolerance = max(0.7 * tolerance, 0.5 * window.cell)
    return Similarity(shift, factor, votes)


@nb.njit(cache=True)
def _vote(  # pragma: no cover
    i: Indices,
    k: Indices,
    p: Floats,
    d: Floats,
    min_lever2: float,
    limits: Floats,
    votes: NDArray[np.uint16],
) -> None:
    n_scale, n_turn, n_shift, _ = votes.shape
    max_scale, max_turn, max_shift = limits
    for a in range(len(i)):
        for b in range(a + 1, len(i)):
            if i[a] == i[b] or k[a] == k[b]:
                continue
            ux, uy = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1]
            length2 = ux * ux + uy * uy
            if length2 < min_lever2:
                continue
            wx, wy = d[a, 0] - d[b, 0], d[a, 1] - d[b, 1]
            scale = (wx * ux + wy * uy) / length2
            if abs(scale) >= max_scale:
                continue
            turn = (wy * ux - wx * uy) / length2
            if abs(turn) >= max_turn:
                continue
            shift_x = d[a, 0] - scale * p[a, 0] + turn * p[a, 1]
            shift_y = d[a, 1] - scale * p[a, 1] - turn * p[a, 0]
            if abs(shift_x) >= max_shift or abs(shift_y) >= max_shift:
                continue
            s = int((scale / max_scale + 1.0) * 0.5 * n_scale)
            t = int((turn / max_turn + 1.0) * 0.5 * n_turn)
            x = int((shift_x / max_shift + 1.0) * 0.5 * n_shift)
            y = int((shift_y / max_shift + 1.0) * 0.5 * n_shift)
            if votes[s, t, x, y] < 65535:
                votes[s, t, x, y] += 1
