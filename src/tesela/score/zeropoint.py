"""Errors of the zero points: absolute by band, and from frame to frame.

Catalogue magnitudes are natural; with the coadd's colour term they are brought to the survey's
published system and compared with the true magnitudes in that system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.products.catalogue import Catalogue
from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, mean, median, robust_rms
from tesela.score.tiles import TileBand

Floats = NDArray[np.float64]

TARGET_MMAG = 20.0
RELATIVE_TARGET_MMAG = 3.0


@dataclass(frozen=True)
class Differences:
    """Measured minus published true magnitude of a tile's calibrators, (n,) mmag."""

    tile: str
    band: str
    mmag: Floats
    core_rejected: NDArray[np.bool_]
    """Stars of which the coadd left out the core of an input."""


@dataclass(frozen=True)
class FrameZero:
    """A frame's zero point minus its truth, mmag, and what it belongs to: a band or a coadd."""

    group: str
    mmag: float


def of_tile(tile: TileBand) -> Differences:
    """Differences of the bright, constant, isolated, unsaturated point sources."""
    use = tile.calibrators
    truth = tile.i_truth[use]
    colour = tile.truth.colour[truth]
    published = tile.mag[use] + tile.colour_coefficient * (colour - tile.colour_pivot)
    mmag = 1e3 * (published - tile.truth.published[truth])
    return Differences(tile.tile, tile.band, mmag, tile.truth.core_rejected[truth])


def published(tile: TileBand, solution: Catalogue) -> Differences:
    """The same with the zero point and the colour term of the survey's photometric solution.

    Nothing is measured in a band that the solution does not hold.
    """
    table = solution.columns
    rows = np.flatnonzero((table["band"] == tile.band) & (table["frame"] == ""))
    if not rows.size:
        return Differences(tile.tile, tile.band, np.zeros(0), np.zeros(0, bool))
    row = rows[0]
    use = tile.calibrators
    truth = tile.i_truth[use]
    colour = tile.truth.colour[truth] - float(table["colour_pivot"][row])
    natural = tile.mag[use] + float(table["zeropoint_mag"][row]) - tile.zeropoint_mag
    mag = natural + float(table["colour_coefficient"][row]) * colour
    mmag = 1e3 * (mag - tile.truth.published[truth])
    return Differences(tile.tile, tile.band, mmag, tile.truth.core_rejected[truth])


def published_rows(parts: Sequence[Differences], bands: Sequence[str]) -> list[Row]:
    """The worst band of the published zero points, then every band."""
    by_band = [_of_band(parts, band, "published zero point") for band in bands]
    if not parts:
        return []
    worst = max(by_band, key=_size)
    n = sum(row.n for row in by_band)
    head = Row(
        "published zero point, worst band", "", worst.value, worst.error, n, "mmag", TARGET_MMAG,
        "abs <=", worst.band,
    )  # fmt: skip
    return [head, *by_band]


def rows(parts: Sequence[Differences], bands: Sequence[str]) -> list[Row]:
    """The worst band and the worst tile, then every band."""
    by_band = [_of_band(parts, band) for band in bands]
    result = []
    if by_band:
        worst = max(by_band, key=_size)
        result.append(
            Row("zero point, worst band", "", worst.value, worst.error,
                sum(row.n for row in by_band), "mmag", TARGET_MMAG, "abs <=", worst.band)
        )  # fmt: skip
        tiles = [_row("zero point, worst tile", "", p.mmag, f"{p.tile} {p.band}") for p in parts]
        result.append(max(tiles, key=_size))
        result += _core_rows(parts)
    return result + by_band


def _core_rows(parts: Sequence[Differences]) -> list[Row]:
    """How many stars lost an input's core to the rejection of outliers, and what it cost them.

    The cost is the median difference from the tile's other stars, so no zero point enters.
    """
    lost = np.concatenate([p.core_rejected for p in parts])
    cost = np.concatenate(
        [(p.mmag - median(p.mmag[~p.core_rejected]))[p.core_rejected] for p in parts]
    )
    share = lost.astype(np.float64)
    return [
        Row("stars with a rejected core", "", mean(share), bootstrap(share, mean), lost.size, ""),
        _row("their magnitude minus others'", "", cost[np.isfinite(cost)], ""),
    ]


def _of_band(parts: Sequence[Differences], band: str, metric: str = "zero point") -> Row:
    mine = [p for p in parts if p.band == band]
    values = np.concatenate([np.zeros(0), *(p.mmag for p in mine)])
    largest = max((abs(median(p.mmag)) for p in mine), default=float("nan"))
    note = f"largest of {len(mine)} tiles {largest:.1f}"
    return _row(metric, band, values, note, TARGET_MMAG)


def _row(metric: str, band: str, values: Floats, note: str, target: float | None = None) -> Row:
    error = bootstrap(values, median)
    return Row(metric, band, median(values), error, values.size, "mmag", target, "abs <=", note)


def _size(row: Row) -> float:
    return abs(row.value) if np.isfinite(row.value) else float("inf")


def relative_row(metric: str, zeros: Sequence[FrameZero], target: float | None = None) -> Row:
    """Scatter of frames within their groups, each group's median removed.

    The median takes up a degree of freedom of each group of n: residuals are enlarged by
    sqrt(n / (n - 1)). Groups of one say nothing.
    """
    groups: dict[str, list[float]] = {}
    for zero in zeros:
        groups.setdefault(zero.group, []).append(zero.mmag)
    parts = [np.zeros(0)]
    for values in groups.values():
        n = len(values)
        if n > 1:
            parts.append((np.array(values) - np.median(values)) * np.sqrt(n / (n - 1)))
    residual = np.concatenate(parts)
    largest = float(np.abs(residual).max()) if residual.size else float("nan")
    return Row(
        metric, "", robust_rms(residual), bootstrap(residual, robust_rms), residual.size, "mmag",
        target, "<=", f"frames, in {len(parts) - 1} groups; largest {largest:.1f}",
    )  # fmt: skip
