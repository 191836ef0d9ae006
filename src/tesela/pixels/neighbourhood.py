"""What the search for cosmic rays asks of the surroundings of one pixel, in a padded frame."""

from __future__ import annotations

import numpy as np
from numba import njit

PAD = 6
BLOCK = 128


@njit(cache=True, inline="always")
def laplacian(d, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Positive part of the Laplacian of the twice finer image, summed back: 4 L+."""
    zero = np.float32(0)
    twice = np.float32(2) * d[y, x]
    up, down, left, right = d[y - 1, x], d[y + 1, x], d[y, x - 1], d[y, x + 1]
    return (
        max(zero, twice - up - left)
        + max(zero, twice - up - right)
        + max(zero, twice - down - left)
        + max(zero, twice - down - right)
    )


@njit(cache=True)
def median(t, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Median of the first n (odd) values of t, which are reordered."""
    k = n // 2
    low, high = 0, n - 1
    while low < high:
        pivot = t[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while t[i] < pivot:
                i += 1
            while pivot < t[j]:
                j -= 1
            if i <= j:
                t[i], t[j] = t[j], t[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if i > k:
            high = j
    return t[k]


@njit(cache=True)
def window(d, y, x, reach, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Median of the square of half width `reach`."""
    n = 0
    for j in range(y - reach, y + reach + 1):
        for i in range(x - reach, x + reach + 1):
            t[n] = d[j, i]
            n += 1
    return median(t, n)


@njit(cache=True)
def noise(d, y, x, noise2, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    return np.sqrt(max(window(d, y, x, 2, t), np.float32(0)) + noise2)
