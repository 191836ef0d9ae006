"""Small seeded skies with known truth, drawn without the code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

OVERSAMPLE = 7
SKY_E = 100.0
READNOISE_E = 5.0


@dataclass
class StarField:
    """Electrons, sky subtracted; `variance` is estimated from the noisy pixels, as in life."""

    image: np.ndarray
    variance: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    fwhm_px: float
    beta: float

    def flux_within(self, radius_px: float) -> np.ndarray:
        """True flux inside a radius (mean width of the field)."""
        alpha2 = self.fwhm_px**2 / (4 * (2 ** (1 / self.beta) - 1))
        return self.flux * (1 - (1 + radius_px**2 / alpha2) ** (1 - self.beta))


def moffat_stamp(dx, dy, fwhm_px, beta, e1, e2, radius):
    """Unit-flux Moffat integrated over pixels by brute force."""
    offset = (np.arange((2 * radius + 1) * OVERSAMPLE) + 0.5) / OVERSAMPLE - 0.5 - radius
    u, v = offset[None, :] - dx, offset[:, None] - dy
    alpha2 = fwhm_px**2 / (4 * (2 ** (1 / beta) - 1))
    q = ((1 - e1) * u * u - 2 * e2 * u * v + (1 + e1) * v * v) / alpha2 / np.sqrt(1 - e1**2 - e2**2)
    fine = (beta - 1) / (np.pi * alpha2) * (1 + q) ** -beta
    n = 2 * radius + 1
    return fine.reshape(n, OVERSAMPLE, n, OVERSAMPLE).sum(axis=(1, 3)) / OVERSAMPLE**2


def draw_field(
    shape, x, y, flux, *, fwhm_px, beta=3.2, varying=0.0, e=(0.04, -0.03), seed=1, radius=28
):
    """Moffat stars whose width changes by `varying` over the field, with photon and read noise."""
    ny, nx = shape
    pad = radius + 2
    plane = np.zeros((ny + 2 * pad, nx + 2 * pad))
    for xs, ys, fs in zip(x, y, flux):
        u, v = 2 * xs / nx - 1, 2 * ys / ny - 1
        width = fwhm_px * (1 + varying * (0.5 * u + 0.3 * v * v - 0.2 * u * v))
        ix, iy = round(xs), round(ys)
        stamp = moffat_stamp(xs - ix, ys - iy, width, beta, e[0] + 0.2 * varying * u, e[1], radius)
        rows = slice(iy + pad - radius, iy + pad + radius + 1)
        columns = slice(ix + pad - radius, ix + pad + radius + 1)
        plane[rows, columns] += fs * stamp
    plane = plane[pad : pad + ny, pad : pad + nx]
    rng = np.random.default_rng(seed)
    noisy = rng.poisson(plane + SKY_E) - SKY_E + rng.normal(0, READNOISE_E, shape)
    variance = np.maximum(noisy + SKY_E, 1) + READNOISE_E**2
    return StarField(
        noisy.astype(np.float32),
        variance.astype(np.float32),
        np.asarray(x, float),
        np.asarray(y, float),
        np.asarray(flux, float),
        fwhm_px,
        beta,
    )


def scattered_field(*, n_side=10, spacing=46, fwhm_px=2.8, beta=3.2, varying=0.1, seed=2, **more):
    """A jittered square of isolated stars with fluxes from 5e3 to 1.5e5 electrons."""
    rng = np.random.default_rng(seed)
    nodes = spacing * (np.arange(n_side) + 0.5)
    x, y = (p.ravel() + rng.uniform(-4, 4, n_side**2) for p in np.meshgrid(nodes, nodes))
    flux = 10 ** rng.uniform(3.7, 5.2, n_side**2)
    shape = (n_side * spacing, n_side * spacing)
    return draw_field(
        shape, x, y, flux, fwhm_px=fwhm_px, beta=beta, varying=varying, seed=seed, **more
    )


@pytest.fixture(scope="session")
def draw():
    """`draw_field`: stars of given positions and fluxes."""
    return draw_field


@pytest.fixture(scope="session")
def scatter():
    """`scattered_field`: a hundred isolated stars."""
    return scattered_field


@pytest.fixture(scope="session")
def stamp_of():
    """`moffat_stamp`: one Moffat star integrated over its pixels."""
    return moffat_stamp


@pytest.fixture(scope="session")
def hundred_stars():
    """The default scattered field, shared by tests that only read it."""
    return scattered_field()
