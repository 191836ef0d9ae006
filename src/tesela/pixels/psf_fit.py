"""Fitting the point-spread function to the stars of one image.

All stars are fitted at once. Every star has its own amplitude and position, eliminated from the
normal equations star by star (Schur complement), so that only the polynomials of width and
ellipticity and the common exponent are solved together. What the Moffat misses is then collected
on a grid of half pixels, as Anderson & King 2000 (PASP 112, 1360) do, and the two are iterated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels.psf_model import (
    _GAUSS,
    OVERSAMPLING,
    PsfModel,
    cubic_weights,
    moffat_parameters,
    terms,
)

MIN_STARS = 5
STARS_PER_TERM = 4
LINEAR_MAP_STARS = 60
MODEL_ERROR = 0.01  # of the model: keeps the brightest stars from deciding alone
HUBER_SIGMA = 4.0
BETA_RANGE = (1.6, 8.0)
MAX_SHIFT_PX = 1.5
SHAPE = slice(3, 7)  # ln FWHM, e1, e2, beta among a star's parameters; 0, 1, 2 are flux, x, y


@dataclass
class _State:
    """The unknowns while they are being solved."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    peak: NDArray[np.float64]
    good: NDArray[np.bool_]
    model: PsfModel
    start: NDArray[np.float64]
    radius: int
    chi2: NDArray[np.float64]


def fit(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    fwhm_guess_px: float,
    degree: int = 2,
    radius_px: float | None = None,
    norm_radius_px: float,
) -> PsfModel:
    """Fit the spatially varying effective PSF.

    Parameters
    ----------
    image, variance : (ny, nx) float32
        Sky-subtracted image and its variance, object noise included. NaN counts as bad.
    mask : (ny, nx) bool or None
        True = bad: such pixels are not used; stars with a bad pixel in the core are rejected.
    x, y : (n,) float64
        Positions (0-based) of chosen stars, good to a pixel.
    fwhm_guess_px : float
        Right to a factor 1.5.
    degree : int
        Highest degree of the polynomials; lowered while there are fewer than four stars a term.
    radius_px : float or None
        Half-size of the fitted stamps; default 4.5 FWHM, between 7 and 30 px.
    norm_radius_px : float
        The model's flux within this radius is one: the same, 15" or more, for all bands.

    Returns
    -------
    PsfModel

    Raises
    ------
    QualityError
        With fewer than five usable stars.
    """
    radius = int(np.clip(np.ceil(radius_px or 4.5 * fwhm_guess_px), 7, 30))
    data, noise, bad = _prepare(image, variance, mask)
    state = _start(data, bad, x, y, radius, fwhm_guess_px, degree, norm_radius_px)
    _require_stars(state, len(state.x))
    for step in range(9):
        _solve_once(state, data, noise, bad)
        if step >= 3:
            _reject(state, len(state.x))
    for _ in range(3):
        _update_map(state, data, noise, bad)
        for _ in range(2):
            _solve_once(state, data, noise, bad)
            _reject(state, len(state.x))
    chi2 = float(np.median(state.chi2[state.good]))
    return replace(state.model, n_stars=int(state.good.sum()), chi2=chi2, used=state.good.copy())


def _prepare(
    image: NDArray[np.float32], variance: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Contiguous float32 planes and one mask of everything unusable."""
    data = np.ascontiguousarray(image, np.float32)
    noise = np.ascontiguousarray(np.broadcast_to(variance, data.shape), np.float32)
    bad = ~(np.isfinite(data) & np.isfinite(noise) & (noise > 0))
    if mask is not None:
        bad |= np.asarray(mask, bool)
    return data, noise, bad


def _start(
    data: NDArray[np.float32],
    bad: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    radius: int,
    fwhm_px: float,
    degree: int,
    norm_radius_px: float,
) -> _State:
    ny, nx = data.shape
    xs, ys = np.array(x, np.float64), np.array(y, np.float64)
    ix, iy = np.round(xs).astype(int), np.round(ys).astype(int)
    margin = max(3, radius // 2)
    good = (ix >= margin) & (ix < nx - margin) & (iy >= margin) & (iy < ny - margin)
    peak = np.zeros(len(xs))
    for k in np.flatnonzero(good):
        core = np.s_[iy[k] - 1 : iy[k] + 2, ix[k] - 1 : ix[k] + 2]
        peak[k] = np.max(np.where(bad[core], 0, data[core]))
    good &= peak > 0
    while degree > 0 and good.sum() < STARS_PER_TERM * (degree + 1) * (degree + 2) // 2:
        degree -= 1
    n_terms = (degree + 1) * (degree + 2) // 2
    coefficients = np.zeros((3, n_terms))
    coefficients[0, 0] = np.log(fwhm_px)
    n_maps = 3 if degree > 0 and good.sum() >= LINEAR_MAP_STARS else 1
    nodes = 2 * OVERSAMPLING * min(radius, 16) + 1
    frame = ((nx - 1) / 2.0, (ny - 1) / 2.0, max(nx, ny) / 2.0)
    maps = np.zeros((n_maps, nodes, nodes), np.float32)
    model = PsfModel(coefficients, 3.0, maps, frame, degree, norm_radius_px, 0, 0.0)
    start = np.stack([xs, ys])
    return _State(xs, ys, peak, good, model, start, radius, np.zeros(len(xs)))


def _inputs(
    state: _State,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Stars, local Moffat parameters with d ln alpha^2 / d beta, and map basis for the kernels."""
    shape = state.model.shape_at(state.x, state.y)
    beta = state.model.beta
    params = moffat_parameters(shape, beta)
    power = 2.0 ** (1.0 / beta)
    local = np.column_stack([params, shape, np.full(len(shape), 0.0)])
    local[:, 8] = power * np.log(2.0) / beta**2 / (power - 1.0)
    _, basis = state.model.local(state.x, state.y)
    stars = np.column_stack([state.x, state.y, state.peak, state.good])
    return stars, local, basis


def _solve_once(
    state: _State,
    data: NDArray[np.float32],
    noise: NDArray[np.float32],
    bad: NDArray[np.bool_],
) -> None:
    """One Gauss-Newton step of everything but the residual map."""
    stars, local, basis = _inputs(state)
    normal, right, quality = _normal_equations(
        data, noise, bad, stars, local, state.model.residual, basis, state.radius
    )
    core_bad, n_px = quality[:, 1], quality[:, 2]
    state.chi2 = quality[:, 0] / np.maximum(n_px - 3, 1)
    state.good &= (n_px > 20) & (core_bad == 0)
    _require_stars(state, len(state.x))
    delta_shape = _solve_shape(state, normal, right)
    good = state.good
    coupling = np.einsum("nij,nj->ni", normal[good][:, :3, SHAPE], delta_shape)
    own = np.linalg.solve(normal[good][:, :3, :3], (right[good][:, :3] - coupling)[..., None])
    own = own[..., 0]
    state.peak[good] = np.maximum(state.peak[good] + own[:, 0], 0.2 * state.peak[good])
    state.x[good] += np.clip(own[:, 1], -0.5, 0.5)
    state.y[good] += np.clip(own[:, 2], -0.5, 0.5)


def _solve_shape(
    state: _State, normal: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Update polynomials and beta; return each good star's change of ln FWHM, e1, e2, beta."""
    model, good = state.model, state.good
    N, r = normal[good], right[good]
    inner = np.linalg.solve(N[:, :3, :3], np.concatenate([N[:, :3, SHAPE], r[:, :3, None]], axis=2))
    S = N[:, SHAPE, SHAPE] - N[:, SHAPE, :3] @ inner[:, :, :4]
    t = r[:, SHAPE] - np.einsum("nij,nj->ni", N[:, SHAPE, :3], inner[:, :, 4])
    u, v = model._reduced(state.x[good], state.y[good])
    P = terms(u, v, model.degree)
    k = P.shape[1]
    jacobian = np.zeros((len(P), 4, 3 * k + 1))
    for axis in range(3):
        jacobian[:, axis, axis * k : (axis + 1) * k] = P
    jacobian[:, 3, 3 * k] = 1.0
    matrix = np.einsum("nai,nab,nbj->ij", jacobian, S, jacobian)
    vector = np.einsum("nai,na->i", jacobian, t)
    matrix[np.diag_indices_from(matrix)] *= 1.0 + 1e-6
    step = np.linalg.solve(matrix, vector)
    # The first steps start far away: no star may change its width by more than a fifth at once.
    change = jacobian @ step
    limit = np.array([0.2, 0.15, 0.15, 0.5])
    step *= min(1.0, float((limit / np.maximum(np.abs(change).max(axis=0), 1e-12)).min()))
    beta = float(np.clip(model.beta + step[-1], *BETA_RANGE))
    state.model = replace(
        model, coefficients=model.coefficients + step[:-1].reshape(3, k), beta=beta
    )
    return jacobian @ step


def _reject(state: _State, n_given: int) -> None:
    """Drop stars that fit badly or moved away."""
    chi2 = state.chi2[state.good]
    centre = np.median(chi2)
    spread = 1.4826 * np.median(np.abs(chi2 - centre)) + 0.05 * centre
    moved = np.hypot(state.x - state.start[0], state.y - state.start[1])
    state.good &= (state.chi2 < centre + 5.0 * spread) & (moved < MAX_SHIFT_PX)
    _require_stars(state, n_given)


def _require_stars(state: _State, n_given: int) -> None:
    if state.good.sum() < MIN_STARS:
        raise QualityError(
            "PSF of an image",
            found=f"{int(state.good.sum())} usable stars of the {n_given} given",
            expected=f"at least {MIN_STARS}",
            do="loosen the choice of stars, or take the PSF from a neighbouring exposure",
        )


def _update_map(
    state: _State,
    data: NDArray[np.float32],
    noise: NDArray[np.float32],
    bad: NDArray[np.bool_],
) -> None:
    """Add to the residual map what the present model leaves."""
    stars, local, basis = _inputs(state)
    maps = state.model.residual
    matrix, vector = _collect_residuals(data, noise, bad, stars, local, maps, basis, state.radius)
    n = maps.shape[1]
    diagonal = np.einsum("jikk->jik", matrix)
    # The ridge answers for nodes that saw next to nothing: they stay as they are.
    diagonal += 1e-3 * np.median(diagonal[..., 0]) + 1e-30
    covariance = np.linalg.inv(matrix)
    change = np.einsum("jikl,jil->kji", covariance, vector)
    error = np.sqrt(np.einsum("jikk->kji", covariance))
    offset = (np.arange(n) - n // 2) / OVERSAMPLING
    r = np.hypot(offset[:, None], offset[None, :])
    updated = _shrink(maps + change, error, r) * _taper(r, n // 2 / OVERSAMPLING)
    state.model = replace(state.model, residual=updated.astype(np.float32))


def _shrink(
    maps: NDArray[np.float64], error: NDArray[np.float64], r: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Multiply every ring by the part of its power that is not noise (Wiener)."""
    ring = np.floor(r).astype(int).ravel()
    size = np.bincount(ring)
    shrunk = np.empty_like(maps)
    for k in range(len(maps)):
        power = np.bincount(ring, (maps[k] ** 2).ravel()) / size
        noise = np.bincount(ring, (error[k] ** 2).ravel()) / size
        keep = np.clip(1.0 - noise / np.maximum(power, 1e-30), 0.0, 1.0)
        shrunk[k] = maps[k] * keep[ring].reshape(r.shape)
    return shrunk


def _taper(r: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """One inside, falling smoothly to zero over the last two pixels."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((r - (radius - 2.5)) / 2.0, 0.0, 1.0))


@njit(cache=True)
def _local_map(maps, basis, surface):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The residual map at one star."""
    for j in range(maps.shape[1]):
        for i in range(maps.shape[2]):
            surface[j, i] = 0.0
            for b in range(maps.shape[0]):
                surface[j, i] += basis[b] * maps[b, j, i]


@njit(cache=True)
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


@njit(cache=True)
def _derivatives(dx, dy, local, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pixel average of the unit Moffat and its derivatives to x, y, ln FWHM, e1, e2, beta."""
    m11, m12, m22, beta = local[0], local[1], local[2], local[3]
    e1, e2, slope = local[6], local[7], local[8]
    n2 = 1.0 / (1.0 - e1 * e1 - e2 * e2)
    base = m11 / (1.0 - e1)
    out[:] = 0.0
    for sy in range(2):
        v = dy + (2 * sy - 1) * _GAUSS
        for sx in range(2):
            u = dx + (2 * sx - 1) * _GAUSS
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


@njit(cache=True)
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


@njit(cache=True)
def _weight(residual, variance, model):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Huber weight with a model error that keeps bright stars in their place."""
    total = variance + (MODEL_ERROR * model) ** 2
    sigma = np.sqrt(total)
    if abs(residual) > HUBER_SIGMA * sigma:
        return HUBER_SIGMA * sigma / abs(residual) / total
    return 1.0 / total


@njit(cache=True)
def _normal_equations(data, noise, bad, stars, local, maps, basis, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
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


@njit(cache=True)
def _collect_residuals(data, noise, bad, stars, local, maps, basis, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
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
