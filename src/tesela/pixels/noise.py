"""Noise of correlated pixels, measured in empty apertures.

Law of Labbe et al. 2003 (AJ 125, 1107) as used by Molino et al. 2014 (MNRAS 441, 2891):
``sigma(N) = sigma1 sqrt(N) (a + b sqrt(N))`` for a sum over N pixels; a = 1, b = 0 without
correlation. N is the *effective* number, the sum of the squared weights: a circle counts the pixels
on its rim in part, and their noise in part of the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels.detect import object_mask

MIN_APERTURES = 50
_FINE = 11
_PHASES = (-0.375, -0.125, 0.125, 0.375)


@dataclass(frozen=True)
class NoiseModel:
    """Noise of a sum over N pixels, at the median weight.

    Attributes
    ----------
    sigma1 : float
        Scatter of single sky pixels, units of the image.
    a, b : float
        Coefficients of the law.
    n_pixels, measured : (k,) float64
        Effective pixels and measured scatter of the apertures the law was fitted to.
    """

    sigma1: float
    a: float
    b: float
    n_pixels: NDArray[np.float64]
    measured: NDArray[np.float64]

    def sigma(self, n_pixels: Any) -> Any:
        """One sigma of a sum with `n_pixels` effective pixels (scalar or array)."""
        root = np.sqrt(n_pixels)
        return self.sigma1 * root * (self.a + self.b * root)


def empty_apertures(
    image: NDArray[np.float32],
    weight: NDArray[np.float32],
    segmentation: NDArray[np.int32],
    radii_px: Sequence[float],
    *,
    n: int = 2000,
    seed: int,
) -> NoiseModel:
    """Measure the noise law where nothing is.

    Parameters
    ----------
    image : (ny, nx) float32
        Sky subtracted.
    weight : (ny, nx) float32
        Inverse variance, 0 = no data. The image is scaled to the median weight before measuring,
        so that depth variations do not pass for noise: multiply by sqrt(median / local weight).
    segmentation : (ny, nx) int32
        Non-zero = object.
    radii_px : sequence of float
        Radii of the apertures, two or more.
    n : int
        Apertures a radius, at random positions that touch no object and no empty pixel.
    seed : int

    Returns
    -------
    NoiseModel

    Raises
    ------
    QualityError
        If fewer than two radii find 50 free places.
    """
    rng = np.random.default_rng(seed)
    good = (weight > 0) & np.isfinite(image)
    free = good & (segmentation == 0)
    if not free.any():
        raise _no_room(len(radii_px), 0)
    median_weight = float(np.median(weight[good]))
    flat = np.where(good, image * np.sqrt(np.where(good, weight, 0) / median_weight), 0)
    flat = np.ascontiguousarray(flat, np.float32)
    sigma1 = _robust_sigma(flat[free])
    areas, scatter = [], []
    for radius in radii_px:
        places = np.flatnonzero(_room(free, radius))
        if len(places) < MIN_APERTURES:
            continue
        chosen = rng.choice(places, size=n, replace=len(places) < n)
        y, x = np.divmod(chosen, image.shape[1])
        shift = rng.uniform(-0.5, 0.5, (2, n))
        sums, _, _ = sep.sum_circle(flat, x + shift[0], y + shift[1], radius, subpix=0)
        areas.append(effective_pixels(radius))
        scatter.append(_robust_sigma(sums))
    if len(areas) < 2:
        raise _no_room(len(radii_px), len(areas))
    n_pixels, measured = np.array(areas), np.array(scatter)
    root = np.sqrt(n_pixels)
    law = np.stack([np.ones_like(root), root], axis=1)
    a, b = np.linalg.lstsq(law, measured / (sigma1 * root), rcond=None)[0]
    if b < 0:  # would make the errors of large areas shrink: no correlation was seen
        a, b = float(np.median(measured / (sigma1 * root))), 0.0
    return NoiseModel(sigma1, float(a), float(b), n_pixels, measured)


def effective_pixels(radius_px: float) -> float:
    """Sum of the squared pixel fractions of a circle, the mean over its place in the pixel.

    pi r^2 for large circles; for small ones less by about the length of the rim over six.
    """
    side = int(np.ceil(radius_px)) + 1
    pixels = np.arange(-side, side + 1)
    fine = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    total = 0.0
    for phase_y in _PHASES:
        dy2 = (pixels[:, None] + fine[None, :] - phase_y) ** 2
        for phase_x in _PHASES:
            dx2 = (pixels[:, None] + fine[None, :] - phase_x) ** 2
            inside = dy2[:, :, None, None] + dx2[None, None, :, :] <= radius_px**2
            total += float(np.sum(inside.mean(axis=(1, 3)) ** 2))
    return total / len(_PHASES) ** 2


def _room(free: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Pixels on which an aperture, shifted by up to half a pixel, touches nothing."""
    reach = int(np.ceil(radius + 1.5))
    room = ~object_mask((~free).astype(np.int32), grow_px=radius + 1.5)
    room[:reach], room[-reach:] = False, False
    room[:, :reach], room[:, -reach:] = False, False
    return room


def _robust_sigma(values: NDArray[np.floating]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _no_room(asked: int, found: int) -> QualityError:
    return QualityError(
        "noise in empty apertures",
        found=f"{found} of {asked} radii have {MIN_APERTURES} free places",
        expected="at least two",
        do="use smaller radii, or a less grown object mask",
    )
