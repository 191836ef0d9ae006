"""Photometric redshifts of the galaxies, and the classes of all, against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.score.dual import DualTile, Floats, together
from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, mean, median

_LIMITS = (18.0, 20.0)
_OUTLIER = 0.15
_CLASS_LIMITS = (17.0, 20.0)
_IS_STAR = 0.5


def errors(tile: DualTile, brighter: float) -> Floats:
    """(z_phot - z_true) / (1 + z_true) of the galaxies brighter than a true magnitude."""
    photoz = tile.valueadded.get("photoz")
    if photoz is None:
        return np.zeros(0)
    use = tile.is_galaxy & (tile.r_mag < brighter) & np.isfinite(photoz)
    return (photoz[use].astype(np.float64) - tile.redshift[use]) / (1 + tile.redshift[use])


def nmad(values: NDArray[Any]) -> float:
    """1.48 times the median absolute deviation from the median."""
    return 1.48 * median(np.abs(values - median(values)))


def rows(tiles: Sequence[DualTile]) -> list[Row]:
    """Scatter, bias and outliers of redshifts; purity and completeness of stars. Not judged: the
    galaxies of one night are too few, a benchmark measures thousands."""
    result: list[Row] = []
    for limit in _LIMITS:
        values = together([errors(tile, limit) for tile in tiles])
        if not values.size:
            continue
        result.append(
            Row(f"photo-z scatter, r < {limit:g}", "", nmad(values), bootstrap(values, nmad),
                values.size, "", note=f"bias {median(values):+.4f}, "
                f"{100 * np.mean(np.abs(values) > _OUTLIER):.1f} % beyond {_OUTLIER}")
        )  # fmt: skip
    return result + _classes(tiles)


def _classes(tiles: Sequence[DualTile]) -> list[Row]:
    prob = together([_probability(tile) for tile in tiles])
    star = together([_bright(tile, ~tile.is_galaxy) for tile in tiles]) > 0
    known = np.isfinite(prob)
    if not known.any():
        return []
    called = prob[known] > _IS_STAR
    star = star[known]
    low, high = _CLASS_LIMITS
    note = f"{low:g} < r < {high:g}"
    pure, complete = star[called].astype(float), called[star].astype(float)
    return [
        Row("stars: purity at P > 0.5", "", mean(pure), bootstrap(pure, mean), pure.size, "",
            note=note),
        Row("stars: completeness at P > 0.5", "", mean(complete), bootstrap(complete, mean),
            complete.size, "", note=note),
    ]  # fmt: skip


def _probability(tile: DualTile) -> NDArray[Any]:
    return _bright(tile, tile.valueadded["prob_star"])


def _bright(tile: DualTile, values: NDArray[Any]) -> NDArray[Any]:
    low, high = _CLASS_LIMITS
    return values[(tile.r_mag > low) & (tile.r_mag < high)]
