"""Moving an image onto another grid of pixels, with flux conserved.

The interpolant is Lanczos-3 (Duchon 1979; the choice of SWarp, Bertin et al. 2002, ASPC 281, 228),
corrected to be exact for planes and parabolas where input and output pixels are of nearly the same
size. The plain kernel moves a star by up to 0.02 px, depending on where between the pixels it is
read, and with a scale of 1.01 changes its flux by up to 0.13 %; corrected, both are below 1e-4.
Where each output pixel lies in the input is given on a coarse grid and is bilinear in between, so
no projection is evaluated per pixel.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

TAPS = 6
PHASES = 4096  # of the kernel table: positions are good to 1/8192 px
EXACT_WITHIN = 0.1  # of a scale of one; beyond, the plain kernel keeps flux better
MISSING_LIMIT = 0.2  # of the kernel's absolute weight that bad pixels may take away


def lanczos3(
    image: NDArray[np.float32],
    weight: NDArray[np.float32],
    grid_x: NDArray[np.float64],
    grid_y: NDArray[np.float64],
    step: int,
    shape_out: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Resample an image and its weight.

    Parameters
    ----------
    image : (ny, nx) float32
        Flux per pixel, sky subtracted. May hold anything (NaN too) where the weight is 0.
    weight : (ny, nx) float32
        Inverse variance; 0 = no data.
    grid_x, grid_y : (gy, gx) float64
        0-based input position of the output pixels (j * step, i * step). The grid must reach the
        last output pixel: gy >= (ny_out - 1) / step + 1, rounded up. NaN = outside the projection.
    step : int
        Output pixels between grid points.
    shape_out : (int, int)
        Shape of the output.

    Returns
    -------
    image, weight : (ny_out, nx_out) float32
        0 with weight 0 where there is no data: outside, where one of the four nearest input pixels
        is bad, or where bad pixels take more than a fifth of the kernel's absolute weight. With
        less missing, the rest of the kernel is renormalised.

    Notes
    -----
    Values are multiplied by the Jacobian (input pixels per output pixel), so sums of flux are kept.
    The output variance is the bilinear mean of the input variances times the Jacobian: with the
    correlation that interpolation brings, this is the number that gives the right error for sums
    over many pixels, not the scatter of single ones. The flux of a single star is right to 0.01 %
    for scales within 1 % of one, to 0.1 % within 3 %, to 2 % at 10 %, where the plain kernel takes
    over. Output pixels much larger than the input's are sampled, not averaged.
    """
    _check_grid(grid_x, grid_y, step, shape_out)
    data = np.ascontiguousarray(image, np.float32)
    ivar = np.ascontiguousarray(weight, np.float32)
    near_bad = _near_bad(ivar)
    gx = np.ascontiguousarray(grid_x, np.float64)
    gy = np.ascontiguousarray(grid_y, np.float64)
    table = _EXACT if abs(_scale(gx, gy, step) - 1.0) < EXACT_WITHIN else _PLAIN
    return _lanczos(data, ivar, near_bad, gx, gy, step, shape_out[0], shape_out[1], table)


def nearest_mask(
    mask: NDArray[np.uint8],
    grid_x: NDArray[np.float64],
    grid_y: NDArray[np.float64],
    step: int,
    shape_out: tuple[int, int],
    *,
    outside: int = 0,
) -> NDArray[np.uint8]:
    """Resample a bit mask: the OR of the four input pixels around each output pixel.

    Parameters
    ----------
    mask : (ny, nx) uint8
        Bits; 0 = good.
    grid_x, grid_y, step, shape_out
        As for `lanczos3`.
    outside : int
        Code of output pixels not covered by the input.

    Returns
    -------
    (ny_out, nx_out) uint8
    """
    _check_grid(grid_x, grid_y, step, shape_out)
    gx = np.ascontiguousarray(grid_x, np.float64)
    gy = np.ascontiguousarray(grid_y, np.float64)
    bits = np.ascontiguousarray(mask, np.uint8)
    return _mask(bits, gx, gy, step, shape_out[0], shape_out[1], outside)


def _check_grid(
    grid_x: NDArray[np.float64], grid_y: NDArray[np.float64], step: int, shape_out: tuple[int, int]
) -> None:
    need = tuple(max(2, -(-(size - 1) // step) + 1) for size in shape_out)
    if grid_x.shape != grid_y.shape or any(g < n for g, n in zip(grid_x.shape, need)):
        raise ValueError(
            f"resampling grid of {grid_x.shape} and {grid_y.shape} points every {step} px for an "
            f"output of {shape_out}: expected two grids of at least {need}"
        )


def _scale(gx: NDArray[np.float64], gy: NDArray[np.float64], step: int) -> float:
    """Input pixels per output pixel along a line: median over the grid."""
    steps = np.hypot(np.diff(gx, axis=1), np.diff(gy, axis=1)) / step
    known = steps[np.isfinite(steps)]
    return float(np.median(known)) if known.size else 1.0


def _kernel_table(*, exact: bool) -> NDArray[np.float32]:
    """Lanczos-3 weights of the six pixels around a position, for each phase."""
    phase = np.arange(PHASES + 1) / PHASES
    distance = phase[:, None] - np.arange(-2, 4)[None, :]
    taps = np.sinc(distance) * np.sinc(distance / 3.0)
    taps[np.abs(distance) >= 3.0] = 0.0
    if not exact:
        return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
    # Add a smooth term that makes the moments of the kernel 1, 0, 0.
    window = np.where(np.abs(distance) < 3.0, (1.0 - (distance / 3.0) ** 2) ** 2, 0.0)
    powers = np.stack([distance**k for k in range(3)], axis=2)
    missing = np.array([1.0, 0.0, 0.0]) - np.einsum("np,npk->nk", taps, powers)
    moments = np.einsum("np,npk,npl->nkl", window, powers, powers)
    terms = np.linalg.solve(moments, missing[:, :, None])[:, :, 0]
    return (taps + window * np.einsum("npk,nk->np", powers, terms)).astype(np.float32)


_EXACT = _kernel_table(exact=True)
_PLAIN = _kernel_table(exact=False)


def _near_bad(weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels whose 6 x 6 kernel footprint meets a bad pixel or the edge: they need the slow way."""
    good = weight > 0
    near = np.ones(weight.shape, bool)
    ny, nx = weight.shape
    if ny < TAPS or nx < TAPS:
        return near
    columns = good[: ny - 5].copy()
    for k in range(1, TAPS):
        columns &= good[k : ny - 5 + k]
    rows = columns[:, : nx - 5].copy()
    for k in range(1, TAPS):
        rows &= columns[:, k : nx - 5 + k]
    near[2 : ny - 3, 2 : nx - 3] = ~rows
    return near


@njit(cache=True)
def _locate(gx, gy, step, j, i):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Input position of an output pixel, and input pixels per output pixel there."""
    b, a = min(j // step, gx.shape[0] - 2), min(i // step, gx.shape[1] - 2)
    v, u = (j - b * step) / step, (i - a * step) / step
    x00, x01, x10, x11 = gx[b, a], gx[b, a + 1], gx[b + 1, a], gx[b + 1, a + 1]
    y00, y01, y10, y11 = gy[b, a], gy[b, a + 1], gy[b + 1, a], gy[b + 1, a + 1]
    x = (1 - v) * ((1 - u) * x00 + u * x01) + v * ((1 - u) * x10 + u * x11)
    y = (1 - v) * ((1 - u) * y00 + u * y01) + v * ((1 - u) * y10 + u * y11)
    dxdu = (1 - v) * (x01 - x00) + v * (x11 - x10)
    dydu = (1 - v) * (y01 - y00) + v * (y11 - y10)
    dxdv = (1 - u) * (x10 - x00) + u * (x11 - x01)
    dydv = (1 - u) * (y10 - y00) + u * (y11 - y01)
    return x, y, abs(dxdu * dydv - dxdv * dydu) / (step * step)


@njit(cache=True)
def _partial(data, weight, kx, ky, iy, ix):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Kernel sum over the good pixels only: (value, usable)."""
    ny, nx = data.shape
    total = used = lost = whole = 0.0
    for q in range(TAPS):
        for p in range(TAPS):
            k = ky[q] * kx[p]
            y, x = iy + q - 2, ix + p - 2
            whole += abs(k)
            if 0 <= y < ny and 0 <= x < nx and weight[y, x] > 0:
                total += k * data[y, x]
                used += k
            else:
                lost += abs(k)
    if lost > MISSING_LIMIT * whole or used <= 0.5:
        return 0.0, False
    return total / used, True


@njit(cache=True)
def _lanczos(data, weight, near_bad, gx, gy, step, ny_out, nx_out, table):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = data.shape
    out = np.zeros((ny_out, nx_out), np.float32)
    out_weight = np.zeros((ny_out, nx_out), np.float32)
    for j in range(ny_out):
        for i in range(nx_out):
            x, y, jacobian = _locate(gx, gy, step, j, i)
            if not (x >= 0.0 and y >= 0.0 and x <= nx - 1.0 and y <= ny - 1.0):
                continue
            ix, iy = min(int(x), nx - 2), min(int(y), ny - 2)
            u, v = x - ix, y - iy
            w00, w01 = weight[iy, ix], weight[iy, ix + 1]
            w10, w11 = weight[iy + 1, ix], weight[iy + 1, ix + 1]
            if not (w00 > 0.0 and w01 > 0.0 and w10 > 0.0 and w11 > 0.0):
                continue
            kx, ky = table[int(u * PHASES + 0.5)], table[int(v * PHASES + 0.5)]
            if near_bad[iy, ix]:
                value, usable = _partial(data, weight, kx, ky, iy, ix)
                if not usable:
                    continue
            else:
                value = 0.0
                for q in range(TAPS):
                    row = data[iy + q - 2]
                    a = ix - 2
                    value += ky[q] * (
                        kx[0] * row[a]
                        + kx[1] * row[a + 1]
                        + kx[2] * row[a + 2]
                        + kx[3] * row[a + 3]
                        + kx[4] * row[a + 4]
                        + kx[5] * row[a + 5]
                    )
            variance = (1 - v) * ((1 - u) / w00 + u / w01) + v * ((1 - u) / w10 + u / w11)
            out[j, i] = jacobian * value
            out_weight[j, i] = 1.0 / (variance * jacobian)
    return out, out_weight


@njit(cache=True)
def _mask(bits, gx, gy, step, ny_out, nx_out, outside):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = bits.shape
    out = np.empty((ny_out, nx_out), np.uint8)
    for j in range(ny_out):
        for i in range(nx_out):
            x, y, _ = _locate(gx, gy, step, j, i)
            if not (x >= 0.0 and y >= 0.0 and x <= nx - 1.0 and y <= ny - 1.0):
                out[j, i] = outside
                continue
            ix, iy = min(int(x), nx - 2), min(int(y), ny - 2)
            out[j, i] = bits[iy, ix] | bits[iy, ix + 1] | bits[iy + 1, ix] | bits[iy + 1, ix + 1]
    return out
