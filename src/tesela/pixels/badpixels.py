"""A guess for isolated bad pixels, so that what follows meets no holes."""

from __future__ import annotations

import numpy as np
from numba import njit

MAX_REACH_PX = 32
MIN_GOOD = 5
SAMPLE = 1_000_000


def fill(image: np.ndarray, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return a copy of `image` with its masked pixels replaced by their neighbours.

    A masked pixel takes the mean of the unmasked pixels of the 5x5 around it, weighted by the
    inverse of their distance. Where there is none, a grid of 9 x 9 pixels around it grows by
    doubling (half widths 4, 8, 16, 32 px) until it holds five unmasked pixels, whose median is
    taken; failing that, the median of the unmasked pixels; 0 if every pixel is masked.

    Parameters
    ----------
    image : (ny, nx) float32
        Masked pixels may hold anything, NaN included.
    mask : (ny, nx) bool, True = replace
    out : (ny, nx) float32, C-contiguous, optional
        Filled and returned; may be `image` itself.

    Returns
    -------
    (ny, nx) float32; unmasked pixels are unchanged to the last bit.
    """
    result = np.empty(image.shape, np.float32) if out is None else out
    if result is not image:
        result[...] = image
    flags = np.ascontiguousarray(mask, dtype=np.bool_)
    where = np.flatnonzero(flags)
    if not where.size:
        return result
    if where.size == flags.size:
        result[...] = 0
        return result
    far = where[~_from_neighbours(flags, where, result)]
    if far.size:
        _from_far(flags, far, _typical(result, flags), result)
    return result


def _typical(image: np.ndarray, flags: np.ndarray) -> np.float32:
    """Median of the unmasked pixels, of a sample where there are many."""
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    for every in (step, 1):
        good = image[::every, ::every][~flags[::every, ::every]]
        if good.size:
            break
    return np.float32(np.median(good))


@njit(cache=True)
def _from_neighbours(mask, where, image):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill in place: masked pixels are written and only unmasked ones are read."""
    ny, nx = image.shape
    found = np.zeros(where.size, dtype=np.bool_)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        total = weights = 0.0
        for j in range(max(y - 2, 0), min(y + 3, ny)):
            for i in range(max(x - 2, 0), min(x + 3, nx)):
                if not mask[j, i]:
                    weight = 1.0 / np.sqrt(float((j - y) ** 2 + (i - x) ** 2))
                    total += weight * image[j, i]
                    weights += weight
        if weights > 0:
            image[y, x] = total / weights
            found[k] = True
    return found


@njit(cache=True)
def _from_far(mask, where, otherwise, image):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    good = np.empty(81, dtype=np.float32)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        reach, n = 2, 0
        while n < MIN_GOOD and reach < MAX_REACH_PX:
            reach *= 2
            n = 0
            step = reach // 4
            for j in range(y - reach, y + reach + 1, step):
                for i in range(x - reach, x + reach + 1, step):
                    if 0 <= j < ny and 0 <= i < nx and not mask[j, i]:
                        good[n] = image[j, i]
                        n += 1
        image[y, x] = np.median(good[:n]) if n >= MIN_GOOD else otherwise
