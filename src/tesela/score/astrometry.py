"""Astrometric errors: positions of bright point sources minus the truth at the same epoch.

The truth is free of the reference catalogue's noise, so these are errors of the pipeline alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, rms, robust_rms, within
from tesela.score.tiles import TileBand

Floats = NDArray[np.float64]

TARGET_MAS = 40.0
CLIP_SIGMA = 5.0


@dataclass(frozen=True)
class Residuals:
    """Measured minus true positions, (n,) each: along RA (on the sky) and Dec, and where."""

    band: str
    east_mas: Floats
    north_mas: Floats
    ra_deg: Floats
    dec_deg: Floats

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(n,) bool: within 5 sigma along both axes."""
        return within(self.east_mas, CLIP_SIGMA) & within(self.north_mas, CLIP_SIGMA)


def difference_mas(
    ra_deg: Floats, dec_deg: Floats, true_ra_deg: Floats, true_dec_deg: Floats
) -> tuple[Floats, Floats]:
    """East and north components of measured minus true, milliarcseconds."""
    east = (np.asarray(ra_deg) - true_ra_deg + 180.0) % 360.0 - 180.0
    return (
        3.6e6 * east * np.cos(np.radians(true_dec_deg)),
        3.6e6 * (np.asarray(dec_deg) - true_dec_deg),
    )


def of_tile(tile: TileBand) -> Residuals:
    """Residuals of a tile's bright, unsaturated point sources."""
    use = tile.bright
    ra, dec = tile.measured("ra")[use], tile.measured("dec")[use]
    truth = tile.i_truth[use]
    east, north = difference_mas(ra, dec, tile.truth.ra_deg[truth], tile.truth.dec_deg[truth])
    return Residuals(tile.band, east, north, ra, dec)


def join(parts: Sequence[Residuals], band: str = "") -> Residuals:
    """Residuals of several tiles or frames as one."""
    names = ("east_mas", "north_mas", "ra_deg", "dec_deg")
    none = np.zeros(0)
    return Residuals(
        band, *(np.concatenate([none, *(getattr(p, n) for p in parts)]) for n in names)
    )


def rows(
    parts: Sequence[Residuals],
    bands: Sequence[str],
    *,
    what: str = "astrometry",
    judge: bool = True,
) -> list[Row]:
    """Overall rms an axis, plain after clipping and robust; then both axes together by band."""
    every = join(parts)
    target = TARGET_MAS if judge else None
    kept = every.kept
    clipped = f"{np.count_nonzero(~kept)} beyond {CLIP_SIGMA:g} sigma clipped"
    result = []
    for axis, values in (("RA", every.east_mas), ("Dec", every.north_mas)):
        result.append(_row(f"{what} rms {axis}", "", values[kept], target, clipped))
        robust = bootstrap(values, robust_rms)
        result.append(
            Row(f"{what} robust rms {axis}", "", robust_rms(values), robust, values.size, "mas")
        )
    for band in bands:
        one = join([p for p in parts if p.band == band], band)
        kept = one.kept
        pair = np.column_stack([one.east_mas, one.north_mas])
        note = f"an axis; {np.count_nonzero(~kept)} clipped"
        result.append(_row(f"{what} rms", band, pair[kept], target, note))
    return result


def _row(metric: str, band: str, values: Floats, target: float | None, note: str) -> Row:
    error = bootstrap(values, rms)
    return Row(metric, band, rms(values), error, len(values), "mas", target, "<=", note)
