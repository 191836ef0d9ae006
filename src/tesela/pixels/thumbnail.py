"""Small pictures of images for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

OBJECT_CODE: Final = 64
# Bit values of the mask and their colours; an OBJECT is only tinted, it is nothing bad.
MASK_COLOURS: Final[Mapping[int, tuple[int, int, int]]] = {
    1: (230, 60, 60),  # BAD: red
    2: (255, 205, 40),  # SATURATED: yellow
    4: (255, 120, 220),  # COSMIC_RAY: pink
    8: (60, 220, 90),  # TRAIL: green
    16: (255, 145, 30),  # INTERPOLATED: orange
    32: (150, 90, 255),  # HOLE: violet
    64: (60, 150, 255),  # OBJECT: blue
}
NO_DATA: Final = (24, 24, 40)


def render(
    image: NDArray[np.float32],
    mask: NDArray[np.uint8] | None = None,
    *,
    max_px: int = 512,
    stretch: Literal["asinh", "linear", "range"] = "asinh",
    mask_colours: Mapping[int, tuple[int, int, int]] = MASK_COLOURS,
) -> NDArray[np.uint8]:
    """Reduce an image to a grey picture, with the mask in colour over it.

    Parameters
    ----------
    image : (ny, nx) float32
        Any unit, sky included or not. NaN = no data (dark blue).
    mask : (ny, nx) uint8 or None
        Bits as in `mask_colours`; a block is tinted by the square root of the part that is masked,
        so single bad columns stay visible and do not hide the image.
    max_px : int
        Longest side of the picture.
    stretch : {"asinh", "linear", "range"}
        From 2 sigma below the sky to 12 sigma (linear), or compressed above (asinh); or over what
        there is, for images without a sky: all but the last half per cent at either end, within
        5 sigma (range).

    Returns
    -------
    (h, w, 3) uint8
        First row = top of the image (largest y).
    """
    factor = _factor(image.shape, max_px)
    grey, empty = _block_mean(image, factor)
    level, sigma = _sky(grey[~empty])
    z = (grey - (level - 2.0 * sigma)) / sigma
    if stretch == "asinh":
        tone = np.arcsinh(np.maximum(z, 0.0) / 3.0) / np.arcsinh(500.0 / 3.0)
    elif stretch == "linear":
        tone = z / 14.0
    elif stretch == "range":
        low, high = _bulk(z[~empty])
        tone = (z - low) / (high - low)
    else:
        raise ValueError(f"stretch {stretch!r}: expected 'asinh' or 'linear', or 'range'")
    picture = np.repeat(255.0 * np.clip(tone, 0.0, 1.0)[..., None], 3, axis=2)
    picture[empty] = NO_DATA
    if mask is not None:
        _overlay(picture, mask, factor, mask_colours)
    return _finish(picture)


def colour(
    red: NDArray[np.float32],
    green: NDArray[np.float32],
    blue: NDArray[np.float32],
    *,
    max_px: int = 1024,
    softening: float = 8.0,
    stretch: float | None = None,
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> NDArray[np.uint8]:
    """Colour picture of three registered bands after Lupton et al. 2004 (PASP 116, 133).

    Parameters
    ----------
    red, green, blue : (ny, nx) float32
        Sky-subtracted, in one unit of flux. NaN = no data.
    max_px : int
        Longest side of the picture.
    softening : float
        Q of the paper: how strongly bright parts are compressed.
    stretch : float or None
        Intensity that is still shown linearly; default 3 sigma of the mean image's sky.
    scales : (float, float, float)
        Factors on the bands, for colour balance.

    Returns
    -------
    (h, w, 3) uint8
        First row = top of the image. A colour keeps its hue however bright it is.
    """
    if not red.shape == green.shape == blue.shape:
        raise ValueError(f"bands of {red.shape}, {green.shape}, {blue.shape}: expected one shape")
    factor = _factor(red.shape, max_px)
    blocks = [_block_mean(band, factor) for band in (red, green, blue)]
    rgb = np.stack([scale * block[0] for scale, block in zip(scales, blocks)], axis=2)
    empty = np.logical_or.reduce([block[1] for block in blocks])
    rgb[empty] = 0.0
    intensity = rgb.mean(axis=2)
    if stretch is None:
        stretch = 3.0 * _sky(intensity[~empty])[1]
    positive = np.maximum(intensity, 1e-6 * stretch)
    tone = np.arcsinh(softening * positive / stretch) / softening
    shown = np.maximum(rgb * (tone / positive)[..., None], 0.0)
    brightest = shown.max(axis=2, keepdims=True)
    picture = 255.0 * shown / np.maximum(brightest, 1.0)
    picture[empty] = NO_DATA
    return _finish(picture)


def _factor(shape: tuple[int, ...], max_px: int) -> int:
    return max(1, -(-max(shape) // max_px))


def _block_mean(
    image: NDArray[np.float32], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean of the finite pixels of every block, and where there are none."""
    shape = (-(-image.shape[0] // factor), -(-image.shape[1] // factor))
    total, count = np.zeros(shape), np.zeros(shape, np.int64)
    _sum_blocks(np.ascontiguousarray(image, np.float32), factor, total, count)
    return total / np.maximum(count, 1), count == 0


def _sky(values: NDArray[np.float64]) -> tuple[float, float]:
    """Median and robust sigma; (0, 1) for a picture without data or without contrast."""
    if values.size == 0:
        return 0.0, 1.0
    level = float(np.median(values))
    below = level - values[values <= level]
    sigma = float(1.4826 * np.median(below))
    return level, sigma if sigma > 0 else max(1e-6 * abs(level), float(values.std()), 1e-30)


def _bulk(z: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest of most values, in sigma above -2; a dead amplifier or a hot corner does
    not take the contrast from the rest. (0, 4) for a picture without data or without contrast."""
    if z.size == 0:
        return 0.0, 4.0
    low, high = np.clip(np.percentile(z, [0.5, 99.5]), -3.0, 7.0)
    return (float(low), float(high)) if high > low else (0.0, 4.0)


def _overlay(
    picture: NDArray[np.float64],
    mask: NDArray[np.uint8],
    factor: int,
    colours: Mapping[int, tuple[int, int, int]],
) -> None:
    """Tint the picture, the most harmless code first so that defects lie on top."""
    codes = np.array(sorted(colours, reverse=True), np.uint8)
    count = np.zeros((len(codes), *picture.shape[:2]), np.int32)
    _count_codes(np.ascontiguousarray(mask), factor, codes, count)
    for code, pixels in zip(map(int, codes), count):
        fraction = np.minimum(pixels / factor**2, 1.0)
        if not fraction.any():
            continue
        strength = 0.35 if code == OBJECT_CODE else 0.85
        alpha = (strength * np.sqrt(fraction))[..., None]
        picture *= 1.0 - alpha
        picture += alpha * np.array(colours[code], np.float64)


@njit(cache=True)
def _sum_blocks(image, factor, total, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums and numbers of the finite pixels of factor x factor blocks, partial ones included."""
    ny, nx = image.shape
    for y in range(ny):
        for block in range(total.shape[1]):
            part = 0.0
            n = 0
            for x in range(block * factor, min((block + 1) * factor, nx)):
                if np.isfinite(image[y, x]):
                    part += image[y, x]
                    n += 1
            total[y // factor, block] += part
            count[y // factor, block] += n


@njit(cache=True)
def _count_codes(mask, factor, codes, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pixels that have each code in every block."""
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                for k in range(codes.size):
                    if mask[y, x] & codes[k]:
                        count[k, y // factor, x // factor] += 1


def _finish(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.round(np.clip(picture, 0, 255))[::-1].astype(np.uint8))
