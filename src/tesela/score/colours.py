"""Colours corrected for the PSF: measured minus true, of stars and of galaxies.

The truth is the colour before the seeing in the same aperture. Of point sources, and of galaxies
of one component, that is the total colour whatever the aperture; others are not counted.

Every band is judged by itself: opposite errors of two bands must not cancel. A band with few
sources has a median that chance moves, so two of its errors are taken off first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tesela.score.dual import Bools, DualTile, Floats, together
from tesela.score.rows import BEYOND_ERRORS, Row
from tesela.score.statistics import bootstrap, median, robust_width

STARS_TARGET_MMAG = 10.0
GALAXIES_TARGET_MMAG = 30.0
_STARS_SNR = 30.0
_GALAXIES_SNR = 5.0
_GALAXIES_FAINTEST_MAG = 20.0
_STARS_STOLEN = 0.01
_GALAXIES_STOLEN = 0.05
_JUDGED_FROM = 10
"""Fewer sources than this have no error worth the name."""

PULL_AIM = 0.2
_PULL_SNR = (3.0, 30.0)


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
    return differences(tile, band, _lone_stars(tile), _STARS_SNR)


def galaxies(tile: DualTile, band: int) -> Floats:
    """Bright galaxies of one component without near neighbours."""
    chosen = _lone_galaxies(tile) & (tile.r_mag < _GALAXIES_FAINTEST_MAG)
    return differences(tile, band, chosen, _GALAXIES_SNR)


def pulls(tile: DualTile, band: int, chosen: Bools) -> Floats:
    """Error of the colour against the detection band over the stated one, in flux, of faint fluxes.

    Chosen by true signal to noise, so that the noise has no part in the choice.
    """
    r = tile.detection
    low, high = _PULL_SNR
    snr, snr_r = tile.snr[:, band], tile.snr[:, r]
    use = chosen & tile.usable[:, band] & tile.usable[:, r]
    use &= (snr > low) & (snr < high) & (snr_r > low)
    off = tile.relative_flux[use, band] - tile.relative_flux[use, r]
    return off / np.hypot(1 / snr[use], 1 / snr_r[use])


def rows(tiles: Sequence[DualTile]) -> list[Row]:
    """The worst band, every band and the width of the pulls, of stars and of galaxies."""
    if not tiles:
        return []
    return [
        *_of_class("star colours", stars, STARS_TARGET_MMAG, tiles),
        *_of_class("galaxy colours", galaxies, GALAXIES_TARGET_MMAG, tiles),
        _pull_row("pull width of star colours", _lone_stars, tiles),
        _pull_row("pull width of galaxy colours", _lone_galaxies, tiles),
    ]


def _lone_stars(tile: DualTile) -> Bools:
    return tile.is_star & (tile.stolen < _STARS_STOLEN)


def _lone_galaxies(tile: DualTile) -> Bools:
    return tile.is_galaxy & tile.one_component & (tile.stolen < _GALAXIES_STOLEN)


def _pull_row(name: str, select: Callable[[DualTile], Bools], tiles: Sequence[DualTile]) -> Row:
    """Not judged: the true colour of a galaxy is known to its light outside the aperture only."""
    pull = together(
        [
            pulls(tile, band, select(tile))
            for tile in tiles
            for band in range(len(tile.bands))
            if band != tile.detection
        ]
    )
    low, high = _PULL_SNR
    note = f"S/N {low:g} to {high:g}, all bands; aim 1 +- {PULL_AIM:g}; median {median(pull):+.2f}"
    return Row(name, "", robust_width(pull), bootstrap(pull, robust_width), pull.size, "sigma",
               note=note)  # fmt: skip


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
    if not judged:
        return by_band
    worst = max(judged, key=_strain)
    note = f"{worst.band} - {against}, PSF-corrected, median; nearest its limit of {len(judged)}"
    return [replace(worst, metric=f"{name}, worst band", band="", note=f"{note} bands"), *by_band]


def _strain(row: Row) -> float:
    """|median| over what is allowed; what has no error is the worst."""
    allowed = (row.target or 0.0) + 2 * row.error
    return abs(row.value) / allowed if np.isfinite(row.error) else np.inf


def _row(name: str, band: str, values: Floats, target: float | None) -> Row:
    known = values[np.isfinite(values)]
    note = f"width {robust_width(known):.0f}" if known.size else ""
    error = bootstrap(values, median)
    return Row(name, band, median(values), error, values.size, "mmag", target, BEYOND_ERRORS, note)
