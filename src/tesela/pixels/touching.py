"""Where marked pixels are: beside objects, near sources, within a distance.

Marked pixels are few, so rows are looked through eight pixels at a time and work follows what is
found.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_WORD = 8


def count(
    segmentation: NDArray[np.int32],
    marked: NDArray[np.bool_],
    n: int,
    image: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """How many marked pixels lie in, or next to, each object.

    Parameters
    ----------
    segmentation : (ny, nx) int32
        Label k + 1 marks object k.
    marked : (ny, nx) bool, or (1, 1) for none
    n : int
        Number of objects.
    image : (ny, nx) float32, optional
        Its pixels that are not finite count as marked.

    Returns
    -------
    (n,) int64
    """
    values = np.zeros((1, 1), np.float32) if image is None else image
    return _count(segmentation, marked, values, n)


def near(
    marked: NDArray[np.bool_], x: NDArray[np.int64], y: NDArray[np.int64], reach_px: float
) -> NDArray[np.bool_]:
    """Whether a marked pixel lies within `reach_px` of each pixel (x, y) of the image: (n,)."""
    return _near(np.ascontiguousarray(marked, bool), x, y, float(reach_px))


def grown(marked: NDArray[np.int32] | NDArray[np.bool_], reach_px: float) -> NDArray[np.bool_]:
    """All pixels within `reach_px` of a marked (non-zero) one: (ny, nx) bool."""
    reach = int(np.floor(reach_px))
    half_width = np.floor(np.sqrt(np.maximum(reach_px**2 - np.arange(reach + 1) ** 2, 0.0)))
    return _grow(np.ascontiguousarray(marked), half_width.astype(np.int64))


@njit(cache=True, nogil=True)
def _count(segmentation, marked, image, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = segmentation.shape
    counts = np.zeros(n, np.int64)
    hit = np.zeros((nx + _WORD - 1) // _WORD * _WORD, np.uint8)
    words = hit.view(np.uint64)
    with_mask = marked.shape[0] > 1 or marked.shape[1] == nx
    with_image = image.shape[0] > 1 or image.shape[1] == nx
    seen = np.empty(9, np.int64)
    for y in range(ny):
        hit[:] = 0
        if with_mask:
            row = marked[y]
            for x in range(nx):
                hit[x] |= row[x]
        if with_image:
            values = image[y]
            for x in range(nx):
                hit[x] |= values[x] - values[x] != np.float32(0)
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for x in range(word * _WORD, min(word * _WORD + _WORD, nx)):
                if hit[x] != 0:
                    _count_one(segmentation, x, y, seen, counts)
    return counts


@njit(cache=True, nogil=True)
def _count_one(segmentation, x, y, seen, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A pixel counts once for each object that it touches."""
    ny, nx = segmentation.shape
    m = 0
    for j in range(max(0, y - 1), min(ny, y + 2)):
        for i in range(max(0, x - 1), min(nx, x + 2)):
            label = segmentation[j, i]
            if label <= 0:
                continue
            new = True
            for k in range(m):
                new = new and seen[k] != label
            if new:
                seen[m] = label
                m += 1
                counts[label - 1] += 1


@njit(cache=True, nogil=True)
def _near(marked, x, y, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = marked.shape
    whole = int(reach)
    found = np.zeros(len(x), np.bool_)
    for k in range(len(x)):
        for j in range(max(0, y[k] - whole), min(ny, y[k] + whole + 1)):
            for i in range(max(0, x[k] - whole), min(nx, x[k] + whole + 1)):
                if marked[j, i] and (i - x[k]) ** 2 + (j - y[k]) ** 2 <= reach * reach:
                    found[k] = True
    return found


@njit(cache=True, nogil=True)
def _grow(marked, half_width):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Paint the disc around every run of marked pixels."""
    ny, nx = marked.shape
    reach = len(half_width) - 1
    out = np.zeros((ny, nx), np.bool_)
    hit = np.zeros((nx + _WORD - 1) // _WORD * _WORD, np.uint8)
    words = hit.view(np.uint64)
    for y in range(ny):
        row = marked[y]
        for x in range(nx):
            hit[x] = row[x] != 0
        x = 0
        while x < nx:
            if x % _WORD == 0 and words[x // _WORD] == 0:
                x += _WORD
                continue
            if hit[x] == 0:
                x += 1
                continue
            first = x
            while x < nx and hit[x] != 0:
                x += 1
            for j in range(max(0, y - reach), min(ny, y + reach + 1)):
                wide = half_width[abs(j - y)]
                out[j, max(0, first - wide) : min(nx, x + wide)] = True
    return out
