"""Pixels at the top of the scale, and the columns they bled into."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.pixels.sections import as_raw, as_sections, per_amplifier, same_sizes


def find(
    raw: np.ndarray,
    data: npt.ArrayLike,
    dest: npt.ArrayLike,
    saturation_adu: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    grow: int = 1,
    bleed_min_length: int = 5,
    bleed_fraction: float = 0.5,
) -> np.ndarray:
    """Flag saturated pixels of a raw frame, in the coordinates of the trimmed image.

    Charge beyond the full well spills along the columns (y). A column with at least
    `bleed_min_length` saturated pixels in a row is followed in both directions, across
    amplifiers, for as long as its pixels hold `bleed_fraction` of the saturation level, and one
    pixel further, where the spilt charge ends in a partly filled pixel. Everything is then grown.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16 or float32, ADU
    data, dest : (n_amp, 4) int
        Half-open [x0, x1, y0, y1] in `raw` and, in the same orientation, in the trimmed image.
    saturation_adu : (n_amp,) or float, ADU
        A pixel at or above it is saturated.
    shape : (ny, nx) of the trimmed image
    grow : int
        Pixels to add in all eight directions.

    Returns
    -------
    (ny, nx) bool, True = saturated.
    """
    raw = as_raw(raw)
    sections = as_sections(data, (raw.shape[0], raw.shape[1]), "data")
    target = as_sections(dest, shape, "destination")
    same_sizes(sections, target, "data and destination sections")
    limits = per_amplifier(saturation_adu, len(sections), "saturation level")
    grade = np.zeros(shape, dtype=np.uint8)
    n_saturated = _grade(raw, sections, target, limits, np.float32(bleed_fraction), grade)
    if not n_saturated:
        return grade.view(np.bool_)
    return _spread(grade, n_saturated, bleed_min_length, grow)


@njit(cache=True)
def _grade(raw, data, dest, limit, fraction, grade):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Set 2 where saturated, 1 where high enough to be the tail of a bleed; count the former."""
    count = 0
    for amp in range(data.shape[0]):
        x_raw, y_raw, x_out, y_out = data[amp, 0], data[amp, 2], dest[amp, 0], dest[amp, 2]
        width = data[amp, 1] - x_raw
        top, high = limit[amp], limit[amp] * fraction
        for j in range(data[amp, 3] - y_raw):
            source = raw[y_raw + j, x_raw : x_raw + width]
            row = grade[y_out + j, x_out : x_out + width]
            for i in range(width):
                value = np.float32(source[i])
                row[i] = np.uint8(value >= high) + np.uint8(value >= top)
            for i in range(width):
                count += row[i] == 2
    if count == 0:
        grade[:] = 0
    return count


@njit(cache=True)
def _spread(grade, count, min_length, grow):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = grade.shape
    mask = np.zeros((ny, nx), dtype=np.bool_)
    ys = np.empty(count, dtype=np.int64)
    xs = np.empty(count, dtype=np.int64)
    n = 0
    for y in range(ny):
        for x in range(nx):
            if grade[y, x] == 2:
                ys[n] = y
                xs[n] = x
                n += 1
    for k in range(count):
        y, x = ys[k], xs[k]
        low = high = y
        if y == 0 or grade[y - 1, x] != 2:  # the first pixel of a run speaks for all of it
            while high + 1 < ny and grade[high + 1, x] == 2:
                high += 1
            if high - low + 1 >= min_length:
                while low > 0 and grade[low - 1, x] > 0:
                    low -= 1
                while high + 1 < ny and grade[high + 1, x] > 0:
                    high += 1
                low -= 1
                high += 1
        for yy in range(max(low - grow, 0), min(high + grow + 1, ny)):
            for xx in range(max(x - grow, 0), min(x + grow + 1, nx)):
                mask[yy, xx] = True
    return mask
