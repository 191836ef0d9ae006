"""What needs calibrated fluxes: classes and redshifts of the sources of a tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from tesela.bands import filters
from tesela.errors import ProductError
from tesela.products.calibrated import AB_ZERO_UJY_MAG, ZeroPoints, calibrated
from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import MEASURED, NOT_DETECTED, VALUEADDED
from tesela.products.flags import SourceFlag
from tesela.products.maskbit import MaskBit
from tesela.stages.valueadded import photoz, stargalaxy
from tesela.stages.valueadded.settings import (
    StarGalaxySettings,
    ValueaddedInputs,
    ValueaddedOutputs,
    ValueaddedSettings,
)

_SMALL, _LARGE = "aper_1_5", "aper_3_0"


def valueadded(inputs: ValueaddedInputs, settings: ValueaddedSettings) -> ValueaddedOutputs:
    """Calibrate the fluxes of a dual catalogue; tell stars from galaxies; estimate redshifts.

    Stars that the detection band measured have an estimate of a redshift like all such sources: the
    probability to be a star is a column of its own and it is for the reader to join the two.

    Raises
    ------
    ProductError
        If the catalogues are of different tiles, or the dual one has no detection band.
    """
    dual = inputs.dual
    bands = tuple(dual.facts.get("bands", ()))
    detection = str(dual.facts.get("detection_band"))
    if detection not in bands:
        raise ProductError(
            f"dual catalogue of tile {dual.facts.get('tile')}",
            found=f"detection band {detection}",
            expected=f"one of its bands {' '.join(bands)}",
        )
    fluxes = calibrated(dual, ZeroPoints.of(inputs.zeropoints))
    columns = {
        "number": dual.columns["number"],
        **_classes(dual, fluxes, bands.index(detection), settings.stargalaxy),
        **photoz.estimate(
            fluxes["flux_psfcor"],
            fluxes["flux_psfcor_err"],
            dual.columns["status"],
            bands,
            detection,
            settings.photoz,
        ),
    }
    table = {n: columns[n].astype(column.dtype) for n, column in VALUEADDED.items()}
    facts = {"tile": dual.facts["tile"], "bands": list(bands), "detection_band": detection}
    return ValueaddedOutputs(
        Catalogue(table, facts, "valueadded"), _metrics(table), _warnings(inputs, bands, settings)
    )


def _classes(dual: Catalogue, fluxes: Table, band: int, settings: StarGalaxySettings) -> Table:
    """`prob_star` and `concentration`, from the detection band, of what is measured there.

    Fainter sources help to fit the classes, but their concentration tells nothing of their own.
    """
    measures = [
        fluxes[f"flux_{aperture}{suffix}"][:, band].astype(np.float64)
        for aperture in (_SMALL, _LARGE)
        for suffix in ("", "_err")
    ]
    value, error = stargalaxy.concentration(*measures)
    columns = dual.columns
    saturated = (columns["flags"][:, band] & SourceFlag.SATURATED) > 0
    saturated |= (columns["mask_flags"][:, band] & MaskBit.SATURATED) > 0
    seen = np.isin(columns["status"][:, band], (MEASURED, NOT_DETECTED))
    auto = fluxes["flux_auto"][:, band].astype(np.float64)
    bright = seen & (auto > 0)
    prob, excess = stargalaxy.probability(
        value,
        error,
        # Also of sources that are no detections: a prior needs no S/N.
        np.where(bright, AB_ZERO_UJY_MAG - 2.5 * np.log10(np.where(bright, auto, 1.0)), np.nan),
        columns["x"],
        columns["y"],
        seen & ~saturated,
        settings,
    )
    measured = columns["status"][:, band] == MEASURED
    return {
        "prob_star": np.where(measured, prob, np.nan),
        "concentration": np.where(measured, excess, np.nan),
    }


def _metrics(table: Table) -> dict[str, Any]:
    known = np.isfinite(table["prob_star"])
    with_redshift = np.isfinite(table["photoz"])
    return {
        "n_sources": len(table["number"]),
        "n_classified": int(known.sum()),
        "star_fraction": float(table["prob_star"][known].mean()) if known.any() else None,
        "n_photoz": int(with_redshift.sum()),
        "median_odds": float(np.median(table["odds"][with_redshift]))
        if with_redshift.any()
        else None,
    }


def _warnings(
    inputs: ValueaddedInputs, bands: tuple[str, ...], settings: ValueaddedSettings
) -> list[str]:
    solution = ZeroPoints.of(inputs.zeropoints)
    known = [b for b in bands if b in filters.names() and b in solution.zeropoint_mag]
    if len(known) >= settings.photoz.min_bands:
        return []
    return [
        f"no redshifts: {len(known)} calibrated bands with a known curve, "
        f"{settings.photoz.min_bands} needed"
    ]
