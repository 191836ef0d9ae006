"""Galaxies: atlas spectra with other dust and lines, a bulge and a disc of different colour."""
# ruff: noqa: N815 - A is the Angstrom

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from tesela.bands import extinction, filters, spectra, synthetic

SLOPE = 0.35  # of log10 N(r)
BRIGHTEST_MAG = 14.0
FAINTER_THAN_LIMIT_MAG = 0.5
CHUNK = 1024
_LINES = (  # rest wavelength A and strength relative to H alpha
    (3728.0, 0.5), (4862.7, 0.3), (4960.3, 0.12), (5008.2, 0.36), (6564.6, 1.0), (6585.3, 0.35),
)  # fmt: skip
LINE_SIGMA_A = 8.0


@dataclass(frozen=True)
class Galaxies:
    """Columns of n galaxies; angles from north to east in radians, sizes in arcsec."""

    r_mag: np.ndarray
    redshift: np.ndarray
    template: np.ndarray
    bulge_template: np.ndarray
    bulge_fraction_r: np.ndarray
    disc_radius_arcsec: np.ndarray
    """Half-light radius of the exponential disc along its major axis."""
    disc_axis_ratio: np.ndarray
    bulge_radius_arcsec: np.ndarray
    """Half-light radius of the de Vaucouleurs bulge along its major axis."""
    bulge_axis_ratio: np.ndarray
    angle_rad: np.ndarray
    ebv: np.ndarray
    line_width_A: np.ndarray
    """Equivalent width of the H alpha that is added to the template."""


def count_factor() -> float:
    """Galaxies drawn for each one brighter than the stated limit."""
    return float(10 ** (SLOPE * FAINTER_THAN_LIMIT_MAG))


def make(rng: np.random.Generator, n: int, limit_mag: float) -> Galaxies:
    """Draw n galaxies, half a magnitude deeper than `limit_mag`."""
    low, high = 10 ** (SLOPE * BRIGHTEST_MAG), 10 ** (SLOPE * (limit_mag + FAINTER_THAN_LIMIT_MAG))
    r = np.log10(rng.uniform(low, high, n)) / SLOPE
    z = 0.1 * 10 ** (0.15 * (r - 18.0)) * rng.gamma(3.0, 1 / 2.67, n)
    library = spectra.brown()
    step = np.log(library.wavelength_A[1] / library.wavelength_A[0])
    # Redshifts are whole steps of the logarithmic grid: shifting a spectrum is then exact.
    z = np.expm1(step * np.round(np.log1p(np.clip(z, 0.003, 1.2)) / step))
    elliptical = rng.uniform(size=n) < 0.25
    bulge = np.where(elliptical, 1.0, rng.uniform(0.0, 0.6, n))
    size = np.clip(10 ** (-0.05 - 0.13 * (r - 20.0) + rng.normal(0, 0.18, n)), 0.15, 15.0)
    return Galaxies(
        r_mag=r,
        redshift=z,
        template=rng.integers(0, len(library.names), n),
        bulge_template=rng.choice(_reddest(), n),
        bulge_fraction_r=bulge,
        disc_radius_arcsec=size,
        disc_axis_ratio=rng.uniform(0.2, 1.0, n),
        bulge_radius_arcsec=np.where(elliptical, size, size * rng.uniform(0.25, 0.6, n)),
        bulge_axis_ratio=rng.uniform(0.6, 1.0, n),
        angle_rad=rng.uniform(0, np.pi, n),
        ebv=np.abs(rng.normal(0, 0.08, n)),
        line_width_A=np.exp(rng.normal(1.8, 0.9, n)) * ~elliptical,
    )


@cache
def _reddest() -> np.ndarray:
    """The 20 templates that are reddest in g - i: bulges."""
    library = spectra.brown()
    curves = [filters.load("gSDSS"), filters.load("iSDSS")]
    mags = synthetic.magnitudes(library.wavelength_A, library.flux, curves)
    return np.argsort(mags[:, 1] - mags[:, 0], kind="stable")[:20]


def magnitudes(
    galaxies: Galaxies, curves: list[filters.FilterCurve]
) -> tuple[np.ndarray, np.ndarray]:
    """AB magnitudes and the bulge's share of the flux.

    Returns
    -------
    mags : (n, n_band) float64
        Total magnitudes, scaled to `r_mag` in the published r curve.
    bulge : (n, n_band) float64
        Fraction of the flux in the bulge, band by band.
    """
    n, m = galaxies.r_mag.size, len(curves)
    mags, bulge = np.zeros((n, m)), np.zeros((n, m))
    wave = spectra.brown().wavelength_A
    operator = synthetic.weights(wave, [*curves, filters.load("rSDSS")])
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        disc, old = _fluxes(galaxies, rows, wave, operator)
        share = galaxies.bulge_fraction_r[rows, None]
        disc *= (1 - share) / disc[:, -1:]
        old *= share / old[:, -1:]
        total = disc + old
        mags[rows] = galaxies.r_mag[rows, None] - 2.5 * np.log10(total[:, :-1])
        bulge[rows] = old[:, :-1] / total[:, :-1]
    return mags, bulge


def _fluxes(
    galaxies: Galaxies, rows: slice, wave: np.ndarray, operator: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """f_nu of disc and bulge in every band, each on its own arbitrary scale."""
    library = spectra.brown()
    step = np.log(wave[1] / wave[0])
    shift = np.round(np.log1p(galaxies.redshift[rows]) / step).astype(int)
    used = np.flatnonzero(operator.any(axis=1))
    source = used[None, :] - shift[:, None]
    dust = 10 ** (-0.4 * galaxies.ebv[rows, None] * extinction.k_lambda(wave)[source])
    lines = np.zeros(wave.size)
    for line, strength in _LINES:
        peak = strength / (2.5066 * LINE_SIGMA_A)
        lines += peak * np.exp(-0.5 * ((wave - line) / LINE_SIGMA_A) ** 2)
    disc = library.flux[galaxies.template[rows, None], source] * dust
    disc = disc * (1 + galaxies.line_width_A[rows, None] * lines[source])
    old = library.flux[galaxies.bulge_template[rows, None], source]
    return disc @ operator[used], old @ operator[used]
