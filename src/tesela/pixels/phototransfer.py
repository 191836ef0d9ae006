"""Photon transfer: the gain of an amplifier from the noise of equal flats.

Electrons arrive one by one, so the variance of a flat's pixels is its level divided by the gain.
The response of the pixels cancels in the difference of two flats (Janesick 2001, "Scientific
Charge-Coupled Devices", chapter 5). Towards full well charge repels charge, neighbours share
their noise, and the variance falls short of the straight line (Antilogus et al. 2014, JINST 9,
C03048): `curve` measures by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from tesela.pixels import robust
from tesela.pixels.sections import as_sections, per_amplifier

CLIP_PASSES = 4
STRETCHES = 8
LARGEST_RATIO = 2.0
FEWEST_PIXELS = 100


class Plane(Protocol):
    """A 2-D image in memory, or anything that reads its rows when sliced."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


@dataclass(frozen=True)
class Pair:
    """What two flats say, amplifier by amplifier; (n_amp,) float64, NaN where they say nothing.

    Attributes
    ----------
    level : mean level of the two, ADU above zero
    variance : variance of one flat at that level, read noise removed, ADU squared
    error : error of the variance
    """

    level: np.ndarray
    variance: np.ndarray
    error: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """Electrons per ADU."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.variance > 0, self.level / self.variance, np.nan)


@dataclass(frozen=True)
class Curve:
    """Variance against level, var = level / gain * (1 - shortfall * level); all (n_amp,).

    `gain` in electrons per ADU at zero level, `shortfall` in 1/ADU, and the errors of both.
    """

    gain: np.ndarray
    gain_error: np.ndarray
    shortfall: np.ndarray
    shortfall_error: np.ndarray


def pair(
    first: Plane,
    second: Plane,
    sections: npt.ArrayLike,
    noise_adu: npt.ArrayLike,
    *,
    zero_adu: npt.ArrayLike = 0.0,
    rows: int = 256,
    clip_sigma: float = 4.0,
) -> Pair:
    """Compare two flats of one light.

    The second is scaled to the first, amplifier by amplifier; the mean of each row of the
    difference is removed, so that a gradient of the sky that moved is no noise; pixels further
    than `clip_sigma` from zero are left out, and the variance corrected for what a normal
    distribution loses by that.

    Parameters
    ----------
    first, second : (ny, nx), uint16 or float32, ADU
        Only `rows` rows of each amplifier are read, in eight stretches spread over it.
    sections : (n_amp, 4) int, half-open [x0, x1, y0, y1]
    noise_adu : (n_amp,) or float
        Read noise of one flat.
    zero_adu : (n_amp,), (2, n_amp) or float
        Zero level to subtract, of both or of each.
    rows : int
    clip_sigma : float

    Returns
    -------
    Pair

    Notes
    -----
    A section of n pixels gives its gain to sqrt(2 / n): 256 rows of 1152 columns to 0.26 %.
    Memory: the rows of one stretch.
    """
    boxes = as_sections(sections, (first.shape[0], first.shape[1]), "amplifier")
    n_amp = len(boxes)
    noise = per_amplifier(noise_adu, n_amp, "read noise").astype(np.float64)
    zero = np.broadcast_to(np.asarray(zero_adu, np.float64), (2, n_amp))
    level, variance, error = (np.full(n_amp, np.nan) for _ in range(3))
    pixels = _read(first, second, boxes, rows)
    for amp, (a, b) in enumerate(pixels):
        if a.size < FEWEST_PIXELS:
            continue
        a, b = a - np.float32(zero[0, amp]), b - np.float32(zero[1, amp])
        top, bottom = float(np.median(a)), float(np.median(b))
        if top <= 0 or bottom <= 0:
            continue
        ratio = top / bottom
        spread, n, good = _clipped_variance(a - np.float32(ratio) * b, clip_sigma)
        if n < FEWEST_PIXELS:
            continue
        # Mean levels, of the very pixels whose noise it is: on a vignetted flat a median is higher.
        top, bottom = (float(np.mean(x[good], dtype=np.float64)) for x in (a, b))
        own = spread - noise[amp] ** 2 * (1 + ratio**2)
        # The noise of the difference is (top + ratio^2 bottom) / gain.
        level[amp] = 0.5 * (top + bottom)
        scale = level[amp] / (top + ratio**2 * bottom)
        variance[amp] = own * scale
        error[amp] = spread * np.sqrt(2 / n) * scale
    return Pair(level, variance, error)


def gains(
    planes: Sequence[Plane],
    modes: npt.ArrayLike,
    sections: npt.ArrayLike,
    noise_adu: npt.ArrayLike,
    *,
    shortfall: npt.ArrayLike = 0.0,
    shortfall_error: npt.ArrayLike = 0.0,
    rows: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """Gain of each amplifier at zero level from successive flats.

    Every frame is compared with the next; two whose levels differ by more than a factor of two are
    not. The mean is weighted by the errors. Neighbouring pairs share a frame and so half of their
    noise: the error allows for that.

    Parameters
    ----------
    planes : sequence of (ny, nx), ADU above zero
        In the order taken. Planes in electrons of an assumed gain give true over assumed gain.
    modes : (n,)
        Level of each above zero.
    sections, noise_adu, rows
        As `pair` takes them.
    shortfall, shortfall_error : float or (n_amp,), one over the unit of the planes
        Of `Curve`, by which the variance of each pair is put right. Without it, the gain is that at
        the level of the flats: it follows them from night to night.

    Returns
    -------
    gain, error : (n_amp,) float64, e-/ADU, NaN where no two flats can be compared
    """
    boxes = np.asarray(sections)
    level = np.broadcast_to(np.asarray(modes, np.float64), (len(planes),))
    found = [
        pair(planes[k], planes[k + 1], sections, noise_adu, rows=rows)
        for k in range(len(planes) - 1)
        if max(level[k : k + 2]) <= LARGEST_RATIO * min(level[k : k + 2])
    ]
    nothing = np.full(len(boxes), np.nan)
    if not found:
        return nothing, nothing.copy()
    levels = np.array([each.level for each in found])
    straight = levels * (1 - np.asarray(shortfall, np.float64) * levels)
    inverse = np.array([each.variance for each in found]) / straight
    sigma = np.array([each.error for each in found]) / straight
    known = np.isfinite(inverse) & (sigma > 0)
    weight = np.where(known, 1.0, 0.0) / np.where(known, sigma, 1.0) ** 2
    total = weight.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, weight * inverse, 0).sum(axis=0) / total
        # The variances of two pairs with a frame in common have a correlation of a quarter.
        n = known.sum(axis=0)
        shared = 1 + 0.5 * (n - 1) / np.maximum(n, 1)
        gain = np.where(mean > 0, 1 / mean, np.nan)
        # All pairs share the error of the shortfall.
        level = np.where(known, weight * levels, 0).sum(axis=0) / total
        bent = np.asarray(shortfall_error, np.float64) * level
        error = gain * np.hypot(np.sqrt(shared / total) / mean, bent)
    return gain, error


def curve(level: np.ndarray, variance: np.ndarray, error: np.ndarray) -> Curve:
    """Fit variance against level, amplifier by amplifier.

    Parameters
    ----------
    level, variance, error : (n, n_amp)
        Of n pairs, read noise removed; NaN is left out.

    Returns
    -------
    Curve
        NaN where an amplifier has fewer than three levels.
    """
    n_amp = level.shape[1]
    out = np.full((4, n_amp), np.nan)
    for amp in range(n_amp):
        x, y, sigma = level[:, amp], variance[:, amp], error[:, amp]
        known = np.isfinite(x) & np.isfinite(y) & (sigma > 0) & (x > 0)
        if np.count_nonzero(known) < 3:
            continue
        x, y, sigma = x[known], y[known] / x[known], sigma[known] / x[known]
        design = np.stack([np.ones_like(x), x], axis=1) / sigma[:, None]
        covariance = np.linalg.pinv(design.T @ design)
        at_zero, slope = covariance @ design.T @ (y / sigma)
        fall = -slope / at_zero
        # d(fall) = (d(slope) + fall d(at_zero)) / at_zero, up to the sign
        turn = np.array([fall, 1.0]) / at_zero
        out[:, amp] = (
            1 / at_zero,
            np.sqrt(covariance[0, 0]) / at_zero**2,
            fall,
            np.sqrt(turn @ covariance @ turn),
        )
    return Curve(*out)


def _read(
    first: Plane, second: Plane, boxes: np.ndarray, rows: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each amplifier the pixels of both flats, (n_rows, width) float32.

    Amplifiers beside each other share their rows, which are read once.
    """
    spans: dict[tuple[int, int], list[int]] = {}
    for amp, (_, _, y0, y1) in enumerate(boxes):
        spans.setdefault((int(y0), int(y1)), []).append(amp)
    found: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in boxes]
    for (y0, y1), amps in spans.items():
        stretches = 1 if rows >= y1 - y0 else STRETCHES
        edges = np.linspace(y0, y1, stretches + 1).astype(int)
        depth = max(1, min(rows, y1 - y0) // stretches)
        for low, high in pairwise(edges):
            start = low + max(0, (high - low - depth) // 2)
            stop = y1 if stretches == 1 else min(start + depth, high)
            for k, plane in enumerate((first, second)):
                part = np.asarray(plane[int(start) : int(stop)], np.float32)
                for amp in amps:
                    found[amp][k].append(part[:, boxes[amp, 0] : boxes[amp, 1]])
    return [(np.concatenate(a), np.concatenate(b)) for a, b in found]


def _clipped_variance(difference: np.ndarray, clip_sigma: float) -> tuple[float, int, np.ndarray]:
    """Variance about the mean of each row, its degrees of freedom, and the pixels kept."""
    good = np.isfinite(difference)
    sigma = robust.sigma(difference[good]) if good.any() else 0.0
    if sigma == 0:
        return np.nan, 0, good
    kept = _kept_variance(clip_sigma)
    residual = difference.astype(np.float64)
    variance = sigma**2
    freedom = 0
    for _ in range(CLIP_PASSES):
        n = good.sum(axis=1)
        total = np.where(good, residual, 0).sum(axis=1)
        residual -= (total / np.maximum(n, 1))[:, None]
        good &= np.abs(residual) < clip_sigma * np.sqrt(variance)
        freedom = int(np.maximum(good.sum(axis=1) - 1, 0).sum())
        if freedom < 1:
            return np.nan, 0, good
        variance = float(np.sum(np.where(good, residual, 0) ** 2) / freedom) / kept
    return variance, freedom, good


def _kept_variance(clip_sigma: float) -> float:
    """Variance of a unit normal distribution cut at +- clip_sigma."""
    inside = norm.cdf(clip_sigma) - norm.cdf(-clip_sigma)
    return float(1 - 2 * clip_sigma * norm.pdf(clip_sigma) / inside)
