"""Results of a search as files: CSV, VOTable, Parquet, with the columns of the page or all."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import anyio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tesela.sciencedb import arrow
from tesela.sciencedb.model import ColumnModel
from tesela.sciencedb.release import Release
from tesela.sky import healpix
from tesela.vo import votable
from tesela.web.archive.gate import Gate

KINDS = {"csv": "CSV", "vot": "VOTable", "parquet": "Parquet"}
"""Endings of files and what they are called."""

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "vot": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
}
_DISTANCE = ColumnModel(
    "distance", "float64", "arcsec", "pos.angDistance", "Angle from the position asked for"
)
_DISTANCE_DIGITS = 4
"""Decimals of an arcsecond in CSV: finer than any position."""
_CHUNK = 1 << 16


class Found:
    """Rows of a cone, the nearest first, with their distance; iterate once."""

    def __init__(
        self,
        release: Release,
        table: str,
        names: Sequence[str],
        cone: tuple[float, float, float],
        *,
        duplicates: bool,
    ) -> None:
        self.release, self.table, self.cone = release, table, cone
        known = {c.name: c for c in release.table(table).columns}
        self._once = not duplicates and "is_primary" in known
        self._extra = self._once and "is_primary" not in names
        read = [*names, "is_primary"] if self._extra else list(names)
        self._rows = release.cone(table, *cone, read, order_by_distance=True)
        self.columns: tuple[ColumnModel, ...] = (*(known[n] for n in names), _DISTANCE)
        self.schema = arrow.schema(self.columns)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._rows:
                rows = batch
                if self._once:
                    rows = rows.filter(rows.column("is_primary"))
                if self._extra:
                    rows = rows.drop_columns(["is_primary"])
                apart = 3600 * healpix.separation_deg(
                    rows.column("ra").to_numpy(),
                    rows.column("dec").to_numpy(),
                    self.cone[0],
                    self.cone[1],
                )
                arrays = [*rows.columns, pa.array(np.asarray(apart, np.float64))]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        finally:
            self._rows.close()


def response(find: Callable[[], Found], kind: str, name: str, gate: Gate) -> Response:
    """The rows as a file that the browser saves under `name`.

    The first piece is made before the answer begins, so that damaged files are told by its status.

    Parameters
    ----------
    find : callable
        Asks for the rows.
    gate : Gate
        A place of it is held until the last piece is sent; `Busy` if there is none.
    """
    gate.enter()
    try:
        pieces = _WRITERS[kind](find())
        first = next(pieces, b"")
    except BaseException:
        gate.leave()
        raise
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return _File(first, pieces, gate, media_type=_TYPES[kind], headers=headers)


class _File(StreamingResponse):
    """Pieces of a file, the first of which exists; gives its place back at the end."""

    def __init__(
        self, first: bytes, pieces: Generator[bytes, None, None], gate: Gate, *, media_type: str,
        headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._pieces, self._gate = pieces, gate
        super().__init__(chain([first], pieces), media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all; whatever the end is, the query is given up and the place is free."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(self._pieces.close)
            finally:
                self._gate.leave()


def _csv(rows: Found) -> Generator[bytes, None, None]:
    """One column for each value of a vector: `mag_auto_rSDSS`; NULL is an empty field."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bands = rows.release.model.band_names
    writer.writerow([label for column in rows.columns for label in labels(column, bands)])
    for batch in rows:
        cells = [_cells(batch.column(k), c) for k, c in enumerate(rows.columns)]
        writer.writerows(zip(*(column for group in cells for column in group)))
        yield stream.getvalue().encode()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue().encode()


def labels(column: ColumnModel, bands: Sequence[str]) -> list[str]:
    """Names of the fields of a column."""
    if not column.is_vector:
        return [column.name]
    ends = bands if column.per_band else [str(k + 1) for k in range(column.length)]
    return [f"{column.name}_{end}" for end in ends]


def _cells(values: pa.Array, column: ColumnModel) -> list[list[Any]]:
    if not column.is_vector:
        return [_texts(values.to_pylist(), column)]
    flat = [v if v is not None else [None] * column.length for v in values.to_pylist()]
    return [_texts([row[k] for row in flat], column) for k in range(column.length)]


def _texts(values: list[Any], column: ColumnModel) -> list[Any]:
    """Values as they are written; a float32 has no more digits than it holds."""
    if column is _DISTANCE:
        return [f"{v:.{_DISTANCE_DIGITS}f}" for v in values]
    if column.dtype == "float32":
        return ["" if v is None else f"{v:.7g}" for v in values]
    if column.dtype == "bool":
        return ["" if v is None else int(v) for v in values]
    return ["" if v is None else v for v in values]


def _votable(rows: Found) -> Generator[bytes, None, None]:
    model = rows.release.model
    ra, dec, radius = rows.cone
    head = votable.Head(
        rows.table,
        f"{model.title}: {rows.table} within {radius:.6g} deg of {ra:.6f} {dec:+.6f}",
        infos=(("release", model.name), ("bands", " ".join(model.band_names))),
        id_column=rows.release.table(rows.table).id_column,
    )
    yield from votable.stream(rows, head)


def _parquet(rows: Found) -> Generator[bytes, None, None]:
    """Written to a temporary file first: Parquet ends with its table of contents."""
    with tempfile.TemporaryFile() as stream:
        with pq.ParquetWriter(stream, rows.schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch)
        stream.seek(0)
        while piece := stream.read(_CHUNK):
            yield piece


_WRITERS: dict[str, Callable[[Found], Generator[bytes, None, None]]] = {
    "csv": _csv,
    "vot": _votable,
    "parquet": _parquet,
}
