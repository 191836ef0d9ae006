"""Fitting the point-spread function to the stars of one image.

All stars are fitted at once. Every star has its own amplitude and position, eliminated from the
normal equations star by star (Schur complement), so that only the polynomials of width and
ellipticity and the common exponent are solved together. What the Moffat misses is then collected
on a grid of half pixels, as Anderson & King 2000 (PASP 112, 1360) do, and the two are iterated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import psf_growth
from tesela.pixels.psf_equations import collect_residuals, normal_equations
from tesela.pixels.psf_model import OVERSAMPLING, PsfModel, moffat_parameters, terms

MIN_STARS = 5
STARS_PER_TERM = 4
LINEAR_MAP_STARS = 30
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
    wings_error: float = psf_growth.MOST_UNCERTAIN,
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
    wings_error : float
        Of the light beyond the map, in units of the model's, above which none is taken.

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
    good = state.good
    stars = np.column_stack([state.x, state.y, state.peak])[good]
    return replace(
        state.model,
        n_stars=int(good.sum()),
        chi2=float(np.median(state.chi2[good])),
        wings=psf_growth.wings(data, noise, bad, state.model, stars, wings_error),
        used=good.copy(),
        size_slope=psf_growth.size_slope(*_widths(state, data, noise, bad), state.peak[good]),
    )


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
    normal, right, quality = normal_equations(
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


def _widths(
    state: _State,
    data: NDArray[np.float32],
    noise: NDArray[np.float32],
    bad: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far ln FWHM of each good star lies above the model, and the error."""
    stars, local, basis = _inputs(state)
    normal, right, _ = normal_equations(
        data, noise, bad, stars, local, state.model.residual, basis, state.radius
    )
    free = [0, 1, 2, 3]  # flux, x, y, ln FWHM
    N, r = normal[state.good][:, free][:, :, free], right[state.good][:, free]
    covariance = np.linalg.inv(N)
    return (covariance @ r[..., None])[:, 3, 0], np.sqrt(covariance[:, 3, 3])


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
    matrix, vector = collect_residuals(data, noise, bad, stars, local, maps, basis, state.radius)
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
