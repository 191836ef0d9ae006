"""Pixels that do not behave like those around them: hot, cold, and whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from tesela.pixels import background, robust
from tesela.pixels.framestats import sample
from tesela.pixels.sections import as_sections

COLUMN_ROWS = 64
"""Rows over which a column is averaged."""
REACH = 3
"""Pixels on either side that confirm an outlier."""
NEIGHBOURS = 6
"""Columns on either side that it is compared with."""


def local_excess(part: np.ndarray, bad: np.ndarray | None, mesh_px: int) -> np.ndarray:
    """`part` less its own level on scales beyond `mesh_px`, (ny, nx) float32.

    Parameters
    ----------
    part : (ny, nx) float32
        One amplifier: levels step from one to the next.
    bad : (ny, nx) bool or None
        True = does not count for the level.
    """
    level = background.measure(part, bad, mesh_px=mesh_px, filter_meshes=1).level()
    return np.subtract(part, level, out=level)


def outliers(
    image: np.ndarray,
    sections: npt.ArrayLike,
    *,
    sigma: float,
    least: float = 0.0,
    mesh_px: int = 32,
    both: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Find pixels far from their surroundings, amplifier by amplifier.

    Surroundings are the mesh of `background`; what stands out of it must stand out of the median of
    the 48 pixels around it as well, or the steep glow of an output would be a defect.

    Parameters
    ----------
    image : (ny, nx) float32
    sections : (n_amp, 4) int, half-open [x0, x1, y0, y1] in `image`
    sigma : float
        In units of the robust scatter of the amplifier's pixels about their surroundings.
    least : float
        And by at least this, in the unit of the image.
    mesh_px : int
        Scale of the surroundings.
    both : bool
        Whether low ones count too.

    Returns
    -------
    (ny, nx) bool
        True = outlier.
    (n_amp,) float64
        The scatter of each amplifier.
    """
    boxes = as_sections(sections, (image.shape[0], image.shape[1]), "destination")
    found = np.zeros(image.shape, bool)
    scatter = np.zeros(len(boxes))
    for k, (x0, x1, y0, y1) in enumerate(boxes):
        excess = local_excess(image[y0:y1, x0:x1], None, mesh_px)
        scatter[k] = _robust_sigma(excess)
        limit = max(sigma * scatter[k], least)
        far = (np.abs(excess) if both else excess) > limit
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        found[y0:y1, x0:x1] = _confirmed(part, far, np.float32(limit))
    return found, scatter


def unlike_neighbours(
    image: np.ndarray,
    sections: npt.ArrayLike,
    bad: np.ndarray,
    *,
    limits: tuple[float, float],
    column: float,
    mesh_px: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Find pixels and columns whose response is unlike that of their surroundings.

    Parameters
    ----------
    image : (ny, nx) float32
        A flat.
    sections : (n_amp, 4) int
    bad : (ny, nx) bool
        True = does not count for the surroundings.
    limits : (low, high)
        Ratio to the surroundings beyond which a pixel is bad.
    column : float
        A column is bad where the mean of 64 of its rows differs by more than this fraction (and by
        six times the error of that mean) from its neighbours'. Single pixels count for twice this
        at most, so the ends of a bad stretch are found to a few pixels.
    mesh_px : int
        Scale of the surroundings.

    Returns
    -------
    pixels, columns : (ny, nx) bool, True = bad
    """
    boxes = as_sections(sections, (image.shape[0], image.shape[1]), "destination")
    pixels, columns = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    for x0, x1, y0, y1 in boxes:
        part = image[y0:y1, x0:x1]
        if bad[y0:y1, x0:x1].all():
            continue
        around = background.measure(
            part, bad[y0:y1, x0:x1], mesh_px=mesh_px, filter_meshes=1
        ).level()
        ratio = np.divide(part, np.maximum(around, np.float32(0.01)), out=around)
        pixels[y0:y1, x0:x1] = (ratio < limits[0]) | (ratio > limits[1]) | ~(part >= 0.05)
        ratio -= 1
        limit = max(column, 6 * _robust_sigma(ratio) / np.sqrt(min(COLUMN_ROWS, y1 - y0)))
        columns[y0:y1, x0:x1] = column_defects(ratio, limit)
    return pixels, columns


def column_defects(excess: np.ndarray, limit: float, *, n_rows: int = COLUMN_ROWS) -> np.ndarray:
    """Where the running mean of a column differs from its neighbours' by more than a limit.

    Parameters
    ----------
    excess : (ny, nx) float32
        NaN count as zero.
    limit : float
        Pixels are cut at +-twice this before `n_rows` of them are averaged; the mean is compared
        with the median of those of the six columns on one side and on the other.

    Returns
    -------
    (ny, nx) bool
    """
    found = np.zeros(excess.shape, np.bool_)
    if excess.shape[0]:
        mean = np.zeros(excess.shape, np.float32)
        _running_means(
            np.ascontiguousarray(excess), np.float32(limit), min(n_rows, len(excess)), mean
        )
        _unlike(mean, np.float32(limit), found)
    return found


def join_columns(
    mask: np.ndarray, *, gap_rows: int, min_pixels: int, min_fraction: float
) -> np.ndarray:
    """Close the gaps in column defects: pixels to add to a mask, (ny, nx) bool.

    Bad pixels of a column no further than `gap_rows` apart are one defect if they are at least
    `min_pixels` and `min_fraction` of its length.

    Parameters
    ----------
    mask : (ny, nx) bool, True = bad
    """
    added = np.zeros(mask.shape, np.bool_)
    _join(np.ascontiguousarray(mask, np.bool_), gap_rows, min_pixels, min_fraction, added)
    return added


def _robust_sigma(values: np.ndarray) -> float:
    return robust.sigma(sample(values, 1_000_000))


@njit(cache=True, nogil=True)
def _confirmed(image, candidates, limit):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    found = np.zeros((ny, nx), np.bool_)
    near = np.empty((2 * REACH + 1) ** 2, np.float32)
    for y in range(ny):
        for x in range(nx):
            if not candidates[y, x]:
                continue
            n = 0
            for j in range(max(y - REACH, 0), min(y + REACH + 1, ny)):
                for i in range(max(x - REACH, 0), min(x + REACH + 1, nx)):
                    if not (i == x and j == y):
                        near[n] = image[j, i]
                        n += 1
            found[y, x] = n == 0 or abs(image[y, x] - np.median(near[:n])) > limit
    return found


@njit(cache=True, nogil=True)
def _running_means(excess, limit, n_rows, mean):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Row by row, all columns abreast: each keeps the sum of the last `n_rows`."""
    ny, nx = excess.shape
    total = np.zeros(nx, np.float64)
    cut = 2 * limit
    half = n_rows // 2
    for y in range(ny + half):
        leaves = y - n_rows
        for x in range(nx):
            if y < ny and not np.isnan(excess[y, x]):
                total[x] += min(max(excess[y, x], -cut), cut)
            if leaves >= 0 and not np.isnan(excess[leaves, x]):
                total[x] -= min(max(excess[leaves, x], -cut), cut)
        middle = y - half
        if middle >= 0:
            n = min(y, ny - 1) - max(leaves + 1, 0) + 1
            for x in range(nx):
                mean[middle, x] = total[x] / n


@njit(cache=True, nogil=True)
def _unlike(mean, limit, found):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = mean.shape
    near = np.empty(NEIGHBOURS, np.float32)
    for y in range(ny):
        for x in range(nx):
            if abs(mean[y, x]) < np.float32(0.5) * limit:
                continue  # like its surroundings, as nearly all are
            is_unlike = True
            for first, last in ((x - NEIGHBOURS, x), (x + 1, x + NEIGHBOURS + 1)):
                n = 0
                for i in range(max(first, 0), min(last, nx)):
                    near[n] = mean[y, i]
                    n += 1
                if n:
                    is_unlike &= abs(mean[y, x] - np.median(near[:n])) > limit
            found[y, x] = is_unlike


@njit(cache=True, nogil=True)
def _join(mask, gap_rows, min_pixels, min_fraction, added):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Row by row, all columns abreast: each keeps the stretch that it is in."""
    ny, nx = mask.shape
    first = np.full(nx, -1, np.int64)
    last = np.full(nx, -1, np.int64)
    count = np.zeros(nx, np.int64)
    for y in range(ny + gap_rows + 1):
        for x in range(nx):
            if count[x] > 0 and y - last[x] > gap_rows:
                length = last[x] - first[x] + 1
                if count[x] >= min_pixels and count[x] >= min_fraction * length:
                    for j in range(first[x], last[x] + 1):
                        added[j, x] = not mask[j, x]
                count[x] = 0
            if y < ny and mask[y, x]:
                if count[x] == 0:
                    first[x] = y
                last[x] = y
                count[x] += 1
