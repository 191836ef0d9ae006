"""Compact libraries of spectra of stars and galaxies."""
# ruff: noqa: N815 - A is the Angstrom

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np


@dataclass(frozen=True)
class Spectra:
    """Spectra on one grid of wavelengths.

    Parameters
    ----------
    names : tuple of str
        Name of each spectrum.
    wavelength_A : ndarray, (n_wave,) float64
        Logarithmically spaced wavelengths in Angstrom.
    flux : ndarray, (n_sed, n_wave) float32
        f_lambda, 1 at 5556 A before binning.
    """

    names: tuple[str, ...]
    wavelength_A: np.ndarray
    flux: np.ndarray

    def index(self, name: str) -> int:
        """Row of a spectrum."""
        return self.names.index(name)


@cache
def _read(library: str) -> Spectra:
    path = files("tesela.bands").joinpath("data", f"spectra_{library}.npz")
    with path.open("rb") as stream, np.load(stream) as table:
        # 16-bit differences wrap around on purpose; so does their sum.
        code = np.cumsum(table["delta"], axis=1, dtype=np.uint16)
        log_flux = float(table["value_floor"]) + float(table["value_step"]) * code
        flux = np.where(code > 0, np.exp(log_flux), 0.0).astype(np.float32)
        steps = float(table["log_step"]) * np.arange(code.shape[1])
        wavelength = float(table["start_A"]) * np.exp(steps)
        labels = tuple(str(name) for name in table["names"])
    wavelength.setflags(write=False)
    flux.setflags(write=False)
    return Spectra(labels, wavelength, flux)


def pickles() -> Spectra:
    """131 stars of all types and luminosities, 2900-11500 A (Pickles 1998, PASP 110, 863)."""
    return _read("pickles")


def brown() -> Spectra:
    """129 nearby galaxies, 1000-11500 A in vacuum (Brown et al. 2014, ApJS 212, 18)."""
    return _read("brown")


def cosmos_cww() -> Spectra:
    """31 COSMOS templates (Ilbert et al. 2009) and 10 of Coleman, Wu & Weedman and Kinney."""
    return _read("cosmos_cww")
