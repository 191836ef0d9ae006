"""A smooth pattern on blocks of pixels: means of what is usable, and the way back."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from tesela.errors import BadInput

EDGE = 6


def coarse_shape(shape: tuple[int, ...], bin_px: int) -> tuple[int, int]:
    """Shape in blocks of an image; the last blocks may be narrower."""
    return -(-shape[0] // bin_px), -(-shape[1] // bin_px)


def shrink(
    image: NDArray[np.float32],
    usable: NDArray[np.bool_],
    bin_px: int,
    *,
    least_part: float = 0.25,
) -> NDArray[np.float32]:
    """Mean of the usable pixels of each block.

    Parameters
    ----------
    image : (ny, nx) float32, any unit; NaN is not usable
    usable : (ny, nx) bool, True = take
    bin_px : int
        Side of a block.
    least_part : float
        A block with a smaller part of its pixels usable has no value.

    Returns
    -------
    (ceil(ny / bin_px), ceil(nx / bin_px)) float32, NaN where there is no value. Bands of rows, a
    whole number of blocks high, may be given one after the other.
    """
    if bin_px < 1 or image.ndim != 2 or usable.shape != image.shape:
        raise BadInput(
            "image to shrink",
            found=f"image {image.shape}, usable {usable.shape}, blocks of {bin_px} px",
            expected="two planes of one shape and blocks of 1 px or more",
        )
    out = np.empty(coarse_shape(image.shape, bin_px), np.float32)
    _shrink(
        np.ascontiguousarray(image, np.float32),
        np.ascontiguousarray(usable, np.bool_),
        bin_px,
        np.float32(least_part),
        out,
    )
    return out


def expand(coarse: NDArray[np.float32], shape: tuple[int, int], bin_px: int) -> NDArray[np.float32]:
    """The smooth image whose means over blocks are given.

    A block's mean is turned into the value at its centre, by the second differences, and a cubic
    B-spline goes through the centres: a wave of 7 blocks comes back to 0.5 % of its amplitude.

    Parameters
    ----------
    coarse : (my, mx) float32, finite
    shape : (int, int)
        (ny, nx) of the image.
    bin_px : int

    Returns
    -------
    (ny, nx) float32
    """
    if coarse.shape != coarse_shape(shape, bin_px):
        raise BadInput(
            "pattern to expand",
            found=f"{coarse.shape} blocks of {bin_px} px for {shape[0]} x {shape[1]} px",
            expected=f"{coarse_shape(shape, bin_px)}",
        )
    if bin_px == 1:
        return np.array(coarse, np.float32)
    # Continued oddly: with its slope, so that the half block beyond the last centres is right.
    wide = np.pad(coarse.astype(np.float32), EDGE, mode="reflect", reflect_type="odd")
    shrunk = np.float32((1.0 - 1.0 / bin_px**2) / 24.0)  # a mean over samples against its centre
    wide[1:-1] -= shrunk * np.diff(wide, 2, axis=0)
    wide[:, 1:-1] -= shrunk * np.diff(wide, 2, axis=1)
    coefficients = spline_filter(wide, order=3, mode="mirror", output=np.float32)
    out = np.empty(shape, np.float32)
    _expand(coefficients, _weights(bin_px), out)
    return out


def _weights(bin_px: int) -> NDArray[np.float32]:
    """(bin_px, 5): of the blocks -2 to +2 from a pixel's own, for each pixel of a block."""
    weights = np.zeros((bin_px, 5), np.float32)
    for phase in range(bin_px):
        t = (phase + 0.5) / bin_px - 0.5
        for k in range(-2, 3):
            d = abs(t - k)
            if d < 1:
                weights[phase, k + 2] = 2 / 3 - d * d + d**3 / 2
            elif d < 2:
                weights[phase, k + 2] = (2 - d) ** 3 / 6
    return weights


@njit(cache=True)
def _shrink(image, usable, bin_px, least_part, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = image.shape
    my, mx = out.shape
    total = np.empty(mx, np.float64)
    count = np.empty(mx, np.int64)
    for j in range(my):
        total[:] = 0.0
        count[:] = 0
        y1 = min((j + 1) * bin_px, ny)
        for y in range(j * bin_px, y1):
            for i in range(mx):
                for x in range(i * bin_px, min((i + 1) * bin_px, nx)):
                    value = image[y, x]
                    if usable[y, x] and np.isfinite(value):
                        total[i] += value
                        count[i] += 1
        for i in range(mx):
            area = (y1 - j * bin_px) * (min((i + 1) * bin_px, nx) - i * bin_px)
            if count[i] > 0 and count[i] >= least_part * area:
                out[j, i] = total[i] / count[i]
            else:
                out[j, i] = np.nan


@njit(cache=True)
def _expand(coefficients, weights, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = out.shape
    mx = coefficients.shape[1]
    bin_px = weights.shape[0]
    row = np.empty(mx, np.float32)
    for y in range(ny):
        j, phase = y // bin_px + EDGE, y % bin_px
        row[:] = 0
        for k in range(5):
            weight = weights[phase, k]
            for i in range(mx):
                row[i] += weight * coefficients[j + k - 2, i]
        for x in range(nx):
            i, w = x // bin_px + EDGE, weights[x % bin_px]
            out[y, x] = (
                w[0] * row[i - 2] + w[1] * row[i - 1] + w[2] * row[i]
                + w[3] * row[i + 1] + w[4] * row[i + 2]
            )  # fmt: skip
