"""Probability of each redshift from the fluxes of an object, all templates summed.

For each redshift and template the amplitude that fits best is analytic; chi squared there and the
prior of the luminosity that the flux in the detection band means give the probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

FAR_BELOW = 30.0  # ln P so much below the best: adds nothing in single precision


@dataclass(frozen=True)
class Grid:
    """Models on the grid of redshifts; float32, contiguous."""

    z: NDArray[np.float64]
    model_ujy: Singles
    """(n_z, n_band, n_template): fluxes of galaxies of luminosity L*."""
    reference_ujy: Singles
    """(n_z, n_template): the same in the band whose flux the prior speaks of."""
    log_prior: Singles
    """(n_z, n_template): ln of the prior without its Schechter function."""
    slope: float
    """Exponent of the Schechter function."""
    base: NDArray[np.int16]
    """(n_template,): number of the spectrum behind each template."""


@dataclass(frozen=True)
class Posterior:
    """Of n objects."""

    probability: Singles
    """(n, n_z), sum one."""
    template: NDArray[np.int16]
    """(n,) number of the best spectrum."""
    chi2: Singles
    """(n,) of the most probable model."""


def posterior(flux: Singles, weight: Singles, reference: Singles, grid: Grid) -> Posterior:
    """Probabilities of objects.

    Parameters
    ----------
    flux, weight : ndarray, (n, n_band) float32
        Flux in microjansky and inverse variance; no NaN, weight 0 for what is not known. An
        object needs at least one positive weight.
    reference : ndarray, (n,) float32
        Flux of the band that the prior speaks of; not positive if not known: then the fitted
        amplitude stands for it.
    grid : Grid
    """
    n, n_z = len(flux), len(grid.z)
    density, best = np.zeros((n, n_z), np.float32), np.zeros(n, np.int32)
    chi2 = np.zeros(n, np.float32)
    _posterior(
        np.ascontiguousarray(flux, np.float32),
        np.ascontiguousarray(weight, np.float32),
        np.ascontiguousarray(reference, np.float32),
        grid.model_ujy,
        grid.reference_ujy,
        grid.log_prior,
        np.float32(grid.slope),
        density,
        best,
        chi2,
    )
    return Posterior(density, grid.base[best], chi2)


@numba.njit(cache=True, fastmath=True)
def _posterior(
    flux, weight, reference, model, reference_model, log_prior, slope, density, best, chi2
):  # pragma: no cover
    n, n_band = flux.shape
    n_z, _, n_template = model.shape
    log_p = np.empty((n_z, n_template), np.float32)
    chi2_of = np.empty((n_z, n_template), np.float32)
    cross = np.empty(n_template, np.float32)
    square = np.empty(n_template, np.float32)
    tiny, half, one = np.float32(1e-30), np.float32(0.5), np.float32(1.0)
    for i in range(n):
        total = np.float32(0.0)
        for b in range(n_band):
            total += weight[i, b] * flux[i, b] * flux[i, b]
        highest, place = np.float32(-1e30), 0
        for j in range(n_z):
            cross[:] = 0.0
            square[:] = 0.0
            for b in range(n_band):
                w = weight[i, b]
                if w > 0:
                    wf = w * flux[i, b]
                    for t in range(n_template):
                        m = model[j, b, t]
                        cross[t] += wf * m
                        square[t] += w * m * m
            for t in range(n_template):
                amplitude = max(cross[t], tiny) / max(square[t], tiny)
                left = total - amplitude * (cross[t] + cross[t] - amplitude * square[t])
                light = amplitude
                if reference[i] > 0:
                    light = reference[i] / reference_model[j, t]
                light = max(light, tiny)
                chi2_of[j, t] = left
                value = log_prior[j, t] - half * left - light + (slope + one) * np.log(light)
                log_p[j, t] = value
                if value > highest:
                    highest, place = value, j * n_template + t
        best[i] = place % n_template
        chi2[i] = chi2_of[place // n_template, place % n_template]
        whole = 0.0
        for j in range(n_z):
            part = 0.0
            for t in range(n_template):
                below = log_p[j, t] - highest
                if below > -FAR_BELOW:
                    part += np.exp(below)
            density[i, j] = part
            whole += part
        for j in range(n_z):
            density[i, j] /= whole
