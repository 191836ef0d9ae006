"""The mode of a frame: the level that scales it, whatever stars or shadows it holds."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tesela.errors import QualityError

BINS_PER_SIGMA = 20
SMOOTHING_SIGMA = 0.4


def mode(values: np.ndarray, *, mask: np.ndarray | None = None) -> float:
    """Return the most frequent value: the level of a frame whatever stars or shadows it holds.

    The histogram of the values (20 bins a robust sigma) is smoothed by a Gaussian of 0.4 sigma
    and its highest point found with a parabola, so that neither the digitisation nor the choice of
    bins shows. A frame of n pixels gives it to about 3 sigma / sqrt(n).

    Parameters
    ----------
    values : array of any shape, real
        NaN is left out.
    mask : same shape, bool, optional
        True = leave out.

    Returns
    -------
    float, in the unit of the values

    Raises
    ------
    QualityError
        Nothing is left to measure.
    """
    sample = values[np.isfinite(values)] if mask is None else values[np.isfinite(values) & ~mask]
    if sample.size == 0:
        raise QualityError(
            "mode of a frame",
            found="no unmasked finite value",
            expected="at least one",
            do="look at the mask; leave the frame out",
        )
    sample = sample.astype(np.float64)
    low, middle, high = np.percentile(sample, [16, 50, 84])
    # The lower side is the cleaner one: stars and cosmic rays only add.
    spread = min(middle - low, high - middle) or (high - low) / 2
    if spread == 0:
        return float(middle)
    step = spread / BINS_PER_SIGMA
    start = middle - 6 * spread
    if np.issubdtype(values.dtype, np.integer):
        step = max(1.0, round(step))  # bins of whole units, or the digitisation beats with them
        start = np.floor(start) - 0.5
    edges = start + step * np.arange(int(12 * spread / step) + 3)
    histogram = np.histogram(sample, bins=edges)[0].astype(np.float64)
    smooth = gaussian_filter1d(histogram, SMOOTHING_SIGMA * spread / step, mode="constant")
    peak = int(np.clip(np.argmax(smooth), 1, len(smooth) - 2))
    before, at, after = smooth[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(edges[peak] + step * (0.5 + np.clip(shift, -1, 1)))
