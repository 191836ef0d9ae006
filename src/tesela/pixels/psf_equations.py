"""Compiled sums behind the fit of the point-spread function: per star and per map node.

`stars` rows are x, y, peak, use (0 or 1); `local` rows are m11, m12, m22, beta, 1, ln FWHM, e1, e2,
d ln(alpha^2) / d beta; a star's parameters are peak, x, y, ln FWHM, e1, e2, beta in this order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.psf_model import GAUSS, OVERSAMPLING, cubic_weights

MODEL_ERROR = 0.01  # of the model: keeps the brightest stars from deciding alone
HUBER_SIGMA = 4.0


@njit(cache=True, nogil=True)
def _local_map(maps, basis, surface):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The residual map at one star."""
    for j in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            surface[j, i] = 0.0
            for b in range(maps.shape[0]):
                surface[j, i] += basis[b] * maps[b, j, i]


@njit(cache=True, nogil=True)
def _map_value(surface, wx, wy, k, m):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = surface.shape[0]
    if k < 1 or k >= n - 2 or m < 1 or m >= n - 2:
        return 0.0
    value = 0.0
    for q in range(4):
        row = surface[m + q - 1]
        value += wy[q] * (
            wx[0] * row[k - 1] + wx[1] * row[k] + wx[2] * row[k + 1] + wx[3] * row[k + 2]
        )
    return value


@njit(cache=True, nogil=True)
def _derivatives(dx, dy, local, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pixel average of the unit Moffat and its derivatives to x, y, ln FWHM, e1, e2, beta."""
    m11, m12, m22, beta = local[0], local[1], local[2], local[3]
    e1, e2, slope = local[6], local[7], local[8]
    n2 = 1.0 / (1.0 - e1 * e1 - e2 * e2)
    base = m11 / (1.0 - e1)
    out[:] = 0.0
    for sy in range(2):
        v = dy + (2 * sy - 1) * GAUSS
        for sx in range(2):
            u = dx + (2 * sx - 1) * GAUSS
            q = m11 * u * u + 2.0 * m12 * u * v + m22 * v * v
            ln = np.log(1.0 + q)
            p = np.exp(-beta * ln)
            dq = -beta * p / (1.0 + q)
            out[0] += p
            out[1] -= dq * 2.0 * (m11 * u + m12 * v)
            out[2] -= dq * 2.0 * (m12 * u + m22 * v)
            out[3] -= dq * 2.0 * q
            out[4] += dq * (e1 * n2 * q + base * (v * v - u * u))
            out[5] += dq * (e2 * n2 * q - 2.0 * base * u * v)
            out[6] -= ln * p + dq * q * slope
    for k in range(7):
        out[k] *= 0.25


@njit(cache=True, nogil=True)
def _gather(data, noise, bad, star, local, maps, basis, radius, value, grad, where):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pixels of one star: model and gradient, (value, model variance), and their offsets.

    The variance is the straight line of the pixels' variances on the model: pixel by pixel it
    would follow the noise of the data, and weights that follow the noise bias the wings.
    """
    ny, nx = data.shape
    x, y = star[0], star[1]
    fwhm = np.exp(local[5])
    surface = np.empty(maps.shape[1:])
    _local_map(maps, basis, surface)
    # Nodes lie every half pixel: all pixels of a star share one phase of the interpolation.
    ix, iy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    node_x = OVERSAMPLING * (ix - x) + maps.shape[2] // 2
    node_y = OVERSAMPLING * (iy - y) + maps.shape[1] // 2
    k0, m0 = int(np.floor(node_x)), int(np.floor(node_y))
    wx, wy = np.empty(4), np.empty(4)
    cubic_weights(node_x - k0, wx)
    cubic_weights(node_y - m0, wy)
    n = core_bad = 0
    s1 = sp = spp = sv = spv = 0.0
    for j in range(iy - radius, iy + radius + 1):
        for i in range(ix - radius, ix + radius + 1):
            dx, dy = i - x, j - y
            r2 = dx * dx + dy * dy
            if r2 > radius * radius:
                continue
            if i < 0 or j < 0 or i >= nx or j >= ny or bad[j, i]:
                core_bad += r2 < fwhm * fwhm
                continue
            _derivatives(dx, dy, local, grad[n])
            k, m = k0 + OVERSAMPLING * (i - ix), m0 + OVERSAMPLING * (j - iy)
            grad[n, 0] += _map_value(surface, wx, wy, k, m)
            value[n, 0], where[n, 0], where[n, 1] = data[j, i], dx, dy
            p, v = grad[n, 0], noise[j, i]
            s1, sp, spp, sv, spv = s1 + 1.0, sp + p, spp + p * p, sv + v, spv + p * v
            n += 1
    det = s1 * spp - sp * sp
    level, gain = 0.0, 0.0
    if n > 3 and det > 0.0:
        gain = max(0.0, (s1 * spv - sp * sv) / det)
        level = (sv - gain * sp) / s1
        if level <= 0.0:
            level = 0.1 * sv / s1
    for k in range(n):
        value[k, 1] = level + gain * max(0.0, grad[k, 0])
    return n, core_bad


@njit(cache=True, nogil=True)
def _weight(residual, variance, model):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Huber weight with a model error that keeps bright stars in their place."""
    total = variance + (MODEL_ERROR * model) ** 2
    sigma = np.sqrt(total)
    if abs(residual) > HUBER_SIGMA * sigma:
        return HUBER_SIGMA * sigma / abs(residual) / total
    return 1.0 / total


@njit(cache=True, nogil=True)
def normal_equations(data, noise, bad, stars, local, maps, basis, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Per star: 7 x 7 matrix, right-hand side, (chi2, bad pixels in the core, pixels used)."""
    n_stars = len(stars)
    normal = np.zeros((n_stars, 7, 7))
    right = np.zeros((n_stars, 7))
    quality = np.zeros((n_stars, 3))
    size = (2 * radius + 1) ** 2
    value, grad, where = np.empty((size, 2)), np.empty((size, 7)), np.empty((size, 2))
    for s in range(n_stars):
        if stars[s, 3] == 0.0:
            continue
        n, core_bad = _gather(
            data, noise, bad, stars[s], local[s], maps, basis[s], radius, value, grad, where
        )
        peak = stars[s, 2]
        for k in range(n):
            model = peak * grad[k, 0]
            residual = value[k, 0] - model
            w = _weight(residual, value[k, 1], model)
            for a in range(1, 7):
                grad[k, a] *= peak
            for a in range(7):
                right[s, a] += w * grad[k, a] * residual
                for b in range(a + 1):
                    normal[s, a, b] += w * grad[k, a] * grad[k, b]
            quality[s, 0] += residual * residual * w
        for a in range(7):
            for b in range(a):
                normal[s, b, a] = normal[s, a, b]
        quality[s, 1], quality[s, 2] = core_bad, n
    return normal, right, quality


@njit(cache=True, nogil=True)
def collect_residuals(data, noise, bad, stars, local, maps, basis, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Normal equations of the map, node by node: residuals in units of the peak, tent-weighted."""
    n_maps, n = maps.shape[0], maps.shape[1]
    matrix = np.zeros((n, n, n_maps, n_maps))
    vector = np.zeros((n, n, n_maps))
    size = (2 * radius + 1) ** 2
    value, grad, where = np.empty((size, 2)), np.empty((size, 7)), np.empty((size, 2))
    for s in range(len(stars)):
        if stars[s, 3] == 0.0:
            continue
        count, _ = _gather(
            data, noise, bad, stars[s], local[s], maps, basis[s], radius, value, grad, where
        )
        peak = stars[s, 2]
        for k in range(count):
            model = peak * grad[k, 0]
            residual = value[k, 0] - model
            w = _weight(residual, value[k, 1], model) * peak * peak
            node_x = OVERSAMPLING * where[k, 0] + n // 2
            node_y = OVERSAMPLING * where[k, 1] + n // 2
            i0, j0 = int(np.floor(node_x)), int(np.floor(node_y))
            for j in range(max(0, j0), min(n, j0 + 2)):
                for i in range(max(0, i0), min(n, i0 + 2)):
                    share = w * (1.0 - abs(node_x - i)) * (1.0 - abs(node_y - j))
                    for a in range(n_maps):
                        vector[j, i, a] += share * basis[s, a] * residual / peak
                        for b in range(n_maps):
                            matrix[j, i, a, b] += share * basis[s, a] * basis[s, b]
    return matrix, vector
