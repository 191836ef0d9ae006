"""Checks of a table's rows, read column by column, partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products.calibrated import AB_ZERO_UJY_MAG
from tesela.products.columns import MASKED, MEASURED
from tesela.sciencedb import arrow, hats
from tesela.sciencedb.model import ReleaseModel, TableModel
from tesela.sky import footprint, healpix, tangent
from tesela.stages.release.checks import Check, none_of
from tesela.stages.release.freeze import HATS, TABLES
from tesela.stages.release.settings import Progress

MAG_TOLERANCE = 1e-3
"""A magnitude and its flux, both of single precision, agree at least so well."""
TILE_MARGIN_DEG = 5 / 3600
"""A source's position may lie so far outside of the tile where it was found."""


class Part:
    """A partition whose columns are read when asked for."""

    def __init__(self, path: Path, table: TableModel) -> None:
        self._path = path
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        self.table = table
        self.rows = self._file.metadata.num_rows

    def arrow(self, column: str) -> pa.ChunkedArray:
        """One column as it is stored."""
        if column not in self._file.schema_arrow.names:
            raise ProductError(
                str(self._path), found=f"no column {column}", expected="those of release.json"
            )
        return self._file.read([column]).column(0)

    def numpy(self, column: str) -> NDArray[Any]:
        """One column, (n,) or (n, length); NULL is NaN."""
        return arrow.to_numpy(self.arrow(column))

    def __contains__(self, column: str) -> bool:
        return column in {c.name for c in self.table.columns}


@dataclass
class Sources:
    """What checks across tiles need of every row."""

    tile: NDArray[np.int32]
    """Place in the release's list of tiles, -1 for another name."""
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    is_primary: NDArray[np.bool_]


def parts(folder: Path, table: TableModel) -> Iterator[Part]:
    """Partitions of a table on the sky."""
    for path in hats.partition_files(folder / HATS / table.name):
        yield Part(path, table)


_Look = Callable[[Part, ReleaseModel], list[str]]


def rows(
    folder: Path, release: ReleaseModel, table: TableModel, progress: Progress
) -> tuple[list[Check], Sources]:
    """Check every row of a table on the sky; what checks across tiles need comes back too.

    Memory: some columns of one partition, and of all rows 8 bytes for the number and 21 for
    what comes back.
    """
    looks: Mapping[str, tuple[_Look, str]] = {
        "required values": (_required, "never NULL"),
        "no NaN": (_nan, "NULL where nothing was measured"),
        "positions": (_positions, "0 <= ra < 360, -90 <= dec <= 90, inside the tile"),
        "cells": (_cells, "_healpix_29 as ra and dec say"),
        "tiles and bands": (_names, "those of the release"),
        "status": (_status, "0 to 3, and a magnitude only where measured"),
        "magnitudes": (_magnitudes, f"{AB_ZERO_UJY_MAG} - 2.5 log10 flux to {MAG_TOLERANCE}"),
    }
    bad: dict[str, list[str]] = {name: [] for name in looks}
    numbers, sources = [], []
    number = len(hats.partition_files(folder / HATS / table.name))
    for done, part in enumerate(parts(folder, table), 1):
        for name, (look, _) in looks.items():
            bad[name] += look(part, release)
        numbers.append(part.numpy(table.id_column))
        sources.append(_sources(part, release))
        progress(f"rows of {table.name}", done, number)
    counted = f"{sum(len(n) for n in numbers)} rows"
    checks = [
        none_of(f"{table.name}: {name}", _summed(bad[name]), expected, counted)
        for name, (_, expected) in looks.items()
    ]
    return [_unique(table, numbers), *checks], _joined(sources)


def plain(folder: Path, release: ReleaseModel) -> list[Check]:
    """Check the tables that are not on the sky."""
    checks = []
    for table in release.tables:
        if not table.on_sky:
            part = Part(folder / TABLES / f"{table.name}.parquet", table)
            bad = _required(part, release) + _nan(part, release)
            expected = "NULL where allowed, NaN nowhere"
            checks.append(none_of(f"{table.name}: values", bad, expected, f"{part.rows} rows"))
    return checks


def _summed(reasons: list[str]) -> list[str]:
    """The same reason from several partitions, once; counts stand at the begin of a reason."""
    totals: dict[str, int] = {}
    for reason in reasons:
        count, _, what = reason.partition(" ")
        totals[what] = totals.get(what, 0) + int(count)
    return [f"{count} {what}" for what, count in totals.items()]


def _counted(bad: NDArray[np.bool_], what: str) -> list[str]:
    count = int(np.count_nonzero(bad))
    return [f"{count} {what}"] if count else []


def _unique(table: TableModel, numbers: list[NDArray[Any]]) -> Check:
    every = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    value, times = np.unique(every, return_counts=True)
    twice = value[times > 1]
    bad = [f"{len(twice)} numbers more than once, such as {int(twice[0])}"] if len(twice) else []
    name = f"{table.name}: unique {table.id_column}"
    return none_of(name, bad, "each number once", f"{len(every)} rows")


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of vectors as one column."""
    if not pa.types.is_fixed_size_list(column.type):
        return column
    chunks = [chunk.flatten() for chunk in column.chunks]
    return pa.chunked_array(chunks, type=column.type.value_type)


def _required(part: Part, release: ReleaseModel) -> list[str]:
    bad = []
    for column in part.table.columns:
        if column.required:
            values = part.arrow(column.name)
            nulls = values.null_count + (_flat(values).null_count if column.is_vector else 0)
            bad += [f"{nulls} NULL in {column.name}"] if nulls else []
    return bad


def _nan(part: Part, release: ReleaseModel) -> list[str]:
    bad = []
    for column in part.table.columns:
        if column.dtype.startswith("float"):
            nan = pc.sum(pc.is_nan(_flat(part.arrow(column.name)))).as_py() or 0
            bad += [f"{nan} NaN in {column.name}"] if nan else []
    return bad


def _positions(part: Part, release: ReleaseModel) -> list[str]:
    ra, dec = part.numpy("ra"), part.numpy("dec")
    legal = (ra >= 0) & (ra < 360) & (np.abs(dec) <= 90)
    bad = _counted(~legal, "illegal positions")
    for place, mine in by_tile(tiles_of(part, release)):
        one = release.tiles[place]
        mine = mine[legal[mine]]
        corners = _widened(*np.array(one.corners_deg).T)
        outside = ~footprint.contains(corners, ra[mine], dec[mine])
        bad += _counted(outside, f"sources of {one.name} outside of its corners")
    return bad


def by_tile(tile: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Places of tiles that have rows, and these rows, from the place of each row's tile."""
    order = np.argsort(tile, kind="stable")
    values, first = np.unique(tile[order], return_index=True)
    for value, rows in zip(values.tolist(), np.split(order, first[1:])):
        if value >= 0:
            yield value, rows


def _widened(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners moved outwards from their middle."""
    centre = [float(v) for v in tangent.positions(tangent.unit_vectors(ra, dec).mean(axis=0))]
    xi, eta = tangent.project(ra, dec, *centre)
    factor = 1 + np.sqrt(2) * TILE_MARGIN_DEG / np.hypot(xi, eta).min()
    return footprint.polygon(*tangent.deproject(factor * xi, factor * eta, *centre))


def _cells(part: Part, release: ReleaseModel) -> list[str]:
    ra, dec, cell = (part.numpy(name) for name in ("ra", "dec", arrow.HEALPIX))
    legal = np.isfinite(ra) & (np.abs(dec) <= 90)
    wrong = healpix.index(ra[legal], dec[legal]) != cell[legal]
    return _counted(wrong, f"rows whose {arrow.HEALPIX} is not that of ra, dec") + _counted(
        np.diff(cell) < 0, f"rows out of the order of {arrow.HEALPIX}"
    )


def _names(part: Part, release: ReleaseModel) -> list[str]:
    known = {"tile": [tile.name for tile in release.tiles], "band": list(release.band_names)}
    bad = []
    for column, names in known.items():
        if column in part:
            values = part.arrow(column).unique().to_pylist()
            for other in sorted(str(v) for v in set(values) - set(names)):
                count = int(np.count_nonzero(part.numpy(column) == other))
                bad.append(f"{count} rows with {column} {other}, unknown to the release")
    return bad


def _status(part: Part, release: ReleaseModel) -> list[str]:
    if "status" not in part:
        return []
    status = part.numpy("status")
    bad = _counted(~((status >= MEASURED) & (status <= MASKED)), "values of status beyond 0 to 3")
    for column in part.table.columns:
        if column.name.startswith("mag_") and column.per_band:
            given = np.isfinite(part.numpy(column.name)) & (status != MEASURED)
            bad += _counted(given, f"of {column.name} where status is not {MEASURED}")
    return bad


def _magnitudes(part: Part, release: ReleaseModel) -> list[str]:
    bad = []
    for column in part.table.columns:
        flux_name = column.name.replace("mag_", "flux_", 1)
        if not column.name.startswith("mag_") or column.name.endswith("_err"):
            continue
        if flux_name not in part:
            continue
        mag, flux = part.numpy(column.name).astype(float), part.numpy(flux_name).astype(float)
        given = np.isfinite(mag)
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.abs(mag - (AB_ZERO_UJY_MAG - 2.5 * np.log10(flux)))
        bad += _counted(given & ~(off <= MAG_TOLERANCE), f"of {column.name} unlike {flux_name}")
    return bad


def _sources(part: Part, release: ReleaseModel) -> Sources:
    primary = (
        part.numpy("is_primary").astype(bool) if "is_primary" in part else np.ones(part.rows, bool)
    )
    return Sources(tiles_of(part, release), part.numpy("ra"), part.numpy("dec"), primary)


def tiles_of(part: Part, release: ReleaseModel) -> NDArray[np.int32]:
    """Place of each row's tile in the release's list, -1 for another name."""
    place = {tile.name: i for i, tile in enumerate(release.tiles)}
    encoded = part.arrow("tile").combine_chunks().dictionary_encode()
    known = [place.get(name, -1) for name in encoded.dictionary.to_pylist()]
    codes = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return np.array([*known, -1], np.int32)[codes]


def _joined(sources: list[Sources]) -> Sources:
    def join(name: str, dtype: Any) -> NDArray[Any]:
        values = [getattr(s, name) for s in sources]
        return np.concatenate(values) if values else np.zeros(0, dtype)

    return Sources(
        join("tile", np.int32), join("ra_deg", float), join("dec_deg", float),
        join("is_primary", bool),
    )  # fmt: skip
