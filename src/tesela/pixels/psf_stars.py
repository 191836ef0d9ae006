"""Choosing the stars that define the point-spread function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.errors import QualityError
from tesela.pixels.psf_model import terms

MIN_STARS = 5
WINDOW = 0.15  # relative half-width of the locus before its variation over the field is known
LEAST_WIDTH = 0.03
LOCUS_SIGMA = 3.0
DISTURBING = 0.02  # of a star's flux: a fainter neighbour does no harm
ENOUGH = 15
BLEMISHES = 1 | 4 | 8 | 16  # neighbour or bad pixels, saturated, truncated, incomplete aperture
BLENDED = 2


def select_stars(
    objects: Mapping[str, NDArray[Any]],
    *,
    max_stars: int = 300,
    min_snr: float = 40.0,
    max_ellipticity: float = 0.3,
    isolation_px: float | None = None,
    cells: int = 4,
) -> NDArray[np.int64]:
    """Unsaturated, round, isolated objects on the locus of the stars in size and magnitude.

    Parameters
    ----------
    objects : mapping of (n,) arrays
        x, y, flux_auto, flux_auto_err, flux_radius, ellipticity, flags (SExtractor's values).
    max_stars : int
        The brightest are taken, in turn from each cell of the field.
    min_snr, max_ellipticity : float
        Limits on a candidate.
    isolation_px : float or None
        No object above 2 % of the star's flux nearer than this; default 8 half-light radii,
        shortened step by step where a crowded field would leave fewer than 15.
    cells : int
        The field is divided into cells x cells.

    Returns
    -------
    (m,) int64
        Rows of `objects`, brightest first within their turn.

    Raises
    ------
    QualityError
        If fewer than five are left.
    """
    column = {name: np.asarray(values) for name, values in objects.items()}
    flux, size = column["flux_auto"], column["flux_radius"]
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = flux / column["flux_auto_err"]
        usable = np.isfinite(size) & (size > 0) & (snr > min_snr)
        usable &= column["ellipticity"] < max_ellipticity
    flags = column["flags"].astype(np.int64)
    candidates = np.flatnonzero(usable & ((flags & (BLEMISHES | BLENDED)) == 0))
    if len(candidates) < ENOUGH:
        candidates = np.flatnonzero(usable & ((flags & BLEMISHES) == 0))
    if len(candidates) >= MIN_STARS:
        candidates = _on_locus(candidates, column)
    if len(candidates) >= MIN_STARS:
        radius = isolation_px or 8.0 * float(np.median(size[candidates]))
        candidates = _isolated(candidates, column, radius)
    if len(candidates) < MIN_STARS:
        raise QualityError(
            "stars for the PSF",
            found=f"{len(candidates)} suitable among {len(flux)} objects",
            expected=f"at least {MIN_STARS} with S/N above {min_snr:g}",
            do="check focus and depth, or lower the least S/N",
        )
    return _spread(candidates, column, cells)[:max_stars]


def _on_locus(
    candidates: NDArray[np.int64], column: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64]:
    """Candidates within three sigma of a smooth function of position in ln(half-light radius)."""
    size = np.log(column["flux_radius"][candidates].astype(np.float64))
    near = np.abs(size - _mode(size)) < WINDOW
    x, y = (column[name][candidates].astype(np.float64) for name in ("x", "y"))
    scale = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    u, v = (x - x.mean()) / scale, (y - y.mean()) / scale
    for _ in range(5):
        degree = 2 if near.sum() >= 40 else 1 if near.sum() >= 12 else 0
        P = terms(u, v, degree)
        coefficients = np.linalg.lstsq(P[near], size[near], rcond=None)[0]
        residual = size - P @ coefficients
        width = 1.4826 * np.median(np.abs(residual[near]))
        near = np.abs(residual) < max(LOCUS_SIGMA * width, LEAST_WIDTH)
        near &= np.abs(size - np.median(size[near])) < 2 * WINDOW
    return candidates[near]


def _mode(values: NDArray[np.float64]) -> float:
    """Half-sample mode (Bickel & Fruehwirth 2006, CSDA 50, 3500), started at the densest third."""
    sample = np.sort(values)
    while len(sample) > 3:
        half = max(3, (len(sample) + 1) // 2)
        if half == len(sample):
            break
        widths = sample[half - 1 :] - sample[: len(sample) - half + 1]
        first = int(np.argmin(widths))
        sample = sample[first : first + half]
    return float(np.median(sample))


def _isolated(
    candidates: NDArray[np.int64], column: Mapping[str, NDArray[Any]], radius: float
) -> NDArray[np.int64]:
    """Candidates without a disturbing neighbour; the radius shrinks until enough are left."""
    points = np.column_stack([column["x"], column["y"]]).astype(np.float64)
    flux = column["flux_auto"].astype(np.float64)
    tree = cKDTree(points)
    for factor in (1.0, 0.7, 0.5):
        neighbours = tree.query_ball_point(points[candidates], factor * radius)
        alone = np.array(
            [
                not any(k != own and flux[k] > DISTURBING * flux[own] for k in near)
                for own, near in zip(candidates, neighbours)
            ],
            bool,
        )
        if alone.sum() >= ENOUGH:
            break
    return candidates[alone]


def _spread(
    candidates: NDArray[np.int64], column: Mapping[str, NDArray[Any]], cells: int
) -> NDArray[np.int64]:
    """Order candidates so that every cell of the field gives its brightest in turn."""
    cell = np.zeros(len(candidates), np.int64)
    for name in ("x", "y"):
        p = column[name][candidates].astype(np.float64)
        part = (p - column[name].min()) / max(float(np.ptp(column[name])), 1e-9)
        cell = cell * cells + np.minimum((part * cells).astype(np.int64), cells - 1)
    brightness = column["flux_auto"][candidates]
    by_cell = np.lexsort((-brightness, cell))
    turn = np.empty(len(candidates), np.int64)
    counts = np.bincount(cell)
    turn[by_cell] = np.concatenate([np.arange(c) for c in counts if c])
    return candidates[np.lexsort((-brightness, turn))]
