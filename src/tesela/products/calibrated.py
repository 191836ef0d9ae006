"""Catalogue and zero points joined: instrumental fluxes to calibrated fluxes and magnitudes.

This is the one place where that is done. Catalogues keep instrumental fluxes, so that a new
photometric solution touches no pixel and no measurement.

Magnitudes are AB, in the natural system of the telescope at the pivot of the colour term: the
term is published with each tile and band and is not applied to sources, since it was fitted on
stars and holds for no other spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import MEASURED

AB_ZERO_UJY_MAG = 23.9
"""AB magnitude of one microjansky."""
_POGSON = 2.5 / np.log(10)


@dataclass(frozen=True)
class ZeroPoints:
    """Zero points of a tile: AB magnitude of 1 electron/s, by band."""

    tile: str
    zeropoint_mag: dict[str, float]
    error_mag: dict[str, float]

    @classmethod
    def of(cls, solution: Catalogue) -> ZeroPoints:
        """Take those of the tile's coadds from a photometric solution (`zeropoints`)."""
        if solution.kind != "zeropoints":
            raise ProductError(
                f"catalogue of tile {solution.facts.get('tile')}",
                found=f"a catalogue of kind {solution.kind!r}",
                expected="a photometric solution, of kind 'zeropoints'",
            )
        columns = solution.columns
        rows = [i for i, frame in enumerate(columns["frame"]) if not frame]
        band = [str(columns["band"][i]) for i in rows]
        return cls(
            str(solution.facts["tile"]),
            {b: float(columns["zeropoint_mag"][i]) for b, i in zip(band, rows)},
            {b: float(columns["zeropoint_err_mag"][i]) for b, i in zip(band, rows)},
        )


def calibrated(catalogue: Catalogue, zeropoints: ZeroPoints) -> Table:
    """Every `flux_X` of a catalogue as `flux_X` in microjansky and `mag_X`, with errors.

    Parameters
    ----------
    catalogue : Catalogue
        `single` (its band is a fact) or `dual` (its bands are a fact; columns (n, n_band)).
    zeropoints : ZeroPoints
        Of the same tile. A band that is missing there gives NaN.

    Returns
    -------
    dict of str to ndarray
        float32. A magnitude is NaN where the flux is not positive and, in a dual catalogue, where
        the status is not `MEASURED`. Errors are those of the measurement; the error of the zero
        point is common to a tile and band and is not in them.
    """
    if str(catalogue.facts.get("tile")) != zeropoints.tile:
        raise ProductError(
            f"catalogue of tile {catalogue.facts.get('tile')}",
            found=f"zero points of tile {zeropoints.tile}",
            expected="zero points of the same tile",
        )
    _check_bands(catalogue)
    scale = _scales(catalogue, zeropoints)
    status = catalogue.columns.get("status")
    result: Table = {}
    for name, values in catalogue.columns.items():
        error = catalogue.columns.get(f"{name}_err")
        if not name.startswith("flux_") or error is None:
            continue
        kind = name.removeprefix("flux_")
        flux, flux_err = values * scale, error * scale
        usable = flux > 0 if status is None else (flux > 0) & (status == MEASURED)
        mag, mag_err = _magnitudes(flux, flux_err, usable)
        result[f"mag_{kind}"], result[f"mag_{kind}_err"] = mag, mag_err
        result[name], result[f"{name}_err"] = flux.astype(np.float32), flux_err.astype(np.float32)
    return result


def _check_bands(catalogue: Catalogue) -> None:
    """Arrays over bands must have a value for each band that the facts name."""
    if catalogue.kind != "dual":
        return
    bands = catalogue.facts.get("bands", [])
    for name, values in catalogue.columns.items():
        if name.startswith("flux_") and f"{name}_err" in catalogue.columns:
            width = values.shape[-1] if values.ndim > 1 else 1
            if values.ndim != 2 or width != len(bands):
                raise ProductError(
                    f"dual catalogue of tile {catalogue.facts.get('tile')}, column {name}",
                    found=f"{width} values a source",
                    expected=f"one for each of {len(bands)} bands",
                )


def _scales(catalogue: Catalogue, zeropoints: ZeroPoints) -> float | NDArray[np.float64]:
    """Microjansky of one electron/s: a number, or one a band."""

    def scale(band: str) -> float:
        zero = zeropoints.zeropoint_mag.get(band, np.nan)
        return float(10 ** (0.4 * (AB_ZERO_UJY_MAG - zero)))

    if catalogue.kind == "dual":
        return np.array([scale(band) for band in catalogue.facts["bands"]])
    return scale(str(catalogue.facts["band"]))


def _magnitudes(
    flux: NDArray[np.float64], error: NDArray[np.float64], usable: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    safe = np.where(usable, flux, 1.0)
    mag = np.where(usable, AB_ZERO_UJY_MAG - 2.5 * np.log10(safe), np.nan)
    mag_err = np.where(usable, _POGSON * error / safe, np.nan)
    return mag.astype(np.float32), mag_err.astype(np.float32)
