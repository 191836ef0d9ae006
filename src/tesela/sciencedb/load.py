"""A tile's products joined to the published tables `objects`, `detections` and `tiles`.

This is where instrumental fluxes meet zero points, so a new photometric solution needs nothing but
a new load. What is not known is NaN here and NULL in the files.

Numbers are promises. `source_id` is (place of the tile in the survey's grid + 1) * 2**24 + the
number in its tile: unique in a survey and below 2**53, so that it survives in any language.
`detection_id` is ((place + 1) * 128 + place of the band) * 2**24 + the number in its catalogue.
Places of tiles count from 0, those of bands from 1, in the survey's order of bands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products.calibrated import ZeroPoints, calibrated
from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import DETECTIONS, OBJECTS, PER_BAND, TILES, Column
from tesela.sky import healpix
from tesela.sky.tiles import TileGrid

NUMBER_BITS = 24
"""Sources of a tile, or of a tile and band, are fewer than 2 to this."""
BANDS_LIMIT = 128
_SOURCE_LIMIT, _DETECTION_LIMIT = 2**53, 2**63
_SIZES_PX = ("a", "b", "flux_radius", "fwhm")


@dataclass
class TileLoad:
    """All that is known of a tile."""

    tile: str
    grid: TileGrid
    bands: tuple[str, ...]
    """All of the survey, in the order of `products.columns.band_order`."""
    dual: Catalogue
    zeropoints: Catalogue
    valueadded: Catalogue
    singles: Mapping[str, Catalogue]
    """Single catalogues by band."""
    coadds: Mapping[str, Mapping[str, Any]]
    """Cards of the coadds by band."""


def tile_tables(inputs: TileLoad) -> dict[str, Table]:
    """Make the published tables of a tile.

    Returns
    -------
    dict of str to dict of str to ndarray
        `objects`, `detections` and `tiles`: every column of `products.columns` in its type, (n,),
        or (n, length) for vectors; one value a band is in the order of `inputs.bands`, and (n,) in
        a survey of one band.

    Raises
    ------
    ProductError
        Products of different tiles or bands, numbers that are not unique, positions that are not
        finite, numbers too large.
    """
    _check(inputs)
    solution = ZeroPoints.of(inputs.zeropoints)
    ordinal = inputs.grid.ordinal(inputs.tile) + 1
    return {
        "objects": _objects(inputs, solution, ordinal),
        "detections": _detections(inputs, solution, ordinal),
        "tiles": _tiles(inputs),
    }


def write_tile(
    tables: Mapping[str, Table],
    inputs: TileLoad,
    path_of: Callable[[str], Path],
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Write the tables as Parquet files whose fields carry unit, UCD and description.

    Parameters
    ----------
    tables : mapping of str to dict
        As `tile_tables` returns them.
    path_of : callable
        File of a table; nothing may be there.
    facts : mapping, optional
        Further facts, such as the provenance.

    Returns
    -------
    dict of str to Path
    """
    said = {
        "tile": inputs.tile,
        "bands": list(inputs.bands),
        "detection_band": inputs.dual.facts["detection_band"],
        **(facts or {}),
    }
    written = {}
    for name, table in tables.items():
        path = path_of(name)
        Catalogue(table, said, name).write(path)
        written[name] = path
    return written


def _check(inputs: TileLoad) -> None:
    """Everything is of this tile, and arrays over bands are in the survey's order."""
    parts = {
        "dual": inputs.dual,
        "zeropoints": inputs.zeropoints,
        "valueadded": inputs.valueadded,
        **{f"single {band}": catalogue for band, catalogue in inputs.singles.items()},
    }
    for name, catalogue in parts.items():
        if str(catalogue.facts.get("tile")) != inputs.tile:
            raise ProductError(
                f"load of tile {inputs.tile}",
                found=f"{name} of tile {catalogue.facts.get('tile')}",
                expected="products of one tile",
            )
    _same(inputs, "bands", tuple(inputs.dual.facts.get("bands", ())), inputs.bands)
    if not np.array_equal(inputs.dual.columns["number"], inputs.valueadded.columns["number"]):
        raise ProductError(
            f"load of tile {inputs.tile}",
            found="value-added rows of other sources than the dual catalogue's",
            expected="the same numbers in the same order",
            do="make the value-added catalogue again",
        )
    unknown = sorted((set(inputs.singles) | set(inputs.coadds)) - set(inputs.bands))
    _same(inputs, "unknown bands", tuple(unknown), ())


def _same(inputs: TileLoad, what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if tuple(found) != tuple(wanted):
        raise ProductError(
            f"load of tile {inputs.tile}: {what}",
            found=" ".join(found) or "none",
            expected=" ".join(wanted) or "none",
            do="make the tile's products again",
        )


def _objects(inputs: TileLoad, solution: ZeroPoints, ordinal: int) -> Table:
    place = _place(inputs, inputs.dual, "dual catalogue")
    owner = inputs.grid.owners(inputs.dual.columns["ra"], inputs.dual.columns["dec"])
    values = {
        **inputs.dual.columns,
        **calibrated(inputs.dual, solution),
        **inputs.valueadded.columns,
        **_sizes(inputs, inputs.dual),
        **place,
        "source_id": _ids(inputs, place["number"], ordinal, _SOURCE_LIMIT),
        # A position just outside every tile has no owner: the tile that sees it keeps it.
        "is_primary": (owner == ordinal - 1) | (owner < 0),
    }
    return _conform(values, OBJECTS, len(inputs.dual), len(inputs.bands))


def _detections(inputs: TileLoad, solution: ZeroPoints, ordinal: int) -> Table:
    parts = []
    for position, band in enumerate(inputs.bands, 1):
        if band not in inputs.singles:
            continue
        single = inputs.singles[band]
        place = _place(inputs, single, f"single catalogue in {band}")
        before = ordinal * BANDS_LIMIT + position
        values = {
            **single.columns,
            **calibrated(single, solution),
            **_sizes(inputs, single),
            **place,
            "band": np.full(len(single), band, dtype=object),
            "detection_id": _ids(inputs, place["number"], before, _DETECTION_LIMIT),
        }
        parts.append(_conform(values, DETECTIONS, len(single), 1))
    if not parts:
        return _conform({}, DETECTIONS, 0, 1)
    return {name: np.concatenate([part[name] for part in parts]) for name in DETECTIONS}


def _tiles(inputs: TileLoad) -> Table:
    """A row a band that has a single catalogue."""
    ra, dec = inputs.grid.centre(inputs.tile)
    rows = [
        {
            "tile": inputs.tile,
            "band": band,
            "ra": ra,
            "dec": dec,
            **_depths(inputs, band),
            **_solution(inputs, band),
            **_image(inputs.coadds.get(band, {})),
            "n_sources": len(inputs.singles[band]),
        }
        for band in inputs.bands
        if band in inputs.singles
    ]
    values = {
        name: _column([row.get(name) for row in rows], column) for name, column in TILES.items()
    }
    return _conform(values, TILES, len(rows), 1)


def _place(inputs: TileLoad, catalogue: Catalogue, what: str) -> Table:
    """Number, position and cell of each row, checked."""
    number = catalogue.columns["number"]
    ra, dec = catalogue.columns["ra"], catalogue.columns["dec"]
    bad = np.flatnonzero(~(np.isfinite(ra) & (np.abs(dec) <= 90)))
    if bad.size:
        raise ProductError(
            f"{what} of tile {inputs.tile}",
            found=f"number {number[bad[0]]} at ({ra[bad[0]]}, {dec[bad[0]]})",
            expected="a position in degrees for every source",
        )
    values, counts = np.unique(number, return_counts=True)
    if (counts > 1).any():
        raise ProductError(
            f"{what} of tile {inputs.tile}",
            found=f"number {values[counts > 1][0]} {counts.max()} times",
            expected="every number once",
        )
    return {
        "number": number,
        "_healpix_29": healpix.index(ra, dec),
        "tile": np.full(len(number), inputs.tile, dtype=object),
    }


def _ids(inputs: TileLoad, number: NDArray[Any], before: int, limit: int) -> NDArray[np.int64]:
    """Numbers made unique by what stands before them."""
    most = 1 << NUMBER_BITS
    if number.size and not (number.min() > 0 and number.max() < most):
        raise ProductError(
            f"tile {inputs.tile}",
            found=f"numbers {number.min()} to {number.max()}",
            expected=f"1 to {most - 1}",
        )
    if (before + 1) * most > limit or len(inputs.bands) >= BANDS_LIMIT:
        raise ProductError(
            f"tile {inputs.tile}",
            found=f"a grid of {len(inputs.grid)} tiles and {len(inputs.bands)} bands",
            expected=f"numbers below {limit} and fewer than {BANDS_LIMIT} bands",
        )
    return before * np.int64(most) + number.astype(np.int64)


def _sizes(inputs: TileLoad, catalogue: Catalogue) -> Table:
    scale = inputs.grid.pixel_scale_arcsec
    return {n: catalogue.columns[n] * scale for n in _SIZES_PX if n in catalogue.columns}


def _solution(inputs: TileLoad, band: str) -> dict[str, Any]:
    """Columns of the photometric solution for the coadd in a band."""
    columns = inputs.zeropoints.columns
    for i, (of_band, frame) in enumerate(zip(columns["band"], columns["frame"])):
        if of_band == band and not frame:
            return {n: v[i] for n, v in columns.items() if n in TILES and n not in ("tile", "band")}
    return {}


def _depths(inputs: TileLoad, band: str) -> dict[str, Any]:
    """Limits, which were measured on the coadd's own scale, moved to the solution's."""
    facts = inputs.singles[band].facts
    moved = _solution(inputs, band).get("zeropoint_mag", np.nan) - facts.get(
        "zeropoint_mag", np.nan
    )
    limits = {
        "depth_psf_mag": facts.get("depth_psf_mag"),
        "depth_3arcsec_mag": facts.get("depth_3arcsec_mag"),
        "m50_mag": (facts.get("completeness") or {}).get("m50"),
    }
    return {name: v + moved for name, v in limits.items() if v is not None}


def _image(cards: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "image_zeropoint_mag": "MAGZP",
        "fwhm_arcsec": "FWHM",
        "ellipticity": "ELLIPTIC",
        "n_frames": "NCOMBINE",
        "exposure_s": "TEXPSUM",
        "mjd_mean": "MJD-MEAN",
    }
    return {name: cards.get(key) for name, key in names.items()}


def _column(values: Sequence[Any], column: Column) -> NDArray[Any]:
    """Values of which some are None: NaN in columns of floats, 0 in those of integers."""
    if column.dtype == "str":
        return np.array(values, dtype=object)
    absent = np.nan if column.dtype.startswith("float") else 0
    return np.array([absent if v is None else v for v in values], dtype=column.dtype)


def _conform(
    values: Mapping[str, NDArray[Any]], table: Mapping[str, Column], n: int, n_band: int
) -> Table:
    """Exactly the columns of a table, in its order and types; absent ones are NaN, 0 or None.

    What is not finite is NaN, so that it becomes NULL in the file.
    """
    result: Table = {}
    for name, column in table.items():
        length = n_band if column.length == PER_BAND else column.length
        shape = (n,) if column.length == 1 else (n, length)
        if name not in values:
            result[name] = _absent(column, shape)
            continue
        array = np.asarray(values[name])
        if array.shape != shape:
            raise ProductError(
                f"column {name}", found=f"shape {array.shape}", expected=f"{shape}",
                do="make the tile's products again",
            )  # fmt: skip
        if column.dtype == "str":
            result[name] = array.astype(object)
            continue
        if array.dtype.kind == "f":
            array = np.where(np.isfinite(array), array, np.nan)
        result[name] = array.astype(column.dtype)
    return result


def _absent(column: Column, shape: tuple[int, ...]) -> NDArray[Any]:
    if column.dtype == "str":
        return np.full(shape, None, dtype=object)
    return np.full(shape, np.nan if column.dtype.startswith("float") else 0, dtype=column.dtype)
