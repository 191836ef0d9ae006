"""Electronic patterns: periodic signals along the read-out, as peaks of power spectra."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from tesela.pixels.sections import as_sections

ROWS = 128
"""Rows of each amplifier whose spectra are averaged."""
LOWEST = 4
"""Waves over the length below which a spectrum shows the sky."""
_HALF_WIDTH = 25
_LEAST_FREE = 0.5


def along_rows(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], dest: npt.ArrayLike
) -> NDArray[np.float64]:
    """Highest peak in the mean power spectrum along the rows of each amplifier.

    Power is relative to its surroundings in the spectrum: white noise gives about
    ``1 + 4 / sqrt(ROWS)``, a wave of amplitude A in noise sigma adds ``n A^2 / (4 sigma^2)`` over a
    row of n pixels, whatever its phase from row to row.

    Parameters
    ----------
    image : (ny, nx) float32, sky-subtracted
    hidden : (ny, nx) bool
        True = defect or object; taken as 0.
    dest : (n_amp, 4) int
        Amplifier sections in the image.

    Returns
    -------
    (n_amp,) float64; NaN where too little is free.
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    return np.array([_peak_of_rows(image, hidden, tuple(section)) for section in sections])


def of_profile(values: NDArray[np.float64]) -> float:
    """Highest peak in the power spectrum of a profile, such as the means of all rows.

    NaN counts as 0. White noise gives about ``ln n``, 7 for a thousand values.
    """
    calm = np.nan_to_num(values - np.nanmedian(values)) if np.isfinite(values).any() else values
    return _peak(np.abs(np.fft.rfft(np.nan_to_num(calm))) ** 2, median_of_mean=np.log(2))


def _peak_of_rows(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], section: tuple[int, ...]
) -> float:
    x0, x1, y0, y1 = section
    if x1 - x0 < 4 * LOWEST or y1 <= y0:
        return float("nan")
    step = max(1, (y1 - y0) // ROWS)
    rows, lost = image[y0:y1:step, x0:x1], hidden[y0:y1:step, x0:x1]
    free = ~lost & np.isfinite(rows)
    use = free.mean(axis=1) > _LEAST_FREE
    if np.count_nonzero(use) < ROWS // 8:
        return float("nan")
    values = np.where(free[use], rows[use], 0).astype(np.float64)
    values -= values.sum(axis=1, keepdims=True) / np.maximum(free[use].sum(axis=1), 1)[:, None]
    values[~free[use]] = 0
    power = (np.abs(np.fft.rfft(values, axis=1)) ** 2).mean(axis=0)
    return _peak(power, median_of_mean=1.0)


def _peak(power: NDArray[np.float64], *, median_of_mean: float) -> float:
    """Power over the median of its surroundings, put on the scale of their mean."""
    power = power[LOWEST:]
    if power.size < 4:
        return float("nan")
    width = min(2 * _HALF_WIDTH + 1, power.size)
    windows = np.lib.stride_tricks.sliding_window_view(power, width)
    level = np.median(windows, axis=1)
    level = np.pad(level, (width // 2, power.size - len(level) - width // 2), mode="edge")
    return float(np.max(power * median_of_mean / np.where(level > 0, level, np.inf)))
