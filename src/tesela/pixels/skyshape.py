"""The shape of the sky in one frame: its tilt and curvature, and what is left at three scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCALES = (8, 32, 128)
"""Sides of the blocks, in pixels of a picture of `PICTURE_PX`."""
PICTURE_PX = 576
_LEAST_FREE = 0.3


@dataclass(frozen=True)
class Shape:
    """Of a sky, relative to its median."""

    tilt: float
    """Edge to edge along the steepest direction."""
    tilt_deg: float
    """Where it is brightest, counter-clockwise from +x."""
    quadrupole: float
    """Edge minus centre of the terms of second order, the largest of them."""


def of_mesh(mesh: NDArray[np.float32]) -> Shape:
    """Shape of a coarse map (my, mx) of the sky; zero where the map is too small to tell."""
    my, mx = mesh.shape
    level = float(np.median(mesh))
    y, x = np.mgrid[-1 : 1 : my * 1j, -1 : 1 : mx * 1j] if min(my, mx) > 2 else (None, None)
    if x is None or y is None or level <= 0:
        return Shape(0.0, 0.0, 0.0)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = mesh.astype(np.float64).ravel() / level
    found = np.linalg.lstsq(terms, values, rcond=None)[0]
    tilt = 2.0 * float(np.hypot(found[1], found[2]))
    angle = float(np.degrees(np.arctan2(found[2], found[1]))) if tilt > 0 else 0.0
    return Shape(tilt, angle, float(np.abs(found[3:]).max()))


def left(image: NDArray[np.float32], hidden: NDArray[np.bool_]) -> dict[int, float]:
    """Scatter of means over blocks of three sizes, of a sky-subtracted image.

    Parameters
    ----------
    image : (ny, nx) float32
        Binned: means of blocks of pixels.
    hidden : (ny, nx) bool
        True = defect or object.

    Returns
    -------
    dict by `SCALES`, in units of the image: robust standard deviation. What noise alone gives falls
    as one over the side; more is structure of the sky. NaN where fewer than four blocks are free.
    """
    pixel = max(1.0, max(image.shape) / PICTURE_PX)
    return {scale: _scatter(image, hidden, max(1, round(scale * pixel))) for scale in SCALES}


def _scatter(image: NDArray[np.float32], hidden: NDArray[np.bool_], side: int) -> float:
    ny, nx = (size // side * side for size in image.shape)
    if not ny or not nx:
        return float("nan")
    shape = (ny // side, side, nx // side, side)
    free = ~hidden[:ny, :nx] & np.isfinite(image[:ny, :nx])
    total = np.where(free, image[:ny, :nx], 0).reshape(shape).sum(axis=(1, 3), dtype=np.float64)
    count = free.reshape(shape).sum(axis=(1, 3))
    means = (total / np.maximum(count, 1))[count > _LEAST_FREE * side * side]
    if means.size < 4:
        return float("nan")
    return float(1.4826 * np.median(np.abs(means - np.median(means))))
