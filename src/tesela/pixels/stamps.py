"""A small copy of the image around one object, without its neighbours and bad pixels.

A bad pixel, and one that belongs to a neighbour, is replaced by the pixel opposite the centre
(SExtractor's MASK_TYPE CORRECT), or by nothing if that one is no better: right for symmetrical
objects, and it costs no model. All sums over the object are then plain loops over near memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OWN, REPLACED, OUTSIDE = 0, 1, 2
LARGEST_PX = 2000.0
"""No aperture of an object reaches farther than this: a stamp is held in memory (270 MB then)."""


@njit(cache=True, nogil=True)
def cut(image, variance, bad, labels, label, x, y, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Value, variance and state of the pixels within `reach` of (x, y), and their corner.

    Planes `bad` and `labels` of one row say nothing. Returns (value, variance, state, left, low,
    n_replaced); pixels outside the image have value and variance 0.
    """
    ny, nx = image.shape
    half = int(np.ceil(reach)) + 1
    left, low, size = int(np.floor(x)) - half, int(np.floor(y)) - half, 2 * half + 2
    value, var = np.zeros((size, size)), np.zeros((size, size))
    state = np.full((size, size), np.uint8(OUTSIDE))
    first, last = max(0, left), min(nx, left + size)
    n_replaced = 0
    for j in range(size):
        row = low + j
        if row < 0 or row >= ny or last <= first:
            continue
        part = slice(first - left, last - left)
        n_replaced += _copy_row(
            image[row, first:last],
            variance[row, first:last],
            value[j, part],
            var[j, part],
            state[j, part],
        )
        if bad.shape[0] > 1:
            n_replaced += _take_bad(bad[row, first:last], state[j, part])
        if labels.shape[0] > 1:
            n_replaced += _take_labels(labels[row, first:last], label, state[j, part])
    if n_replaced > 0:
        replace(value, var, state, x - left, y - low)
    return value, var, state, left, low, n_replaced


@njit(cache=True, nogil=True)
def _copy_row(image, variance, value, var, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = 0
    for i in range(len(image)):
        unknown = image[i] - image[i] != np.float32(0)
        value[i] = np.float32(0) if unknown else image[i]
        var[i] = variance[i]
        state[i] = np.uint8(unknown)
        n += unknown
    return n


@njit(cache=True, nogil=True)
def _take_bad(bad, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = 0
    for i in range(len(bad)):
        state[i] |= np.uint8(bad[i])
        n += bad[i]
    return n


@njit(cache=True, nogil=True)
def _take_labels(labels, label, state):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = 0
    for i in range(len(labels)):
        other = (labels[i] != 0) & (labels[i] != label)
        state[i] |= np.uint8(other)
        n += other
    return n


@njit(cache=True, nogil=True)
def replace(value, var, state, x, y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Give replaced pixels what is opposite (x, y) of the stamp."""
    size = len(state)
    for j in range(size):
        opposite_j = int(np.floor(2.0 * y - j + 0.5))
        for i in range(size):
            if state[j, i] != REPLACED:
                continue
            value[j, i] = var[j, i] = 0.0
            opposite_i = int(np.floor(2.0 * x - i + 0.5))
            if not (0 <= opposite_j < size and 0 <= opposite_i < size):
                continue
            if state[opposite_j, opposite_i] == OWN:
                value[j, i] = value[opposite_j, opposite_i]
                # It is used twice: (2 f)^2 v in all, of which f^2 v is already counted.
                var[j, i] = 3.0 * var[opposite_j, opposite_i]
