"""The electronic zero of every amplifier, row by row, and its read noise, from the overscan."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from tesela.errors import BadInput
from tesela.pixels.overscan_faults import without_light
from tesela.pixels.sections import as_raw, as_sections

BAD_COLUMN_SIGMA = 5.0
BAD_ROW_SIGMA = 5.0
# A straight line fitted over n rows has four times the variance of their mean at its two ends:
# 400 samples in the window keep even the ends below a tenth of the read noise.
MIN_SAMPLES = 400


@dataclass(frozen=True)
class Overscan:
    """Zero levels and read noises of one frame.

    Attributes
    ----------
    level : (n_amp, n_rows) float32, ADU
        One value per row of the amplifier's data section, bottom row of the section first; rows
        beyond a shorter section repeat its last value; one value where the overscan is parallel. 0
        where the camera has no overscan.
    noise_adu : (n_amp,) float32, ADU
        Standard deviation of one overscan pixel; NaN where the camera has no overscan.
    lit_rows : (n_amp,) int
        Rows of the strip that light fell into, whose level is interpolated.
    """

    level: np.ndarray
    noise_adu: np.ndarray
    lit_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def measure(
    raw: np.ndarray,
    overscan: npt.ArrayLike,
    data: npt.ArrayLike,
    *,
    clip_sigma: float = 3.0,
    smooth_rows: int = 25,
    skip_columns: int = 1,
    parallel: npt.ArrayLike | None = None,
) -> Overscan:
    """Measure the zero level of each row of each amplifier from its serial overscan.

    Columns of the strip that stand out of its collapsed profile are left out, as are the
    `skip_columns` nearest the image (they hold charge the image left behind). Each row's level is
    the mean of its pixels within `clip_sigma` of the row's median; rows that stand out, and runs
    of rows that something shone into (`overscan_faults.without_light`), are replaced, and the
    levels are smoothed along the amplifier by a running straight line, so that a drift is followed
    up to both ends and the noise added stays below a tenth of the read noise.
    An amplifier that has only an overscan above or below its data takes one level for all rows.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16 or float32, ADU
    overscan, data : (n_amp, 4) int, half-open [x0, x1, y0, y1] in `raw`
        Data rows that the overscan does not reach take the level of the nearest row it has.
    clip_sigma : float
        Clipping of single pixels, in read noises.
    smooth_rows : int
        Rows of the running fit; widened where the strip is too narrow for the promise above.
    skip_columns : int
        Columns to leave out on the side of the image.
    parallel : (n_amp, 4) int, optional
        Strips above or below the data, for amplifiers without a serial one.

    Returns
    -------
    Overscan
    """
    raw = as_raw(raw)
    shape = (raw.shape[0], raw.shape[1])
    strips = as_sections(overscan, shape, "overscan")
    sections = as_sections(data, shape, "data")
    if strips.shape != sections.shape:
        raise BadInput(
            "overscan sections",
            found=f"{len(strips)} for {len(sections)} data sections",
            expected="one for each amplifier",
            do="give an amplifier without overscan a section of no width",
        )
    n_rows = int((sections[:, 3] - sections[:, 2]).max(initial=0))
    level = np.zeros((len(sections), n_rows), dtype=np.float32)
    noise = np.full(len(sections), np.nan, dtype=np.float32)
    lit = np.zeros(len(sections), np.int64)
    others = sections[:0] if parallel is None else as_sections(parallel, shape, "parallel")
    for amp, (strip, section) in enumerate(zip(strips, sections)):
        if _is_empty(strip):
            if amp < len(others) and not _is_empty(others[amp]):
                level[amp], noise[amp] = _of_parallel(raw, others[amp], section, clip_sigma)
            continue
        x0, x1 = _useful_columns(strip, section, skip_columns, amp)
        pixels = raw[strip[2] : strip[3], x0:x1].astype(np.float32)
        rows, noise[amp], n_columns = _rows_of_strip(pixels, clip_sigma)
        lights = raw[section[2] : section[3], section[0] : section[1]]
        rows, lit[amp] = without_light(rows, noise[amp], lights, int(section[2] - strip[2]))
        smooth = _smooth(rows, max(smooth_rows, math.ceil(MIN_SAMPLES / n_columns)))
        wanted = np.arange(section[2], section[2] + n_rows)
        wanted = np.minimum(wanted, section[3] - 1) - strip[2]
        level[amp] = smooth[np.clip(wanted, 0, len(smooth) - 1)]
    return Overscan(level, noise, lit)


def _is_empty(strip: np.ndarray) -> bool:
    return bool(strip[1] == strip[0] or strip[3] == strip[2])


def _of_parallel(
    raw: np.ndarray, strip: np.ndarray, section: np.ndarray, clip_sigma: float
) -> tuple[float, float]:
    """Level and noise of a strip beyond the data's rows.

    The row nearest to the image holds charge that was left behind; columns differ by the bias and
    by what they leave behind, so the noise is that of each column about its own mean.
    """
    x0, x1, y0, y1 = strip
    if y1 - y0 > 2:
        y0, y1 = (y0 + 1, y1) if y0 >= section[3] else (y0, y1 - 1)
    columns = raw[y0:y1, x0:x1].astype(np.float32).T
    rows, noise, _ = _rows_of_strip(np.ascontiguousarray(columns), clip_sigma)
    return float(np.median(rows)), noise


def _useful_columns(
    strip: np.ndarray, section: np.ndarray, skip_columns: int, amp: int
) -> tuple[int, int]:
    x0, x1 = int(strip[0]), int(strip[1])
    if x0 < section[1] and x1 > section[0]:
        raise BadInput(
            f"overscan section of amplifier {amp}",
            found=f"columns {x0} to {x1}, which overlap the data",
            expected="a serial overscan beside the data section",
            do="correct the camera's amplifier table",
        )
    skip = min(skip_columns, x1 - x0 - 1)
    return (x0 + skip, x1) if x0 >= section[1] else (x0, x1 - skip)


def _rows_of_strip(pixels: np.ndarray, clip_sigma: float) -> tuple[np.ndarray, float, int]:
    """Clipped mean of each row (ADU, float64), noise of one pixel (ADU), columns used."""
    middle = np.median(pixels, axis=1, keepdims=True)
    noise = _robust_sigma(pixels - middle)
    pixels = pixels[:, _good_columns(pixels - middle, noise)]
    middle = np.median(pixels, axis=1, keepdims=True)
    # The median and its deviations are whole numbers of ADU: start wide, then use means.
    rows, noise = _mean_within(pixels, middle, 5 * max(noise, 0.6))
    # Half an ADU of slack, or quiet digitised pixels would be clipped beside their neighbours.
    reach = clip_sigma * noise + 0.5
    rows, kept_noise = _mean_within(pixels, rows, reach)
    if kept_noise > 0:
        noise = kept_noise / _clipped_fraction_of_sigma(reach / max(noise, 1e-3))
    return rows[:, 0], noise, pixels.shape[1]


def _mean_within(pixels: np.ndarray, centre: np.ndarray, reach: float) -> tuple[np.ndarray, float]:
    """Mean (n_rows, 1) of each row within `reach` of its centre, and the scatter about it."""
    used = np.abs(pixels - centre) <= reach
    n_used = used.sum(axis=1, keepdims=True)
    excess = np.where(used, pixels - centre, 0).sum(axis=1, keepdims=True, dtype=np.float64)
    rows = centre + excess / np.maximum(n_used, 1)
    squares = np.where(used, pixels - rows, 0).astype(np.float64) ** 2
    freedom = np.maximum(n_used - 1, 0).sum()
    return rows, math.sqrt(squares.sum() / freedom) if freedom else 0.0


def _good_columns(residual: np.ndarray, noise: float) -> np.ndarray:
    # A column crossed by a few stray events must not look bad: clip before collapsing.
    profile = np.clip(residual, -5 * noise - 1, 5 * noise + 1).mean(axis=0, dtype=np.float64)
    scatter = max(_robust_sigma(profile), noise / math.sqrt(len(residual)), 1e-3)
    good = np.abs(profile - np.median(profile)) <= BAD_COLUMN_SIGMA * scatter
    return good if good.any() else np.ones_like(good)


def _smooth(rows: np.ndarray, window: int) -> np.ndarray:
    """Running straight-line fit of `window` rows, single outlying rows replaced first."""
    window = min(window | 1, len(rows) if len(rows) % 2 else len(rows) - 1)
    if window < 3:
        return rows
    running = median_filter(rows, size=window, mode="nearest")
    limit = BAD_ROW_SIGMA * max(_robust_sigma(rows - running), 0.2)
    calm = np.where(np.abs(rows - running) > limit, running, rows)
    return np.asarray(savgol_filter(calm, window, polyorder=1, mode="interp"))


def _robust_sigma(values: np.ndarray) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _clipped_fraction_of_sigma(reach: float) -> float:
    """Standard deviation of a unit Gaussian cut at +-reach."""
    density = math.exp(-0.5 * reach**2) / math.sqrt(2 * math.pi)
    inside = math.erf(reach / math.sqrt(2))
    return math.sqrt(max(1 - 2 * reach * density / inside, 1e-6))
