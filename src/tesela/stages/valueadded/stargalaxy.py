"""The probability to be point-like, from the concentration of the light.

Stars of a tile share one concentration, that of the PSF; galaxies have less. After the idea of
Lopez-Sanjuan et al. 2019 (A&A 622, A177) the sources of a tile are modelled, in steps of magnitude,
as a mixture: a narrow Gaussian of stars and a log-normal of galaxies, both as they are without
errors, seen through the error of each source. The numbers of both in the mixture are the prior. So
nothing is learned elsewhere, and the seeing and depth of each tile are taken as they are.

Where sources are few, stated values stand in: each step of magnitude starts from the brighter one,
with the weight of some sources, and the brightest from those below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.stages.valueadded.settings import StarGalaxySettings

Floats = NDArray[np.float64]

_POGSON = 2.5 / np.log(10)
_ERROR_FLOOR_MAG = 0.01
_PEAK_SHARE = 0.4
"""A peak of concentration is that of stars if it has this much of the highest."""
_KERNEL_MAG = 0.03
_EXCESS = np.geomspace(0.01, 3.0, 56)
"""Excess over the stars' concentration at which galaxies are tabulated, mag."""
_WING_SHARE, _WING_MAG = 0.05, 0.25
"""Part of the stars that neighbours and companions broaden, and by how much."""
_START_WEIGHT, _WEIGHT = 10.0, 15.0
"""Sources that the stated start, and that a brighter step of magnitude, count for."""
_MAX_ITERATIONS, _TOLERANCE = 60, 1e-4


@dataclass(frozen=True)
class Mixture:
    """Stars and galaxies around one magnitude, free of errors."""

    star_fraction: float
    star_mag: float
    """Mean concentration of stars, from their locus."""
    star_width_mag: float
    galaxy_log: float
    """Mean of the natural logarithm of the excess of galaxies."""
    galaxy_width: float
    """Its standard deviation."""


_START = Mixture(0.5, 0.0, 0.03, float(np.log(0.35)), 0.5)
_UNSURE_WIDTH_MAG = 0.1
"""Width of the stars where too few sources show where they are."""


def concentration(
    flux_small: Floats, err_small: Floats, flux_large: Floats, err_large: Floats
) -> tuple[Floats, Floats]:
    """Magnitude in a small aperture minus that in a larger one around it, and its error.

    Parameters
    ----------
    flux_small, err_small, flux_large, err_large : (n,) float
        Any one unit. The light of the small aperture is in both: it is not counted twice.

    Returns
    -------
    value, error : (n,) float64, mag
        NaN where a flux or an error is not positive.
    """
    with np.errstate(invalid="ignore"):
        good = (flux_small > 0) & (flux_large > 0) & (err_small > 0) & (err_large > 0)
    small, large, e_small, e_large = (
        np.where(good, v, 1.0).astype(np.float64)
        for v in (flux_small, flux_large, err_small, err_large)
    )
    value = -2.5 * np.log10(small / large)
    ring = np.maximum(e_large**2 - e_small**2, 0.1 * e_large**2)
    variance = (e_small * (1 / small - 1 / large)) ** 2 + ring / large**2
    error = np.sqrt((_POGSON**2) * variance + _ERROR_FLOOR_MAG**2)
    return np.where(good, value, np.nan), np.where(good, error, np.nan)


def probability(
    value: Floats,
    error: Floats,
    mag: Floats,
    x: Floats,
    y: Floats,
    trusted: NDArray[np.bool_],
    settings: StarGalaxySettings,
) -> tuple[Floats, Floats]:
    """Probability of each source to be point-like.

    Parameters
    ----------
    value, error : (n,) float64, mag
        Concentration and its error.
    mag : (n,) float64
        Magnitude, for the prior.
    x, y : (n,) float64, pixels
        Positions, for the PSF varies over a tile.
    trusted : (n,) bool
        False where the concentration says nothing, as in saturated stars.

    Returns
    -------
    prob, excess : (n,) float64
        Probability, and the concentration minus that of a star. Where the concentration is not
        trusted or not known, the excess is NaN and the probability is the prior of that magnitude;
        NaN where the magnitude is not known either.
    """
    known = trusted & np.isfinite(value) & np.isfinite(error) & np.isfinite(mag)
    excess = np.full(value.shape, np.nan)
    prob = np.full(value.shape, np.nan)
    bright = known & (error < settings.max_error_mag)
    excess[known] = value[known] - _locus(
        value[bright], x[bright], y[bright], x[known], y[known], value[known], settings
    )
    start = _START
    if np.count_nonzero(bright) < settings.min_stars:
        start = Mixture(0.5, 0.0, _UNSURE_WIDTH_MAG, _START.galaxy_log, _START.galaxy_width)
    nodes, mixtures = _fit(excess[known], error[known], mag[known], start, settings)
    seen = np.isfinite(mag)
    prob[seen] = _interpolate(nodes, mixtures, mag[seen])[:, 0]
    prob[known] = _posterior(excess[known], error[known], _interpolate(nodes, mixtures, mag[known]))
    return prob, excess


def _locus(
    bright: Floats,
    x: Floats,
    y: Floats,
    at_x: Floats,
    at_y: Floats,
    every: Floats,
    settings: StarGalaxySettings,
) -> Floats:
    """Concentration of stars at places of the tile: the median of the nearest bright stars.

    With too few of those it is one number, and with hardly any source the lowest quarter of all,
    since stars are the most concentrated of sources.
    """  # fmt: skip
    if bright.size < settings.min_stars:
        return np.full(at_x.shape, np.quantile(every, 0.25) if every.size else 0.0)
    ridge = _ridge(bright)
    compact = np.abs(bright - ridge) < settings.ridge_mag
    if np.count_nonzero(compact) < settings.min_stars:
        return np.full(at_x.shape, ridge)
    tree = cKDTree(np.column_stack([x[compact], y[compact]]))
    _, near = tree.query(np.column_stack([at_x, at_y]), k=settings.neighbours)
    return np.asarray(np.median(bright[compact][near], axis=1))


def _ridge(values: Floats) -> float:
    """The lowest of the high peaks of a distribution: where stars crowd."""
    grid = np.arange(values.min() - 0.1, values.max() + 0.1, _KERNEL_MAG / 3)
    counts, _ = np.histogram(values, np.append(grid, grid[-1] + _KERNEL_MAG / 3))
    offset = np.arange(-9, 10) / 3
    density = np.convolve(counts, np.exp(-0.5 * offset**2), mode="same")
    inner = np.flatnonzero(
        (density[1:-1] >= density[:-2])
        & (density[1:-1] >= density[2:])
        & (density[1:-1] >= _PEAK_SHARE * density.max())
    )
    return float(grid[inner[0] + 1] + _KERNEL_MAG / 6)


def _fit(
    excess: Floats, error: Floats, mag: Floats, start: Mixture, settings: StarGalaxySettings
) -> tuple[Floats, list[Mixture]]:
    """Mixtures at steps of magnitude, from the brightest to the faintest."""
    if not mag.size:
        return np.zeros(1), [start]
    step = settings.step_mag
    low, high = np.quantile(mag, [0.002, 0.998])
    nodes = low + step * np.arange(int(np.ceil((high - low) / step)) + 1)
    fitted: list[Mixture] = []
    for node in nodes:
        weight = np.maximum(1 - np.abs(mag - node) / (1.5 * step), 0)
        near = np.flatnonzero(weight > 0)
        before = fitted[-1] if fitted else start
        strength = _WEIGHT if fitted else _START_WEIGHT
        fitted.append(_expectation(excess[near], error[near], weight[near], before, strength))
    return nodes, fitted


def _expectation(
    excess: Floats, error: Floats, weight: Floats, before: Mixture, strength: float
) -> Mixture:
    """Expectation maximisation; `before` counts for `strength` sources."""
    kernel = _normal(excess[:, None] - _EXCESS, error[:, None] ** 2)
    now = before
    for _ in range(_MAX_ITERATIONS):
        shares = _shares(now)
        blurred = kernel * shares
        galaxy = (1 - now.star_fraction) * blurred.sum(axis=1)
        star = now.star_fraction * _star(excess, error, now.star_mag, now.star_width_mag)
        total = np.maximum(star + galaxy, 1e-300)
        stars, galaxies = weight * star / total, weight * galaxy / total
        last, now = now, Mixture(
            float((stars.sum() + strength * before.star_fraction) / (weight.sum() + strength)),
            *_star_moments(excess, error, stars, now, before, strength),
            *_galaxy_moments(blurred, galaxies, before, strength),
        )  # fmt: skip
        if abs(now.star_fraction - last.star_fraction) < _TOLERANCE:
            break
    return now


def _star_moments(
    excess: Floats, error: Floats, stars: Floats, now: Mixture, before: Mixture, strength: float
) -> tuple[float, float]:
    """Mean and width of the stars behind their errors; wings do not enter."""
    width2 = now.star_width_mag**2
    core = _normal(excess - now.star_mag, error**2 + width2)
    stars = stars * (1 - _WING_SHARE) * core
    stars = stars / np.maximum(_star(excess, error, now.star_mag, now.star_width_mag), 1e-300)
    spread = 1 / (error**-2.0 + 1 / width2)
    place = spread * (excess / error**2 + now.star_mag / width2)
    total = stars.sum() + strength
    mean = float((np.sum(stars * place) + strength * before.star_mag) / total)
    var = np.sum(stars * (spread + (place - mean) ** 2)) + strength * before.star_width_mag**2
    return mean, float(np.sqrt(var / total))


def _galaxy_moments(
    blurred: Floats, galaxies: Floats, before: Mixture, strength: float
) -> tuple[float, float]:
    """Mean and width of the logarithm of the galaxies' excess behind their errors."""
    each = np.maximum(blurred.sum(axis=1), 1e-300)
    counts = (galaxies / each) @ blurred
    log = np.log(_EXCESS)
    total = counts.sum() + strength
    mean = float((counts @ log + strength * before.galaxy_log) / total)
    var = counts @ (log - mean) ** 2 + strength * (
        before.galaxy_width**2 + (before.galaxy_log - mean) ** 2
    )
    return mean, float(np.sqrt(var / total))


def _shares(mixture: Mixture) -> Floats:
    """Share of galaxies at each tabulated excess; they are equally spaced in its logarithm."""
    share = _normal(np.log(_EXCESS) - mixture.galaxy_log, mixture.galaxy_width**2)
    return share / share.sum()


def _star(excess: Floats, error: Floats, mean: Floats | float, width: Floats | float) -> Floats:
    """Density of stars, as measured."""
    core = _normal(excess - mean, error**2 + np.square(width))
    wings = _normal(excess - mean, error**2 + np.square(width) + _WING_MAG**2)
    return (1 - _WING_SHARE) * core + _WING_SHARE * wings


def _normal(away: Floats, variance: Floats | float) -> Floats:
    return np.asarray(np.exp(-0.5 * away**2 / variance) / np.sqrt(2 * np.pi * variance))


def _interpolate(nodes: Floats, mixtures: list[Mixture], mag: Floats) -> Floats:
    """Parameters at magnitudes, (n, 5) in the order of `Mixture`; constant beyond the ends."""
    names = ("star_fraction", "star_mag", "star_width_mag", "galaxy_log", "galaxy_width")
    table = [[getattr(mixture, name) for mixture in mixtures] for name in names]
    return np.column_stack([np.interp(mag, nodes, row) for row in table])


def _posterior(excess: Floats, error: Floats, parameters: Floats) -> Floats:
    fraction, star_mag, star_width, log_mean, log_width = parameters.T
    star = fraction * _star(excess, error, star_mag, star_width)
    shares = _normal(np.log(_EXCESS) - log_mean[:, None], log_width[:, None] ** 2)
    shares /= shares.sum(axis=1, keepdims=True)
    galaxy = np.sum(shares * _normal(excess[:, None] - _EXCESS, error[:, None] ** 2), axis=1)
    galaxy *= 1 - fraction
    total = star + galaxy
    # More concentrated than any model by many sigma: both vanish, and it is no galaxy.
    return np.where(total > 0, star / np.where(total > 0, total, 1), excess < star_mag)
