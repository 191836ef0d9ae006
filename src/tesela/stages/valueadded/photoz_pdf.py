"""A distribution of redshift in numbers: quantiles, mode, odds.

Distributions are probabilities of cells of equal width in u = ln(1 + z); inside a cell the
probability is even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.products.columns import QUANTILES

Floats = NDArray[np.float64]

LEVELS = (np.arange(QUANTILES) + 0.5) / QUANTILES
LOW, HIGH = 0.15865525, 0.84134475  # of a Gaussian at one sigma


@dataclass(frozen=True)
class Summary:
    """Of n distributions; (n,) unless said otherwise."""

    median: Floats
    low: Floats
    high: Floats
    mode: Floats
    odds: Floats
    quantiles: Floats
    """(n, QUANTILES)"""


def cells(z_max: float, z_step: float) -> tuple[Floats, Floats]:
    """Edges of the cells in ln(1 + z), from 0, and redshifts of their middles."""
    n = int(np.ceil(np.log1p(z_max) / z_step))
    edges = z_step * np.arange(n + 1, dtype=np.float64)
    z: Floats = np.expm1(0.5 * (edges[1:] + edges[:-1]))
    return edges, z


def summary(probability: NDArray[np.float32], edges: Floats, half_width: float) -> Summary:
    """Describe distributions.

    Parameters
    ----------
    probability : ndarray, (n, n_z)
        Probability of each cell, sum one.
    edges : ndarray, (n_z + 1,)
        Edges of the cells in ln(1 + z), evenly spaced.
    half_width : float
        Odds are the probability within this times 1 + z of the mode.
    """
    n, n_z = probability.shape
    grown = np.zeros((n, n_z + 1))
    np.cumsum(probability, axis=1, dtype=np.float64, out=grown[:, 1:])
    grown /= grown[:, -1:]
    levels = np.concatenate([LEVELS, [0.5, LOW, HIGH]])
    found = np.array([np.interp(levels, row, edges) for row in grown]).reshape(n, levels.size)
    mode = _mode(probability, edges)
    reach = np.expm1(mode) + half_width * np.exp(mode) * np.array([[-1.0], [1.0]])
    ends = np.log1p(np.maximum(reach, 0.0)).T
    inside = np.array([np.interp(e, edges, row) for e, row in zip(ends, grown)]).reshape(n, 2)
    z = np.expm1(found)
    return Summary(
        median=z[:, QUANTILES],
        low=z[:, QUANTILES + 1],
        high=z[:, QUANTILES + 2],
        mode=np.expm1(mode),
        odds=np.clip(inside[:, 1] - inside[:, 0], 0.0, 1.0),
        quantiles=z[:, :QUANTILES],
    )


def _mode(probability: NDArray[np.float32], edges: Floats) -> Floats:
    """ln(1 + z) of the peak, by a parabola through the highest cell and its neighbours."""
    n, n_z = probability.shape
    step = edges[1] - edges[0]
    top = probability.argmax(axis=1)
    inner = np.clip(top, 1, n_z - 2)
    rows = np.arange(n)
    left, middle, right = (probability[rows, inner + k].astype(np.float64) for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    usable = (top == inner) & (bend < 0)
    shift = np.where(usable, 0.5 * (left - right) / np.where(usable, bend, -1.0), 0.0)
    return edges[0] + step * (top + 0.5 + np.clip(shift, -0.5, 0.5))
