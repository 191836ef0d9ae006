"""Merging faint detections that are only the wing of a bright neighbour.

As SExtractor's CLEAN: a Moffat profile of index `beta` is put through every object's area and
flux. A fainter object whose pixels would not be above the threshold without that wing is merged
with the brighter one.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_ZONE = 10.0  # in sums of the two major axes: neighbours are looked for within
_LARGE_FRACTION = 0.01
_FARTHEST = 1e10


def eaten_by(found: NDArray[np.void], beta: float, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """For every object the one it is merged with, which may be itself: (n,).

    found : (n,) records of `moments.OBJECT`, with x and y in an image of `shape` (ny, nx).
    """
    n = len(found)
    if n == 0:
        return np.zeros(0, np.int64)
    order = np.argsort(-found["filtered_flux"], kind="stable")
    a = np.ascontiguousarray(found["a"])
    limit = float(np.quantile(a, 1 - _LARGE_FRACTION))
    large = np.flatnonzero(a > limit)
    cell = max(16.0, _ZONE * limit)
    across = int(shape[1] / cell) + 1
    key = (found["y"] / cell).astype(np.int64) * across + (found["x"] / cell).astype(np.int64)
    members = np.argsort(key, kind="stable")
    cells = int(shape[0] / cell + 1) * across
    start = np.searchsorted(key[members], np.arange(cells + 1))
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    return _eat(found, order, rank, large, limit, cell, across, members, start, beta)


@njit(cache=True, nogil=True)
def _eat(found, order, rank, large, limit, cell, across, members, start, beta):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Brighter objects choose first."""
    n = len(found)
    eater = np.arange(n)
    down = (len(start) - 1) // across
    for k in order:
        if eater[k] != k:
            continue
        o = found[k]
        area = np.pi * o.a * o.b
        amplitude = o.filtered_flux / (2.0 * area * o.correction)
        if not (amplitude > 0.0 and o.threshold > 0.0):
            continue
        alpha = ((amplitude / o.threshold) ** (1.0 / beta) - 1.0) * area / o.n_pixels
        if alpha <= 0.0:
            continue
        wing = (amplitude, alpha, beta)
        far = _ZONE * (o.a + limit)
        for j in range(max(0, int((o.y - far) / cell)), min(down, int((o.y + far) / cell) + 1)):
            for i in range(
                max(0, int((o.x - far) / cell)), min(across, int((o.x + far) / cell) + 1)
            ):
                here = j * across + i
                for m in members[start[here] : start[here + 1]]:
                    if rank[m] > rank[k] and eater[m] == m and _drowned(o, found[m], wing):
                        eater[m] = k
        for m in large:
            if rank[m] > rank[k] and eater[m] == m and _drowned(o, found[m], wing):
                eater[m] = k
    return eater


@njit(cache=True, nogil=True)
def _drowned(o, other, wing):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether the wing of o is more than what the other is above the threshold."""
    amplitude, alpha, beta = wing
    dx, dy = o.x - other.x, o.y - other.y
    zone = _ZONE * (o.a + other.a)
    if dx * dx + dy * dy >= zone * zone:
        return False
    value = 1.0 + alpha * (o.cxx * dx * dx + o.cyy * dy * dy + o.cxy * dx * dy)
    if value <= 1.0 or value >= _FARTHEST:
        return False
    return amplitude * value**-beta > other.margin
