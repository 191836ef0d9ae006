"""Maps of illumination as stored, a few nodes, evaluated at every pixel of the CCD."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from tesela.errors import BadInput

_LN = np.float32(-0.4 * np.log(10.0))


def surface(
    node_map: NDArray[np.floating], shape: tuple[int, int], rows: slice | None = None
) -> NDArray[np.float32]:
    """The map at the centres of pixels, by a cubic spline through the nodes.

    Parameters
    ----------
    node_map : (my, mx) float, mag
        Nodes spread evenly from the centre of the first pixel to that of the last.
    shape : (ny, nx)
        Of the CCD.
    rows : slice, optional
        Rows wanted, step 1; all by default.

    Returns
    -------
    (n_rows, nx) float32, mag

    Raises
    ------
    BadInput
        If a node is not finite or the map is empty.

    Notes
    -----
    Memory: what is returned. The spline is of the not-a-knot kind, so a plane, and any polynomial
    of third degree in x and y each, comes back exactly; it is held as values and derivatives at
    the nodes (bicubic Hermite form).
    """
    return _evaluate(node_map, shape, rows, as_factor=False)


def factor(
    node_map: NDArray[np.floating], shape: tuple[int, int], rows: slice | None = None
) -> NDArray[np.float32]:
    """10^(-0.4 f) at the pixels: a flat times this is the effective flat.

    Dividing by the effective flat applies I' = I 10^(+0.4 f), f being instrumental minus true.
    Parameters, errors and memory as `surface`; dimensionless.
    """
    return _evaluate(node_map, shape, rows, as_factor=True)


def _evaluate(
    node_map: NDArray[np.floating],
    shape: tuple[int, int],
    rows: slice | None,
    *,
    as_factor: bool,
) -> NDArray[np.float32]:
    nodes = np.asarray(node_map, np.float64)
    if nodes.ndim != 2 or nodes.size == 0 or not np.isfinite(nodes).all():
        raise BadInput(
            "illumination map",
            found=f"shape {nodes.shape}, {np.count_nonzero(~np.isfinite(nodes))} nodes not finite",
            expected="(my, mx) numbers",
            do="build the master again",
        )
    first, last, _ = (rows or slice(None)).indices(shape[0])
    out = np.empty((max(last - first, 0), shape[1]), np.float32)
    value, dx = nodes, _derivative(nodes, 1)
    _fill(
        value, dx, _derivative(value, 0), _derivative(dx, 0), first, shape[0], as_factor, _LN, out
    )
    return out


def _derivative(nodes: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Of the spline through the nodes, at the nodes, a node apart being the unit."""
    n = nodes.shape[axis]
    if n == 1:
        return np.zeros_like(nodes)
    return np.ascontiguousarray(CubicSpline(np.arange(n), nodes, axis=axis)(np.arange(n), 1))


@njit(cache=True)
def _hermite(t, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Weights of value, next value, derivative, next derivative."""
    t2, t3 = t * t, t * t * t
    out[0] = 2.0 * t3 - 3.0 * t2 + 1.0
    out[1] = 3.0 * t2 - 2.0 * t3
    out[2] = t3 - 2.0 * t2 + t
    out[3] = t3 - t2


@njit(cache=True, parallel=True)
def _fill(  # type: ignore[no-untyped-def]  # pragma: no cover
    value, dx, dy, dxy, first, ny, as_factor, ln, out
):
    my, mx = value.shape
    n_rows, nx = out.shape
    step_y = (my - 1) / max(ny - 1, 1)
    step_x = (mx - 1) / max(nx - 1, 1)
    for row in prange(n_rows):
        w = np.empty(4)
        at = (first + row) * step_y
        j = min(int(at), max(my - 2, 0))
        below = min(j + 1, my - 1)
        _hermite(at - j, w)
        line, slope = np.empty(mx), np.empty(mx)
        for k in range(mx):
            line[k] = (
                w[0] * value[j, k] + w[1] * value[below, k] + w[2] * dy[j, k] + w[3] * dy[below, k]
            )
            slope[k] = (
                w[0] * dx[j, k] + w[1] * dx[below, k] + w[2] * dxy[j, k] + w[3] * dxy[below, k]
            )
        i = 0
        for k in range(max(mx - 1, 1)):
            right = min(k + 1, mx - 1)
            rise = line[right] - line[k]
            # The cubic of this interval in powers of the distance from its left node.
            c0, c1 = np.float32(line[k]), np.float32(slope[k])
            c2 = np.float32(3.0 * rise - 2.0 * slope[k] - slope[right])
            c3 = np.float32(slope[k] + slope[right] - 2.0 * rise)
            end = nx
            if k < mx - 2:
                end = min(int(np.ceil((k + 1) / step_x)), nx)
            for col in range(i, end):
                t = np.float32(col * step_x - k)
                found = c0 + t * (c1 + t * (c2 + t * c3))
                if as_factor:
                    found = np.exp(ln * found)
                out[row, col] = found
            i = max(i, end)
