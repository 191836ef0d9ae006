"""The illumination correction: what the flat tells wrongly of large scales, from stars.

A star that falls on many places of the CCD has one magnitude. What differs, once each frame has its
zero point, is the map f that the flat has wrong: m_ij = M_i - ZP_j + f(x, y). The magnitudes of the
stars are eliminated, so that a matrix of a few hundred remains however many stars there are.

The method of overlapping frames is that of Padmanabhan et al. 2008 (ApJ 674, 1217) and Regnault et
al. 2009 (A&A 506, 999); that the plane of f hides in free zero points is said there too. It is held
here by a catalogue, a photometric sequence or frames that are turned against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from tesela.errors import QualityError
from tesela.pixels import illumination_equations as equations
from tesela.pixels import robust
from tesela.pixels.illumination_model import (
    NODES,
    Bools,
    Floats,
    Model,
    Observations,
    Solution,
    terms,
)
from tesela.pixels.illumination_surface import factor, surface
from tesela.pixels.illumination_task import Task

__all__ = ["NODES", "Model", "Observations", "Solution", "factor", "solve", "surface", "terms"]

PLANE_LOST_MAG = 0.1
"""A plane that may be wrong by more than this across the CCD is none."""
_HUBER_SIGMA, _HUBER_PASSES = 1.5, 4
_CHUNK = 4096
_LEAST_FREEDOM = 0.15
_SCALES = (0.3, 100.0)
_VARIABLE_SHARE, _ENOUGH = 0.34, 3


def solve(obs: Observations, shape: tuple[int, int], model: Model | None = None) -> Solution:
    """Fit zero points, map and colour term robustly; the magnitudes of the stars are eliminated.

    Parameters
    ----------
    obs : Observations
    shape : (ny, nx)
        Of the CCD, pixels.
    model : Model, optional

    Returns
    -------
    Solution
        Its errors are those of the fit, and of what `Model` says of gradients of the transparency
        and errors that the catalogue's stars share.

    Raises
    ------
    QualityError
        If nothing holds the plane (unless `model.fit_plane` is off), or no star was seen twice.

    Notes
    -----
    Weighted least squares with Huber's weights (1.5 sigma) first, then without the observations
    beyond `clip_sigma`, stars that vary, and catalogue magnitudes that disagree, until the set no
    longer changes. All errors are scaled to agree with the scatter; the catalogue's scatter is
    estimated. Memory: about 150 bytes an observation and 4096 rows of the parameters.
    """
    model = model or Model()
    task = Task.prepare(obs, shape, model)
    state = _start(task)
    for n in range(model.max_passes):
        fit = _normal(task, state)
        state, settled = _judge(task, state, fit, n)
        if settled:
            break
    return _solution(task, state, _normal(task, state), n + 1)


@dataclass(frozen=True)
class _State:
    """Weights of the next pass: what is used, how much, and the two scatters."""

    share: Floats
    """(n_obs,) between 0 and 1."""
    ext_share: Floats
    scale: float = 1.0
    ext_floor: float = 0.0


@dataclass(frozen=True)
class _Fit:
    parameters: Floats
    factor: tuple[Floats, bool]
    weight: Floats
    ext_weight: Floats
    total: Floats
    """(n_star,) weight of each star."""


def _start(task: Task) -> _State:
    return _State(
        share=task.repeated[task.star].astype(np.float64),
        ext_share=(task.has_ext & task.repeated).astype(np.float64),
        ext_floor=max(task.model.ext_floor_mag, 0.02),
    )


def _normal(task: Task, state: _State) -> _Fit:
    """Sum up the equations without the stars and solve them."""
    n = int(task.layout[equations.TOTAL])
    weight = state.share / (state.scale * task.sigma) ** 2
    with np.errstate(divide="ignore"):
        ext_weight = state.ext_share / (np.square(task.ext_err) + state.ext_floor**2)
    normal, right = np.zeros((n, n)), np.zeros(n)
    eliminated = np.zeros((n, n))
    means, side = np.empty((_CHUNK, n)), np.empty(_CHUNK)
    for lo in range(0, task.obs.n_stars, _CHUNK):
        hi = min(lo + _CHUNK, task.obs.n_stars)
        equations.accumulate(
            lo, hi, task.start, task.u, task.v, task.frame, task.y, weight, task.ext_y, ext_weight,
            task.ext_colour, task.field_index, task.field_weight, task.layout, normal, right,
            means, side,
        )  # fmt: skip
        part = means[: hi - lo]
        eliminated += part.T @ part
        right -= part.T @ side[: hi - lo]
    normal = normal + normal.T - np.diag(np.diag(normal)) - eliminated + task.prior
    found = cho_factor(normal, lower=True, overwrite_a=True)
    total = np.bincount(task.star, weight, minlength=task.obs.n_stars) + ext_weight
    return _Fit(cho_solve(found, right), found, weight, ext_weight, total)


@dataclass(frozen=True)
class _Residuals:
    obs: Floats
    ext: Floats
    at: Floats
    free: Floats
    """(n_obs,) 1 minus the share of the observation in its star."""
    ext_free: Floats


def _residuals(task: Task, fit: _Fit) -> _Residuals:
    model, at = np.empty(task.u.size), np.empty(task.u.size)
    equations.predict(task.u, task.v, task.frame, task.layout, fit.parameters, model, at)
    colour = task.ext_colour * fit.parameters[task.layout[equations.COLOUR]]
    nodes = fit.parameters[task.layout[equations.FIELD] :]
    shared = (
        np.sum(task.field_weight * nodes[task.field_index], axis=1)
        if nodes.size
        else np.zeros(task.obs.n_stars)
    )
    y, ext = task.y - model, task.ext_y - colour - shared
    summed = np.bincount(task.star, fit.weight * y, minlength=task.obs.n_stars)
    summed += fit.ext_weight * ext
    total = np.where(fit.total > 0, fit.total, np.nan)
    star_mag = summed / total
    return _Residuals(
        y - star_mag[task.star],
        np.where(task.has_ext, ext - star_mag, np.nan),
        at,
        1 - fit.weight / total[task.star],
        1 - fit.ext_weight / total,
    )


def _judge(task: Task, state: _State, fit: _Fit, n: int) -> tuple[_State, bool]:
    """Weights for the next pass, and whether they are those of this one."""
    found = _residuals(task, fit)
    free = (found.free > _LEAST_FREEDOM) & (state.share > 0)
    z = found.obs / (task.sigma * np.sqrt(np.maximum(found.free, 1e-9)))
    scale = float(np.clip(_spread(z[free]), *_SCALES)) if free.any() else state.scale
    z = np.abs(np.nan_to_num(z, nan=np.inf)) / scale
    ext_floor = _ext_floor(task, state, found)
    with np.errstate(invalid="ignore"):
        ext_sigma = np.hypot(task.ext_err, ext_floor) * np.sqrt(np.maximum(found.ext_free, 1e-9))
        ext_z = np.abs(np.nan_to_num(found.ext / ext_sigma, nan=np.inf))
    loose = task.repeated[task.star]
    if n < _HUBER_PASSES:
        share = np.where(loose, np.minimum(1, _HUBER_SIGMA / np.maximum(z, 1e-9)), 0)
        ext_share = np.minimum(1, _HUBER_SIGMA / np.maximum(ext_z, 1e-9))
    else:
        inside = z < task.model.clip_sigma
        share = np.where(loose & inside & ~_varies(task, inside)[task.star], 1.0, 0.0)
        ext_share = np.where(ext_z < task.model.clip_sigma, 1.0, 0.0)
    ext_share = np.where(task.has_ext & task.repeated, ext_share, 0.0)
    after = _State(share, ext_share, scale, ext_floor)
    changed = np.count_nonzero((share > 0) != (state.share > 0))
    changed += np.count_nonzero((ext_share > 0) != (state.ext_share > 0))
    settled = n > _HUBER_PASSES and bool(changed <= 2e-5 * share.size)
    return after, settled


def _ext_floor(task: Task, state: _State, found: _Residuals) -> float:
    """The catalogue's scatter beyond its own errors."""
    use = (found.ext_free > _LEAST_FREEDOM) & (state.ext_share > 0)
    if np.count_nonzero(use) < _ENOUGH:
        return state.ext_floor
    spread = _spread(found.ext[use] / np.sqrt(found.ext_free[use]))
    own = float(np.median(task.ext_err[use]))
    return max(task.model.ext_floor_mag, float(np.sqrt(max(spread**2 - own**2, 0.0))))


def _varies(task: Task, inside: Bools) -> Bools:
    """(n_star,) stars of which more than a third was clipped: variables and blends."""
    n = np.diff(task.start)
    out = np.bincount(task.star, ~inside, minlength=task.obs.n_stars)
    return (n >= _ENOUGH) & (out > _VARIABLE_SHARE * n)


def _spread(values: Floats) -> float:
    return robust.sigma(values, 0)


def _solution(task: Task, state: _State, fit: _Fit, passes: int) -> Solution:
    """The map and its errors from the parameters, residuals in the order of the observations."""
    found = _residuals(task, fit)
    covariance = cho_solve(fit.factor, np.eye(len(fit.parameters)))
    of_surface = fit.parameters[task.surface]
    within = covariance[task.surface, task.surface]
    variance = np.einsum("ik,ik->i", task.design @ within, task.design)
    plane = task.plane @ of_surface
    plane_error = np.sqrt(np.diag(task.plane @ within @ task.plane.T))
    if not task.model.fit_plane:
        plane, plane_error = np.zeros(2), np.full(2, np.nan)
    elif plane_error.max() > PLANE_LOST_MAG:
        raise QualityError(
            "illumination",
            found="nothing that holds the plane of the map: free zero points absorb it "
            f"(+-{plane_error.max():.2f} mag across the CCD)",
            expected="a catalogue of magnitudes, a photometric sequence or turned frames",
            do="name a reference for the band, or ask for a map without a plane",
        )
    n_frames, n_terms = task.obs.n_frames, len(terms(task.model.degree))
    mean = float(task.mean @ of_surface)
    zeropoints, zeropoint_errors = _zeropoints(task, fit, covariance, mean)
    colour, colour_error = _colour(task, fit, covariance)
    has_ext = task.has_ext & task.repeated
    return Solution(
        map=(task.design @ of_surface).reshape(NODES, NODES),
        error=np.sqrt(variance).reshape(NODES, NODES),
        coefficients=of_surface[:n_terms],
        coefficient_errors=np.sqrt(np.diag(within)[:n_terms]),
        plane=plane,
        plane_error=plane_error,
        zeropoints=zeropoints,
        zeropoint_errors=zeropoint_errors,
        gradients=fit.parameters[n_frames : 3 * n_frames].reshape(n_frames, 2),
        colour=colour,
        colour_error=colour_error,
        residual=_unsorted(task, found.obs, np.nan),
        at=_unsorted(task, found.at - mean, np.nan),
        used=_unsorted(task, (state.share > 0) * 1.0, 0.0) > 0,
        sigma=_unsorted(task, state.scale * task.sigma, np.nan),
        ext_residual=np.where(has_ext, found.ext, np.nan),
        ext_used=state.ext_share > 0,
        scatter_mag=_spread(found.obs[state.share > 0]) if (state.share > 0).any() else np.nan,
        ext_scatter_mag=_spread(found.ext[state.ext_share > 0])
        if (state.ext_share > 0).any()
        else np.nan,
        scale=state.scale,
        passes=passes,
    )


def _colour(task: Task, fit: _Fit, covariance: Floats) -> tuple[float, float]:
    """The coefficient and its error: the catalogue's magnitude is M + c (colour - pivot)."""
    if task.model.colour == "fit":
        at = int(task.layout[equations.COLOUR])
        return float(fit.parameters[at]), float(np.sqrt(covariance[at, at]))
    return float(task.model.colour or 0.0), 0.0


def _zeropoints(task: Task, fit: _Fit, covariance: Floats, mean: float) -> tuple[Floats, Floats]:
    """Of the mean of the CCD, and their errors.

    Where there is no catalogue, they are relative to the mean of the frames that have observations.
    """
    n, k = task.obs.n_frames, int(task.layout[equations.TOTAL])
    rows = np.zeros((n, k))
    rows[:, :n] = np.eye(n)
    rows[:, task.surface] = -task.mean
    value = fit.parameters[:n] - mean + task.offset
    if not task.has_ext.any():
        seen = np.bincount(task.frame[fit.weight > 0], minlength=n) > 0
        rows -= rows[seen].mean(axis=0)
        value = value - value[seen].mean()
    return value, np.sqrt(np.einsum("ik,ik->i", rows @ covariance, rows))


def _unsorted(task: Task, values: NDArray[np.floating], empty: float) -> Floats:
    out = np.full(task.obs.mag.size, empty)
    out[task.order] = values
    return out


def of_frames(obs: Observations, use: Bools) -> Observations:
    """The observations of some frames, (n_frame,) bool; frames keep their numbers."""
    kept = use[obs.frame]
    return replace(
        obs,
        **{
            name: getattr(obs, name)[kept] for name in ("x", "y", "frame", "star", "mag", "mag_err")
        },
    )
