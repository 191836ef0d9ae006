"""Counting noise of light."""

from __future__ import annotations

import numpy as np

ROWS_AT_ONCE = 512


def poisson(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts as float32, by bands of rows to bound the memory."""
    counts = np.empty(expected.shape, np.float32)
    for y in range(0, expected.shape[0], ROWS_AT_ONCE):
        rows = slice(y, y + ROWS_AT_ONCE)
        counts[rows] = rng.poisson(expected[rows])
    return counts


def gauss(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counting noise of bright light (over a few hundred electrons), as float32."""
    noise = rng.standard_normal(expected.shape, dtype=np.float32)
    return np.maximum(expected + noise * np.sqrt(expected), 0.0)
