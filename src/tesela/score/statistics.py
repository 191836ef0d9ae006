"""Robust statistics and bootstrap errors. Statistics of nothing are NaN, without a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLINGS = 200
SEED = 20170703
_MAD_TO_SIGMA = 1.4826


def median(values: Floats) -> float:
    """Median of (n,) values."""
    return float(np.median(values)) if values.size else float("nan")


def mean(values: Floats) -> float:
    """Mean of (n,) values."""
    return float(np.mean(values)) if values.size else float("nan")


def rms(values: Floats) -> float:
    """Root of the mean square of (n,) values, about zero."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def robust_rms(values: Floats) -> float:
    """Root mean square about zero that outliers do not move: 1.4826 times the median of |value|."""
    return _MAD_TO_SIGMA * median(np.abs(values))


def robust_width(values: Floats) -> float:
    """Standard deviation about the median from the median absolute deviation."""
    return _MAD_TO_SIGMA * median(np.abs(values - median(values)))


def within(values: Floats, n_sigma: float) -> NDArray[np.bool_]:
    """(n,) bool: not farther from the median than `n_sigma` robust widths."""
    width = robust_width(values)
    if not np.isfinite(width):
        return np.zeros(values.shape, bool)
    return np.abs(values - median(values)) <= n_sigma * width


def bootstrap(
    sample: NDArray[Any], statistic: Callable[[NDArray[Any]], float], *, seed: int = SEED
) -> float:
    """Standard deviation of a statistic over resamplings with replacement.

    Parameters
    ----------
    sample : (n, ...) ndarray
        Resampled along its first axis.
    statistic : callable
        From such a sample to a number.
    seed : int

    Returns
    -------
    float : NaN for fewer than two entries.
    """
    n = len(sample)
    if n < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    values = [statistic(sample[rng.integers(0, n, n)]) for _ in range(RESAMPLINGS)]
    finite = np.array([value for value in values if np.isfinite(value)])
    return float(np.std(finite)) if finite.size > 1 else float("nan")


def ratio(counts: NDArray[Any]) -> float:
    """Sum of the first column of (n, 2) counts over the sum of the second; NaN over nothing."""
    top, bottom = counts.sum(axis=0)
    return float(top / bottom) if bottom > 0 else float("nan")
