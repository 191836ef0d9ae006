"""From measurements to the catalogue's columns and facts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.products.catalogue import Table
from tesela.products.columns import SINGLE
from tesela.stages.catalog.detection import Field, Sources

_RENAMED = {"x": "x_win", "y": "y_win", "fwhm": "fwhm_px"}


def assemble(field: Field, sources: Sources) -> Table:
    """Columns in the order and the types of `products.columns`."""
    table: dict[str, NDArray[Any]] = dict(sources.table)
    n = len(sources)
    ra, dec = field.wcs.pix_to_sky(table["x_win"], table["y_win"])
    ny, nx = field.image.shape
    ix = np.clip(np.rint(np.nan_to_num(table["x_win"])), 0, nx - 1).astype(int)
    iy = np.clip(np.rint(np.nan_to_num(table["y_win"])), 0, ny - 1).astype(int)
    snr = np.maximum(table["flux_psf"] / np.maximum(table["flux_psf_err"], 1e-12), 0.1)
    width = field.model.fwhm_px(table["x_win"], table["y_win"]) / 2.3548
    error = 1.2 * width / np.where(np.isfinite(snr), snr, 0.1)
    median = float(np.median(field.weight[field.covered]))
    values = {
        name: table[_RENAMED.get(name, name)]
        for name in SINGLE
        if _RENAMED.get(name, name) in table
    }
    values.update(
        number=np.arange(1, n + 1),
        ra=ra,
        dec=dec,
        x_err=error,
        y_err=error,
        norm_weight=field.weight[iy, ix] / median,
        n_exposures=field.inputs.coadd.count[iy, ix],
    )
    return {
        name: values[name].astype(column.dtype) for name, column in SINGLE.items() if name in values
    }


def facts(field: Field, depth: dict[str, float], completeness: dict[str, Any]) -> dict[str, Any]:
    """What the file says of itself: tile, band, scale, zero point, depth, completeness."""
    return {
        "tile": field.inputs.tile,
        "band": field.inputs.band,
        "zeropoint_mag": field.zeropoint_mag,
        "flux_unit": "electron/s",
        "pixel_scale_arcsec": field.scale_arcsec,
        **depth,
        "completeness": completeness,
    }
