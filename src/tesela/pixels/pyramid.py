"""An image at several scales, each half the one before, with its mask: to be looked at."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels import threads as threading

LARGEST_PX = 2560
SMALLEST_PX = 256

Level = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Image and mask."""


def levels(
    image: NDArray[np.float32],
    mask: NDArray[np.uint8],
    *,
    largest_px: int = LARGEST_PX,
    smallest_px: int = SMALLEST_PX,
    threads: int = 1,
) -> dict[int, Level]:
    """Bin an image until it is as small as a stamp.

    Parameters
    ----------
    image : (ny, nx) float32
        Pixels that are not finite are left out.
    mask : (ny, nx) uint8
    largest_px : int
        Longest side of the first level: a power of two is chosen for its bins.
    smallest_px : int
        No level has a longest side below this, but there is one level at least.
    threads : int
        Rows of the first level are shared between them.

    Returns
    -------
    dict by the side of a bin in pixels
        Mean of the finite pixels (NaN where there is none) and all codes that any pixel has; bins
        at the upper edges may be smaller. (ceil(ny / bin), ceil(nx / bin)).
    """
    side = 1
    while max(image.shape) > largest_px * side:
        side *= 2
    found = {side: binned(image, mask, side, threads)}
    while max(found[side][0].shape) >= 2 * smallest_px:
        found[2 * side] = binned(*found[side], 2, threads)
        side *= 2
    return found


def binned(image: NDArray[np.float32], mask: NDArray[np.uint8], side: int, threads: int) -> Level:
    """Mean of the finite pixels of bins, and all codes in them: a level by itself."""
    shape = (-(-image.shape[0] // side), -(-image.shape[1] // side))
    mean, codes = np.empty(shape, np.float32), np.empty(shape, np.uint8)

    def band(rows: tuple[int, int]) -> None:
        _bin(image, mask, side, rows[0], rows[1], mean, codes)

    threading.each(band, threading.bands(shape[0], threads), threads)
    return mean, codes


@njit(cache=True, nogil=True)
def _bin(image, mask, side, y0, y1, mean, codes):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    for j in range(y0, y1):
        for i in range(mean.shape[1]):
            total = np.float32(0)
            n = 0
            code = np.uint8(0)
            for y in range(j * side, min((j + 1) * side, ny)):
                for x in range(i * side, min((i + 1) * side, nx)):
                    if np.isfinite(image[y, x]):
                        total += image[y, x]
                        n += 1
                    code |= mask[y, x]
            mean[j, i] = total / n if n > 0 else np.nan
            codes[j, i] = code
