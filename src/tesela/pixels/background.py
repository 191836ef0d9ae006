"""The sky under the objects: a coarse mesh of clipped modes, expanded by a bicubic spline.

The estimator follows Bertin & Arnouts 1996 (A&AS 117, 393): inside every cell of the mesh the
histogram is clipped at three sigma until it stops changing, and the level is
``2.5 median - 1.5 mean`` unless the histogram is skewed (crowding), when it is the median.
The plane is a pure function of the stored float32 mesh, so a sky that was subtracted can be
rebuilt, bit for bit, from a few kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from tesela.errors import QualityError
from tesela.pixels import meshrows
from tesela.pixels import threads as threading
from tesela.pixels.meshrows import MeshRows

N_BINS = 2048
N_SAMPLE = 1024
HALF_RANGE_SIGMA = 8.0
CLIP_SIGMA = 3.0
CLIPPED_STD = 0.98658  # standard deviation of a unit Gaussian cut at +-3 sigma
DIGITISED = 0.1  # part of the pixels in one bin, beyond which a median has no decimals
SKEWED = 0.3  # (mean - median) / sigma beyond which the mode formula is not trusted
MIN_GOOD_FRACTION = 0.2


@dataclass(frozen=True)
class Background:
    """Sky level and noise of one image on a coarse mesh.

    Attributes
    ----------
    mesh_level, mesh_rms : (my, mx) float32, units of the image
        What has to be stored; the planes below depend on nothing else.
    shape : (int, int)
        Shape (ny, nx) of the image.
    mesh_px : int
        Requested side of a cell, pixels.
    """

    mesh_level: NDArray[np.float32]
    mesh_rms: NDArray[np.float32]
    shape: tuple[int, int]
    mesh_px: int

    def level(self) -> NDArray[np.float32]:
        """Sky level of every pixel, (ny, nx) float32."""
        return from_mesh(self.mesh_level, self.shape, self.mesh_px)

    def rms(self) -> NDArray[np.float32]:
        """Sky noise (one sigma) of every pixel, (ny, nx) float32, at least half the least cell."""
        plane = from_mesh(self.mesh_rms, self.shape, self.mesh_px)
        # A spline may undershoot between steep neighbours; a noise of zero would be a lie.
        return np.maximum(plane, np.float32(0.5) * self.mesh_rms.min())

    def rows(self) -> MeshRows:
        """The level for loops that need no whole plane."""
        return rows_of_mesh(self.mesh_level, self.shape, self.mesh_px)

    def level_at(self, x: NDArray[np.number], y: NDArray[np.number]) -> NDArray[np.float64]:
        """Sky level of the pixels nearest to (x, y), (n,)."""
        return _at(self.mesh_level, self, x, y)

    def rms_at(self, x: NDArray[np.number], y: NDArray[np.number]) -> NDArray[np.float64]:
        """Sky noise of the pixels nearest to (x, y), (n,), at least half the least cell."""
        return np.maximum(_at(self.mesh_rms, self, x, y), 0.5 * float(self.mesh_rms.min()))

    @property
    def median_level(self) -> float:
        """One number for the frame's sky."""
        return float(np.median(self.mesh_level))

    @property
    def median_rms(self) -> float:
        """One number for the frame's sky noise."""
        return float(np.median(self.mesh_rms))


def measure(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    *,
    mesh_px: int = 128,
    filter_meshes: int = 3,
    min_good_fraction: float = MIN_GOOD_FRACTION,
    threads: int = 1,
) -> Background:
    """Measure the sky of an image.

    Parameters
    ----------
    image : (ny, nx) float32
        Any unit. NaN and infinities count as masked.
    mask : (ny, nx) bool or None
        True = bad or object: never enters a statistic.
    mesh_px : int
        Side of a cell; the image is divided into the nearest whole number of equal cells.
    filter_meshes : int
        Side of the median filter over cells (1 = none).
    min_good_fraction : float
        A cell with a smaller part of its pixels unmasked takes its neighbours' level.
    threads : int
        Rows of cells are shared between them.

    Returns
    -------
    Background

    Raises
    ------
    QualityError
        If no cell keeps that part of its pixels.
    """
    ny, nx = image.shape
    edges_y, edges_x = _edges(ny, _cells(ny, mesh_px)), _edges(nx, _cells(nx, mesh_px))
    bad = np.zeros(image.shape, bool) if mask is None else np.ascontiguousarray(mask, bool)
    pixels = np.ascontiguousarray(image, np.float32)

    def cells(rows: tuple[int, int]) -> NDArray[np.float64]:
        edges = edges_y[rows[0] : rows[1] + 1]
        return np.stack(_mesh_statistics(pixels, bad, edges, edges_x, min_good_fraction))

    parts = threading.bands(len(edges_y) - 1, threads)
    level, rms = np.concatenate(threading.each(cells, parts, threads), axis=1)
    known = np.isfinite(level)
    if not known.any():
        raise QualityError(
            f"background of an image of {ny} x {nx} px",
            found=f"all {level.size} cells are more than {1 - min_good_fraction:.0%} masked",
            expected="at least one cell of sky",
            do="use a larger mesh or a smaller object mask",
        )
    level, rms = _fill(level, known), _fill(rms, known)
    if filter_meshes > 1:
        # Replicated edges keep a gradient unbiased in the outermost cells; mirrored ones do not.
        level = median_filter(level, filter_meshes, mode="nearest")
        rms = median_filter(rms, filter_meshes, mode="nearest")
    return Background(level.astype(np.float32), rms.astype(np.float32), (ny, nx), mesh_px)


def from_mesh(
    mesh: NDArray[np.float32], shape: tuple[int, int], mesh_px: int
) -> NDArray[np.float32]:
    """Expand a stored mesh into the plane it stands for.

    Parameters
    ----------
    mesh : (my, mx) float32
        Value of every cell, as in `Background.mesh_level`.
    shape : (int, int)
        (ny, nx) of the plane.
    mesh_px : int
        The side of a cell that was asked for when measuring: checked against the mesh's shape.

    Returns
    -------
    (ny, nx) float32
        Natural bicubic spline through the centres of the cells, linear outside them.
    """
    plane = np.empty(shape, np.float32)
    _fill_plane(rows_of_mesh(mesh, shape, mesh_px), plane)
    return plane


def rows_of_mesh(mesh: NDArray[np.float32], shape: tuple[int, int], mesh_px: int) -> MeshRows:
    """The mesh for loops that need no whole plane; parameters as `from_mesh`."""
    ny, nx = shape
    expected = (_cells(ny, mesh_px), _cells(nx, mesh_px))
    if mesh.shape != expected:
        raise ValueError(
            f"mesh of {mesh.shape} cells for {ny} x {nx} px in cells of {mesh_px} px: "
            f"expected {expected}"
        )
    return meshrows.expand(mesh, shape)


def subtract(image: NDArray[np.float32], sky: Background, *, threads: int = 1) -> None:
    """Subtract the level of `sky` from `image` (ny, nx) in place, without a plane of it."""
    _add(image, sky, np.float32(-1), threads)


def add(image: NDArray[np.float32], sky: Background, *, threads: int = 1) -> None:
    """Put the level of `sky` back into `image` (ny, nx), in place."""
    _add(image, sky, np.float32(1), threads)


def _add(image: NDArray[np.float32], sky: Background, sign: np.float32, threads: int) -> None:
    level = sky.rows()

    def band(rows: tuple[int, int]) -> None:
        _add_rows(level, sign, image, rows[0], rows[1])

    threading.each(band, threading.bands(len(image), threads), threads)


def _at(
    mesh: NDArray[np.float32], of: Background, x: NDArray[np.number], y: NDArray[np.number]
) -> NDArray[np.float64]:
    ny, nx = of.shape
    column = np.clip(np.rint(x), 0, nx - 1).astype(np.int64)
    row = np.clip(np.rint(y), 0, ny - 1).astype(np.int64)
    found = np.empty(len(row), np.float64)
    _pick(rows_of_mesh(mesh, of.shape, of.mesh_px), row, column, found)
    return found


def _cells(size: int, mesh_px: int) -> int:
    return max(1, round(size / mesh_px))


def _edges(size: int, cells: int) -> NDArray[np.int64]:
    return np.round(np.linspace(0, size, cells + 1)).astype(np.int64)


def _fill(mesh: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give cells without sky the inverse-distance mean of the cells that have it."""
    if known.all():
        return mesh
    filled = mesh.copy()
    good = np.argwhere(known).astype(np.float64)
    values = mesh[known]
    for j, i in np.argwhere(~known):
        weight = 1.0 / ((good[:, 0] - j) ** 2 + (good[:, 1] - i) ** 2) ** 2
        filled[j, i] = np.sum(weight * values) / np.sum(weight)
    return filled


@njit(cache=True, nogil=True)
def _mesh_statistics(image, bad, edges_y, edges_x, min_good):  # type: ignore[no-untyped-def]  # pragma: no cover
    my, mx = len(edges_y) - 1, len(edges_x) - 1
    level = np.full((my, mx), np.nan)
    rms = np.full((my, mx), np.nan)
    counts = np.zeros(N_BINS, np.int64)
    for j in range(my):
        for i in range(mx):
            y0, y1, x0, x1 = edges_y[j], edges_y[j + 1], edges_x[i], edges_x[i + 1]
            area = (y1 - y0) * (x1 - x0)
            values = np.empty(area, np.float32)
            n = 0
            for y in range(y0, y1):
                for x in range(x0, x1):
                    value = image[y, x]
                    if not bad[y, x] and np.isfinite(value):
                        values[n] = value
                        n += 1
            if n > 0 and n >= min_good * area:
                level[j, i], rms[j, i] = _clipped_mode(values[:n], counts)
    return level, rms


@njit(cache=True, nogil=True)
def _clipped_mode(values, counts):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Level and sigma of one cell from its clipped histogram."""
    n = len(values)
    stride = max(1, n // N_SAMPLE)
    sample = np.sort(values[::stride].astype(np.float64))
    size = len(sample)
    centre = sample[size // 2]
    spread = 0.5 * (sample[int(0.84 * (size - 1))] - sample[int(0.16 * (size - 1))])
    deviation = np.sort(np.abs(sample - centre))
    # The median deviation resists objects better; the percentiles survive coarse digitisation.
    robust = 1.4826 * deviation[size // 2]
    if robust > 0.0:
        spread = min(robust, spread) if spread > 0.0 else robust
    if spread <= 0.0:
        spread = np.std(sample)
    if spread <= 0.0:
        return centre, 0.0
    low = centre - HALF_RANGE_SIGMA * spread
    width = 2.0 * HALF_RANGE_SIGMA * spread / N_BINS
    counts[:] = 0
    for value in values:
        position = (value - low) / width
        if 0.0 <= position < N_BINS:
            counts[int(position)] += 1
    first, last = 0, N_BINS
    mean = median = sigma = 0.0
    b = 0
    for _ in range(20):
        total, s1, s2 = 0, 0.0, 0.0
        for b in range(first, last):
            total += counts[b]
            s1 += counts[b] * (b + 0.5)
            s2 += counts[b] * (b + 0.5) ** 2
        if total == 0:
            return centre, spread
        mean = s1 / total
        sigma = np.sqrt(max(s2 / total - mean * mean, 1.0 / 12.0))
        below, b = 0.0, first
        while below + counts[b] < 0.5 * total:
            below += counts[b]
            b += 1
        median = b + (0.5 * total - below) / counts[b]
        new_first = max(0, int(np.floor(median - CLIP_SIGMA * sigma)))
        new_last = min(N_BINS, int(np.ceil(median + CLIP_SIGMA * sigma)))
        if new_first <= first and new_last >= last:
            break
        first, last = max(first, new_first), min(last, new_last)
    mode = median
    if counts[b] > DIGITISED * total:
        mode = mean  # most pixels share a few values: the median is one of them
    elif abs(mean - median) < SKEWED * sigma:
        mode = 2.5 * median - 1.5 * mean
    return low + mode * width, sigma * width / CLIPPED_STD


@njit(cache=True, nogil=True)
def _pick(rows, y, x, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(len(y)):
        out[k] = meshrows.value_at(rows, y[k], x[k])


@njit(cache=True, nogil=True)
def _fill_plane(rows, plane):  # type: ignore[no-untyped-def]  # pragma: no cover
    for y in range(plane.shape[0]):
        meshrows.fill_row(rows, y, plane[y])


@njit(cache=True, nogil=True)
def _add_rows(rows, sign, image, y0, y1):  # type: ignore[no-untyped-def]  # pragma: no cover
    # In float32, as a plane would be: a sky that was subtracted can be put back.
    row = np.empty(image.shape[1], np.float32)
    for y in range(y0, y1):
        meshrows.fill_row(rows, y, row)
        for x in range(image.shape[1]):
            image[y, x] += sign * row[x]
