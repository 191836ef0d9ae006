"""Fringes and fixed patterns of the sky in one image: how strong they are, and taking them away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.pixels import robust
from tesela.pixels.pattern_bins import shrink

BIN_PX = 4
CELL_PX = 256
CELLS_ALONG = 4
LEAST_OF_CELL = 0.1
PASSES = 4


@dataclass(frozen=True)
class Amplitude:
    """How strong a pattern is in an image, relative to the sky.

    Attributes
    ----------
    value : float
        The image holds value * sky * pattern; 1 in the typical image of its master.
    error : float
        One sigma: from the scatter between cells of the image, or from the noise of single blocks
        where that is larger. Infinite where nothing can be said.
    n : int
        Blocks of pixels used.
    """

    value: float
    error: float
    n: int

    @property
    def significance(self) -> float:
        """In sigma; 0 where nothing can be said. Subtract nothing where it is low."""
        return self.value / self.error if self.error > 0 else 0.0


NOTHING = Amplitude(0.0, math.inf, 0)


def amplitude(
    image: NDArray[np.float32],
    pattern: NDArray[np.float32],
    usable: NDArray[np.bool_],
    *,
    sky_e: float,
    bin_px: int = BIN_PX,
    cell_px: int = CELL_PX,
    clip_sigma: float = 3.0,
) -> Amplitude:
    """Amplitude of a pattern in an image, by robust regression.

    Image and pattern are averaged over blocks of the same usable pixels. In every cell a plane is
    fitted to each and removed: the two are high-passed alike, so the sky and its gradients need not
    be known and no fringe is eaten. The slope of the one on the other over all cells is the
    amplitude; blocks off the relation by more than `clip_sigma` (faint objects) are left out, four
    passes in all.

    Parameters
    ----------
    image : (ny, nx) float32, electrons; with or without its sky
    pattern : (ny, nx) float32, relative to the sky
    usable : (ny, nx) bool
        True = sky: neither object nor defect nor hole of the pattern.
    sky_e : float
        Level of the sky, electrons a pixel.
    bin_px : int
        Side of a block.
    cell_px : int
        Side of a cell, wider than the fringes; narrower where there would not be 4 x 4 cells.
    clip_sigma : float

    Returns
    -------
    Amplitude
        Its time is that of reading image and pattern once.

    Raises
    ------
    BadInput
        The sky is not positive.
    """
    if not sky_e > 0:
        raise BadInput("sky of an image", found=f"{sky_e} electrons", expected="a positive level")
    good = usable & np.isfinite(image) & np.isfinite(pattern)
    found = regress(
        shrink(image, good, bin_px),
        shrink(pattern, good, bin_px),
        cell=max(1, cell_px // bin_px),
        clip_sigma=clip_sigma,
    )
    return Amplitude(found.value / sky_e, found.error / sky_e, found.n)


def subtract(image: NDArray[np.float32], pattern: NDArray[np.float32], scale: float) -> None:
    """Take scale * pattern from an image, in place.

    Parameters
    ----------
    image : (ny, nx) float32, C-contiguous, electrons; changed
    pattern : (ny, nx) float32, relative to the sky; NaN takes nothing
    scale : float
        Amplitude times sky, electrons.
    """
    if image.shape != pattern.shape:
        raise BadInput("pattern", found=f"shape {pattern.shape}", expected=f"{image.shape}")
    _subtract(image, pattern, np.float32(scale))


def regress(
    image: NDArray[np.float32],
    pattern: NDArray[np.float32],
    *,
    cell: int,
    clip_sigma: float = 3.0,
) -> Amplitude:
    """Slope of an image on a pattern, a plane in each cell left free (see `amplitude`).

    Parameters
    ----------
    image, pattern : (ny, nx) float32, NaN = no data
    cell : int
        Side of a cell in pixels of these planes.
    clip_sigma : float

    Returns
    -------
    Amplitude
        In units of image over pattern; `NOTHING` where no cell holds data and structure.
    """
    edges_y, edges_x = _edges(image.shape[0], cell), _edges(image.shape[1], cell)
    taken = np.isfinite(image) & np.isfinite(pattern)
    flat, wave = np.empty_like(image), np.empty_like(pattern)
    slope, sigma = 0.0, 0.0
    for _ in range(PASSES):
        sums = _flatten(image, pattern, taken, edges_y, edges_x, LEAST_OF_CELL, flat, wave)
        total = float(sums[:, 1].sum())
        n = int(sums[:, 2].sum())
        if not total > 0 or n < 8:
            return NOTHING
        slope = float(sums[:, 0].sum()) / total
        sigma = _spread(flat, wave, slope)
        _clip(flat, wave, np.float32(slope), np.float32(clip_sigma * sigma), taken)
    cells = int(np.count_nonzero(sums[:, 1]))
    error = sigma / math.sqrt(total)
    if cells > 1:
        scores = sums[:, 0] - slope * sums[:, 1]
        between = math.sqrt(float(np.sum(scores**2)) * cells / (cells - 1)) / total
        error = max(error, between)
    return Amplitude(slope, error, n)


def _edges(size: int, cell: int) -> NDArray[np.int64]:
    cells = max(round(size / cell), min(CELLS_ALONG, max(1, size // 8)))
    return np.round(np.linspace(0, size, cells + 1)).astype(np.int64)


def _spread(flat: NDArray[np.float32], wave: NDArray[np.float32], slope: float) -> float:
    """Robust sigma of what the pattern leaves, from a sample of rows."""
    step = max(1, flat.shape[0] // 256)
    left = flat[::step] - np.float32(slope) * wave[::step]
    left = left[np.isfinite(left)]
    return robust.sigma(left, 0) if left.size else 0.0


@njit(cache=True, nogil=True)
def _flatten(image, pattern, taken, edges_y, edges_x, least, flat, wave):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Take from both planes, in each cell, the plane (a + b x + c y) fitted to what is taken.

    Returns, of each cell: image times pattern, pattern squared, and the number of values.
    """
    my, mx = len(edges_y) - 1, len(edges_x) - 1
    sums = np.zeros((my * mx, 3))
    for cell in range(my * mx):
        j, i = cell // mx, cell % mx
        y0, y1, x0, x1 = edges_y[j], edges_y[j + 1], edges_x[i], edges_x[i + 1]
        height, width = max(y1 - y0, 1), max(x1 - x0, 1)
        n = 0
        s = np.zeros(5)  # sums of u, v, uu, uv, vv
        f = np.zeros(3)  # of the image, and times u and v
        p = np.zeros(3)
        for y in range(y0, y1):
            v = (y - y0 + 0.5) / height - 0.5
            for x in range(x0, x1):
                if taken[y, x]:
                    u = (x - x0 + 0.5) / width - 0.5
                    n += 1
                    s[0] += u
                    s[1] += v
                    s[2] += u * u
                    s[3] += u * v
                    s[4] += v * v
                    f[0] += image[y, x]
                    f[1] += u * image[y, x]
                    f[2] += v * image[y, x]
                    p[0] += pattern[y, x]
                    p[1] += u * pattern[y, x]
                    p[2] += v * pattern[y, x]
        enough = n >= 8 and n >= least * height * width
        fu = fv = pu = pv = um = vm = fm = pm = 0.0
        if enough:
            um, vm, fm, pm = s[0] / n, s[1] / n, f[0] / n, p[0] / n
            uu, uv, vv = s[2] / n - um * um, s[3] / n - um * vm, s[4] / n - vm * vm
            det = uu * vv - uv * uv
            if det > 1e-6:
                f1, f2 = f[1] / n - um * fm, f[2] / n - vm * fm
                p1, p2 = p[1] / n - um * pm, p[2] / n - vm * pm
                fu, fv = (vv * f1 - uv * f2) / det, (uu * f2 - uv * f1) / det
                pu, pv = (vv * p1 - uv * p2) / det, (uu * p2 - uv * p1) / det
        for y in range(y0, y1):
            v = (y - y0 + 0.5) / height - 0.5 - vm
            for x in range(x0, x1):
                if enough and taken[y, x]:
                    u = (x - x0 + 0.5) / width - 0.5 - um
                    flat[y, x] = image[y, x] - fm - fu * u - fv * v
                    wave[y, x] = pattern[y, x] - pm - pu * u - pv * v
                    sums[cell, 0] += flat[y, x] * wave[y, x]
                    sums[cell, 1] += wave[y, x] * wave[y, x]
                    sums[cell, 2] += 1
                else:
                    flat[y, x] = np.nan
                    wave[y, x] = np.nan
    return sums


@njit(cache=True, nogil=True)
def _clip(flat, wave, slope, limit, taken):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = flat.shape
    for y in range(ny):
        for x in range(nx):
            if taken[y, x] and abs(flat[y, x] - slope * wave[y, x]) > limit:
                taken[y, x] = False


@njit(cache=True)
def _subtract(image, pattern, scale):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    for y in range(ny):
        for x in range(nx):
            if not np.isnan(pattern[y, x]):
                image[y, x] -= scale * pattern[y, x]
