"""Which images the illumination cannot use, and whether the map that is left is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import illumination_epochs as epochs
from tesela.pixels import robust
from tesela.pixels.illumination import Observations, Solution
from tesela.products.images import Master
from tesela.stages.masters.settings import IlluminationGates

Floats = NDArray[np.float64]

_CELLS, _FEW = 4, 8
_MAP_CELLS, _FEW_MAP = 16, 5
_COVERAGE_CELLS, _FEW_COVERAGE = 8, 5
_SIGNIFICANT = 5.0


@dataclass(frozen=True)
class ImageFit:
    """What the fit says of one image, mag."""

    zeropoint: float
    zeropoint_error: float
    n: int
    n_used: int
    scatter: float
    gradient: float
    patch: float
    patch_at: tuple[int, int]
    """Of the worst sixteenth of the CCD (column, row of 4 x 4) with its median residual."""
    patch_error: float


def images(obs: Observations, solution: Solution, shape: tuple[int, int]) -> list[ImageFit]:
    """Residuals image by image, those that were clipped too.

    They are against the other images; an image that shares too few stars with those is held
    against the reference catalogue.
    """
    n_of_star = np.bincount(obs.star, minlength=obs.n_stars)[obs.star]
    told = np.isfinite(solution.residual) & (n_of_star > 1)
    # A star takes its share of the residual on itself.
    residual = solution.residual * n_of_star / np.maximum(n_of_star - 1, 1)
    against = solution.residual - solution.ext_residual[obs.star]
    fits = []
    for k in range(obs.n_frames):
        rows = np.flatnonzero(told & (obs.frame == k))
        values = residual
        if rows.size < _FEW:
            known = np.flatnonzero(np.isfinite(against) & (obs.frame == k))
            if known.size > rows.size:
                rows, values = known, against
        fits.append(_image(obs, solution, shape, values, rows, k))
    return fits


def _image(
    obs: Observations,
    solution: Solution,
    shape: tuple[int, int],
    residual: Floats,
    rows: NDArray[np.intp],
    k: int,
) -> ImageFit:
    found = residual[rows]
    scatter = robust.sigma(found, 0)
    cell = cells(obs.x[rows], obs.y[rows], shape, _CELLS)
    worst, at, error = 0.0, 0, np.nan
    for n in range(_CELLS * _CELLS):
        inside = found[cell == n]
        if inside.size >= _FEW and abs(np.median(inside)) > abs(worst):
            worst, at = float(np.median(inside)), n
            error = robust.MEDIAN_ERROR * scatter / np.sqrt(inside.size)
    return ImageFit(
        float(solution.zeropoints[k]),
        float(solution.zeropoint_errors[k]),
        int(np.count_nonzero(obs.frame == k)),
        int(np.count_nonzero(solution.used & (obs.frame == k))),
        scatter,
        float(np.hypot(*solution.gradients[k])),
        worst,
        (at % _CELLS, at // _CELLS),
        float(error),
    )


def unfit(fits: Sequence[ImageFit], gates: IlluminationGates) -> list[str]:
    """Why each image is left out, empty if it is not.

    An image must also be worse than twice the usual one: where all are alike bad it is the map that
    does not follow, and leaving out one after the other would hide it.
    """
    there = [image for image in fits if np.isfinite(image.scatter)]
    usual = float(np.median([image.scatter for image in there])) if there else 0.0
    patch = float(np.median([abs(image.patch) for image in there])) if there else 0.0
    return [_unfit(image, gates, 2 * usual, 2 * patch) for image in fits]


def _unfit(image: ImageFit, gates: IlluminationGates, scatter: float, patch: float) -> str:
    if not np.isfinite(image.scatter):
        return "shares no star with the other images, and has none of the reference"
    if image.scatter > max(gates.image_scatter_mag, scatter):
        return (
            f"stars scatter by {1e3 * image.scatter:.0f} mmag, "
            f"{1e3 * gates.image_scatter_mag:.0f} allowed: clouds, or not what it claims to be"
        )
    if abs(image.patch) > max(gates.image_patch_mag, patch, _SIGNIFICANT * image.patch_error):
        column, row = image.patch_at
        return (
            f"stars in cell ({column}, {row}) of 4 x 4 are off by {1e3 * image.patch:+.0f} mmag, "
            f"{1e3 * gates.image_patch_mag:.0f} allowed: a patch of cloud"
        )
    if image.gradient > gates.image_gradient_mag:
        return (
            f"transparency changes by {1e3 * image.gradient:.0f} mmag from centre to edge, "
            f"{1e3 * gates.image_gradient_mag:.0f} allowed"
        )
    return ""


def cells(x: Floats, y: Floats, shape: tuple[int, int], n: int) -> NDArray[np.int64]:
    """Number of the cell of n x n in which each point lies, x running first."""
    ny, nx = shape
    column = np.clip((x + 0.5) * n / nx, 0, n - 1).astype(np.int64)
    row = np.clip((y + 0.5) * n / ny, 0, n - 1).astype(np.int64)
    return row * n + column


def means(
    values: Floats, cell: NDArray[np.int64], n: int, fewest: int = _FEW_MAP
) -> tuple[Floats, Floats]:
    """Median of the values in each cell and its error, (n, n) each; NaN where there are few."""
    out, error = np.full(n * n, np.nan), np.full(n * n, np.nan)
    order = np.argsort(cell, kind="stable")
    edges = np.searchsorted(cell[order], np.arange(n * n + 1))
    for k, (lo, hi) in enumerate(pairwise(edges)):
        if hi - lo >= max(fewest, 1):
            inside = values[order[lo:hi]]
            out[k] = np.median(inside)
            error[k] = robust.MEDIAN_ERROR * robust.sigma(inside) / np.sqrt(hi - lo)
    return out.reshape(n, n), error.reshape(n, n)


@dataclass
class Verdict:
    """Numbers of the map, why it does not pass, and what else should be said."""

    metrics: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(
    obs: Observations,
    solution: Solution,
    shape: tuple[int, int],
    previous: Master | None,
    reference: Master | None,
    gates: IlluminationGates,
) -> Verdict:
    """Coverage, residuals, the plane, and the change against the previous map of the epoch."""
    verdict = Verdict()
    _coverage(obs, solution, shape, gates, verdict)
    rms = residual_rms(obs, solution, shape)
    verdict.metrics["rms_residual_mag"] = rms
    if not rms <= gates.rms_mag:
        verdict.reasons.append(
            f"residuals averaged over cells scatter by {1e3 * rms:.1f} mmag, "
            f"{1e3 * gates.rms_mag:.1f} allowed"
        )
    if not solution.scatter_mag <= gates.image_scatter_mag:
        verdict.reasons.append(
            f"observations scatter by {1e3 * solution.scatter_mag:.0f} mmag, "
            f"{1e3 * gates.image_scatter_mag:.0f} allowed"
        )
    error = float(np.max(solution.plane_error))
    if np.isfinite(error) and error > gates.plane_error_mag:
        verdict.reasons.append(
            f"plane known to {1e3 * error:.1f} mmag across the CCD, "
            f"{1e3 * gates.plane_error_mag:.1f} needed"
        )
    if not np.isfinite(error):
        verdict.warnings.append("no plane was fitted: a tilt of the flat is left in")
    for name, other in (("previous", previous), ("reference", reference)):
        if other is not None and "map" in other.arrays:
            _compare(name, solution, other, reference is not None, gates, verdict)
    return verdict


def residual_rms(obs: Observations, solution: Solution, shape: tuple[int, int]) -> float:
    """Of the residuals averaged over 16 x 16 cells, their own noise taken out, mag."""
    used = solution.used & np.isfinite(solution.residual)
    cell = cells(obs.x[used], obs.y[used], shape, _MAP_CELLS)
    mean, error = means(solution.residual[used], cell, _MAP_CELLS)
    if not np.isfinite(mean).any():
        return float("inf")
    return max(float(np.nanmean(mean**2) - np.nanmean(error**2)), 0.0) ** 0.5


def _coverage(
    obs: Observations,
    solution: Solution,
    shape: tuple[int, int],
    gates: IlluminationGates,
    verdict: Verdict,
) -> None:
    used = solution.used
    n = np.bincount(
        cells(obs.x[used], obs.y[used], shape, _COVERAGE_CELLS), minlength=_COVERAGE_CELLS**2
    )
    empty = int(np.count_nonzero(n < _FEW_COVERAGE))
    verdict.metrics.update(n_empty_cells=empty, fewest_in_cell=int(n.min()))
    if empty > gates.empty_share * n.size:
        verdict.reasons.append(
            f"{empty} of {n.size} cells of the CCD have fewer than {_FEW_COVERAGE} stars"
        )


def _compare(
    name: str,
    solution: Solution,
    other: Master,
    of_epoch: bool,
    gates: IlluminationGates,
    verdict: Verdict,
) -> None:
    """The change against another map; after an intervention it is expected, and only said."""
    found = epochs.difference(
        solution.map, solution.error, other.arrays["map"], other.arrays["error"]
    )
    verdict.metrics.update(
        {
            f"change_{name}_mag": found.rms_mag,
            f"change_{name}_sigma": found.significance,
            f"change_{name}_plane_x_mag": float(found.plane[0]),
            f"change_{name}_plane_y_mag": float(found.plane[1]),
        }
    )
    if name != "previous" or found.rms_mag <= gates.change_mag:
        return
    said = (
        f"map differs from the previous master by {1e3 * found.rms_mag:.1f} mmag rms "
        f"({found.significance:.1f} times the errors), {1e3 * gates.change_mag:.1f} allowed"
    )
    (verdict.reasons if of_epoch else verdict.warnings).append(said)
