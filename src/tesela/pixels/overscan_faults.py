"""Overscans that do not tell the zero of their amplifier: strips without a measurement, and light.

What an overscan cannot tell is not guessed from the light: an amplifier whose strip is no
measurement has no zero. Rows of a strip that something shone into are another matter: the data
beside them say whether the electronics moved, and the rows around them what the level was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tesela.pixels import robust
from tesela.pixels.sections import as_sections

_LEAST_KNOWN = 0.5
_JUMP_SIGMA = 5.0
_JUMP_NOISES = 2.0
_MOST_LIT = 0.45
_GROW_ROWS = 2
_BLOCK_ROWS = 8
_SAMPLES = 64


def find(
    raw: np.ndarray,
    overscan: npt.ArrayLike,
    saturation_adu: npt.ArrayLike,
    *,
    parallel: npt.ArrayLike | None = None,
) -> list[str]:
    """What is wrong with the overscan of each amplifier, (n_amp,) sentences without a subject.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16 or float32, ADU, as it was read: NaN where there is no number
    overscan : (n_amp, 4) int, half-open [x0, x1, y0, y1] in `raw`
    saturation_adu : (n_amp,) float, ADU
    parallel : (n_amp, 4) int, optional
        Used where there is no serial overscan, as `overscan.measure` does.

    Returns
    -------
    list of str, empty where nothing is wrong or there is no overscan.
    """
    shape = (raw.shape[0], raw.shape[1])
    strips = as_sections(overscan, shape, "overscan")
    if parallel is not None:
        others = as_sections(parallel, shape, "parallel")
        none = (strips[:, 1] == strips[:, 0]) | (strips[:, 3] == strips[:, 2])
        strips = np.where(none[:, None], others, strips)
    limits = np.asarray(saturation_adu, np.float64)
    return [_fault(raw[y0:y1, x0:x1], top) for (x0, x1, y0, y1), top in zip(strips, limits)]


def _fault(strip: np.ndarray, saturation_adu: float) -> str:
    if not strip.size:
        return ""
    known = strip[np.isfinite(strip)] if strip.dtype.kind == "f" else strip
    if known.size <= _LEAST_KNOWN * strip.size:
        return "has no number" if not known.size else "has hardly a number"
    middle = float(np.median(known))
    if middle >= saturation_adu:
        return f"is saturated, {middle:.0f} ADU"
    if middle == 0 and not known.any():
        return "is 0 ADU everywhere"
    return ""


def without_light(
    rows: np.ndarray, noise_adu: float, data: np.ndarray, first: int
) -> tuple[np.ndarray, int]:
    """Levels of a strip, runs of rows that only the strip saw replaced; and how many those are.

    A run far from the median of the strip is light (a star's bleeding, a flash) if the data
    levelled without it are smoother than levelled with it, and a jump of the electronics, which
    both saw, if they are rougher. Replaced levels are interpolated between the rows around.

    Parameters
    ----------
    rows : (n,) float, ADU
        Level of each row of the strip.
    noise_adu : float
        Of a pixel of the strip.
    data : (m, width) ADU
        Data of the amplifier; its row 0 is row `first` of the strip.
    first : int

    Returns
    -------
    (n,) levels, and the number of rows replaced
    """
    away = np.abs(rows - np.median(rows))
    odd = away > max(_JUMP_SIGMA * robust.sigma(rows), _JUMP_NOISES * noise_adu)
    if not odd.any() or odd.mean() > _MOST_LIT:
        return rows, 0
    near = np.convolve(odd, np.ones(2 * _GROW_ROWS + 1), mode="same") > 0
    place = np.arange(len(rows))
    calm = np.where(near, np.interp(place, place[~near], rows[~near]), rows)
    low, high = max(first, 0), min(first + len(data), len(rows))
    if high - low < 2 * _BLOCK_ROWS:
        return rows, 0
    every = max(1, data.shape[1] // _SAMPLES)
    seen = np.median(data[low - first : high - first, ::every], axis=1)
    as_read, as_calm = (_roughness(seen - level[low:high]) for level in (rows, calm))
    if as_read - as_calm < 0.5 * float(away[odd].max()):
        return rows, 0
    return calm, int(np.count_nonzero(odd))


def _roughness(profile: np.ndarray) -> float:
    """Sum of the steps between means of blocks of rows, ADU."""
    n = len(profile) // _BLOCK_ROWS
    means = profile[: n * _BLOCK_ROWS].reshape(n, _BLOCK_ROWS).mean(axis=1, dtype=np.float64)
    return float(np.abs(np.diff(means)).sum())
