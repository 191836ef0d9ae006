"""Relative flux scales of a coadd's inputs from the stars they share.

The common stars give differences to a few millimagnitudes; the frames' own zero points, which are
noisier, only set the level of all together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tesela.sky import match
from tesela.stages.coadd.settings import CoaddInput, CoaddSettings

FEWEST = 5
_FLOOR_MAG = 0.003
_MAJORITY = 3


def zero_points(
    frames: Sequence[CoaddInput], settings: CoaddSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Zero points (1 e-/s) of the frames on one consistent scale.

    Returns the zero points, the residuals of the pairs' differences (mag), and warnings for
    frames that share too few stars with the others and keep their own zero point.
    """
    own = np.array([frame.zeropoint_mag for frame in frames])
    weight = np.array([frame.zeropoint_err_mag for frame in frames]) ** -2.0
    pairs = [
        (i, j, *difference)
        for i, j in combinations(range(len(frames)), 2)
        if (difference := _difference(frames[i], frames[j], settings)) is not None
    ]
    if not pairs:
        return own, np.empty(0), _lonely(frames, np.arange(len(frames)))
    i, j = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
    value, sigma = (np.array([pair[k] for pair in pairs]) for k in (2, 3))
    design = np.array([_row(len(frames), a, b) for a, b in zip(i, j)])
    solved = np.linalg.lstsq(design / sigma[:, None], value / sigma, rcond=None)[0]
    groups = _groups(len(frames), i, j)
    warnings = _lonely(frames, groups)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        # Differences leave each group's level open: its own zero points set it, but for one that
        # the stars it shares with the others contradict.
        off = (own - solved)[mine]
        off -= np.median(off)
        wrong = np.abs(off) > np.maximum(settings.max_zeropoint_mag, 5 * weight[mine] ** -0.5)
        if len(mine) < _MAJORITY or np.count_nonzero(~wrong) < _MAJORITY - 1:
            wrong[:] = False
        level = mine[~wrong]
        solved[mine] += np.sum((weight * (own - solved))[level]) / weight[level].sum()
        warnings += [
            f"{frames[k].name}: its zero point is {own[k] - solved[k]:+.3f} mag off what its stars "
            "have in the other frames: not used"
            for k in mine[wrong]
        ]
    return solved, value - design @ solved, warnings


def _groups(n: int, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label of the group of linked frames that each frame belongs to."""
    links = coo_array((np.ones(len(i)), (i, j)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _row(n: int, i: int, j: int) -> NDArray[np.float64]:
    row = np.zeros(n)
    row[i], row[j] = 1.0, -1.0
    return row


def _difference(
    a: CoaddInput, b: CoaddInput, settings: CoaddSettings
) -> tuple[float, float] | None:
    """ZP_a - ZP_b = m_inst,b - m_inst,a of common stars (median) and its error."""
    found = [stars(frame, settings.common_star_snr) for frame in (a, b)]
    i, j, _ = match.nearest(
        found[0]["ra"],
        found[0]["dec"],
        found[1]["ra"],
        found[1]["dec"],
        settings.common_star_radius_arcsec,
    )
    if len(i) < FEWEST:
        return None
    delta = found[1]["mag"][j] - found[0]["mag"][i]
    middle = np.median(delta)
    spread = max(1.4826 * float(np.median(np.abs(delta - middle))), 1e-4)
    kept = np.abs(delta - middle) < 3 * spread
    error = np.hypot(1.2533 * spread / np.sqrt(np.count_nonzero(kept)), _FLOOR_MAG / 3)
    # The sign: m_true = m_inst + ZP is the same for both.
    return float(np.median(delta[kept])), float(error)


def stars(frame: CoaddInput, min_snr: float) -> dict[str, NDArray[np.float64]]:
    """Clean stars of a frame: ra and dec (deg), instrumental magnitude."""
    table = frame.image.sources
    flux, err = table["flux_psf"].astype(float), table["flux_psf_err"].astype(float)
    good = (table["flags"] == 0) & (flux > min_snr * err) & np.isfinite(err)
    if np.count_nonzero(good) < FEWEST:
        good = ((table["flags"] & 12) == 0) & (flux > 10 * err) & np.isfinite(err)
    return {
        "ra": table["ra"][good],
        "dec": table["dec"][good],
        "mag": -2.5 * np.log10(flux[good] / frame.exptime_s),
    }


def _lonely(frames: Sequence[CoaddInput], groups: NDArray[np.int64]) -> list[str]:
    if len(frames) == 1:
        return []
    size = np.bincount(groups)
    return [
        f"{frame.name} shares fewer than {FEWEST} stars with the others: own zero point kept"
        for frame, group in zip(frames, groups)
        if size[group] == 1
    ]
