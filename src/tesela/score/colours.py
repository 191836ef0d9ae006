"""Colours corrected for the PSF: measured minus true, of stars and of galaxies.

The truth is the colour before the seeing in the same aperture. Of point sources, and of galaxies
of one component, that is the total colour whatever the aperture; others are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tesela.score.dual import Bools, DualTile, Floats, together
from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, median, robust_width

STARS_TARGET_MMAG = 10.0
GALAXIES_TARGET_MMAG = 30.0
_STARS_SNR = 30.0
_GALAXIES_SNR = 5.0
_GALAXIES_FAINTEST_MAG = 20.0
_STARS_STOLEN = 0.01
_GALAXIES_STOLEN = 0.05
_JUDGED_FROM = 100
"""Fewer sources than this have a median that chance moves by tens of mmag."""


def differences(tile: DualTile, band: int, chosen: Bools, min_snr: float) -> Floats:
    """Measured minus true colour against the detection band, mmag, of the chosen sources.

    A flux that is not positive has no colour: it counts as redder than all, so that the median
    stands.
    """
    r = tile.detection
    use = chosen & tile.usable[:, band] & tile.usable[:, r]
    use &= (tile.snr[:, band] > min_snr) & (tile.snr[:, r] > min_snr)
    measured = tile.mag[use, band] - tile.mag[use, r]
    true = tile.true_mag[use, band] - tile.true_mag[use, r]
    return 1e3 * np.where(np.isfinite(measured), measured - true, np.inf)


def stars(tile: DualTile, band: int) -> Floats:
    """Constant, isolated point sources."""
    return differences(tile, band, tile.is_star & (tile.stolen < _STARS_STOLEN), _STARS_SNR)


def galaxies(tile: DualTile, band: int) -> Floats:
    """Bright galaxies of one component without near neighbours."""
    chosen = tile.is_galaxy & tile.one_component & (tile.stolen < _GALAXIES_STOLEN)
    chosen &= tile.r_mag < _GALAXIES_FAINTEST_MAG
    return differences(tile, band, chosen, _GALAXIES_SNR)


def rows(tiles: Sequence[DualTile]) -> list[Row]:
    """The worst band and every band, of stars and of galaxies.

    Bands with too few sources to be judged one by one are judged together.
    """
    if not tiles:
        return []
    return [
        *_of_class("star colours", stars, STARS_TARGET_MMAG, tiles),
        *_of_class("galaxy colours", galaxies, GALAXIES_TARGET_MMAG, tiles),
    ]


def _of_class(
    name: str,
    select: Callable[[DualTile, int], Floats],
    target: float,
    tiles: Sequence[DualTile],
) -> list[Row]:
    against = tiles[0].bands[tiles[0].detection]
    values = {
        band: together([select(tile, k) for tile in tiles])
        for k, band in enumerate(tiles[0].bands)
        if band != against
    }
    by_band = [
        _row(name, band, v, target if v.size >= _JUDGED_FROM else None)
        for band, v in values.items()
    ]
    judged = [row for row in by_band if row.target is not None]
    few = [band for band, v in values.items() if 0 < v.size < _JUDGED_FROM]
    result = []
    if judged:
        worst = max(judged, key=lambda row: abs(row.value))
        note = f"{worst.band} - {against}, PSF-corrected, median; of {len(judged)} bands"
        result.append(replace(worst, metric=f"{name}, worst band", band="", note=note))
    if few:
        pooled = together([values[band] for band in few])
        row = _row(f"{name}, bands with few", "", pooled, target)
        result.append(replace(row, note=" ".join(few)))
    return result + by_band


def _row(name: str, band: str, values: Floats, target: float | None) -> Row:
    note = f"width {robust_width(values):.0f}" if values.size else ""
    error = bootstrap(values, median)
    return Row(name, band, median(values), error, values.size, "mmag", target, "abs <=", note)
