"""Colours corrected for the PSF: measured minus true, of stars and of galaxies.

The truth is the colour before the seeing in the same aperture. Of point sources, and of galaxies
of one component, that is the total colour whatever the aperture; others are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tesela.score.dual import Bools, DualTile, Floats, together
from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, median, robust_width

STARS_TARGET_MMAG = 10.0
GALAXIES_TARGET_MMAG = 30.0
_STARS_SNR = 30.0
_GALAXIES_SNR = 10.0
_GALAXIES_FAINTEST_MAG = 20.0
_STARS_STOLEN = 0.01
_GALAXIES_STOLEN = 0.05


def differences(tile: DualTile, band: int, chosen: Bools, min_snr: float) -> Floats:
    """Measured minus true colour against the detection band, mmag, of the chosen sources."""
    r = tile.detection
    use = chosen & tile.usable[:, band] & tile.usable[:, r]
    use &= (tile.snr[:, band] > min_snr) & (tile.snr[:, r] > min_snr)
    measured = tile.mag[use, band] - tile.mag[use, r]
    true = tile.true_mag[use, band] - tile.true_mag[use, r]
    values = 1e3 * (measured - true)
    return values[np.isfinite(values)]


def stars(tile: DualTile, band: int) -> Floats:
    """Constant, isolated point sources."""
    return differences(tile, band, tile.is_star & (tile.stolen < _STARS_STOLEN), _STARS_SNR)


def galaxies(tile: DualTile, band: int) -> Floats:
    """Bright galaxies of one component without near neighbours."""
    chosen = tile.is_galaxy & tile.one_component & (tile.stolen < _GALAXIES_STOLEN)
    chosen &= tile.r_mag < _GALAXIES_FAINTEST_MAG
    return differences(tile, band, chosen, _GALAXIES_SNR)


def rows(tiles: Sequence[DualTile]) -> list[Row]:
    """The worst band and every band, of stars and of galaxies."""
    if not tiles:
        return []
    result: list[Row] = []
    for name, select, target in (
        ("star colours", stars, STARS_TARGET_MMAG),
        ("galaxy colours", galaxies, GALAXIES_TARGET_MMAG),
    ):
        by_band = []
        for k, band in enumerate(tiles[0].bands):
            if k == tiles[0].detection:
                continue
            values = together([select(tile, k) for tile in tiles])
            by_band.append(_row(name, band, values, target))
        if by_band:
            worst = max(by_band, key=lambda row: abs(row.value) if row.n else np.inf)
            n = sum(row.n for row in by_band)
            result.append(
                Row(f"{name}, worst band", "", worst.value, worst.error, n, "mmag", target,
                    "abs <=", f"{worst.band} - {tiles[0].bands[tiles[0].detection]}, "
                    "PSF-corrected, median")
            )  # fmt: skip
        result += by_band
    return result


def _row(name: str, band: str, values: Floats, target: float) -> Row:
    note = f"width {robust_width(values):.0f}" if values.size else ""
    error = bootstrap(values, median)
    return Row(name, band, median(values), error, values.size, "mmag", target, "abs <=", note)
