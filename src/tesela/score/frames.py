"""One reduced frame beside its truth: masks, zero point, star list. Opened once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.products.flags import SourceFlag
from tesela.products.images import Table, to_columns
from tesela.score import contaminants
from tesela.score.astrometry import Residuals, difference_mas
from tesela.score.contaminants import Counts
from tesela.score.objects import Objects
from tesela.score.tiles import BRIGHT_SNR, MATCH_ARCSEC
from tesela.score.zeropoint import FrameZero
from tesela.simulate import truth
from tesela.simulate.truth import FrameTruth
from tesela.sky import match

_FAINTEST_SNR = 10.0


@dataclass(frozen=True)
class FrameScore:
    """What one frame contributes."""

    zero: FrameZero
    true_zeropoint_mag: float
    residuals: Residuals
    counts: Counts


def score(name: str, path: Path, truth_dir: Path, objects: Objects) -> FrameScore:
    """Compare a reduced frame with its truth."""
    facts = read_truth(truth_dir, name)
    fits = files.read_fits(path, ["MASK", "VARIANCE", "SOURCES"])
    zero = fits.cards["IMAGE"].get("MAGZP")
    if zero is None:
        raise ProductError(str(path), found="no card MAGZP", expected="a reduced image of ours")
    return FrameScore(
        FrameZero(facts.band, 1e3 * (float(zero) - facts.zeropoint15_mag)),
        facts.zeropoint15_mag,
        _residuals(to_columns(fits.data["SOURCES"]), facts, objects),
        contaminants.count(fits.data["MASK"], fits.data["VARIANCE"], facts),
    )


def read_truth(truth_dir: Path, name: str) -> FrameTruth:
    """The truth of a frame by its name."""
    path = truth_dir / f"{name}.npz"
    if not path.is_file():
        raise ProductError(
            str(path), found="no such file", expected=f"the truth of frame {name}",
            do="give the folder `truth` of the night that these frames are of",
        )  # fmt: skip
    return truth.read_frame(path)


def _residuals(table: Table, facts: FrameTruth, objects: Objects) -> Residuals:
    """Star-list positions minus the truth, for bright unsaturated point sources."""
    noise = float(np.median(table["flux_psf_err"])) if len(table["flux_psf_err"]) else 0.0
    visible = facts.flux_e > _FAINTEST_SNR * noise
    ra, dec = facts.astrometry.to_sky(facts.x[visible], facts.y[visible])
    i_star, i_true, _ = match.nearest(table["ra"], table["dec"], ra, dec, MATCH_ARCSEC)
    use = _bright(table, i_star) & np.isin(facts.id[visible][i_true], objects.id[objects.is_point])
    star, true = i_star[use], i_true[use]
    east, north = difference_mas(table["ra"][star], table["dec"][star], ra[true], dec[true])
    return Residuals(facts.band, east, north, table["ra"][star], table["dec"][star])


def _bright(table: Table, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    snr = table["flux_psf"][rows] > BRIGHT_SNR * table["flux_psf_err"][rows]
    return snr & ((table["flags"][rows] & SourceFlag.SATURATED) == 0)
