"""Rectangles of a detector: what every amplifier-wise algorithm agrees on.

Sections are (n_amp, 4) int64 arrays of half-open, 0-based [x0, x1, y0, y1]; all amplifiers are
listed in the same order everywhere, and a section of no width means "there is none".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tesela.errors import BadInput

Part = tuple[slice, slice]
"""Rows and columns of an image."""


def as_sections(sections: npt.ArrayLike, shape: tuple[int, int], name: str) -> np.ndarray:
    """Return `sections` as a (n_amp, 4) int64 array, checked to lie inside `shape` (ny, nx)."""
    array = np.ascontiguousarray(sections, dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 4:
        raise BadInput(
            f"{name} sections",
            found=f"an array of shape {array.shape}",
            expected="(n_amp, 4) of half-open [x0, x1, y0, y1]",
            do="check the camera's amplifier table",
        )
    x0, x1, y0, y1 = array.T
    ny, nx = shape
    wrong = (x0 < 0) | (y0 < 0) | (x1 < x0) | (y1 < y0) | (x1 > nx) | (y1 > ny)
    if wrong.any():
        amp = int(np.flatnonzero(wrong)[0])
        raise BadInput(
            f"{name} section of amplifier {amp}",
            found=f"[x0, x1, y0, y1] = {array[amp].tolist()}",
            expected=f"a rectangle inside {nx} x {ny} pixels (x, y)",
            do="compare the camera's amplifier table with the frame's size and binning",
        )
    return array


def same_sizes(first: np.ndarray, second: np.ndarray, what: str) -> None:
    """Refuse two lists of sections that do not pair up rectangle by rectangle."""
    if first.shape != second.shape or not np.array_equal(_sizes(first), _sizes(second)):
        raise BadInput(
            what,
            found=f"sizes (x, y) {_sizes(first).tolist()} and {_sizes(second).tolist()}",
            expected="equal sizes, amplifier by amplifier",
            do="correct the camera's amplifier table",
        )


def borders(sections: np.ndarray, strip_px: int) -> Iterator[tuple[int, int, Part, Part]]:
    """Pairs of sections that meet, with the strips on both sides of their common border.

    (left, right, its strip, its strip), and the same with (below, above); strips are at most
    `strip_px` wide.
    """
    for i, (x0, x1, y0, y1) in enumerate(sections):
        for j, (u0, u1, v0, v1) in enumerate(sections):
            low, high = max(y0, v0), min(y1, v1)
            if x1 == u0 and high > low:
                width, along = min(strip_px, x1 - x0, u1 - u0), slice(low, high)
                yield i, j, (along, slice(x1 - width, x1)), (along, slice(u0, u0 + width))
            low, high = max(x0, u0), min(x1, u1)
            if y1 == v0 and high > low:
                width, along = min(strip_px, y1 - y0, v1 - v0), slice(low, high)
                yield i, j, (slice(y1 - width, y1), along), (slice(v0, v0 + width), along)


def as_raw(raw: np.ndarray) -> np.ndarray:
    """Return a raw frame as native, C-contiguous (ny, nx) uint16 or float32, whichever it is.

    No copy when it already is.
    """
    if raw.ndim != 2 or (raw.dtype.kind, raw.dtype.itemsize) not in (("u", 2), ("f", 4)):
        raise BadInput(
            "raw frame",
            found=f"{raw.ndim} dimensions of {raw.dtype}",
            expected="2 dimensions of unsigned 16-bit integers or of float32",
            do="read the frame with its BZERO applied and without conversion",
        )
    return np.ascontiguousarray(raw, dtype=np.uint16 if raw.dtype.kind == "u" else np.float32)


def per_amplifier(values: npt.ArrayLike, n_amp: int, name: str) -> np.ndarray:
    """Return `values` as a (n_amp,) float32 array; one number serves all amplifiers."""
    array = np.asarray(values, dtype=np.float32)
    if array.ndim > 1 or array.size not in (1, n_amp):
        raise BadInput(
            name,
            found=f"{array.size} values for {n_amp} amplifiers",
            expected="one value, or one for each amplifier",
            do="correct the camera's amplifier table",
        )
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (n_amp,)))


def _sizes(sections: np.ndarray) -> np.ndarray:
    return np.stack([sections[:, 1] - sections[:, 0], sections[:, 3] - sections[:, 2]], axis=1)
