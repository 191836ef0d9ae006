"""Colour pictures from many registered bands, on one fixed scale.

Bands are added into three planes, red, green, blue, by fixed shares; one curve on the mean of the
three makes them visible (Lupton et al. 2004, PASP 116, 133), so that a colour keeps its hue
however bright it is, and means the same in every picture that is made with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEAST_SHARE = 0.3
"""A plane has a value where bands of at least this part of its shares have data."""


@dataclass(frozen=True)
class Curve:
    """How brightness becomes tone.

    Attributes
    ----------
    sigma : float
        Noise of the mean of the three planes, in their unit.
    black_sigma : float
        This many sigma below zero is black.
    linear_sigma : float
        Brightness that is still shown linearly.
    softening : float
        Q of the paper: how strongly brighter parts are compressed.
    grey_sigma : float
        Fainter than this, hues are drawn to grey: they are those of the noise.
    """

    sigma: float
    black_sigma: float = 1.0
    linear_sigma: float = 8.0
    softening: float = 8.0
    grey_sigma: float = 3.0


def add_band(
    total: Floats, shares: Floats, image: Floats, weight: Floats, *, gain: float, share: float
) -> None:
    """Add one band to a plane in the making.

    Parameters
    ----------
    total, shares : (ny, nx) float32
        Sums so far, changed in place: of share x gain x image, and of the shares with data.
    image, weight : (ny, nx) float32
        Sky-subtracted; there are data where the weight is positive and the pixel finite.
    gain : float
        From the unit of the image to that of the plane.
    share : float
        Of this band in the plane; the shares of a plane add up to 1.
    """
    if not total.shape == shares.shape == image.shape == weight.shape:
        raise ValueError(f"image of {image.shape} for a plane of {total.shape}: expected one shape")
    _add_band(total, shares, image, weight, np.float32(gain), np.float32(share))


@njit(cache=True)
def _add_band(total, shares, image, weight, gain, share):  # type: ignore[no-untyped-def]  # pragma: no cover
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x] * gain
            if weight[y, x] > 0 and np.isfinite(value):
                total[y, x] += share * value
                shares[y, x] += share


def finish_planes(totals: Floats, shares: Sequence[Floats], balance: Sequence[float]) -> None:
    """Turn sums into planes in place: NaN in all three where one of them lacks data.

    Parameters
    ----------
    totals : (3, ny, nx) float32
    shares : three of (ny, nx) float32
    balance : three floats
        Factors on red, green and blue that say what is white.
    """
    red, green, blue = shares
    _finish_planes(totals, red, green, blue, np.array(balance, np.float32))


@njit(cache=True)
def _finish_planes(totals, red, green, blue, balance):  # type: ignore[no-untyped-def]  # pragma: no cover
    least = np.float32(LEAST_SHARE)
    for y in range(totals.shape[1]):
        for x in range(totals.shape[2]):
            r, g, b = red[y, x], green[y, x], blue[y, x]
            if r >= least and g >= least and b >= least:
                totals[0, y, x] *= balance[0] / r
                totals[1, y, x] *= balance[1] / g
                totals[2, y, x] *= balance[2] / b
            else:
                totals[:, y, x] = np.nan


def render(planes: Floats, curve: Curve) -> NDArray[np.uint8]:
    """Planes as a picture.

    Parameters
    ----------
    planes : (3, ny, nx) float32
        Red, green, blue; NaN = no data, which is black.
    curve : Curve

    Returns
    -------
    (ny, nx, 3) uint8
        Rows in the order of the planes.
    """
    if not curve.sigma > 0:
        raise ValueError(f"noise {curve.sigma}: expected a positive number")
    return _render(
        planes,
        1.0 / curve.sigma,
        curve.black_sigma,
        curve.linear_sigma,
        curve.softening,
        curve.grey_sigma,
    )


@njit(cache=True)
def _render(planes, gain, black, linear, softening, grey):  # type: ignore[no-untyped-def]  # pragma: no cover
    picture = np.zeros((planes.shape[1], planes.shape[2], 3), np.uint8)
    shown = np.empty(3)
    for y in range(planes.shape[1]):
        for x in range(planes.shape[2]):
            mean = (planes[0, y, x] + planes[1, y, x] + planes[2, y, x]) / 3.0 * gain
            if not np.isfinite(mean):
                continue
            light = mean + black
            if light <= 0:
                continue
            above = max(mean, 0.0)
            vivid = above * above / (above * above + grey * grey + 1e-30)
            tone = np.arcsinh(softening * light / linear) / softening
            brightest = 1.0
            for c in range(3):
                hue = light + vivid * (planes[c, y, x] * gain - mean)
                shown[c] = max(hue * tone / light, 0.0)
                brightest = max(brightest, shown[c])
            for c in range(3):
                picture[y, x, c] = np.uint8(255.0 * shown[c] / brightest + 0.5)
    return picture


def shrink(planes: Floats, factor: int) -> Floats:
    """Means of the finite pixels of factor x factor blocks.

    Parameters
    ----------
    planes : (3, ny, nx) float32
        NaN = no data, in all three at once.

    Returns
    -------
    (3, ceil(ny / factor), ceil(nx / factor)) float32
        NaN where less than half of a block has data. Blocks begin at pixel (0, 0).
    """
    return planes if factor == 1 else _shrink(planes, factor)


@njit(cache=True)
def _shrink(planes, factor):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = planes.shape[1], planes.shape[2]
    small = np.full((3, -(-ny // factor), -(-nx // factor)), np.nan, np.float32)
    for j in range(small.shape[1]):
        for i in range(small.shape[2]):
            number = 0
            pixels = 0
            red = green = blue = 0.0
            for y in range(j * factor, min((j + 1) * factor, ny)):
                for x in range(i * factor, min((i + 1) * factor, nx)):
                    pixels += 1
                    if np.isfinite(planes[0, y, x]):
                        number += 1
                        red += planes[0, y, x]
                        green += planes[1, y, x]
                        blue += planes[2, y, x]
            if 2 * number >= pixels:
                small[0, j, i] = red / number
                small[1, j, i] = green / number
                small[2, j, i] = blue / number
    return small


def halve(picture: NDArray[np.uint8], covered: NDArray[np.bool_]) -> tuple[
    NDArray[np.uint8], NDArray[np.bool_]
]:  # fmt: skip
    """Means of 2 x 2 pixels of a picture, of those alone that are covered.

    Parameters
    ----------
    picture : (2 h, 2 w, 3) uint8
    covered : (2 h, 2 w) bool

    Returns
    -------
    (h, w, 3) uint8, (h, w) bool
        A pixel is covered if one of its four is: what is small stays visible.
    """
    h, w = covered.shape[0] // 2, covered.shape[1] // 2
    cells = covered.reshape(h, 2, w, 2)
    number = cells.sum(axis=(1, 3), dtype=np.uint16)
    blocks = picture.reshape(h, 2, w, 2, 3) * cells[..., None]
    total = blocks.sum(axis=(1, 3), dtype=np.uint16)
    divisor = np.maximum(number, 1)[..., None]
    return ((total + divisor // 2) // divisor).astype(np.uint8), number > 0
