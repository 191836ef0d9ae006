"""Clouds that dim part of a frame more than the rest: a gradient, sometimes a patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tesela.simulate import ccds
from tesela.simulate.exposure import Exposure
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream

PATCH_MAG = 0.05


@dataclass(frozen=True)
class Clouds:
    """What clouds take from the stars of a frame, beyond its transparency."""

    nx: int
    ny: int
    gradient_x_mag: float = 0.0
    """From the left edge to the right; none in the middle."""
    gradient_y_mag: float = 0.0
    patch_mag: float = 0.0
    patch_x: float = 0.0
    patch_y: float = 0.0
    patch_radius_px: float = 1.0

    def dimming_mag(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Magnitudes lost at pixels."""
        lost = self.gradient_x_mag * (x / (self.nx - 1) - 0.5)
        lost = lost + self.gradient_y_mag * (y / (self.ny - 1) - 0.5)
        r2 = (x - self.patch_x) ** 2 + (y - self.patch_y) ** 2
        return lost + self.patch_mag * np.exp(-0.5 * r2 / self.patch_radius_px**2)


def draw(settings: NightSettings, exposure: Exposure) -> Clouds:
    """The clouds of a frame, from a stream of their own."""
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "clouds", exposure.name)
    amount = settings.cloud_gradient_mag * rng.uniform(0.75, 1.25)
    angle = rng.uniform(0, 2 * np.pi)
    has_patch = rng.uniform() < settings.cloud_patch_probability
    x, y, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.2)
    return Clouds(
        nx=camera.nx,
        ny=camera.ny,
        gradient_x_mag=float(amount * np.cos(angle)),
        gradient_y_mag=float(amount * np.sin(angle)),
        patch_mag=PATCH_MAG if has_patch else 0.0,
        patch_x=float(x * camera.nx),
        patch_y=float(y * camera.ny),
        patch_radius_px=float(radius * min(camera.nx, camera.ny)),
    )
