"""Frames of the sky that are spoiled on purpose, to be caught."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tesela.simulate import ccds
from tesela.simulate.exposure import Exposure
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream

BUMP_PX = 0.5
EXPTIME_ERROR = 0.10


@dataclass(frozen=True)
class Bump:
    """A smooth displacement of the stars of one place; all in pixels."""

    dx: float = 0.0
    dy: float = 0.0
    """In the middle of it."""
    x: float = 0.0
    y: float = 0.0
    radius: float = 1.0

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far stars at pixels are moved."""
        strength = np.exp(-0.5 * ((x - self.x) ** 2 + (y - self.y) ** 2) / self.radius**2)
        return self.dx * strength, self.dy * strength


def mark(settings: NightSettings, frames: list[Exposure]) -> list[Exposure]:
    """Choose the frames of tiles that are spoiled: no frame in both ways while there are others."""
    if not (settings.spoiled_wcs or settings.spoiled_zeropoint):
        return frames
    rng = stream(settings.seed, "spoiled", settings.date)
    tiles = [i for i, frame in enumerate(frames) if frame.object.startswith("SIM-")]
    order = rng.permutation(tiles)
    displaced = set(order[: settings.spoiled_wcs].tolist())
    mistimed = set(order[::-1][: settings.spoiled_zeropoint].tolist())
    marked = []
    for i, frame in enumerate(frames):
        longer = 1 + EXPTIME_ERROR if rng.uniform() < 0.5 else 1 / (1 + EXPTIME_ERROR)
        stated = round(frame.exptime_s * longer, 3) if i in mistimed else -1.0
        marked.append(replace(frame, header_exptime_s=stated, is_displaced=i in displaced))
    return marked


def bump(settings: NightSettings, exposure: Exposure) -> Bump:
    """The displacement in a frame; none in most."""
    if not exposure.is_displaced:
        return Bump()
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "bump", exposure.name)
    x, y = rng.uniform(0.25, 0.75, 2)
    angle = rng.uniform(0, 2 * np.pi)
    return Bump(
        dx=float(BUMP_PX * np.cos(angle)),
        dy=float(BUMP_PX * np.sin(angle)),
        x=float(x * camera.nx),
        y=float(y * camera.ny),
        radius=0.12 * min(camera.nx, camera.ny),
    )
