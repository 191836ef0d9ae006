"""How fast tables are written as VOTable, beside astropy's writer.

    python benchmarks/votable.py [--rows 200000] [--astropy-rows 10000]

A table of 40 columns: a number, a position, a name of two lengths, 36 floats of which a tenth is
NULL. The rows lie in memory as Arrow, as a release gives them; astropy gets its own table, and only
its writer is timed. Rates are of processor time over all threads, so they are those of one core;
contenders take turns and the best of the turns counts.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pages
import pyarrow as pa
from astropy.io.votable import from_table, writeto
from astropy.table import MaskedColumn, Table

from tesela.sciencedb.model import ColumnModel
from tesela.vo import votable

FLOATS = 36
TURNS = 3
BATCH_ROWS = 16_384


@dataclass
class Rows:
    """A table in memory that is read in batches."""

    columns: Sequence[ColumnModel]
    data: pa.Table

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self.data.to_batches(BATCH_ROWS))


def rows(number: int, seed: int = 1) -> Rows:
    """Seeded values; the same first rows for any number."""
    rng = np.random.default_rng(seed)
    columns = [
        ColumnModel("source_id", "int64", "", "meta.id;meta.main", "Number"),
        ColumnModel("ra", "float64", "deg", "pos.eq.ra;meta.main", "Right ascension"),
        ColumnModel("dec", "float64", "deg", "pos.eq.dec;meta.main", "Declination"),
        ColumnModel("tile", "str", "", "meta.id.parent", "Tile"),
    ]
    arrays = [
        pa.array(np.arange(number)),
        pa.array(rng.uniform(0, 360, number)),
        pa.array(rng.uniform(-90, 90, number)),
        pa.array([f"T-{i % 1500}" for i in range(number)]),
    ]
    for k in range(FLOATS):
        columns.append(ColumnModel(f"mag_{k}", "float32", "mag", "phot.mag", f"Magnitude {k}"))
        values = rng.normal(20, 2, number).astype(np.float32)
        arrays.append(pa.array(values, mask=rng.random(number) < 0.1))
    names = [column.name for column in columns]
    return Rows(columns, pa.Table.from_arrays(arrays, names=names))


def ours(table: Rows, serialisation: str) -> int:
    """Write; the number of bytes."""
    head = votable.Head("objects", id_column="source_id")
    return sum(map(len, votable.stream(table, head, serialisation=serialisation)))


def as_astropy(table: Rows) -> Table:
    """The same rows as a table of astropy."""
    made = Table()
    for column in table.columns:
        array = table.data.column(column.name).combine_chunks()
        values = array.to_numpy(zero_copy_only=False)
        if column.dtype == "str":
            values = values.astype(str)
        mask = array.is_null().to_numpy(zero_copy_only=False)
        made[column.name] = MaskedColumn(values, mask=mask) if mask.any() else values
    return made


def peers(table: Table, serialisation: str) -> int:
    """Write with astropy; the number of bytes."""
    out = io.BytesIO()
    writeto(from_table(table), out, tabledata_format=serialisation.lower())
    return len(out.getvalue())


def measure(number: int, peer_number: int) -> Iterator[pages.Result]:
    """Rows in a second of one core, ours and astropy's in turns."""
    table, small = rows(number), as_astropy(rows(peer_number))
    contenders: list[tuple[str, int, Callable[[], int]]] = []
    for kind in ("BINARY2", "TABLEDATA"):
        contenders.append((f"tesela {kind}", number, lambda kind=kind: ours(table, kind)))
        contenders.append((f"astropy {kind}", peer_number, lambda kind=kind: peers(small, kind)))
    best: dict[str, float] = {}
    size: dict[str, int] = {}
    for _ in range(TURNS):
        for name, _, write in contenders:
            started = time.process_time()
            size[name] = write()
            best[name] = min(best.get(name, np.inf), time.process_time() - started)
    for name, count, _ in contenders:
        yield pages.Result(
            f"VOTable, 40 columns: {name}",
            f"{count / best[name]:,.0f} rows/s",
            f"{count:,} rows, {size[name] / count:.0f} bytes a row",
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--astropy-rows", type=int, default=10_000)
    given = parser.parse_args()
    print(pages.table(measure(given.rows, given.astropy_rows)))


if __name__ == "__main__":
    main()
