"""A coarse mesh expanded row by row, for loops that need a smooth plane but not all of it at once.

The one way from a mesh to pixels: planes of the sky and of its noise, what is subtracted and what
sets thresholds are all these values, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline


class MeshRows(NamedTuple):
    """A mesh expanded along y: `fill_row` and `value_at` give its values."""

    centres: NDArray[np.float64]
    """Of the cells along x, (mx,)."""
    values: NDArray[np.float64]
    """At these centres, (ny, mx); (1, 1) for no mesh at all."""
    second: NDArray[np.float64]
    """Second derivatives along x there, (ny, mx)."""


NOTHING = MeshRows(np.zeros(1), np.zeros((1, 1)), np.zeros((1, 1)))


def expand(mesh: NDArray[np.float32], shape: tuple[int, ...]) -> MeshRows:
    """Prepare a mesh of equal cells (my, mx) that covers an image of `shape` (ny, nx).

    Memory: two rows of cells a row of the image.
    """
    ny, nx = shape
    my, mx = mesh.shape
    values = _natural(_centres(ny, my), np.asarray(mesh, np.float64), np.arange(ny, dtype=float))
    centres = _centres(nx, mx)
    second = np.zeros_like(values)
    if mx > 2:
        spline = CubicSpline(centres, values, axis=1, bc_type="natural")
        second = np.ascontiguousarray(spline(centres, 2))
    return MeshRows(centres, np.ascontiguousarray(values), second)


def _centres(size: int, cells: int) -> NDArray[np.float64]:
    edges = np.round(np.linspace(0, size, cells + 1))
    return (edges[:-1] + edges[1:] - 1) / 2.0


def _natural(
    centres: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Natural cubic spline along the first axis, linear outside the outermost centres."""
    if len(centres) == 1:
        return np.repeat(values, len(at), axis=0)
    if len(centres) == 2:
        slope = (values[1] - values[0]) / (centres[1] - centres[0])
        return values[0] + (at - centres[0])[:, None] * slope
    spline = CubicSpline(centres, values, axis=0, bc_type="natural")
    inside = np.clip(at, centres[0], centres[-1])
    return np.asarray(spline(inside) + (at - inside)[:, None] * spline(inside, 1))


@njit(cache=True, nogil=True)
def fill_row(rows, y, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Values of row y, (nx,): a natural cubic spline, linear beyond the outermost centres."""
    centres, values, second = rows[0], rows[1][y], rows[2][y]
    n, size = len(centres), len(out)
    if n == 1:
        out[:] = values[0]
        return
    # A loop an interval, without branches, which the compiler can vectorise.
    start = 0
    for k in range(n + 1):
        end = size if k == n else min(int(np.floor(centres[k])) + 1, size)
        left = min(max(k - 1, 0), n - 2)
        h = centres[left + 1] - centres[left]
        slope = (values[left + 1] - values[left]) / h
        if k == 0:
            edge = slope - h * (2.0 * second[0] + second[1]) / 6.0
            for x in range(start, end):
                out[x] = values[0] + edge * (x - centres[0])
        elif k == n:
            edge = slope + h * (second[n - 2] + 2.0 * second[n - 1]) / 6.0
            for x in range(start, end):
                out[x] = values[n - 1] + edge * (x - centres[n - 1])
        else:
            inverse = 1.0 / h
            low, high = second[left] * h * h / 6.0, second[left + 1] * h * h / 6.0
            for x in range(start, end):
                b = (x - centres[left]) * inverse
                a = 1.0 - b
                bend = (a * a * a - a) * low + (b * b * b - b) * high
                out[x] = a * values[left] + b * values[left + 1] + bend
        start = max(start, end)


@njit(cache=True, nogil=True)
def value_at(rows, y, x):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Value of one pixel."""
    centres, values, second = rows[0], rows[1][y], rows[2][y]
    n = len(centres)
    if n == 1:
        return values[0]
    k = min(max(int(np.searchsorted(centres, np.float64(x), "right")) - 1, 0), n - 2)
    h = centres[k + 1] - centres[k]
    at = min(max(np.float64(x), centres[0]), centres[n - 1])
    b = (at - centres[k]) / h
    a = 1.0 - b
    bend = ((a * a * a - a) * second[k] + (b * b * b - b) * second[k + 1]) * h * h / 6.0
    slope = (values[k + 1] - values[k]) / h
    slope += h * ((1.0 - 3.0 * a * a) * second[k] + (3.0 * b * b - 1.0) * second[k + 1]) / 6.0
    return a * values[k] + b * values[k + 1] + bend + slope * (x - at)
