"""Compiled sums behind the fit of the illumination: one row of the design an observation.

Parameters in their order: zero points (n_frames), gradients of the frames (2 n_frames), Legendre
products of total degree 1 to `degree`, cubic B-splines on `grid` x `grid` intervals, the colour
coefficient, the reference's errors at their nodes. u and v run from -1 to 1 over the CCD. `layout`
is n_frames, degree, grid, first polynomial, first spline, colour, first node of the reference, n.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N_FRAMES, DEGREE, GRID, POLYNOMIAL, SPLINE, COLOUR, FIELD, TOTAL = range(8)
SIXTH = 1.0 / 6.0


def lay_out(n_frames: int, degree: int, grid: int, n_field: int) -> np.ndarray:
    """Where each kind of parameter begins, (8,) int64."""
    polynomial = 3 * n_frames
    spline = polynomial + (degree + 1) * (degree + 2) // 2 - 1
    colour = spline + ((grid + 3) ** 2 if grid else 0)
    field = colour + 1
    return np.array(
        [n_frames, degree, grid, polynomial, spline, colour, field, field + n_field], np.int64
    )


@njit(cache=True)
def _legendre(u, degree, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    out[0] = 1.0
    if degree > 0:
        out[1] = u
    for n in range(1, degree):
        out[n + 1] = ((2 * n + 1) * u * out[n] - n * out[n - 1]) / (n + 1)


@njit(cache=True)
def _bspline(u, grid, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The four cubic B-splines that are not zero at u, and the index of the first."""
    t = 0.5 * (u + 1.0) * grid
    k = min(max(int(t), 0), grid - 1)
    t -= k
    s = 1.0 - t
    out[0] = s * s * s * SIXTH
    out[1] = (3.0 * t * t * t - 6.0 * t * t + 4.0) * SIXTH
    out[2] = (3.0 * s * s * s - 6.0 * s * s + 4.0) * SIXTH
    out[3] = t * t * t * SIXTH
    return k


@njit(cache=True)
def _surface_row(u, v, layout, n, index, value, pu, pv):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Append the surface's part of a row after its first n entries; the new number of entries."""
    degree, grid = layout[DEGREE], layout[GRID]
    _legendre(u, degree, pu)
    _legendre(v, degree, pv)
    at = layout[POLYNOMIAL]
    for total in range(1, degree + 1):
        for b in range(total + 1):
            index[n] = at
            value[n] = pu[total - b] * pv[b]
            at += 1
            n += 1
    if grid > 0:
        k = _bspline(u, grid, pu)
        m = _bspline(v, grid, pv)
        for b in range(4):
            for a in range(4):
                index[n] = layout[SPLINE] + (m + b) * (grid + 3) + k + a
                value[n] = pv[b] * pu[a]
                n += 1
    return n


@njit(cache=True)
def _row(u, v, frame, layout, index, value, pu, pv):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The row of an observation, ascending indices: m = M - ZP - gradient + f."""
    index[0], value[0] = frame, -1.0
    first = layout[N_FRAMES] + 2 * frame
    index[1], value[1] = first, -u
    index[2], value[2] = first + 1, -v
    return _surface_row(u, v, layout, 3, index, value, pu, pv)


@njit(cache=True)
def surface_design(u, v, layout):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Dense rows of the surface alone at points: (n_points, polynomial and spline)."""
    first = layout[POLYNOMIAL]
    out = np.zeros((u.size, layout[COLOUR] - first))
    n_most = layout[SPLINE] - first + 16
    index, value = np.empty(n_most, np.int64), np.empty(n_most)
    pu, pv = np.empty(max(layout[DEGREE] + 1, 4)), np.empty(max(layout[DEGREE] + 1, 4))
    for i in range(u.size):
        for k in range(_surface_row(u[i], v[i], layout, 0, index, value, pu, pv)):
            out[i, index[k] - first] = value[k]
    return out


@njit(cache=True)
def accumulate(  # type: ignore[no-untyped-def]  # pragma: no cover
    lo, hi, start, u, v, frame, y, weight,
    ext_y, ext_weight, ext_colour, field_index, field_value, layout, normal, right, means, side,
):  # fmt: skip
    """Sums of stars `lo` to `hi`, whose observations lie one after the other.

    Adds to the lower triangle of `normal` and to `right`; writes a row of `means` (and `side`) a
    star: the weighted sum of its rows (and of its values), divided by the root of its weight.
    Subtracting means^T means (and means^T side) eliminates the magnitudes of the stars.
    """
    n_most = 3 + layout[SPLINE] - layout[POLYNOMIAL] + 16
    index, value = np.empty(n_most, np.int64), np.empty(n_most)
    pu, pv = np.empty(max(layout[DEGREE] + 1, 4)), np.empty(max(layout[DEGREE] + 1, 4))
    for star in range(lo, hi):
        out = star - lo
        means[out] = 0.0
        total, summed = 0.0, 0.0
        for i in range(start[star], start[star + 1]):
            w = weight[i]
            if w <= 0.0:
                continue
            n = _row(u[i], v[i], frame[i], layout, index, value, pu, pv)
            total += w
            summed += w * y[i]
            for a in range(n):
                wa = w * value[a]
                line = normal[index[a]]
                for b in range(a + 1):
                    line[index[b]] += wa * value[b]
                right[index[a]] += wa * y[i]
                means[out, index[a]] += wa
        w = ext_weight[star]
        if w > 0.0:
            index[0], value[0] = layout[COLOUR], ext_colour[star]
            for a in range(4):
                index[a + 1] = layout[FIELD] + field_index[star, a]
                value[a + 1] = field_value[star, a]
            n = 5 if layout[TOTAL] > layout[FIELD] else 1
            total += w
            summed += w * ext_y[star]
            for a in range(n):
                wa = w * value[a]
                for b in range(a + 1):
                    normal[index[a], index[b]] += wa * value[b]
                right[index[a]] += wa * ext_y[star]
                means[out, index[a]] += wa
        side[out] = 0.0
        if total > 0.0:
            scale = 1.0 / np.sqrt(total)
            side[out] = summed * scale
            for a in range(means.shape[1]):
                means[out, a] *= scale


@njit(cache=True)
def predict(u, v, frame, layout, parameters, model, flat):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill `model` with -ZP - gradient + f of each observation, and `flat` with f alone."""
    n_most = 3 + layout[SPLINE] - layout[POLYNOMIAL] + 16
    index, value = np.empty(n_most, np.int64), np.empty(n_most)
    pu, pv = np.empty(max(layout[DEGREE] + 1, 4)), np.empty(max(layout[DEGREE] + 1, 4))
    for i in range(u.size):
        n = _row(u[i], v[i], frame[i], layout, index, value, pu, pv)
        of_frame, of_surface = 0.0, 0.0
        for a in range(3):
            of_frame += value[a] * parameters[index[a]]
        for a in range(3, n):
            of_surface += value[a] * parameters[index[a]]
        model[i] = of_frame + of_surface
        flat[i] = of_surface
