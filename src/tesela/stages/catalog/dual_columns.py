"""From the measurements of all bands to the dual catalogue's columns and facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import (
    APERTURES,
    DUAL,
    MASKED,
    MEASURED,
    NOT_DETECTED,
    NOT_OBSERVED,
    PER_BAND,
)
from tesela.sky.wcs import Wcs
from tesela.stages.catalog import columns
from tesela.stages.catalog.dual_band import BandTable, Reference
from tesela.stages.catalog.dual_settings import DualInputs

MATCH_ARCSEC = 1.0
_STATUS = {
    "measured": MEASURED,
    "not_detected": NOT_DETECTED,
    "not_observed": NOT_OBSERVED,
    "masked": MASKED,
}


def assemble(inputs: DualInputs, reference: Reference, bands: Mapping[str, BandTable]) -> Table:
    """Columns in the order and the types of `products.columns.DUAL`."""
    place = columns.assemble(reference.field, reference.sources)
    n = len(reference.sources)
    single: Table = {name: place[name] for name in DUAL if name in place}
    single["position_angle"] = position_angle(inputs.wcs, place["x"], place["y"], place["theta"])
    scale_err = bands[inputs.detection_band].scale_err
    single["psfcor_scale_err"] = np.full(n, np.nan) if scale_err is None else scale_err
    matches = {
        band: _single_detect(inputs.wcs, place["x"], place["y"], inputs.singles.get(band))
        for band in bands
    }
    table: Table = {}
    for name, column in DUAL.items():
        if column.length != PER_BAND:
            table[name] = single[name].astype(column.dtype)
            continue
        per_band = np.full((n, len(inputs.bands)), _absent(name, column.dtype), column.dtype)
        for k, band in enumerate(inputs.bands):
            if band in bands:
                per_band[:, k] = (
                    matches[band] if name == "single_detect" else _column(bands[band], name)
                )
        table[name] = per_band
    return table


def facts(
    inputs: DualInputs, reference: Reference, bands: Mapping[str, BandTable]
) -> dict[str, Any]:
    """What the file says of itself."""
    order = [band for band in inputs.bands if band in bands]
    return {
        "tile": inputs.tile,
        "detection_band": inputs.detection_band,
        "bands": list(inputs.bands),
        "pixel_scale_arcsec": reference.field.scale_arcsec,
        "flux_unit": "electron/s",
        "zeropoint_mag": {band: float(inputs.zeropoint_mag[band]) for band in order},
        "depth_psf_mag": {band: bands[band].depth["depth_psf_mag"] for band in order},
        "depth_3arcsec_mag": {band: bands[band].depth["depth_3arcsec_mag"] for band in order},
    }


def metrics(bands: Mapping[str, BandTable], n: int) -> dict[str, Any]:
    """Sources; FWHM, quality of the PSF kernel and numbers of each status by band."""
    found: dict[str, Any] = {"n_sources": n, "n_bands": len(bands)}
    for band, table in bands.items():
        found[f"fwhm_px_{band}"] = table.fwhm_px
        found[f"match_residual_{band}"] = table.match_residual
        for name, code in _STATUS.items():
            found[f"n_{name}_{band}"] = int(np.count_nonzero(table.columns["status"] == code))
    return found


def position_angle(
    wcs: Wcs, x: NDArray[np.float64], y: NDArray[np.float64], theta: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Direction of an axis on the sky, from north to east, degrees in [0, 180).

    Parameters
    ----------
    x, y : (n,) float64
        Pixels counted from 0.
    theta : (n,)
        Radians counter-clockwise from +x of the image.
    """
    dx, dy = 0.5 * np.cos(theta), 0.5 * np.sin(theta)
    ra1, dec1 = wcs.pix_to_sky(x - dx, y - dy)
    ra2, dec2 = wcs.pix_to_sky(x + dx, y + dy)
    east = (ra2 - ra1 + 180.0) % 360.0 - 180.0
    east *= np.cos(np.radians(0.5 * (dec1 + dec2)))
    angle = np.degrees(np.arctan2(east, dec2 - dec1)) % 180.0
    return np.where(angle >= 180.0, 0.0, angle)


def _absent(name: str, dtype: str) -> float | int:
    if name == "status":
        return NOT_OBSERVED
    return np.nan if dtype.startswith("float") else 0


def _column(table: BandTable, name: str) -> NDArray[Any]:
    """A band's column under its name in the catalogue; circles are one array until here."""
    if not name.startswith("flux_aper_"):
        return table.columns[name]
    kind, suffix = ("flux_aper_err", "_err") if name.endswith("_err") else ("flux_aper", "")
    aperture = name.removeprefix("flux_aper_").removesuffix(suffix) if suffix else name[10:]
    return table.columns[kind][:, APERTURES.index(aperture)]


def _single_detect(
    wcs: Wcs, x: NDArray[np.float64], y: NDArray[np.float64], single: Catalogue | None
) -> NDArray[np.int64]:
    """Number of the nearest source within 1 arcsec of each place, 0 if none."""
    if single is None or len(single) == 0:
        return np.zeros(len(x), np.int64)
    other = np.column_stack(wcs.sky_to_pix(single.columns["ra"], single.columns["dec"]))
    radius_px = MATCH_ARCSEC / wcs.pixel_scale_arcsec
    _, nearest = cKDTree(other).query(np.column_stack([x, y]), distance_upper_bound=radius_px)
    return np.append(single.columns["number"], 0)[nearest]
