"""Spectra of galaxies that photometry is compared with, and their fluxes on a grid of redshift.

The library is that of Ilbert et al. (2009, ApJ 690, 1236): ellipticals and spirals of Polletta et
al. (2007) and star-forming models of Bruzual & Charlot (2003); and the spectra of Coleman, Wu &
Weedman (1980) and Kinney et al. (1996). To star-forming ones dust and emission lines are added.
"""
# ruff: noqa: N815 - A is the Angstrom

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tesela.bands import filters, spectra, synthetic

Floats = NDArray[np.float64]

# Vacuum wavelength A, and flux relative to H alpha. [O II], H beta, [O III] 5008 as Ilbert et al.
# (2009) take them from [O II]; [N II] and [S II] at a third and a quarter of H alpha, typical of
# disc galaxies (Kennicutt 1992, ApJ 388, 310).
LINES = (
    (3728.5, 0.57), (4862.7, 0.34), (4960.3, 0.07), (5008.2, 0.20),
    (6549.9, 0.11), (6564.6, 1.00), (6585.3, 0.33), (6718.3, 0.15), (6732.7, 0.12),
)  # fmt: skip
BLUEST_EW_A = 120.0
"""Equivalent width of H alpha of the bluest template at line strength one."""
RED_COLOUR_MAG = 0.70
"""Templates redder than this in g - r at rest have no lines and no dust of their own."""


@dataclass(frozen=True)
class Templates:
    """Spectra at rest.

    Parameters
    ----------
    wavelength_A : ndarray, (n_wave,)
    flux : ndarray, (n_template, n_wave)
        f_lambda, arbitrary scale.
    base : ndarray, (n_template,) int
        Number, from 1, of the spectrum in the library that it was made from.
    share : ndarray, (n_template,)
        Prior probability; the variants of a spectrum share its part.
    """

    wavelength_A: Floats
    flux: Floats
    base: NDArray[np.int64]
    share: Floats


def calzetti(wavelength_A: Floats) -> Floats:
    """A / E(B-V) of the dust of star-forming galaxies (Calzetti et al. 2000, ApJ 533, 682, eq. 4).

    Below 1200 A the value there is held.
    """
    micron = np.maximum(np.asarray(wavelength_A, np.float64), 1200.0) * 1e-4
    x = 1 / micron
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + 4.05
    red = 2.659 * (-1.857 + 1.040 * x) + 4.05
    return np.maximum(np.where(micron < 0.63, blue, red), 0.0)


def _lines(wavelength_A: Floats) -> Floats:
    """Spectrum of the lines with the light of 1 A of continuum at H alpha in H alpha.

    Each line is shared between the two neighbours on the grid, so that its light is exact.
    """
    spectrum = np.zeros(wavelength_A.size)
    width = np.gradient(wavelength_A)
    for line, strength in LINES:
        right = int(np.searchsorted(wavelength_A, line))
        part = (line - wavelength_A[right - 1]) / (wavelength_A[right] - wavelength_A[right - 1])
        spectrum[right - 1] += strength * (1 - part) / width[right - 1]
        spectrum[right] += strength * part / width[right]
    return spectrum


@lru_cache(maxsize=4)
def make(dust_ebv_mag: tuple[float, ...], line_strength: tuple[float, ...]) -> Templates:
    """The library with its variants of dust and lines."""
    library = spectra.cosmos_cww()
    wave, base = library.wavelength_A, np.asarray(library.flux, np.float64)
    pair = [filters.load("g"), filters.load("r")]
    mags = synthetic.magnitudes(wave, base, pair)
    colour = mags[:, 0] - mags[:, 1]
    # A tenth of the bluest at the red end: the range of normal galaxies (Kennicutt 1998, ARA&A 36,
    # 189, fig. 3); `line_strength` spreads it.
    width_A = BLUEST_EW_A * 10 ** (-1.2 * (colour - colour.min()))
    lines, dust = _lines(wave), calzetti(wave)
    flux, number, share = [], [], []
    for k, spectrum in enumerate(base):
        plain = colour[k] > RED_COLOUR_MAG
        variants = [
            (ebv, strength)
            for ebv in (dust_ebv_mag[:1] if plain else dust_ebv_mag)
            for strength in (line_strength[:1] if plain else line_strength)
        ]
        at_line = np.interp(6564.6, wave, spectrum)
        for ebv, strength in variants:
            lit = spectrum + strength * width_A[k] * at_line * lines
            flux.append(lit * 10 ** (-0.4 * ebv * dust))
            number.append(k + 1)
            share.append(1.0 / len(variants) / len(base))
    return Templates(wave, np.array(flux), np.array(number), np.array(share))


def fluxes(templates: Templates, bands: tuple[str, ...], z: Floats) -> Floats:
    """Mean f_nu of every template through every band at every redshift.

    Returns
    -------
    ndarray, (n_z, n_band, n_template) float64
        Arbitrary scale, the same for all redshifts: no distance enters, f_lambda / (1 + z).
    """
    curves = [filters.load(band) for band in bands]
    result = np.empty((z.size, len(bands), len(templates.base)))
    for i, redshift in enumerate(z):
        stretch = 1.0 + redshift
        operator = synthetic.weights(templates.wavelength_A * stretch, curves)
        result[i] = (templates.flux @ operator).T / stretch
    return result
