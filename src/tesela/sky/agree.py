"""Whether the positions that a WCS gives agree with a reference, as a whole and place by place.

What a finished frame can be asked at any time, also by one who did not solve it: its star list, its
cards and a catalogue (or the star list of another frame of the same place) are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from tesela.errors import QualityError
from tesela.sky import fit, match, tangent
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CELLS = 4
_FEWEST = 8  # stars of a place
_SIGNIFICANT = 6.0  # sigma: a frame has more than a hundred places
_MEDIAN_ERROR = 1.2533  # of a median, in errors of a mean
_FINE = 8
_CHANCE_SHARE = 0.35  # a quarter, and more where neighbours leave only the nearest
_MAX_CHANCE_LOG10 = -3.0


@dataclass(frozen=True)
class Agreement:
    """Observed minus reference, arcsec, of the stars that both have.

    Attributes
    ----------
    i, k : (n,) int64
        Indices into the star list and the reference.
    dx, dy : (n,) float64
        Along xi (east) and eta (north).
    offset : (2,) float64
        Medians of dx and dy.
    error : float
        Of an offset, an axis.
    sigma : float
        Robust scatter of one star, an axis.
    chance_log10 : float
        Logarithm of the probability that pairs of unrelated lists lie as near to each other: a
        quarter of such pairs would be within half the radius of the match.
    worst : (float, float, float, float)
        The place where stars are farthest off among those where it is significant: x, y (pixels
        from 0), length of the median residual and its error. NaN if there is no such place.
    """

    i: Indices
    k: Indices
    dx: Floats
    dy: Floats
    offset: Floats
    error: float
    sigma: float
    chance_log10: float
    worst: tuple[float, float, float, float]

    def __len__(self) -> int:
        return len(self.i)


def compare(
    x: ArrayLike,
    y: ArrayLike,
    wcs: Wcs,
    ref_ra_deg: ArrayLike,
    ref_dec_deg: ArrayLike,
    *,
    radius_arcsec: float = 2.0,
) -> Agreement:
    """Match a star list with a reference by its WCS alone, nothing fitted, and measure.

    Parameters
    ----------
    x, y : (n,) array_like
        Pixels from 0.
    ref_ra_deg, ref_dec_deg : (m,) array_like
        At the epoch of observation.
    radius_arcsec : float
        Larger than the disagreement to be found.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    ra, dec = wcs.pix_to_sky(x, y)
    ref_ra, ref_dec = np.asarray(ref_ra_deg, float), np.asarray(ref_dec_deg, float)
    i, k, separation = match.nearest(ra, dec, ref_ra, ref_dec, radius_arcsec)
    dx, dy = _plane(wcs, ra[i], dec[i], ref_ra[k], ref_dec[k])
    near = int(np.count_nonzero(separation < 0.5 * radius_arcsec))
    chance = float(binom.logsf(near - 1, len(i), _CHANCE_SHARE)) if near else 0.0
    offset = np.array([_median(dx), _median(dy)])
    sigma = fit.robust_sigma(dx - offset[0], dy - offset[1])
    error = float(_MEDIAN_ERROR * sigma / np.sqrt(max(len(dx), 1)))
    worst = _worst_place(x[i], y[i], dx, dy, sigma, wcs.shape)
    return Agreement(
        i, k, dx, dy, offset, error, sigma, chance / float(np.log(10.0)), worst
    )  # fmt: skip


def require(found: Agreement, limit_arcsec: float, *, fewest: int = 8) -> None:
    """Refuse a WCS under which stars of any place are off by more than the limit.

    Raises
    ------
    QualityError
        With the place and the amount; or if hardly a star agrees.
    """
    if len(found) < fewest or found.chance_log10 > _MAX_CHANCE_LOG10:
        raise _refused(
            f"{len(found)} stars near those of the reference, no nearer than by chance"
            if len(found) >= fewest
            else f"{len(found)} stars where the reference has them",
            f"at least {fewest} that agree",
        )
    length = float(np.hypot(*found.offset))
    if length > max(limit_arcsec, _SIGNIFICANT * found.error):
        raise _refused(
            f"stars {1e3 * length:.0f} +- {1e3 * found.error:.0f} mas from the reference",
            f"at most {1e3 * limit_arcsec:.0f}",
        )
    x, y, length, error = found.worst
    if length > limit_arcsec:
        raise _refused(
            f"stars about pixel ({x:.0f}, {y:.0f}) lie {1e3 * length:.0f} +- {1e3 * error:.0f} mas "
            "from the reference",
            f"at most {1e3 * limit_arcsec:.0f}",
        )


def _worst_place(
    x: Floats, y: Floats, dx: Floats, dy: Floats, sigma: float, shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    """See `Agreement.worst`."""
    worst = (np.nan, np.nan, np.nan, np.nan)
    for there_x, there_y, near in _places(x, y, shape):
        n = int(near.sum())
        if n < _FEWEST:
            continue
        mx, my = _median(dx[near]), _median(dy[near])
        own = max(sigma, fit.robust_sigma(dx[near] - mx, dy[near] - my))
        length, uncertain = float(np.hypot(mx, my)), float(_MEDIAN_ERROR * own / np.sqrt(n))
        if length > _SIGNIFICANT * uncertain and not length <= worst[2]:
            worst = (there_x, there_y, length, uncertain)
    return worst


def residual_map(
    x: Floats, y: Floats, dx: Floats, dy: Floats, shape: tuple[int, int], cells: int = CELLS
) -> tuple[Floats, Floats, Indices]:
    """Mean residuals and number of stars in the cells of a grid over the image.

    Returns
    -------
    dx, dy : (cells, cells) float64
        NaN where there is no star; rows count from the bottom of the image.
    n : (cells, cells) int64
    """
    column = np.clip((x + 0.5) / shape[1] * cells, 0, cells - 1e-9).astype(np.int64)
    row = np.clip((y + 0.5) / shape[0] * cells, 0, cells - 1e-9).astype(np.int64)
    cell = row * cells + column
    n = np.bincount(cell, minlength=cells**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [np.bincount(cell, weights=d, minlength=cells**2) / n for d in (dx, dy)]
    grid = (cells, cells)
    return means[0].reshape(grid), means[1].reshape(grid), n.reshape(grid)


def _places(
    x: Floats, y: Floats, shape: tuple[int, int]
) -> Iterator[tuple[float, float, NDArray[np.bool_]]]:
    """Overlapping windows of a quarter and an eighth of the image: centre and who is inside."""
    ny, nx = shape
    column = np.clip((x + 0.5) / nx * _FINE, 0, _FINE - 1e-9).astype(np.int64)
    row = np.clip((y + 0.5) / ny * _FINE, 0, _FINE - 1e-9).astype(np.int64)
    for size in (2, 1):
        for low_y in range(_FINE - size + 1):
            rows = (row >= low_y) & (row < low_y + size)
            for low_x in range(_FINE - size + 1):
                near = rows & (column >= low_x) & (column < low_x + size)
                yield (low_x + size / 2) / _FINE * nx, (low_y + size / 2) / _FINE * ny, near


def _plane(wcs: Wcs, ra: Floats, dec: Floats, ref_ra: Floats, ref_dec: Floats) -> list[Floats]:
    centre = wcs.centre
    here, there = tangent.project(ra, dec, *centre), tangent.project(ref_ra, ref_dec, *centre)
    return [3600.0 * (a - b) for a, b in zip(here, there)]


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _refused(found: str, expected: str) -> QualityError:
    return QualityError(
        "astrometric solution",
        found=found,
        expected=expected,
        do="look at the frame and at the reference catalogue there before it is used",
    )
