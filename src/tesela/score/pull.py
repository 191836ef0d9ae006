"""Are the stated errors of PSF fluxes true? Residuals over errors have a width of one.

Stars are chosen by their true signal to noise: a choice by the measured one would favour those
that noise made brighter. Near S/N 5 detection makes such a choice all the same: the fainter half of
the noise is lost, the median rises and the width falls, which the rows by S/N show. Zero-point
offsets of each tile and band are removed with its bright stars, in the telescope's own curves, so
that no colour term enters.

Judged are all bands together (one band has too few pairs to tell 1 from 1.1), and what the usual
cut keeps, a weight above 0.8 of the tile's median. Where fewer frames
contribute, the PSF is that of those frames and not the smooth model of the tile: a row of its own
tells what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.score.rows import Row
from tesela.score.statistics import bootstrap, median, robust_width
from tesela.score.tiles import TileBand

Floats = NDArray[np.float64]

SNR_RANGE = (5.0, 50.0)
SNR_BINS = ((5.0, 10.0), (10.0, 20.0), (20.0, 50.0))
TOLERANCE = 0.1
LEAST_PAIRS = 450
_FOREIGN_SIGMA = 0.1
FULL_WEIGHT = 0.8


@dataclass(frozen=True)
class Pulls:
    """(n,) residuals over errors of a tile and band."""

    band: str
    pull: Floats
    snr: Floats
    """True signal to noise."""
    full: NDArray[np.bool_]
    """Weight above 0.8 of the tile's median."""


def of_tile(tile: TileBand) -> Pulls:
    """Pulls of constant point sources with foreign light below a tenth of their error."""
    truth, pair = tile.truth, tile.i_truth
    error = tile.measured("flux_psf_err").astype(np.float64)
    flux = tile.measured("flux_psf").astype(np.float64)
    scale = 10 ** (-0.4 * tile.offset_mag)
    expected = truth.flux[pair] * scale
    sound = np.isfinite(flux) & (error > 0)
    snr = expected / np.where(sound, error, np.inf)
    use = sound & truth.is_star[pair] & tile.unsaturated
    use &= (snr > SNR_RANGE[0]) & (snr < SNR_RANGE[1])
    use &= truth.stolen[pair] * scale < _FOREIGN_SIGMA * error
    full = tile.measured("norm_weight") > FULL_WEIGHT
    return Pulls(tile.band, (flux[use] - expected[use]) / error[use], snr[use], full[use])


def rows(parts: Sequence[Pulls], bands: Sequence[str]) -> list[Row]:
    """Width and median over all, then the width by band with the median in its note.

    Judged only where there are enough pairs to tell 1 from 1.1.
    """
    whole = [_only(part, part.full) for part in parts]
    every, snr = _join(whole, "pull"), _join(whole, "snr")
    result = [
        _width(every, ""),
        Row("pull median", "", median(every), bootstrap(every, median), every.size, "sigma"),
    ]
    for low, high in SNR_BINS:
        metric = f"pull width, S/N {low:g} to {high:g}"
        result.append(_width(every[(snr >= low) & (snr < high)], "", metric, judge=False))
    thin = _join([_only(part, ~part.full) for part in parts], "pull")
    result.append(_width(thin, "", "pull width, fewer frames", judge=False))
    for band in bands:
        mine = [part for part in whole if part.band == band]
        result.append(_width(_join(mine, "pull"), band, judge=False))
    return result


def _only(part: Pulls, kept: NDArray[np.bool_]) -> Pulls:
    return Pulls(part.band, part.pull[kept], part.snr[kept], part.full[kept])


def _join(parts: Sequence[Pulls], name: str) -> Floats:
    return np.concatenate([np.zeros(0), *(getattr(p, name) for p in parts)])


def _width(pull: Floats, band: str, metric: str = "pull width", judge: bool = True) -> Row:
    target = TOLERANCE if judge and pull.size >= LEAST_PAIRS else None
    error = bootstrap(pull, robust_width)
    note = f"median {median(pull):+.2f}"
    return Row(metric, band, robust_width(pull), error, pull.size, "sigma", target, "1 +-", note)
