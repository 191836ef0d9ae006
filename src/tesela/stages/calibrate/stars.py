"""Stars of a catalogue or a frame beside their magnitudes in the reference catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.bands import reference
from tesela.bands.colourterm import brightest
from tesela.config import Reference
from tesela.errors import ProductError
from tesela.products.catalogue import Table
from tesela.products.flags import SourceFlag
from tesela.sky import epoch, match, tangent
from tesela.stages.calibrate.settings import CalibrateSettings

Floats = NDArray[np.float64]

_UNUSABLE = int(SourceFlag.BLENDED | SourceFlag.SATURATED | SourceFlag.TRUNCATED)
_MARGIN_ARCSEC = 60.0
"""Reference stars are moved to the epoch this far around the catalogue: more than they move."""


@dataclass(frozen=True)
class Stars:
    """Usable stars: instrumental magnitudes (1 electron/s is 0) and the reference's, (n,) each."""

    mag: Floats
    err: Floats
    ref_mag: Floats
    ref_err: Floats
    colour: Floats | None

    def __len__(self) -> int:
        return self.mag.size


def usable(
    table: Table,
    exptime_s: float,
    mjd: float,
    refcat: Table,
    wanted: Reference,
    settings: CalibrateSettings,
) -> Stars:
    """Match with the reference at the epoch and keep what a zero point can trust.

    Left out are blended, saturated, truncated and masked stars, stars outside the magnitude limits
    of the reference and stars without a magnitude or a colour there.

    Parameters
    ----------
    table : dict of str to (n,) ndarray
        Columns `ra`, `dec`, `flux_psf`, `flux_psf_err`, `flags` and, if there is one, `mask_flags`.
    exptime_s : float
        What fluxes are divided by.
    mjd : float
        Epoch of the positions.
    """
    if not refcat:
        nothing = np.empty(0)
        return Stars(nothing, nothing, nothing, nothing, nothing)
    rows = _near(table, refcat)
    ref_ra, ref_dec, _ = epoch.catalogue_positions(refcat, rows, mjd)
    i, j, _ = match.nearest(
        table["ra"], table["dec"], ref_ra, ref_dec, settings.match_radius_arcsec
    )
    ref_mag, ref_err = reference.magnitudes(refcat, rows[j], wanted)
    colour = reference.colours(refcat, rows[j], wanted)
    low, high = wanted.mag_limits
    clean = (table["flags"] & _UNUSABLE) == 0
    if "mask_flags" in table:
        clean &= table["mask_flags"] == 0
    good = np.isfinite(ref_mag) & (ref_mag >= low) & (ref_mag <= high) & clean[i]
    good &= np.isfinite(colour) if colour is not None else True
    flux = table["flux_psf"][i].astype(np.float64) / exptime_s
    flux_err = table["flux_psf_err"][i].astype(np.float64) / exptime_s
    use = np.flatnonzero(good)
    use = use[brightest(flux[use], flux_err[use], settings.min_snr)]
    return Stars(
        -2.5 * np.log10(flux[use]),
        1.0857 * flux_err[use] / flux[use],
        ref_mag[use],
        ref_err[use],
        colour[use] if colour is not None else None,
    )


def _near(table: Table, refcat: Table) -> NDArray[np.int64]:
    """Rows of the reference in a circle around the stars, a little wider than they reach."""
    if not len(table["ra"]):
        return np.empty(0, np.int64)
    for name in ("ra", "dec"):
        if name not in refcat:
            raise ProductError(
                "reference catalogue", found=f"no column {name!r}", expected="positions",
                do="add the catalogue again with `tesela refcat add`",
            )  # fmt: skip
    here: NDArray[Any] = tangent.unit_vectors(table["ra"], table["dec"])
    here = here[np.isfinite(here).all(axis=1)]
    if not len(here):
        return np.empty(0, np.int64)
    centre = here.mean(axis=0)
    reach = np.sqrt(np.sum((here - centre) ** 2, axis=1).max()) + match.chord(_MARGIN_ARCSEC)
    away = tangent.unit_vectors(refcat["ra"], refcat["dec"]) - centre
    return np.flatnonzero(np.sum(away**2, axis=1) <= reach**2)
