"""Frames of a fringed night sky, drawn from their numbers: what patterns are sought in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

READNOISE_E = 4.0
Floats = NDArray[np.float32]


@dataclass
class Sky:
    """Electrons, and what a detector would mask; `amplitude` is relative to the true pattern."""

    image: Floats
    objects: NDArray[np.bool_]
    level_e: float
    amplitude: float


def fringes(size: int, wide_px: tuple[float, float] = (30.0, 100.0)) -> Floats:
    """Bent fringes of amplitude 1 whose width changes from corner to corner, mean 0."""
    y, x = np.mgrid[0:size, 0:size].astype(float)
    along = (x + 0.6 * y) / np.hypot(1, 0.6)
    length = 1.6 * size / np.hypot(1, 0.6)
    first, last = 1 / wide_px[0], 1 / wide_px[1]
    phase = 2 * np.pi * (first * along + (last - first) * along**2 / (2 * length))
    phase += 2 * np.sin(2 * np.pi * y / (0.7 * size)) + 1.5 * np.cos(2 * np.pi * x / (0.9 * size))
    wave = (0.75 + 0.25 * np.sin(2 * np.pi * (x - y) / (1.3 * size))) * np.cos(phase)
    return (wave - wave.mean()).astype(np.float32)


def frame(
    pattern: Floats,
    seed: int,
    *,
    level_e: float = 1500.0,
    amplitude: float = 1.0,
    gradient: float = 0.03,
    n_objects: int | None = None,
) -> Sky:
    """A sky with a gradient, the pattern, and stars and galaxies with halos; photon noise.

    `n_objects` is by area unless told. The mask ends where the light of an object falls below one
    sigma of a pixel: faint wings and the halo (2 % of the light, 80 px wide) stay outside.
    """
    rng = np.random.default_rng(seed)
    size = len(pattern)
    v, u = np.mgrid[0:size, 0:size] / (size - 1) - 0.5
    slopes = rng.uniform(-gradient, gradient, 3)
    image = 1 + slopes[0] * u + slopes[1] * v + slopes[2] * u * v + amplitude * pattern
    image *= level_e
    objects = np.zeros((size, size), bool)
    n = round(60 * (size / 1024) ** 2) if n_objects is None else n_objects
    for _ in range(n):
        _add(image, objects, rng, level_e)
    noisy = rng.poisson(image) + rng.normal(0, READNOISE_E, image.shape)
    return Sky(noisy.astype(np.float32), objects, level_e, amplitude)


def _add(
    image: NDArray[np.float64], objects: NDArray[np.bool_], rng: np.random.Generator, sky_e: float
) -> None:
    """A Moffat of a random flux and width, with a halo."""
    size = len(image)
    x, y = rng.uniform(0, size, 2)
    flux, fwhm_px = 10 ** rng.uniform(3, 6.2), rng.choice([3.0, 3.0, 3.0, 6.0, 12.0])
    alpha2 = (fwhm_px / 2) ** 2 / (2**0.4 - 1)
    peak = 1.5 * flux / (np.pi * alpha2)
    rows = slice(max(0, int(y) - 250), int(y) + 250)
    columns = slice(max(0, int(x) - 250), int(x) + 250)
    gy, gx = np.ogrid[rows.start : min(size, rows.stop), columns.start : min(size, columns.stop)]
    r2 = (gx - x) ** 2 + (gy - y) ** 2
    light = peak * (1 + r2 / alpha2) ** -2.5
    halo = 0.02 * flux / (2 * np.pi * 80**2) * np.exp(-np.sqrt(r2) / 80)
    image[rows, columns] += light + halo
    objects[rows, columns] |= (light > np.sqrt(sky_e)) | (r2 < 16)


def dithered(
    pattern: Floats,
    n: int = 15,
    *,
    seed: int = 0,
    level_e: tuple[float, float] = (500.0, 3000.0),
    amplitudes: tuple[float, float] = (0.7, 1.3),
    **more: float,
) -> list[Sky]:
    """Frames of different skies, objects and amplitudes."""
    rng = np.random.default_rng(seed)
    return [
        frame(
            pattern,
            1000 * seed + k,
            level_e=rng.uniform(*level_e),
            amplitude=rng.uniform(*amplitudes),
            **more,  # type: ignore[arg-type]
        )
        for k in range(n)
    ]
