"""A frame in units of its noise, clipped and binned: the planes along whose lines trails show."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.ndimage import uniform_filter

from tesela.pixels import threads as threading

CLIP_SIGMA = 4.0
BRIGHT_CLIP_SIGMA = 2.0
BACKGROUND_BINS = 15

Sums = tuple[np.ndarray, np.ndarray]
"""Of the values in each bin, and how many they are."""


def binned(
    image: np.ndarray,
    bad: np.ndarray,
    hidden: np.ndarray,
    noise: float | np.ndarray,
    step: int,
    threads: int,
) -> tuple[Sums, Sums, Sums]:
    """The image in units of noise, clipped and binned, large scales removed: where no object
    hides it; with the objects, clipped harder; and the first again in bins half as large."""
    plane = np.ascontiguousarray(np.atleast_2d(np.asarray(noise, dtype=np.float32)))
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    ny, nx = image.shape[0] // step, image.shape[1] // step
    parts = 1 if step % 2 else 2
    sums = np.zeros((4, ny, nx), np.float32)
    fine = np.zeros((2, parts * ny, parts * nx), np.float32)
    clips = np.float32(CLIP_SIGMA), np.float32(BRIGHT_CLIP_SIGMA)

    def band(rows: tuple[int, int]) -> None:
        _sum_bins(pixels, bad, hidden, plane, step, clips, rows[0], rows[1], sums, fine)

    threading.each(band, threading.bands(ny, threads), threads)
    free, shown = threading.each(
        lambda two: _level(two[0], two[1], step), (sums[:2], sums[2:]), threads
    )
    sums[0] -= free * sums[1]
    sums[2] -= shown * sums[3]
    within = blocks_of(fine[0], (ny, nx))
    within -= free[..., None, None] * blocks_of(fine[1], (ny, nx))
    return (sums[0], sums[1]), (sums[2], sums[3]), (fine[0], fine[1])


def _level(signal: np.ndarray, weight: np.ndarray, step: int) -> np.ndarray:
    """Mean of the surroundings of each bin."""
    size = min(BACKGROUND_BINS, min(signal.shape) | 1)
    level = uniform_filter(signal, size, mode="constant")
    level /= np.maximum(uniform_filter(weight, size, mode="constant"), 0.05 * step**2)
    return level


def blocks_of(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The fine bins of each bin, (ny, nx, parts, parts): a view."""
    parts = plane.shape[0] // shape[0]
    return plane.reshape(shape[0], parts, shape[1], parts).transpose(0, 2, 1, 3)


@njit(cache=True, nogil=True)
def _sum_bins(image, bad, hidden, noise, step, clips, y0, y1, sums, fine):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill rows [y0, y1) of the sums: signal and weight outside objects, then of all."""
    nx = sums.shape[2]
    small = step * nx // fine.shape[2]
    whole = noise.size == 1
    clip, bright = clips
    for y in range(y0 * step, y1 * step):
        row = y // step
        fine_row = y // small
        for column in range(nx):
            shown = number = np.float32(0)
            for part in range(column * step // small, (column + 1) * step // small):
                signal = weight = np.float32(0)
                for x in range(part * small, (part + 1) * small):
                    if bad[y, x]:
                        continue
                    value = image[y, x] / (noise[0, 0] if whole else noise[y, x])
                    shown += min(max(value, -bright), bright)
                    number += np.float32(1)
                    if not hidden[y, x]:
                        signal += min(max(value, -clip), clip)
                        weight += np.float32(1)
                fine[0, fine_row, part] += signal
                fine[1, fine_row, part] += weight
                sums[0, row, column] += signal
                sums[1, row, column] += weight
            sums[2, row, column] += shown
            sums[3, row, column] += number
