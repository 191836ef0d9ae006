"""Is an exposure a flat? The light on large scales, and compact sources that flats do not have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

CELL_PX = 32
CELL_SAMPLE = 256
SOURCE_SIGMA = 8.0
WINGS = 4  # of eight neighbours that a star lights up and a hot pixel or a ray does not
RING = 6  # pixels from the middle of a source at which its light has fallen to less than half


@dataclass(frozen=True)
class Cells:
    """An image in cells of about 32 x 32 pixels.

    Attributes
    ----------
    level, sigma : (my, mx) float32
        Median and robust scatter of each cell; NaN where nothing is unmasked.
    edges_y, edges_x : (my + 1,), (mx + 1,) int64
        Where the cells begin and end.
    """

    level: np.ndarray
    sigma: np.ndarray
    edges_y: np.ndarray
    edges_x: np.ndarray


def cells(image: np.ndarray, bad: np.ndarray | None = None, *, cell_px: int = CELL_PX) -> Cells:
    """Median and scatter of an image in cells, from up to 256 pixels of each.

    Parameters
    ----------
    image : (ny, nx) float32
    bad : (ny, nx) bool, optional
        True = leave out. NaN are left out too.
    cell_px : int
        Side of a cell, to the nearest that divides the image evenly.
    """
    ny, nx = image.shape
    edges_y = np.linspace(0, ny, max(1, round(ny / cell_px)) + 1).astype(np.int64)
    edges_x = np.linspace(0, nx, max(1, round(nx / cell_px)) + 1).astype(np.int64)
    level = np.full((len(edges_y) - 1, len(edges_x) - 1), np.nan, np.float32)
    sigma = level.copy()
    mask = np.zeros((0, 0), np.bool_) if bad is None else np.ascontiguousarray(bad, np.bool_)
    _cells(image, mask, edges_y, edges_x, level, sigma)
    return Cells(level, sigma, edges_y, edges_x)


def dim_fraction(level: np.ndarray) -> float:
    """Fraction of the cells that get less than half the light of the bright ones.

    Parameters
    ----------
    level : (my, mx)
        Of `Cells`. The bright ones are the tenth of the cells with most light.
    """
    known = level[np.isfinite(level)]
    if not known.size:
        return 1.0
    return float(np.mean(known < 0.5 * np.percentile(known, 90)))


def departure(level: np.ndarray, typical: np.ndarray) -> float:
    """How far the light of an exposure is from the typical light on large scales.

    Parameters
    ----------
    level, typical : (my, mx)
        Cells; their ratio is divided by its median.

    Returns
    -------
    float
        The 98th percentile of |ratio - 1|: a few cells may be spoiled.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = level / typical
    ratio = ratio[np.isfinite(ratio)]
    if not ratio.size:
        return np.inf
    middle = np.median(ratio)
    return float(np.percentile(np.abs(ratio / middle - 1), 98)) if middle > 0 else np.inf


def count_sources(image: np.ndarray, found: Cells) -> int:
    """Number of compact sources: what stands out of its cell with neighbours around it.

    A source is a pixel above the level of its cell by more than 8 times its scatter, higher than
    its eight neighbours, of which at least four have a tenth of its height and 2.5 times the
    scatter, and none six pixels away has half of it: stars do so; hot pixels, bad columns, bright
    edges and most cosmic rays do not.

    Parameters
    ----------
    image : (ny, nx) float32
    found : Cells
        Of this image.
    """
    level = np.nan_to_num(found.level, nan=np.inf)
    sigma = np.maximum(np.nan_to_num(found.sigma, nan=1.0), 1e-6).astype(np.float32)
    return int(
        _sources(image, level, sigma, found.edges_y, found.edges_x, np.float32(SOURCE_SIGMA))
    )


@njit(cache=True, nogil=True)
def _cells(image, bad, edges_y, edges_x, level, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    values = np.empty(CELL_SAMPLE * 4, np.float32)
    for j in range(level.shape[0]):
        for i in range(level.shape[1]):
            y0, y1, x0, x1 = edges_y[j], edges_y[j + 1], edges_x[i], edges_x[i + 1]
            step = max(1, int(np.sqrt((y1 - y0) * (x1 - x0) / CELL_SAMPLE)))
            n = 0
            for y in range(y0, y1, step):
                for x in range(x0, x1, step):
                    if n == values.size or (bad.size and bad[y, x]) or np.isnan(image[y, x]):
                        continue
                    values[n] = image[y, x]
                    n += 1
            if n:
                middle = np.median(values[:n])
                level[j, i] = middle
                sigma[j, i] = 1.4826 * np.median(np.abs(values[:n] - middle))


@njit(cache=True, nogil=True)
def _sources(image, level, sigma, edges_y, edges_x, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    count = 0
    for j in range(level.shape[0]):
        for i in range(level.shape[1]):
            zero, noise = level[j, i], sigma[j, i]
            limit = zero + cut * noise
            for y in range(max(edges_y[j], RING), min(edges_y[j + 1], ny - RING)):
                first, last = max(edges_x[i], RING), min(edges_x[i + 1], nx - RING)
                row, n_high = image[y], 0
                for x in range(first, last):
                    n_high += row[x] > limit
                if n_high == 0:  # nearly always
                    continue
                for x in range(first, last):
                    top = image[y, x]
                    if not top > limit:
                        continue
                    wing = zero + max(np.float32(2.5) * noise, np.float32(0.1) * (top - zero))
                    n, is_peak = 0, True
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            other = image[y + dy, x + dx]
                            if dy == 0 and dx == 0:
                                continue
                            n += other > wing
                            is_before = dy < 0 or (dy == 0 and dx < 0)
                            if other > top or (is_before and other == top):
                                is_peak = False
                    if is_peak and n >= WINGS:
                        count += _is_alone(image, y, x, zero)
    return count


@njit(cache=True, nogil=True)
def _is_alone(image, y, x, zero):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether nothing `RING` pixels away, on eight sides, has half the height of a peak."""
    half = zero + np.float32(0.5) * (image[y, x] - zero)
    for dy in (-RING, 0, RING):
        for dx in (-RING, 0, RING):
            if not (dy == 0 and dx == 0) and image[y + dy, x + dx] > half:
                return False
    return True
