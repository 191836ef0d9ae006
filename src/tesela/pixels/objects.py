"""From components above the threshold to deblended, cleaned and labelled objects.

Components are independent of each other, so threads share them out; the result does not depend on
how many there are.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.clean import eaten_by
from tesela.pixels.deblend import split
from tesela.pixels.isophotes import Components, Noise
from tesela.pixels.meshrows import value_at
from tesela.pixels.moments import OBJECT

_A_TASK = 512
_LEAST_THRESHOLD = 1e-30  # where no noise at all was claimed: levels are ratios
_MERGED_SUMS = ("flux", "filtered_flux", "n_pixels", "n_raw")


def objects_of(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    kernel: NDArray[np.float32],
    noise: Noise,
    components: Components,
    *,
    min_area_px: int,
    n_levels: int,
    contrast: float,
    clean_beta: float,
    threads: int = 1,
) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """Deblend the components, merge what is only a neighbour's wing, and label the pixels.

    image, mask, kernel and noise as in `isophotes.find`; clean_beta 0 merges nothing.

    Returns
    -------
    (n,) records of `moments.OBJECT`, and (ny, nx) int32: label k + 1 marks object k
    """
    pixels = np.concatenate([[0], np.cumsum(components.n_pixels)])
    owner = np.empty(pixels[-1], np.int32)
    n = len(components)
    runs = (components.y, components.first, components.after, components.start)
    settings = (n_levels, contrast, min_area_px)

    def part(first: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        last = min(first + _A_TASK, n)
        mine = owner[pixels[first] : pixels[last]]
        return _split_some(image, mask, kernel, noise, runs, first, last, settings, mine)

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, range(0, n, _A_TASK)))
    else:
        parts = [part(first) for first in range(0, n, _A_TASK)]
    found = np.concatenate([np.zeros(0, OBJECT), *(records for records, _ in parts)])
    counts = np.concatenate([np.zeros(0, np.int64), *(number for _, number in parts)])
    first_object = np.concatenate([[0], np.cumsum(counts)])
    eater = np.arange(len(found))
    if clean_beta > 0:
        eater = eaten_by(found, clean_beta, image.shape)
    label = _merge(found, eater)
    segmentation = np.zeros(image.shape, np.int32)
    _label(runs, owner, first_object, label, segmentation)
    return found[eater == np.arange(len(found))], segmentation


def _merge(found: NDArray[np.void], eater: NDArray[np.int64]) -> NDArray[np.int32]:
    """Add merged objects to those they are merged with; the label of every object: (n,)."""
    stays = eater == np.arange(len(found))
    gone = np.flatnonzero(~stays)
    for name in _MERGED_SUMS:
        np.add.at(found[name], eater[gone], found[name][gone])
    for name in ("peak", "filtered_peak", "xmax", "ymax"):
        np.maximum.at(found[name], eater[gone], found[name][gone])
    for name in ("xmin", "ymin"):
        np.minimum.at(found[name], eater[gone], found[name][gone])
    return np.cumsum(stays).astype(np.int32)[eater]


@njit(cache=True, nogil=True)
def _filtered_at(image, mask, kernel, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One pixel of the filtered image."""
    ny, nx = image.shape
    height, width = kernel.shape
    masked = mask.shape[0] > 1 or mask.shape[1] == nx
    total = np.float32(0)
    for j in range(height):
        row = y + j - height // 2
        if row < 0 or row >= ny:
            continue
        for i in range(width):
            column = x + i - width // 2
            if column < 0 or column >= nx or (masked and mask[row, column]):
                continue
            value = image[row, column]
            if value - value == np.float32(0):
                total += kernel[j, i] * value
    return total


@njit(cache=True, nogil=True)
def _threshold_at(noise, nx, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The threshold at one pixel."""
    factor, sigma, variance, rows, least = noise
    if variance.shape[0] > 1 or variance.shape[1] == nx:
        return factor * np.sqrt(max(np.float64(variance[y, x]), least * least))
    if rows[1].shape[0] > 1:
        return factor * max(value_at(rows, y, x), least)
    return factor * sigma


@njit(cache=True, nogil=True)
def _gather(image, mask, kernel, noise, runs, first, last, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The pixels of one component, its corner, and its threshold: the lowest of its pixels."""
    ys, starts, ends = runs
    x0, y0, x1, y1 = starts[first], ys[first], ends[first], ys[last - 1]
    for r in range(first, last):
        x0, x1 = min(x0, starts[r]), max(x1, ends[r])
    x, y = np.empty(n, np.int32), np.empty(n, np.int32)
    light, raw = np.empty(n, np.float32), np.empty(n, np.float32)
    place = np.full((y1 - y0 + 3, x1 - x0 + 2), np.int32(-1))
    threshold = np.inf
    p = 0
    for r in range(first, last):
        for i in range(starts[r], ends[r]):
            x[p], y[p] = i - x0, ys[r] - y0
            light[p] = _filtered_at(image, mask, kernel, ys[r], i)
            raw[p] = image[ys[r], i]
            place[y[p] + 1, x[p] + 1] = p
            threshold = min(threshold, _threshold_at(noise, image.shape[1], ys[r], i))
            p += 1
    return (x, y, light, raw, place, max(threshold, _LEAST_THRESHOLD)), x0, y0


@njit(cache=True, nogil=True)
def _split_some(image, mask, kernel, noise, runs, k0, k1, settings, owner):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Objects of components k0 to k1, and how many each has; fills owner by pixel."""
    n_levels, contrast, min_area = settings
    start = runs[3]
    found = np.empty(k1 - k0, OBJECT)
    counts = np.empty(k1 - k0, np.int64)
    total = at = 0
    for k in range(k0, k1):
        first, last = start[k], start[k + 1]
        n = 0
        for r in range(first, last):
            n += runs[2][r] - runs[1][r]
        c, x0, y0 = _gather(image, mask, kernel, noise, (runs[0], runs[1], runs[2]), first, last, n)
        parts = split(c, n_levels, contrast, min_area, owner[at : at + n])
        at += n
        counts[k - k0] = len(parts)
        while total + len(parts) > len(found):
            more = np.empty(2 * len(found), OBJECT)
            more[:total] = found[:total]
            found = more
        for m in range(len(parts)):
            o = parts[m]
            o.x += x0
            o.y += y0
            o.xmin, o.xmax = o.xmin + x0, o.xmax + x0
            o.ymin, o.ymax = o.ymin + y0, o.ymax + y0
            found[total] = parts[m]
            total += 1
    return found[:total].copy(), counts


@njit(cache=True, nogil=True)
def _label(runs, owner, first_object, label, segmentation):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the labels of the objects into their pixels."""
    ys, starts, ends, begin = runs
    p = 0
    for k in range(len(begin) - 1):
        for r in range(begin[k], begin[k + 1]):
            for x in range(starts[r], ends[r]):
                segmentation[ys[r], x] = label[first_object[k] + owner[p]]
                p += 1
