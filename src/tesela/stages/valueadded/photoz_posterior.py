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
def _posterior(  # type: ignore[no-untyped-def]
    flux, weight, reference, model, reference_model, log_prior, slope, density, best, chi2
):  # pragma: no cover
    n = flux.shape[0]
    n_z, _, n_template = model.shape
    log_p = np.empty((n_z, n_template), np.float32)
    left = np.empty((n_z, n_template), np.float32)
    cross, square = np.empty(n_template, np.float32), np.empty(n_template, np.float32)
    for i in range(n):
        highest, place = np.float32(-1e30), 0
        for j in range(n_z):
            total = _sums(flux[i], weight[i], model[j], cross, square)
            _log_probability(
                total, cross, square, reference[i], reference_model[j], slope, left[j], log_p[j]
            )
            for t in range(n_template):
                log_p[j, t] += log_prior[j, t]
                if log_p[j, t] > highest:
                    highest, place = log_p[j, t], j * n_template + t
        best[i] = place % n_template
        chi2[i] = left[place // n_template, place % n_template]
        _normalise(log_p, highest, density[i])


@numba.njit(cache=True, fastmath=True)
def _sums(flux, weight, model, cross, square):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums over bands: weight flux^2, returned, and weight flux model, weight model^2."""
    n_band, n_template = model.shape
    cross[:] = 0.0
    square[:] = 0.0
    total = np.float32(0.0)
    for b in range(n_band):
        w = weight[b]
        if w > 0:
            wf = w * flux[b]
            total += wf * flux[b]
            for t in range(n_template):
                m = model[b, t]
                cross[t] += wf * m
                square[t] += w * m * m
    return total


@numba.njit(cache=True, fastmath=True)
def _log_probability(  # type: ignore[no-untyped-def]
    total, cross, square, reference, reference_model, slope, left, log_p
):  # pragma: no cover
    """Chi squared at the best amplitude, never negative, and ln P with the Schechter function."""
    tiny, half, one = np.float32(1e-30), np.float32(0.5), np.float32(1.0)
    for t in range(left.size):
        amplitude = max(cross[t], tiny) / max(square[t], tiny)
        left[t] = total - amplitude * (cross[t] + cross[t] - amplitude * square[t])
        light = amplitude
        if reference > 0:
            light = max(reference / reference_model[t], tiny)
        log_p[t] = (slope + one) * np.log(light) - light - half * left[t]


@numba.njit(cache=True, fastmath=True)
def _normalise(log_p, highest, density):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Probability of each redshift, templates summed."""
    whole = 0.0
    for j in range(log_p.shape[0]):
        part = 0.0
        for t in range(log_p.shape[1]):
            below = log_p[j, t] - highest
            if below > -FAR_BELOW:
                part += np.exp(below)
        density[j] = part
        whole += part
    for j in range(log_p.shape[0]):
        density[j] /= whole
