"""Straight segments on the grid of an image."""

from __future__ import annotations

import numpy as np
from numba import njit

Ends = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


def draw(mask: np.ndarray, ends: Ends, half: float) -> None:
    """Set the pixels of `mask`, (ny, nx) bool, within `half` of a segment."""
    x0, y0, x1, y1 = map(float, ends)
    _draw(mask, x0, y0, x1, y1, float(half))


def share_inside(ends: Ends, mask: np.ndarray) -> float:
    """Share of a segment's places in the image that are set in `mask`; 1 where none is in it."""
    x0, y0, x1, y1 = ends
    steps = np.linspace(0, 1, 33)
    y = np.rint(y0 + steps * (y1 - y0)).astype(int)
    x = np.rint(x0 + steps * (x1 - x0)).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    return float(mask[y[inside], x[inside]].mean()) if inside.any() else 1.0


@njit(cache=True)
def _draw(mask, x0, y0, x1, y1, half):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = mask.shape
    dx, dy = x1 - x0, y1 - y0
    square = max(dx * dx + dy * dy, 1e-12)
    for y in range(max(int(min(y0, y1) - half), 0), min(int(max(y0, y1) + half) + 2, ny)):
        # The part of the axis that may reach this row, then its columns.
        low, high = 0.0, 1.0
        if dy != 0:
            a, b = (y - half - y0) / dy, (y + half - y0) / dy
            low, high = max(low, min(a, b)), min(high, max(a, b))
        a, b = x0 + low * dx, x0 + high * dx
        for x in range(max(int(min(a, b) - half), 0), min(int(max(a, b) + half) + 2, nx)):
            t = min(max(((x - x0) * dx + (y - y0) * dy) / square, 0.0), 1.0)
            if (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 <= half * half:
                mask[y, x] = True
