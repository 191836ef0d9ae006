"""Scatter and means that single wild values do not move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""
MEDIAN_ERROR = 1.2533
"""Error of a median over that of a mean, of a normal distribution."""
SAMPLE = 50_000


def sigma(values: NDArray[Any], centre: float | None = None) -> float:
    """Standard deviation from the median absolute deviation; NaN of no values.

    Parameters
    ----------
    values : array of any shape, finite
    centre : float, optional
        About which they deviate: 0 for residuals; their own median by default.
    """
    if not values.size:
        return float("nan")
    middle = np.median(values) if centre is None else np.asarray(centre, values.dtype)
    return float(MAD_TO_SIGMA * np.median(np.abs(values - middle)))


def clipped_mean(
    values: NDArray[Any], *, clip_sigma: float, least_sigma: float = 0.0
) -> tuple[float, int]:
    """Mean of the values near their median, and how many they are.

    Parameters
    ----------
    values : (n,), at least one, finite
        Median and scatter are those of up to 50 000 of them.
    clip_sigma : float
        How far from the median a value may be, in robust standard deviations.
    least_sigma : float
        Least of these: digitised values of little noise have none.
    """
    some = values[:: max(1, values.size // SAMPLE)]
    middle = np.median(some)
    reach = clip_sigma * max(sigma(some), least_sigma)
    kept = values[np.abs(values - middle) <= reach]
    return float(np.mean(kept, dtype=np.float64)), int(kept.size)
