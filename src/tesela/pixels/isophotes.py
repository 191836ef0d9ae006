"""Connected pixels above a threshold of the filtered image: detection before it is deblended.

The image is filtered row by row and only runs of pixels above the threshold are kept, so memory
follows what is found, not the image. Runs that touch, also by a corner, are one component. Bands
of rows are searched independently of each other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.components import find_root
from tesela.pixels.meshrows import NOTHING, MeshRows, fill_row

_BAND_ROWS = 256
_WORD = 8


class Noise(NamedTuple):
    """The threshold at every pixel: `factor` times the sky's sigma, given in one of three ways."""

    factor: float
    sigma: float
    """One number; not used if either of the others is there."""
    variance: NDArray[np.float32]
    """(ny, nx), or (1, 1) for none."""
    rows: MeshRows
    """Sigma as a mesh, or `NOTHING`."""
    least: float
    """Sigma is nowhere taken to be below this."""


@dataclass(frozen=True)
class Components:
    """Runs of pixels, sorted by component; component k has runs start[k] to start[k + 1]."""

    y: NDArray[np.int32]
    first: NDArray[np.int32]
    """Column of a run's first pixel."""
    after: NDArray[np.int32]
    """Column after its last."""
    start: NDArray[np.int64]
    n_pixels: NDArray[np.int64]
    """Of each component."""
    peak_x: NDArray[np.int32]
    """Where each component's filtered image is highest."""
    peak_y: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.n_pixels)


def find(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    kernel: NDArray[np.float32],
    noise: Noise,
    *,
    min_area_px: int,
    level: MeshRows = NOTHING,
    threads: int = 1,
) -> tuple[Components, int]:
    """Components of at least `min_area_px` pixels, in the order of their first pixels.

    Parameters
    ----------
    image : (ny, nx) float32, C-contiguous
    mask : (ny, nx) bool
        True = bad, or (1, 1) for none. Such pixels, and NaN, count as zero in the filter and
        belong to nothing.
    kernel : (ky, kx) float32
        The filter, odd sizes; the image is correlated with it.
    noise : Noise
    min_area_px : int
    level : MeshRows
        Sky to subtract while searching.
    threads : int

    Returns
    -------
    Components, and the number of pixels above the threshold
    """
    ny = image.shape[0]

    def band(first: int) -> tuple[NDArray[Any], ...]:
        return _search(image, mask, kernel, noise, level, first, min(first + _BAND_ROWS, ny))

    starts = range(0, ny, _BAND_ROWS)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(band, starts))
    else:
        found = [band(first) for first in starts]
    runs, peaks = (np.concatenate([part[k] for part in found]) for k in range(2))
    above = int((runs[:, 2] - runs[:, 1]).sum())
    return _components(runs, peaks, _join(runs), min_area_px), above


def paint(components: Components, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All their pixels: (ny, nx) bool."""
    out = np.zeros(shape, bool)
    _paint(components.y, components.first, components.after, out)
    return out


def _components(
    runs: NDArray[np.int32], peaks: NDArray[np.float32], root: NDArray[np.int64], min_area_px: int
) -> Components:
    """Sort runs by component, without the small ones."""
    length = (runs[:, 2] - runs[:, 1]).astype(np.int64)
    area = np.bincount(root, weights=length, minlength=len(runs)).astype(np.int64)
    kept = np.flatnonzero(area[root] >= min_area_px)
    order = kept[np.argsort(root[kept], kind="stable")]
    owners = root[order]
    start = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]]) if len(owners) else owners
    bounds = np.append(start, len(order)).astype(np.int64)
    top = _highest(peaks[order], bounds)
    return Components(
        np.ascontiguousarray(runs[order, 0]),
        np.ascontiguousarray(runs[order, 1]),
        np.ascontiguousarray(runs[order, 2]),
        bounds,
        area[owners[start]],
        runs[order[top], 3],
        runs[order[top], 0],
    )


@njit(cache=True, nogil=True)
def _highest(peaks, bounds):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The run of each component that holds its highest pixel."""
    top = np.empty(len(bounds) - 1, np.int64)
    for k in range(len(top)):
        top[k] = bounds[k] + np.argmax(peaks[bounds[k] : bounds[k + 1]])
    return top


@njit(cache=True, nogil=True)
def _load(image, mask, y, pad, level, row, good):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A row of the image, zero where it is of no use."""
    values = image[y]
    nx = len(values)
    zero = np.float32(0)
    if mask.shape[0] > 1 or mask.shape[1] == nx:
        bad = mask[y]
        for x in range(nx):
            value = values[x] - level[x]
            usable = (value - value == zero) & (not bad[x])
            row[pad + x] = value if usable else zero
            good[x] = usable
    else:
        for x in range(nx):
            value = values[x] - level[x]
            usable = value - value == zero
            row[pad + x] = value if usable else zero
            good[x] = usable


@njit(cache=True, nogil=True)
def _threshold(noise, y, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The threshold along row y."""
    factor, _, variance, rows, least = noise
    if variance.shape[0] > 1 or variance.shape[1] == len(out):
        values = variance[y]
        scale, floor = np.float32(factor), np.float32(least * least)
        for x in range(len(out)):
            out[x] = scale * np.sqrt(max(values[x], floor))
    elif rows[1].shape[0] > 1:
        fill_row(rows, y, out)
        scale, floor = np.float32(factor), np.float32(least)
        for x in range(len(out)):
            out[x] = scale * max(out[x], floor)


@njit(cache=True, nogil=True)
def _filter(ring, kernel, y, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Row y of the filtered image, from the rows in the ring."""
    height, width = kernel.shape
    half = height // 2
    out[:] = np.float32(0)
    nx = len(out)
    for j in range(height):
        row = ring[(y + j - half) % height]
        for i in range(width):
            weight = kernel[j, i]
            part = row[i : i + nx]
            for x in range(nx):
                out[x] += weight * part[x]


@njit(cache=True, nogil=True)
def _search(image, mask, kernel, noise, level, y0, y1):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Runs (y, first, after, column of the peak) and their peaks, in rows y0 to y1."""
    ny, nx = image.shape
    height, width = kernel.shape
    half, pad = height // 2, width // 2
    ring = np.zeros((height, nx + 2 * pad), np.float32)
    good = np.zeros((height, nx), np.bool_)
    sky = np.zeros(nx, np.float32)
    limit = np.full(nx, np.float32(noise[0] * noise[1]), np.float32)
    filtered = np.empty(nx, np.float32)
    hit = np.zeros((nx + _WORD - 1) // _WORD * _WORD, np.uint8)
    words = hit.view(np.uint64)
    runs, peaks = np.empty((1024, 4), np.int32), np.empty(1024, np.float32)
    n = 0
    for ahead in range(y0 - half, y1 + half):
        if 0 <= ahead < ny:
            if level[1].shape[0] > 1:
                fill_row(level, ahead, sky)
            _load(image, mask, ahead, pad, sky, ring[ahead % height], good[ahead % height])
        else:
            ring[ahead % height, :] = np.float32(0)
        y = ahead - half
        if y < y0:
            continue
        _filter(ring, kernel, y, filtered)
        _threshold(noise, y, limit)
        usable = good[y % height]
        for x in range(nx):
            hit[x] = (filtered[x] > limit[x]) & usable[x]
        x = 0
        while x < nx:
            if x % _WORD == 0 and words[x // _WORD] == 0:
                x += _WORD
                continue
            if hit[x] == 0:
                x += 1
                continue
            if n == len(peaks):
                runs, peaks = _grown(runs, peaks)
            first, top = x, x
            while x < nx and hit[x] != 0:
                if filtered[x] > filtered[top]:
                    top = x
                x += 1
            runs[n, 0], runs[n, 1], runs[n, 2], runs[n, 3] = y, first, x, top
            peaks[n] = filtered[top]
            n += 1
    return runs[:n].copy(), peaks[:n].copy()


@njit(cache=True, nogil=True)
def _grown(runs, peaks):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Room for twice as many."""
    n = len(peaks)
    more, higher = np.empty((2 * n, 4), np.int32), np.empty(2 * n, np.float32)
    more[:n], higher[:n] = runs, peaks
    return more, higher


@njit(cache=True, nogil=True)
def _join(runs):  # type: ignore[no-untyped-def]  # pragma: no cover
    """First run of the component that each run belongs to; runs come in the order of pixels."""
    n = len(runs)
    parent = np.arange(n)
    above, row = 0, 0
    for k in range(n):
        y, first, after = runs[k, 0], runs[k, 1], runs[k, 2]
        if k == 0 or runs[k - 1, 0] != y:
            row = k
            while above < row and runs[above, 0] < y - 1:
                above += 1
        # Runs of the row before that end left of this one touch no later one either.
        while above < row and runs[above, 0] == y - 1 and runs[above, 2] < first:
            above += 1
        m = above
        while m < row and runs[m, 0] == y - 1 and runs[m, 1] <= after:
            one, other = find_root(parent, m), find_root(parent, k)
            parent[max(one, other)] = min(one, other)
            m += 1
    for k in range(n):
        parent[k] = find_root(parent, k)
    return parent


@njit(cache=True, nogil=True)
def _paint(y, first, after, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(len(y)):
        out[y[k], first[k] : after[k]] = True
