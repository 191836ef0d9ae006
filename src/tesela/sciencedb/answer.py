"""Answers of a release: rows streamed from `core`, with columns of other families put beside them.

All files of a table hold the same rows in the same order. So rows are chosen in `core` alone, and
each batch of them is then found in the other files by its cells, which DuckDB prunes, and its
places. Memory is that of a batch, whatever the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tesela.errors import BadInput, ProductError
from tesela.sciencedb import arrow, sql
from tesela.sciencedb.model import ColumnModel

BATCH_ROWS = 16_384
ROW = "tesela_row"
"""Place of a row in all files of its table; no column may be called so."""
DAMAGED = "restore the release from a copy, or build it again"

Rows = NDArray[np.int64]
Ask = Callable[[str], duckdb.DuckDBPyConnection]
"""Runs a query on a cursor of its own."""


class Told:
    """Say what the engine finds while reading as an error of ours."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, duckdb.OutOfMemoryException):
            raise BadInput(
                "question to the release",
                found="more rows than can be sorted in memory",
                do="give a limit, a smaller cone or no order",
            ) from error
        if isinstance(error, duckdb.ConnectionException):
            raise ProductError(self.what, found="it has been closed", do="open it again") from error
        if isinstance(error, (duckdb.Error, pa.ArrowException, OSError)):
            found = str(error).split("\n")[0]
            raise ProductError(self.what, found=found, do=DAMAGED) from error


class Result:
    """Rows of an answer, read as they come: iterate once, over Arrow record batches.

    The batches have the columns of `columns`, with unit, UCD and description in their metadata.
    """

    def __init__(self, columns: Sequence[ColumnModel], batches: Iterator[pa.RecordBatch]) -> None:
        self.columns = tuple(columns)
        self.schema = arrow.schema(self.columns)
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            yield pa.RecordBatch.from_arrays(
                [batch.column(c.name) for c in self.columns], schema=self.schema
            )

    def table(self) -> pa.Table:
        """All rows that are left, as one table."""
        return pa.Table.from_batches(list(self), schema=self.schema)

    def close(self) -> None:
        """Give up the rows that are left."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()


def stream(ask: Ask, query: str, what: str) -> Iterator[pa.RecordBatch]:
    """Batches of a query; the query has begun when this returns, so that it fails here or never."""
    with Told(what):
        cursor = ask(query)
        reader = cursor.to_arrow_reader(BATCH_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            while True:
                with Told(what):
                    try:
                        batch = reader.read_next_batch()
                    except StopIteration:
                        return
                if len(batch):
                    yield batch
        finally:
            cursor.close()

    return batches()


def beside(
    batches: Iterator[pa.RecordBatch],
    fetch: Callable[[Sequence[tuple[int, int]]], Sequence[Iterator[pa.RecordBatch]]],
) -> Iterator[pa.RecordBatch]:
    """Add the columns of other families to batches of `core`, which hold `ROW` and the cell.

    `fetch` gives, for ranges of cells, one stream a family, with `ROW`.
    """
    for batch in batches:
        rows = batch.column(ROW).to_numpy()
        cells = batch.column(arrow.HEALPIX).to_numpy()
        names, arrays = list(batch.schema.names), list(batch.columns)
        for found in fetch(sql.clusters(_cells_between(rows, cells))):
            part = _found(rows, found)
            names += part.column_names
            arrays += [column.combine_chunks() for column in part.columns]
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def _cells_between(rows: Rows, cells: Rows) -> Rows:
    """Ranges of cells that hold the rows, one for each run of rows that are near in the files."""
    order = np.argsort(rows)
    rows, cells = rows[order], cells[order]
    breaks = np.flatnonzero(np.diff(rows) > BATCH_ROWS // 8)
    first = np.concatenate([[0], breaks + 1])
    last = np.concatenate([breaks, [len(rows) - 1]])
    return np.column_stack([cells[first], cells[last] + 1])


def _found(rows: Rows, batches: Iterator[pa.RecordBatch]) -> pa.Table:
    """Of a family's rows those wanted, in the order wanted, without their place."""
    order = np.argsort(rows)
    wanted = rows[order]
    kept = []
    for batch in batches:
        places = batch.column(ROW).to_numpy()
        at = np.minimum(np.searchsorted(wanted, places), len(wanted) - 1)
        mine = wanted[at] == places
        kept.append(batch if mine.all() else batch.filter(pa.array(mine)))
    table = pa.Table.from_batches(kept) if kept else None
    if table is None or len(table) != len(rows):
        raise ProductError(
            "serving files of the release",
            found="rows of one family that another has not",
            expected="the same rows in all",
            do=DAMAGED,
        )
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.argsort(arrow.to_numpy(table.column(ROW)))
    return pc.take(table.drop_columns([ROW]), pa.array(inverse))
