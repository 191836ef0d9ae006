"""A small picture of a raw frame: each amplifier over its own electronic zero."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit
from numpy.typing import NDArray

from tesela.pixels import thumbnail
from tesela.pixels.sections import as_raw, as_sections

_STRIP_ROWS = 64


def render(
    raw: NDArray[np.uint16] | NDArray[np.float32],
    data: npt.ArrayLike,
    dest: npt.ArrayLike,
    overscan: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    parallel: npt.ArrayLike | None = None,
    max_px: int = 320,
    of_sky: bool = True,
) -> NDArray[np.uint8]:
    """Bin a raw frame into a grey picture, as the sky lies on the detector.

    Amplifiers differ in their zero by more than the sky has: without that taken off, a picture
    shows a chess board. Strips of the overscan are no part of it.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) uint16 or float32, ADU
    data, overscan : (n_amp, 4) int, half-open [x0, x1, y0, y1] in `raw`
        A strip without pixels leaves its amplifier to its `parallel` one.
    dest : (n_amp, 4) int
        Where each data section lies in the trimmed image.
    shape : (ny, nx)
        Of the trimmed image.
    parallel : (n_amp, 4) int, optional
        Strips of rows; an amplifier without either is shown as it is.
    max_px : int
        Longest side of the picture.
    of_sky : bool
        Whether there are sources, for whose sake the rest is dark. Of a flat or a bias the shades
        go over its own structure.

    Returns
    -------
    (h, w, 3) uint8
        First row = top of the image (largest y).
    """
    raw = as_raw(raw)
    of_raw = (raw.shape[0], raw.shape[1])
    source, strips = as_sections(data, of_raw, "data"), as_sections(overscan, of_raw, "overscan")
    if parallel is not None:
        empty = (strips[:, 0] == strips[:, 1]) | (strips[:, 2] == strips[:, 3])
        strips = np.where(empty[:, None], as_sections(parallel, of_raw, "parallel"), strips)
    factor = max(1, -(-max(shape) // max_px))
    bins = (-(-shape[0] // factor), -(-shape[1] // factor))
    total, count = np.zeros(bins), np.zeros(bins, np.int64)
    for box, place, strip in zip(source, as_sections(dest, shape, "destination"), strips):
        _add(raw, box, place, _zero(raw, strip), factor, total, count)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    stretch: Literal["asinh", "range"] = "asinh" if of_sky else "range"
    return thumbnail.render(mean.astype(np.float32), max_px=max_px, stretch=stretch)


def _zero(raw: NDArray[Any], strip: NDArray[np.int64]) -> float:
    """Median of some rows of a strip; 0 of an empty one."""
    x0, x1, y0, y1 = strip
    part = raw[y0 : y1 : max(1, (y1 - y0) // _STRIP_ROWS), x0:x1]
    part = part[np.isfinite(part)]
    return float(np.median(part)) if part.size else 0.0


@njit(cache=True, nogil=True)
def _add(raw, box, place, zero, factor, total, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums of the pixels of one amplifier over its zero, and their numbers, by bin."""
    x_raw, y_raw = box[0], box[2]
    x_out, y_out = place[0], place[2]
    width, height = box[1] - x_raw, box[3] - y_raw
    for j in range(height):
        bin_y = (y_out + j) // factor
        i = 0
        while i < width:
            bin_x = (x_out + i) // factor
            end = min(width, (bin_x + 1) * factor - x_out)
            part = 0.0
            n = 0
            for k in range(i, end):
                value = np.float32(raw[y_raw + j, x_raw + k])
                if np.isfinite(value):
                    part += float(value)
                    n += 1
            total[bin_y, bin_x] += part - n * zero
            count[bin_y, bin_x] += n
            i = end
