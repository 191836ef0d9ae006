"""A drawn field of stars and galaxies whose PSF varies, with an aureole; its PSF at every place."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import galsim
import numpy as np
from numpy.typing import NDArray
from scipy import fft

SIDE, SKY_E, READNOISE_E, FULL_E = 2600, 400.0, 3.4, 60000.0
STARS, GALAXIES = 1500, 500
BETA, AUREOLE, AUREOLE_CORE_PX = 3.2, 0.02, 36.0
NORM_PX = 27.3  # 15 arcsec

Image = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """Sky-subtracted image and its variance, (SIDE, SIDE) electrons; positions and fluxes."""

    image: Image
    variance: Image
    saturated: NDArray[np.bool_]
    x: Floats
    y: Floats
    flux: Floats
    """Of the stars, to infinity."""


def core(x: float, y: float) -> galsim.GSObject:
    """The profile without its aureole: FWHM from 2.0 to 2.9 px, ellipticity up to 0.08."""
    u, v = 2 * x / SIDE - 1, 2 * y / SIDE - 1
    fwhm = 2.35 + 0.1 * u - 0.12 * v + 0.15 * (u * u + v * v) - 0.08 * u * v
    e1, e2 = 0.02 + 0.03 * u - 0.015 * v * v, -0.01 + 0.03 * v + 0.015 * u * v
    return galsim.Moffat(beta=BETA, fwhm=fwhm).shear(e1=e1, e2=e2)


def aureole_within(radius_px: float) -> float:
    """Part of the aureole inside a radius."""
    return 1 - 1 / math.sqrt(1 + (radius_px / AUREOLE_CORE_PX) ** 2)


def within(x: float, y: float, radius_px: float) -> float:
    """Part of a star's light inside a radius."""
    alpha = 0.5 * math.sqrt(_area(x, y)) / math.sqrt(2 ** (1 / BETA) - 1)
    inner = 1 - (1 + (radius_px / alpha) ** 2) ** (1 - BETA)
    return (1 - AUREOLE) * inner + AUREOLE * aureole_within(radius_px)


def _area(x: float, y: float) -> float:
    """Square of the FWHM; shear keeps the area."""
    u, v = 2 * x / SIDE - 1, 2 * y / SIDE - 1
    return float((2.35 + 0.1 * u - 0.12 * v + 0.15 * (u * u + v * v) - 0.08 * u * v) ** 2)


def true_stamp(x: float, y: float, half: int) -> Floats:
    """The noiseless star of unit flux on the pixels around it."""
    ix, iy = round(x), round(y)
    size = 2 * half + 1
    offset = galsim.PositionD(x - ix, y - iy)
    inner = core(x, y).drawImage(nx=size, ny=size, scale=1.0, offset=offset, dtype=float).array
    step = np.arange(-half, half + 1)
    r2 = (step[:, None] - (y - iy)) ** 2 + (step - (x - ix)) ** 2
    return np.asarray((1 - AUREOLE) * inner + AUREOLE * _aureole(r2))


def _aureole(r2: Floats) -> Floats:
    return (1 + r2 / AUREOLE_CORE_PX**2) ** -1.5 / (2 * math.pi * AUREOLE_CORE_PX**2)


@functools.cache
def draw(seed: int = 3) -> Field:
    """Stars in pairs here and there, galaxies, photons, read noise, saturated cores."""
    rng = np.random.default_rng(seed)
    light = np.zeros((SIDE, SIDE), np.float32)
    x, y = rng.uniform(2, SIDE - 3, (2, STARS))
    pair = np.arange(0, STARS - 1, 20)  # one star in ten has a companion
    angle, apart = rng.uniform(0, 2 * np.pi, len(pair)), rng.uniform(2.0, 12.0, len(pair))
    x[pair + 1] = np.clip(x[pair] + apart * np.cos(angle), 2, SIDE - 3)
    y[pair + 1] = np.clip(y[pair] + apart * np.sin(angle), 2, SIDE - 3)
    flux = 10 ** (2.7 + 3.4 * rng.power(0.75, STARS))
    for xs, ys, f in zip(x, y, flux):
        _add(light, core(xs, ys), xs, ys, (1 - AUREOLE) * f)
    light += _halos(x, y, AUREOLE * flux)
    for _ in range(GALAXIES):
        xs, ys = rng.uniform(2, SIDE - 3, 2)
        profile = galsim.Sersic(n=rng.choice([1.0, 2.0]), half_light_radius=rng.gamma(3, 0.7))
        sheared = profile.shear(q=rng.uniform(0.3, 1.0), beta=rng.uniform(0, 180) * galsim.degrees)
        seen = galsim.Convolve(sheared, core(xs, ys))
        _add(light, seen, xs, ys, 10 ** rng.uniform(3.0, 5.0))
    noise = rng.normal(size=light.shape)
    raw = rng.poisson(light + SKY_E) + READNOISE_E * noise
    image = (np.minimum(raw, FULL_E) - SKY_E).astype(np.float32)
    variance = np.maximum(image, 0) + np.float32(SKY_E + READNOISE_E**2)
    return Field(image, variance, raw >= FULL_E, x, y, flux)


def _add(image: Image, profile: galsim.GSObject, x: float, y: float, flux: float) -> None:
    """Draw a profile at a place; stamps of bright ones are large."""
    half = int(np.clip(14 * (flux / 3000.0) ** 0.3, 16, 100))
    ix, iy = round(x), round(y)
    bounds = galsim.BoundsI(ix - half, ix + half, iy - half, iy + half)
    stamp = galsim.Image(bounds, dtype=np.float32)
    profile.withFlux(flux).drawImage(stamp, scale=1.0, center=galsim.PositionD(x, y))
    inside = bounds & galsim.BoundsI(0, SIDE - 1, 0, SIDE - 1)
    rows = slice(inside.ymin, inside.ymax + 1)
    image[rows, inside.xmin : inside.xmax + 1] += stamp[inside].array


def _halos(x: Floats, y: Floats, flux: Floats) -> Image:
    """Aureoles of all stars, by one convolution."""
    reach = 400
    grid = np.zeros((SIDE, SIDE))
    np.add.at(grid, (np.rint(y).astype(int), np.rint(x).astype(int)), flux)
    step = np.arange(-reach, reach + 1)
    kernel = _aureole((step[:, None] ** 2 + step**2).astype(float))
    size = fft.next_fast_len(SIDE + 2 * reach, real=True)
    product = fft.rfft2(grid, (size, size)) * fft.rfft2(kernel, (size, size))
    return fft.irfft2(product, (size, size))[reach : reach + SIDE, reach : reach + SIDE]
