"""Completeness of point sources: artificial stars in the coadd, found again or not.

A star counts as found if the catalogue made with it holds a source at its place with its flux,
and the catalogue made without it does not. A Fermi function C(m) = c / (1 + exp(k (m - m50))) is
fitted to the single outcomes; c is the fraction of bright stars that crowding leaves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from tesela.pixels import inject
from tesela.stages.catalog.detection import Field, Sources, detect_and_measure
from tesela.stages.catalog.settings import CatalogSettings

_SEED = 831
_BINS = 12


def by_injection(
    field: Field, sources: Sources, depth: dict[str, float], settings: CatalogSettings
) -> dict[str, Any]:
    """Inject stars around the 5 sigma depth, in passes that do not disturb each other.

    Returns m50, k, the plateau c, the numbers, and the counts in bins of magnitude.
    """
    if settings.injections == 0:
        return {}
    mags, hits = [], []
    before = _positions(sources.table["x_win"], sources.table["y_win"], sources.table["flux_psf"])
    injected = 0
    for turn in range(20):
        rng = np.random.default_rng(_SEED + turn)
        x, y = inject.grid(field.image.shape, settings.injection_spacing_px, _SEED + turn)
        inside = field.covered[np.rint(y).astype(int), np.rint(x).astype(int)]
        chosen = np.flatnonzero(inside)
        if len(chosen) == 0:
            break
        # A large tile has room for more stars than are wanted.
        wanted = min(len(chosen), settings.injections - injected)
        chosen = np.sort(rng.choice(chosen, wanted, replace=False))
        x, y = x[chosen], y[chosen]
        mag = depth["depth_psf_mag"] + rng.uniform(-1, 1, len(x)) * settings.injection_range_mag
        flux = 10 ** (-0.4 * (mag - field.zeropoint_mag))
        found = _recovered(field, before, x, y, flux, settings)
        mags.append(mag)
        hits.append(found)
        injected += len(x)
        if injected >= settings.injections:
            break
    if injected == 0:
        return {}
    return summary(np.concatenate(mags), np.concatenate(hits))


def _recovered(
    field: Field,
    before: tuple[cKDTree, NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    settings: CatalogSettings,
) -> NDArray[np.bool_]:
    image = np.where(field.covered, inject.stars(field.image, field.model, x, y, flux), 0)
    table = detect_and_measure(field, settings, image.astype(np.float32)).table
    after = _positions(table["x_win"], table["y_win"], table["flux_psf"])
    radius = settings.match_radius_fwhm * float(field.model.fwhm_px(x[0], y[0]))
    return _is_there(after, x, y, flux, radius, settings.match_mag) & ~_is_there(
        before, x, y, flux, radius, settings.match_mag
    )


def _positions(
    x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64]
) -> tuple[cKDTree, NDArray[np.float64]]:
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    return cKDTree(np.column_stack([x[good], y[good]])), flux[good]


def _is_there(
    catalogue: tuple[cKDTree, NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    radius: float,
    match_mag: float,
) -> NDArray[np.bool_]:
    tree, fluxes = catalogue
    if tree.n == 0:
        return np.zeros(len(x), bool)
    distance, nearest = tree.query(np.column_stack([x, y]), distance_upper_bound=radius)
    near = np.isfinite(distance)
    ratio = np.zeros(len(x))
    ratio[near] = fluxes[nearest[near]] / flux[near]
    limit = 10 ** (0.4 * match_mag)
    return near & (ratio > 1 / limit) & (ratio < limit)


def summary(mag: NDArray[np.float64], found: NDArray[np.bool_]) -> dict[str, Any]:
    """Fermi function by maximum likelihood, and counts in bins."""
    centre = float(np.median(mag))

    def minus_log_likelihood(p: NDArray[np.float64]) -> float:
        c = np.clip(
            fermi(mag, p[0] + centre, np.exp(p[1]), 1 / (1 + np.exp(-p[2]))), 1e-6, 1 - 1e-6
        )
        return float(-np.sum(np.where(found, np.log(c), np.log(1 - c))))

    best = minimize(minus_log_likelihood, [0.0, 1.5, 3.0], method="Nelder-Mead").x
    edges = np.linspace(mag.min(), mag.max() + 1e-9, _BINS + 1)
    index = np.digitize(mag, edges) - 1
    return {
        "m50": float(best[0] + centre),
        "k": float(np.exp(best[1])),
        "plateau": float(1 / (1 + np.exp(-best[2]))),
        "n": len(mag),
        "bin_edges": [round(float(e), 4) for e in edges],
        "bin_injected": [int(np.sum(index == b)) for b in range(_BINS)],
        "bin_found": [int(np.sum(found[index == b])) for b in range(_BINS)],
    }


def fermi(mag: NDArray[np.float64], m50: float, k: float, plateau: float) -> NDArray[np.float64]:
    """C(m) = plateau / (1 + exp(k (m - m50)))."""
    return plateau / (1 + np.exp(np.clip(k * (mag - m50), -50, 50)))
