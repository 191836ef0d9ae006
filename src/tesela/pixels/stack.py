"""Stacking registered images: weighted mean without the pixels that do not belong.

Rejection follows Gruen, Seitz & Bernstein 2014 (PASP 126, 158): a pixel goes if it differs from
the median by more than ``n sigma + A |median|``. The second term leaves the cores of stars alone
when seeing differs; where PSF models allow a larger difference, theirs is used instead of A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

BAND_ROWS = 256
MAX_IMAGES = 255  # the count is a byte

Planes = NDArray[np.float32] | Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Stack:
    """A stacked image.

    Attributes
    ----------
    image : (ny, nx) float32
        Weighted mean; 0 where nothing was kept.
    weight : (ny, nx) float32
        Sum of the kept weights (inverse variance); 0 = no data.
    count : (ny, nx) uint8
        Images kept.
    rejected : (n,) int64
        Pixels rejected from each image.
    """

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    count: NDArray[np.uint8]
    rejected: NDArray[np.int64]


def combine(
    images: Planes,
    weights: Planes,
    *,
    clip_sigma: float = 4.0,
    flux_fraction: float = 0.3,
    psf_ratio: NDArray[np.float32] | Sequence[NDArray[np.float32]] | None = None,
) -> Stack:
    """Combine registered, equally scaled images.

    Parameters
    ----------
    images, weights : (n, ny, nx) float32, or n planes of (ny, nx)
        Sky-subtracted images and inverse variances; 0 (or NaN) in the weight = no data, whatever
        the image holds there.
    clip_sigma, flux_fraction : float
        n and A of the criterion.
    psf_ratio : (n,), (n, ny, nx), n planes, or None
        Relative difference from the median that the PSF of each image may cause, for example
        ``|peak / median peak - 1|``: used where it exceeds `flux_fraction`.

    Returns
    -------
    Stack

    Notes
    -----
    Two images: if they disagree the higher goes, since what spoils a pixel adds light. Three: a
    pixel is only rejected while the other two agree; if no two agree, the lowest stays. Planes are
    read by bands of rows, so memory maps of any size will do.
    """
    n = len(images)
    if n == 0 or n != len(weights) or n > MAX_IMAGES:
        raise ValueError(
            f"{n} images and {len(weights)} weights: expected 1 to {MAX_IMAGES} of each"
        )
    shape = images[0].shape
    for k in range(n):
        if images[k].shape != shape or weights[k].shape != shape:
            raise ValueError(
                f"image {k} of {images[k].shape}, weight of {weights[k].shape}: expected {shape}"
            )
    image, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    count, rejected = np.zeros(shape, np.uint8), np.zeros(n, np.int64)
    for top in range(0, shape[0], BAND_ROWS):
        rows = slice(top, min(top + BAND_ROWS, shape[0]))
        _combine(
            _band(images, rows),
            _band(weights, rows),
            _ratio_band(psf_ratio, rows, n),
            (clip_sigma, flux_fraction),
            image[rows],
            weight[rows],
            count[rows],
            rejected,
        )
    return Stack(image, weight, count, rejected)


def _band(planes: Planes, rows: slice) -> NDArray[np.float32]:
    return np.stack([np.asarray(plane[rows], np.float32) for plane in planes])


def _ratio_band(
    psf_ratio: NDArray[np.float32] | Sequence[NDArray[np.float32]] | None,
    rows: slice,
    n: int,
) -> NDArray[np.float32]:
    """Relative difference from the median that a PSF explains: one an image, or one a pixel."""
    if psf_ratio is None:
        return np.zeros((n, 1, 1), np.float32)
    if np.ndim(psf_ratio[0]) == 0:
        return np.abs(np.asarray(psf_ratio, np.float32)).reshape(n, 1, 1)
    return np.abs(_band(psf_ratio, rows))


@njit(cache=True)
def _agree(values, sigmas, a, b, limits, level, ratio):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether two pixels differ by no more than their noise and their PSFs allow."""
    allowed = limits[0] * np.sqrt(sigmas[a] ** 2 + sigmas[b] ** 2)
    return abs(values[a] - values[b]) <= allowed + abs(level) * max(limits[1], ratio)


@njit(cache=True)
def _keep_few(values, sigmas, ratios, m, limits, keep):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Two or three pixels, sorted by value: which stay."""
    if m == 2:
        # The ratios refer to a median that two pixels do not have: the lower stands for it.
        ratio = (ratios[0] + ratios[1]) / (1.0 - min(ratios[0], 0.9))
        keep[1] = _agree(values, sigmas, 0, 1, limits, values[0], ratio)
        return
    low_pair = _agree(values, sigmas, 0, 1, limits, values[1], ratios[0])
    high_pair = _agree(values, sigmas, 1, 2, limits, values[1], ratios[2])
    if low_pair and not high_pair:
        keep[2] = False
    elif high_pair and not low_pair:
        keep[0] = False
    elif not low_pair and not high_pair:
        keep[1] = keep[2] = False


@njit(cache=True)
def _combine(images, weights, ratio, limits, image, weight, count, rejected):  # type: ignore[no-untyped-def]  # pragma: no cover
    n, ny, nx = images.shape
    by_pixel = ratio.shape[1] > 1 or ratio.shape[2] > 1
    values, sigmas, ratios = np.empty(n), np.empty(n), np.empty(n)
    source = np.empty(n, np.int64)
    keep = np.empty(n, np.bool_)
    for y in range(ny):
        for x in range(nx):
            m = 0
            for k in range(n):
                w, f = weights[k, y, x], images[k, y, x]
                if not (w > 0.0 and np.isfinite(f)):
                    continue
                # Insertion by value: n is small and the median is wanted anyway.
                p = m
                while p > 0 and values[p - 1] > f:
                    values[p], sigmas[p] = values[p - 1], sigmas[p - 1]
                    ratios[p], source[p] = ratios[p - 1], source[p - 1]
                    p -= 1
                values[p], sigmas[p], source[p] = f, 1.0 / np.sqrt(w), k
                ratios[p] = ratio[k, y, x] if by_pixel else ratio[k, 0, 0]
                m += 1
            if m == 0:
                continue
            keep[:m] = True
            if 1 < m < 4:
                _keep_few(values, sigmas, ratios, m, limits, keep)
            elif m > 3:
                middle = 0.5 * (values[(m - 1) // 2] + values[m // 2])
                for p in range(m):
                    limit = limits[0] * sigmas[p] + abs(middle) * max(limits[1], ratios[p])
                    keep[p] = abs(values[p] - middle) <= limit
            total = top = 0.0
            kept = 0
            for p in range(m):
                if keep[p]:
                    w = 1.0 / (sigmas[p] * sigmas[p])
                    total += w
                    top += w * values[p]
                    kept += 1
                else:
                    rejected[source[p]] += 1
            if kept > 0:
                image[y, x], weight[y, x], count[y, x] = top / total, total, kept
