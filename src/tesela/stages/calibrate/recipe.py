"""The photometric solution of a tile against the reference catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import ZEROPOINTS
from tesela.stages.calibrate import solution
from tesela.stages.calibrate.settings import (
    CalibrateInputs,
    CalibrateOutputs,
    CalibrateSettings,
    FrameStars,
)
from tesela.stages.calibrate.solution import FRAMES, ColourTerm, Row
from tesela.stages.calibrate.stars import Stars, usable


def calibrate(inputs: CalibrateInputs, settings: CalibrateSettings) -> CalibrateOutputs:
    """Fit zero points to PSF fluxes of stars: one a band for the coadd, one for each frame.

    The reduction's own zero points serve quality and transparency; these are the published ones.
    No image is touched and no catalogue: the solution joins the fluxes when they are read.

    Raises
    ------
    QualityError
        If the reference catalogue lacks a column that the survey names.
    ProductError
        If a catalogue is of another tile, or has neither stars nor the scale of its coadd.
    """
    made = CalibrateOutputs(Catalogue({}, {}, "zeropoints"), {})
    rows: list[Row] = []
    bands = [band for band in inputs.bands if band in inputs.catalogues]
    for band in bands:
        _check(inputs, band)
        frames, mean = _frames(inputs, band, settings)
        tile = _tile(inputs, band, frames, mean, settings)
        rows += [tile, *frames]
        made.metrics.update(_metrics(inputs, tile, frames))
        made.warnings += _warnings(inputs, tile, frames, mean)
    made.metrics["n_bands"] = len(bands)
    made.catalogue.columns = _columns(inputs.tile, rows)
    made.catalogue.facts = {"tile": inputs.tile, "bands": bands}
    return made


def _check(inputs: CalibrateInputs, band: str) -> None:
    facts = inputs.catalogues[band].facts
    found = (str(facts.get("tile")), str(facts.get("band")))
    if found != (inputs.tile, band):
        raise ProductError(
            f"catalogue of tile {inputs.tile} in {band}",
            found=f"one of tile {found[0]} in {found[1]}",
            expected="the single catalogue of this tile and band",
        )


def _frames(
    inputs: CalibrateInputs, band: str, settings: CalibrateSettings
) -> tuple[list[Row], ColourTerm]:
    frames = inputs.frames.get(band, {})
    wanted = inputs.references[band]

    def of(frame: FrameStars) -> Stars:
        return usable(frame.stars, frame.exptime_s, frame.mjd_mid, inputs.refcat, wanted, settings)

    stars = {name: of(frames[name]) for name in sorted(frames)}
    return solution.of_frames(
        band, {name: frames[name] for name in sorted(frames)}, stars, wanted, settings
    )


def _tile(
    inputs: CalibrateInputs,
    band: str,
    frames: Sequence[Row],
    mean: ColourTerm,
    settings: CalibrateSettings,
) -> Row:
    catalogue, wanted = inputs.catalogues[band], inputs.references[band]
    stars = usable(catalogue.columns, 1.0, inputs.mjd[band], inputs.refcat, wanted, settings)
    row = solution.of_tile(band, stars, _inherited(inputs, band), frames, mean, wanted, settings)
    if not np.isfinite(row.zeropoint_mag):
        raise ProductError(
            f"catalogue of tile {inputs.tile} in {band}",
            found=f"{len(stars)} reference stars and no fact zeropoint_mag",
            expected="the zero point of its coadd",
            do="make the catalogue again",
        )
    return row


def _inherited(inputs: CalibrateInputs, band: str) -> float:
    return float(inputs.catalogues[band].facts.get("zeropoint_mag", np.nan))


def _metrics(inputs: CalibrateInputs, tile: Row, frames: Sequence[Row]) -> dict[str, Any]:
    """What quality wants to know of a band, under names that end in the band."""
    values = {
        "zeropoint_mag": tile.zeropoint_mag,
        "zeropoint_err_mag": tile.zeropoint_err_mag,
        "scatter_mag": tile.scatter_mag,
        "n_stars": tile.n_stars,
        "colour_coefficient": tile.colour_coefficient,
        "zeropoint_minus_coadd_mag": tile.zeropoint_mag - _inherited(inputs, tile.band),
        "n_frames": len(frames),
    }
    return {f"{name}_{tile.band}": value for name, value in values.items()}


def _warnings(
    inputs: CalibrateInputs, tile: Row, frames: Sequence[Row], mean: ColourTerm
) -> list[str]:
    said = []
    if tile.origin == FRAMES:
        said.append(f"{tile.band}: too few reference stars, the scale of the frames is kept")
    said += [
        f"{tile.band}: {row.frame} has too few reference stars, its own zero point is kept"
        for row in frames
        if row.origin == FRAMES
    ]
    held = tile.colour_err == 0 and inputs.references[tile.band].colour_coefficient == "fit"
    if held and mean.n == 0:
        said.append(f"{tile.band}: too few stars for a colour term, none is applied")
    return said


def _columns(tile: str, rows: Sequence[Row]) -> Table:
    """Columns in the order and the types of `products.columns`."""
    table: Table = {"tile": np.array([tile] * len(rows), dtype=object)}
    for field in fields(Row):
        kind = ZEROPOINTS[field.name].dtype
        values = [getattr(row, field.name) for row in rows]
        table[field.name] = np.array(values, dtype=object if kind == "str" else kind)
    return {name: table[name] for name in ZEROPOINTS}
