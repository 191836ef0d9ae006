"""Does the completeness that injected stars tell hold for the true ones?

At the 5 sigma depth the fraction of true point sources that the catalogue holds is compared with
the mean of the injections' curve at the same magnitudes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, mean
from tesela.score.tiles import TileBand

Floats = NDArray[np.float64]

TARGET = 0.03
HALF_RANGE_MAG = 0.5
MATCH_FWHM = 0.6
MATCH_MAG = 0.75
_SHOWN_MAG = 2.0


@dataclass(frozen=True)
class Recovery:
    """True stars of a tile and band around its depth, (n,) each.

    `mag` is on the catalogue's scale; `expected` is the injections' completeness there, NaN where
    the catalogue states none.
    """

    tile: str
    band: str
    depth_mag: float
    mag: Floats
    found: NDArray[np.bool_]
    expected: Floats

    @property
    def near_depth(self) -> NDArray[np.bool_]:
        """(n,) bool: within half a magnitude of the depth, with a curve to compare with."""
        return (np.abs(self.mag - self.depth_mag) < HALF_RANGE_MAG) & np.isfinite(self.expected)


def curve(mag: Floats, facts: dict[str, Any]) -> Floats:
    """C(m) = plateau / (1 + exp(k (m - m50))) of the catalogue's facts; NaN if it has none."""
    if not {"m50", "k", "plateau"} <= set(facts):
        return np.full(mag.shape, np.nan)
    slope = np.clip(facts["k"] * (mag - facts["m50"]), -50, 50)
    return facts["plateau"] / (1 + np.exp(slope))


def of_tile(tile: TileBand) -> Recovery:
    """Look for every true star within two magnitudes of the depth in the catalogue."""
    mag = tile.truth.mag + tile.offset_mag
    use = tile.truth.is_star & (np.abs(mag - tile.depth_mag) < _SHOWN_MAG)
    mag = mag[use]
    found = _is_there(tile, tile.truth.x[use], tile.truth.y[use], mag)
    return Recovery(tile.tile, tile.band, tile.depth_mag, mag, found, curve(mag, tile.completeness))


def _is_there(tile: TileBand, x: Floats, y: Floats, mag: Floats) -> NDArray[np.bool_]:
    """A source within 0.6 FWHM whose PSF flux is right within 0.75 mag."""
    flux = tile.table["flux_psf"].astype(np.float64)
    place = np.column_stack([tile.table["x"], tile.table["y"]])
    sound = np.isfinite(place).all(axis=1) & np.isfinite(flux)
    if not sound.any() or not len(x):
        return np.zeros(len(x), bool)
    distance, nearest = cKDTree(place[sound]).query(
        np.column_stack([x, y]), distance_upper_bound=MATCH_FWHM * tile.fwhm_px
    )
    near = np.isfinite(distance)
    ratio = np.zeros(len(x))
    expected = 10 ** (-0.4 * (mag[near] - tile.zeropoint_mag))
    ratio[near] = flux[sound][nearest[near]] / expected
    limit = 10 ** (0.4 * MATCH_MAG)
    return (ratio > 1 / limit) & (ratio < limit)


def rows(parts: Sequence[Recovery], bands: Sequence[str]) -> list[Row]:
    """Recovered minus expected fraction over all (judged), then by band."""
    result = [_row(parts, "", TARGET)]
    return result + [_row([p for p in parts if p.band == band], band, None) for band in bands]


def _row(parts: Sequence[Recovery], band: str, target: float | None) -> Row:
    none = np.zeros((0, 2))
    pairs = [np.column_stack([p.found, p.expected])[p.near_depth] for p in parts]
    sample = np.concatenate([none, *pairs])
    recovered, expected = mean(sample[:, 0]), mean(sample[:, 1])
    gap = sample[:, 0] - sample[:, 1]
    return Row(
        "completeness minus injected", band, mean(gap), bootstrap(gap, mean), len(gap), "",
        target, "abs <=", f"recovered {recovered:.3f}, injected {expected:.3f}",
    )  # fmt: skip
