"""Positions at another time: proper motion, and old equinoxes brought to ICRS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import FK5, SkyCoord
from astropy.time import Time
from numpy.typing import ArrayLike, NDArray

from tesela.sky import tangent

Floats = NDArray[np.float64]

_DEFAULT_ERROR_ARCSEC = 0.05
_MAS_PER_RADIAN = 180.0 / np.pi * 3600.0 * 1000.0


def propagate(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    pmra_masyr: ArrayLike,
    pmdec_masyr: ArrayLike,
    from_year: ArrayLike,
    to_year: float,
) -> tuple[Floats, Floats]:
    """Move positions along their proper motion, as straight lines in space, without parallax.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) array_like
        ICRS at epoch `from_year` (Julian years; 2016.0 for Gaia DR3).
    pmra_masyr, pmdec_masyr : (n,) array_like
        Proper motion, mas/yr; the first includes the cosine of the declination. NaN means unknown
        and counts as none.
    from_year : float or (n,) array_like
        Epoch of the positions, in years. Where it is NaN the position stays as it is.
    to_year : float
        Epoch wanted.

    Returns
    -------
    ra, dec : (n,) float64, degrees, at epoch `to_year`
    """
    years = to_year - np.asarray(from_year, dtype=np.float64)
    east_step, north_step = _step(pmra_masyr, years), _step(pmdec_masyr, years)
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64))
    dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
    zero = np.zeros(np.broadcast(ra, dec).shape)
    east = np.stack([-np.sin(ra) + zero, np.cos(ra) + zero, zero], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec) + zero], -1)
    start = tangent.unit_vectors(ra_deg, dec_deg)
    return tangent.positions(start + east_step[..., None] * east + north_step[..., None] * north)


def _step(motion_masyr: ArrayLike, years: Floats) -> Floats:
    """Radians moved; none where the motion or the time is not known."""
    moved = np.asarray(motion_masyr, dtype=np.float64) * years / _MAS_PER_RADIAN
    return np.where(np.isfinite(moved), moved, 0.0)


def catalogue_positions(
    catalogue: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], mjd: float
) -> tuple[Floats, Floats, Floats]:
    """Positions of a reference catalogue's stars at the epoch of observation.

    A star whose motion or epoch is not known stays where the catalogue has it.

    Parameters
    ----------
    catalogue : mapping of str to (m,) ndarray
        `ra`, `dec` (degrees) and, if known, `pmra`, `pmdec` (mas/yr), `ref_epoch` (years),
        `ra_err_mas`, `dec_err_mas`.
    rows : (n,) int64
        Rows wanted.
    mjd : float
        Epoch wanted, MJD.

    Returns
    -------
    ra, dec : (n,) float64, degrees
    error : (n,) float64, arcsec
        Of each coordinate; 0.05 where it is not known.
    """
    ra, dec = catalogue["ra"][rows], catalogue["dec"][rows]
    if "pmra" in catalogue and "pmdec" in catalogue and "ref_epoch" in catalogue:
        pmra, pmdec = catalogue["pmra"][rows], catalogue["pmdec"][rows]
        year = 2000 + (mjd - 51544.5) / 365.25
        ra, dec = propagate(ra, dec, pmra, pmdec, catalogue["ref_epoch"][rows], year)
    error = np.full(len(rows), _DEFAULT_ERROR_ARCSEC)
    if "ra_err_mas" in catalogue and "dec_err_mas" in catalogue:
        known = np.hypot(catalogue["ra_err_mas"][rows], catalogue["dec_err_mas"][rows])
        known = known / 1000 / 2**0.5
        error = np.where(known >= 0, known, error)
    return ra, dec, error


def precess_to_icrs(
    ra_deg: ArrayLike, dec_deg: ArrayLike, equinox_year: float
) -> tuple[Floats, Floats]:
    """Bring positions on the mean equator and equinox of a date (FK5) to ICRS, degrees."""
    frame = FK5(equinox=Time(equinox_year, format="jyear", scale="tt"))
    there = SkyCoord(
        np.asarray(ra_deg, dtype=np.float64) * units.deg,
        np.asarray(dec_deg, dtype=np.float64) * units.deg,
        frame=frame,
    ).icrs
    return np.asarray(there.ra.deg), np.asarray(there.dec.deg)
