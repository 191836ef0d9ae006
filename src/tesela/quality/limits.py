"""How far a value may lie from the past: the statistics of short series with known noise.

Arrays of values are (nights, amplifiers) float64, the oldest night first. NaN means not measured,
and NaN among the errors that none is stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Array = NDArray[np.float64]

_MAD_TO_SIGMA = 1.4826
_MEDIAN_VARIANCE = np.pi / 2.0
"""Variance of a median over that of a mean (Gaussian noise)."""
_DIFFERENCE_EFFICIENCY = 2.0 / 3.0
"""Share of its degrees of freedom that a variance from differences keeps (von Neumann 1941)."""
_CLIP = 4.0
_LIKE = 3.0
"""Sigmas within which the noise of an amplifier is taken to be that of the others."""
_SPARED = 5
_MANY = 1e9


@dataclass(frozen=True)
class Noise:
    """How values of one night scatter about their slowly changing level. Arrays are (amps,)."""

    stated: Array
    """Median stated error; 0 where none is stated."""
    extra: Array
    """Scatter from night to night that the stated errors do not explain."""
    freedom: Array
    """Degrees of freedom of `extra`."""


def noise(values: Array, errors: Array) -> Noise:
    """Measure the scatter of past nights and compare it with what was stated.

    The scatter is that of successive differences, so that a slow drift, which is to be found, does
    not widen its own limits; differences beyond four sigma, as at a jump, are left out. How much
    larger it is than the stated errors is asked of all amplifiers together, as each alone knows
    it badly, save those that clearly differ from the others. Only what exceeds one by more than
    a standard error counts as extra.

    Parameters
    ----------
    values, errors : (nights, amps) float64

    Returns
    -------
    Noise
        `extra` is 0 with fewer than two values, and little worth with few.
    """
    variance, freedom = _difference_variance(values)
    stated2 = _median(np.where(np.isfinite(values), errors, np.nan)) ** 2
    stated2 = np.nan_to_num(stated2, nan=0.0)
    known = (stated2 > 0.0) & (freedom > 0.0)
    ratio = np.where(known, variance / np.where(known, stated2, 1.0), 0.0)
    ratio, shared = _share(ratio, np.where(known, freedom, 0.0))
    ratio = ratio / (1.0 + _relative_error(shared))
    # With no error stated there is nothing that the scatter could be explained by.
    extra2 = np.where(known, np.maximum(ratio - 1.0, 0.0) * stated2, variance)
    return Noise(np.sqrt(stated2), np.sqrt(extra2), np.where(known, shared, freedom))


def _share(ratio: Array, freedom: Array) -> tuple[Array, Array]:
    """Give the mean ratio of all, and their freedom, to each that does not clearly differ."""
    together = freedom.sum()
    middle = np.median(ratio[freedom > 0.0]) if together > 0.0 else 0.0
    if middle <= 0.0:
        return ratio, freedom
    # The cube root of a variance is nearly Gaussian (Wilson & Hilferty 1931).
    off = np.abs(np.cbrt(ratio / middle) - 1.0)
    like = (freedom > 0.0) & (off <= _LIKE * _relative_error(freedom) / 3.0)
    if like.sum() < 2:
        return ratio, freedom
    all_of_them = freedom[like].sum()
    mean = np.average(ratio[like], weights=freedom[like])
    return np.where(like, mean, ratio), np.where(like, all_of_them, freedom)


def _relative_error(freedom: Array) -> Array:
    """Of a variance."""
    return np.asarray(np.sqrt(2.0 / np.maximum(freedom, 1.0)))


@dataclass(frozen=True)
class Difference:
    """A run of nights against the nights before it. Arrays are (amps,)."""

    level: Array
    """Median of the nights before; NaN where there are too few."""
    value: Array
    """Mean of the run less `level`."""
    least: Array
    """Smallest difference of the run's nights, in the direction of `value`, at least 0; of five
    nights one is spared."""
    stated: Array
    """Its standard error by the stated errors."""
    extra: Array
    """Its standard error by the extra scatter: nights need not be independent, so that of a run
    is no smaller than that of one night."""
    freedom: Array
    nights: Array
    """Nights before; 0 for a nominal level."""


def difference(
    run: Array, run_errors: Array, before: Array, scatter: Noise, fewest: int
) -> Difference:
    """Compare the mean of a run of nights with the median of nights before.

    Parameters
    ----------
    run, run_errors : (m, amps) float64
        The last nights; one that is not measured makes the difference NaN.
    before : (nights, amps) float64
        Nights to compare with.
    scatter : Noise
        Of all past nights. Its stated error stands in where the run has none.
    fewest : int
        Nights before without which there is no level.
    """
    nights = np.isfinite(before).sum(axis=0).astype(np.float64)
    level = np.where(nights >= fewest, _median(before), np.nan)
    of_level = _MEDIAN_VARIANCE / np.maximum(nights, 1.0)
    return _difference(run, run_errors, level, of_level, scatter, nights)


def from_nominal(run: Array, run_errors: Array, nominal: float, scatter: Noise) -> Difference:
    """Compare the mean of a run of nights with the level that it ought to have."""
    none = np.zeros(run.shape[1])
    return _difference(run, run_errors, none + nominal, none, scatter, none)


def _difference(
    run: Array, run_errors: Array, level: Array, of_level: Array, scatter: Noise, nights: Array
) -> Difference:
    """`of_level` is the variance of the level over that of one night."""
    errors = np.where(np.isfinite(run_errors), run_errors, scatter.stated)
    stated2 = np.mean(errors**2, axis=0) / len(run) + of_level * scatter.stated**2
    extra2 = (1.0 + of_level) * scatter.extra**2
    off = run - level
    value = np.mean(off, axis=0)
    towards = np.sort(off * np.sign(value), axis=0)[len(run) // _SPARED]
    least = np.maximum(towards, 0.0)
    stated, extra = np.sqrt(stated2), np.sqrt(extra2)
    return Difference(level, value, least, stated, extra, scatter.freedom, nights)


def limit(sigmas: float, found: Difference) -> Array:
    """How far chance alone takes a difference, as rarely as a Gaussian goes beyond `sigmas`.

    Where the noise is known only from a few nights, Student's distribution is wider; the degrees
    of freedom of a sum of a known and an estimated variance are those of Welch (1947).
    """
    total2 = found.stated**2 + found.extra**2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(found.extra > 0.0, total2 / found.extra**2, np.inf)
    freedom = np.minimum(np.maximum(found.freedom, 1.0) * ratio**2, _MANY)
    chance = float(ndtr(-sigmas))
    return np.asarray(-stdtrit(freedom, chance) * np.sqrt(total2))


def _difference_variance(values: Array) -> tuple[Array, Array]:
    """Half the clipped mean square of successive differences, and its degrees of freedom."""
    n_nights, n_amps = values.shape
    if n_nights < 2:
        return np.zeros(n_amps), np.zeros(n_amps)
    there = np.isfinite(values)
    rows = np.where(there, np.arange(n_nights)[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)[:-1]
    before = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    steps = np.where(there[1:] & (last >= 0), values[1:] - before, np.nan)
    size = np.abs(steps)
    kept = size <= _CLIP * _MAD_TO_SIGMA * _median(size)
    n = kept.sum(axis=0)
    mean_square = np.where(kept, steps**2, 0.0).sum(axis=0) / np.maximum(n, 1)
    return mean_square / 2.0, np.where(n > 1, _DIFFERENCE_EFFICIENCY * n, 0.0)


def _median(values: Array) -> Array:
    """Median of what is there of each column; NaN where nothing is."""
    ordered = np.sort(values, axis=0)  # NaN go last
    n = np.isfinite(values).sum(axis=0)
    if not len(ordered):
        return np.full(values.shape[1], np.nan)
    low, high = np.maximum(n - 1, 0) // 2, np.minimum(n // 2, len(ordered) - 1)
    columns = np.arange(values.shape[1])
    return np.asarray(0.5 * (ordered[low, columns] + ordered[high, columns]))
