"""Means of blocks of pixels: an image small enough to be looked at whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def binned(
    image: NDArray[Any], usable: NDArray[np.bool_] | None, factor: int
) -> NDArray[np.float32]:
    """Mean of the usable finite pixels of blocks of `factor` pixels, NaN where there are none.

    (ny, nx) to (ceil(ny / factor), ceil(nx / factor)) float32; blocks at the upper edges may be
    smaller. Memory: a band of rows.
    """
    ny, nx = image.shape
    edges = np.arange(0, nx, factor)
    out = np.empty((-(-ny // factor), len(edges)), np.float32)
    for j, y0 in enumerate(range(0, ny, factor)):
        rows = slice(y0, min(y0 + factor, ny))
        part = np.asarray(image[rows], np.float64)
        good = np.isfinite(part) if usable is None else np.isfinite(part) & usable[rows]
        total = np.add.reduceat(np.where(good, part, 0).sum(axis=0), edges)
        count = np.add.reduceat(good.sum(axis=0), edges)
        out[j] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def factor_to(shape: tuple[int, ...], largest: int) -> int:
    """By what an image is binned so that neither side is above `largest` pixels."""
    return max(1, -(-max(shape) // largest))
