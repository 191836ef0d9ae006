"""One reduced image on the tile's pixel grid, in the coadd's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import background, resample
from tesela.products import maskbit
from tesela.products.maskbit import MaskBit
from tesela.sky.wcs import Wcs
from tesela.stages.coadd.settings import CoaddInput

_PUNCHED = maskbit.UNUSABLE & ~int(MaskBit.SATURATED)
"""Saturated cores keep their weight and are flagged: a hole would be worse than a low value."""


@dataclass
class Warped:
    """Arrays of the tile's shape; e-/s on the common scale, inverse variance, mask codes."""

    image: NDArray[np.float32]
    weight: NDArray[np.float32]
    mask: NDArray[np.uint8]
    scale: float


def warp(frame: CoaddInput, scale: float, wcs: Wcs, step: int) -> Warped:
    """Resample with Lanczos-3; the weight is of sky, read noise, flat and scale alone."""
    reduced = frame.image
    shape = reduced.image.shape
    variance = background.from_mesh(reduced.sky_mesh[1], shape, frame.mesh_px)
    good = ((reduced.mask & _PUNCHED) == 0) & (variance > 0)
    weight = np.where(good, 1 / np.where(good, variance * np.float32(scale**2), 1), 0)
    grid_x, grid_y = positions(wcs, frame.wcs, step)
    image, weight = resample.lanczos3(
        reduced.image * np.float32(scale),
        weight.astype(np.float32),
        grid_x,
        grid_y,
        step,
        wcs.shape,
    )
    mask = resample.nearest_mask(reduced.mask, grid_x, grid_y, step, wcs.shape)
    return Warped(image, weight, np.where(weight > 0, mask, 0).astype(np.uint8), scale)


def positions(
    target: Wcs, source: Wcs, step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where every `step`-th pixel of the target lies in the source."""
    ny, nx = target.shape
    gy = np.arange(0, ny - 1 + step, step)
    gx = np.arange(0, nx - 1 + step, step)
    x, y = np.meshgrid(gx, gy)
    ra, dec = target.pix_to_sky(x.ravel(), y.ravel())
    sx, sy = source.sky_to_pix(ra, dec)
    return sx.reshape(x.shape), sy.reshape(x.shape)
