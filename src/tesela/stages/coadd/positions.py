"""Whether the inputs of a coadd agree where the stars are: one that does not is left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tesela.sky import match
from tesela.stages.coadd.scales import FEWEST, stars
from tesela.stages.coadd.settings import CoaddInput, CoaddSettings

_SIGNIFICANT = 5.0
_REACH_ARCSEC = 10.0
"""Bright stars are far enough from each other for this, and a WCS may be off by as much."""


def consistent(
    frames: Sequence[CoaddInput], settings: CoaddSettings, pixel_scale_arcsec: float
) -> tuple[list[CoaddInput], list[str]]:
    """The frames whose stars lie at the same places, and warnings about the others.

    Two frames disagree where the median offset of their common stars is beyond
    `settings.max_offset_px` and beyond five of its errors. Frames that agree, directly or through
    others, make a group; the largest is taken, if it is larger than every other. Of two frames that
    disagree nobody knows which is wrong: both are kept, and it is said.
    """
    offsets = {
        (i, j): found
        for i, j in combinations(range(len(frames)), 2)
        if (found := _offset(frames[i], frames[j], settings)) is not None
    }
    limit = settings.max_offset_px * pixel_scale_arcsec
    apart = {
        pair: size
        for pair, (size, error) in offsets.items()
        if size > max(limit, _SIGNIFICANT * error)
    }
    if not apart:
        return list(frames), []
    group = _groups(len(frames), [pair for pair in offsets if pair not in apart])
    judged = sorted({k for pair in offsets for k in pair})
    sizes = np.bincount(group[judged])
    largest = np.flatnonzero(sizes == sizes.max())
    if len(largest) > 1:
        (i, j), size = max(apart.items(), key=lambda item: item[1])
        return list(frames), [
            f"the stars of {frames[i].name} and {frames[j].name} lie {size:.2f} arcsec apart, and "
            "no majority says which is right"
        ]
    out = [k for k in judged if group[k] != largest[0]]
    kept = [frame for k, frame in enumerate(frames) if k not in out]
    return kept, [_said(frames, k, apart) for k in out]


def _said(frames: Sequence[CoaddInput], k: int, apart: dict[tuple[int, int], float]) -> str:
    size = float(np.median([size for pair, size in apart.items() if k in pair]))
    return (
        f"{frames[k].name} left out: its stars lie {size:.2f} arcsec from those of the other frames"
    )


def _groups(n: int, agreeing: list[tuple[int, int]]) -> NDArray[np.int64]:
    pairs = np.array(agreeing, np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _offset(a: CoaddInput, b: CoaddInput, settings: CoaddSettings) -> tuple[float, float] | None:
    """Length of the median offset between common stars and its error, arcsec."""
    one, two = (stars(frame, settings.common_star_snr) for frame in (a, b))
    i, j, _ = match.nearest(one["ra"], one["dec"], two["ra"], two["dec"], _REACH_ARCSEC)
    if len(i) < FEWEST:
        return None
    east = (two["ra"][j] - one["ra"][i] + 180) % 360 - 180
    away = 3600 * np.stack(
        [east * np.cos(np.radians(one["dec"][i])), two["dec"][j] - one["dec"][i]]
    )
    middle = np.median(away, axis=1)
    spread = 1.4826 * np.median(np.abs(away - middle[:, None]), axis=1)
    error = float(np.hypot(*spread)) * 1.2533 / np.sqrt(len(i))
    return float(np.hypot(*middle)), error
