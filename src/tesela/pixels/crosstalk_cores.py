"""What saturated stars tell of crosstalk: not how bright they are, but how their ghosts compare.

A saturated core was brighter than what was recorded, by an unknown factor. Its ghosts in the other
amplifiers are the strongest there are, and share that factor: they tell the ratios of the
coefficients of one aggressor well, and their common scale not at all. The scale comes from the
pixels below saturation (`crosstalk_matrix`). A core whose brightness is eliminated adds equations
with exactly that property.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, find_objects, label

AROUND_PX = 10
GUARD_PX = 2
MOST_PIXELS = 400  # longer bleeds are left to others
FEWEST_AROUND = 40
LEAST_SIGNAL = 5.0
CLIP_SIGMA = 4.0


@dataclass(frozen=True)
class Cores:
    """Ghosts of n saturated cores.

    Attributes
    ----------
    aggressor : (n,) int64
        Index of the saturated amplifier.
    ghost : (n, n_amp) float64, electrons
        Sum of each victim's pixels above their surroundings.
    weight : (n, n_amp) float64
        Inverse variance; 0 for the aggressor itself and for victims with an object or a bad pixel
        there.
    """

    aggressor: np.ndarray
    ghost: np.ndarray
    weight: np.ndarray

    @classmethod
    def none(cls, n_amp: int) -> Cores:
        """No core at all."""
        return cls(np.empty(0, np.int64), np.empty((0, n_amp)), np.empty((0, n_amp)))

    @classmethod
    def join(cls, parts: Sequence[Cores]) -> Cores:
        """Those of several frames."""
        return cls(
            np.concatenate([p.aggressor for p in parts]),
            np.concatenate([p.ghost for p in parts]),
            np.concatenate([p.weight for p in parts]),
        )


def collect(left: np.ndarray, top: np.ndarray, fit: np.ndarray, noise: np.ndarray) -> Cores:
    """Measure the ghosts of every saturated core of a frame.

    Parameters
    ----------
    left : (n_amp, height, width) float32, electrons above the sky, pixels of one instant together
        Victims, the ghosts of what is not saturated already taken away.
    top : (n_amp, height, width) bool, True = saturated
    fit : (n_amp, height, width) bool, True = can be a victim
    noise : (n_amp,) electrons
        Of the sky in each amplifier.

    Returns
    -------
    Cores
    """
    n_amp, height, width = left.shape
    crowd = top.sum(axis=0, dtype=np.int64)
    near = np.asarray(binary_dilation(crowd > 0, np.ones((3, 3)), GUARD_PX))
    rows: list[tuple[int, np.ndarray, np.ndarray]] = []
    for aggressor in range(n_amp):
        labels, _ = label(top[aggressor], np.ones((3, 3)))
        for k, box in enumerate(find_objects(labels), 1):
            inside = labels[box] == k
            n = int(inside.sum())
            if n > MOST_PIXELS or (crowd[box][inside] > 1).any():
                continue  # two saturated at one instant: whose ghost is it?
            wide = tuple(
                slice(max(side.start - AROUND_PX, 0), min(side.stop + AROUND_PX, end))
                for side, end in zip(box, (height, width))
            )
            around = fit[(slice(None), *wide)] & ~near[wide]
            count = around.sum(axis=(1, 2))
            level = np.where(around, left[(slice(None), *wide)], 0).sum(axis=(1, 2), dtype=float)
            level /= np.maximum(count, 1)
            whole = fit[(slice(None), *box)][:, inside].all(axis=1) & (count >= FEWEST_AROUND)
            whole[aggressor] = False
            ghost = left[(slice(None), *box)][:, inside].sum(axis=1, dtype=float) - n * level
            variance = noise**2 * n * (1 + n / np.maximum(count, 1))
            rows.append((aggressor, np.where(whole, ghost, 0), np.where(whole, 1 / variance, 0)))
    if not rows:
        return Cores.none(n_amp)
    return Cores(
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )


def equations(cores: Cores, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations for a step away from `matrix`, the brightness of every core eliminated.

    With ghosts g, weights W and the aggressor's column c the brightness is s = c W g / c W c. A
    step d of the column changes the residuals r = g - s c by -s d, less what s takes up:
    s^2 (W - W c c W / c W c) d = s W r. Cores whose ghosts add up to less than five sigma are left
    out, since a brightness that is mostly noise would pull coefficients to zero; so are ghosts
    further than four sigma from what is expected.

    Parameters
    ----------
    cores : Cores
    matrix : (n_amp, n_amp) [victim, aggressor]

    Returns
    -------
    normal : (n_amp, n_amp, n_amp) [aggressor, victim, victim]
    gradient : (n_amp, n_amp) [aggressor, victim]
    """
    n_amp = len(matrix)
    normal, gradient = np.zeros((n_amp, n_amp, n_amp)), np.zeros((n_amp, n_amp))
    for aggressor in range(n_amp):
        mine = cores.aggressor == aggressor
        column = matrix[:, aggressor]
        ghost, weight = cores.ghost[mine], cores.weight[mine].copy()
        if not len(ghost):
            continue
        for _ in range(2):
            power = weight @ column**2
            light = (weight * ghost) @ column / np.where(power > 0, power, 1)
            residual = ghost - light[:, None] * column
            weight[residual**2 * weight > CLIP_SIGMA**2 * max(1.0, _chi2(residual, weight))] = 0
        power = weight @ column**2
        light = (weight * ghost) @ column / np.where(power > 0, power, 1)
        seen = (power > 0) & (light > 0) & (light**2 * power > LEAST_SIGNAL**2)
        if not seen.any():
            continue
        weight, light, power = weight[seen], light[seen], power[seen]
        residual = ghost[seen] - light[:, None] * column
        scale = 1 / max(1.0, _chi2(residual, weight))
        own = light[:, None] * weight
        pull = own * column
        normal[aggressor] = scale * (
            np.diag((own * light[:, None]).sum(axis=0)) - (pull / power[:, None]).T @ pull
        )
        gradient[aggressor] = scale * (own * residual).sum(axis=0)
    return normal, gradient


def _chi2(residual: np.ndarray, weight: np.ndarray) -> float:
    """Chi squared a degree of freedom: a robust one, of the middle of the ghosts."""
    there = weight > 0
    if not there.any():
        return 1.0
    return float(np.median((residual**2 * weight)[there]) / 0.455)
