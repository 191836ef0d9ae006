"""AB magnitudes of spectra through filter curves, photon counting (Bessell & Murphy 2012)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tesela.bands.filters import FilterCurve
from tesela.errors import BadInput

LIGHT_A_S = 2.99792458e18  # speed of light in Angstrom per second
AB_ZERO_MAG = -48.60  # of f_nu in erg/s/cm2/Hz (Oke & Gunn 1983)


def weights(wavelength_A: np.ndarray, curves: Sequence[FilterCurve]) -> np.ndarray:
    """Linear operator from sampled f_lambda to the mean f_nu in each band.

    Parameters
    ----------
    wavelength_A : ndarray, (n_wave,) float64
        Increasing wavelengths of the spectra; a spectrum is linear between them.
    curves : sequence of FilterCurve

    Returns
    -------
    ndarray, (n_wave, n_band) float64
        ``flux @ weights`` is f_nu in erg/s/cm2/Hz if flux is in erg/s/cm2/A.
    """
    wave = np.asarray(wavelength_A, np.float64)
    operator = np.zeros((wave.size, len(curves)))
    for k, curve in enumerate(curves):
        lam = curve.wavelength_A
        if lam[0] < wave[0] or lam[-1] > wave[-1]:
            raise BadInput(
                f"spectrum for filter {curve.name}",
                found=f"{wave[0]:.0f}-{wave[-1]:.0f} A",
                expected=f"at least {lam[0]:.0f}-{lam[-1]:.0f} A",
            )
        inside = wave[(wave > lam[0]) & (wave < lam[-1])]
        fine = np.union1d(inside, lam)
        through = np.interp(fine, lam, curve.throughput)
        width = np.zeros(fine.size)
        width[:-1] += 0.5 * np.diff(fine)
        width[1:] += 0.5 * np.diff(fine)
        value = width * fine * through
        value /= LIGHT_A_S * np.sum(width * through / fine)
        # Share each fine point between its two neighbours in the spectrum.
        left = np.clip(np.searchsorted(wave, fine, side="right") - 1, 0, wave.size - 2)
        part = (fine - wave[left]) / (wave[left + 1] - wave[left])
        operator[:, k] = np.bincount(left, value * (1 - part), minlength=wave.size)
        operator[:, k] += np.bincount(left + 1, value * part, minlength=wave.size)
    return operator


def magnitudes(
    wavelength_A: np.ndarray,
    flux: np.ndarray,
    curves: Sequence[FilterCurve],
    *,
    redshift: float = 0.0,
) -> np.ndarray:
    """AB magnitudes of many spectra in many bands.

    Parameters
    ----------
    wavelength_A : ndarray, (n_wave,)
        Wavelengths at rest, Angstrom.
    flux : ndarray, (n_sed, n_wave)
        f_lambda in erg/s/cm2/A (or in any unit: then only colours mean something).
    curves : sequence of FilterCurve
    redshift : float
        Moves the spectra to wavelength * (1 + z) and divides f_lambda by (1 + z); no distance
        enters.

    Returns
    -------
    ndarray, (n_sed, n_band) float64
        Magnitudes; +inf where a spectrum has no light in a band.
    """
    stretch = 1.0 + redshift
    operator = weights(np.asarray(wavelength_A) * stretch, curves)
    f_nu = np.asarray(flux, np.float64) @ operator / stretch
    with np.errstate(divide="ignore"):
        return -2.5 * np.log10(np.maximum(f_nu, 0.0)) + AB_ZERO_MAG
