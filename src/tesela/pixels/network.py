"""Sorting many short lists at once: a network of comparisons, the same for all of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

LANES = 64
"""Lists that are sorted together: a few vector registers' worth."""


@cache
def sorting_network(n: int) -> np.ndarray:
    """Return the comparisons that sort n values, (m, 2) int32: of each pair the lesser goes first.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M): 32
    comparisons for 10 values, 103 for 20, 305 for 40.
    """
    pairs = []
    p = 1
    while p < n:
        k = p
        while k >= 1:
            for j in range(k % p, n - k, 2 * k):
                starts = range(j, min(j + k, n - k))
                pairs += [(i, i + k) for i in starts if i // (2 * p) == (i + k) // (2 * p)]
            k //= 2
        p *= 2
    found = np.array(pairs, np.int32).reshape(-1, 2)
    found.setflags(write=False)
    return found


@njit(cache=True, nogil=True)
def sort_columns(values, network):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sort every column of (n, `LANES`) float32 values in place. They must not hold NaN."""
    for q in range(network.shape[0]):
        a, b = values[network[q, 0]], values[network[q, 1]]
        for i in range(LANES):
            low, high = a[i], b[i]
            a[i] = low if low < high else high
            b[i] = high if low < high else low
