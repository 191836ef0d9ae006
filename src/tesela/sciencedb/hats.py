"""HATS catalogues: Parquet files partitioned by HEALPix, which LSDB, DuckDB or pandas open alike.

Layout and words are those of the IVOA note "HATS: A Standard for the Hierarchical Adaptive Tiling
Scheme in the Virtual Observatory"; partition_info.csv, `_metadata` and `_common_metadata` spare
readers the footers of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.products.catalogue import read_arrow, write_arrow
from tesela.sciencedb import arrow
from tesela.sciencedb.model import TableModel
from tesela.sky import healpix

ROWS_PER_PARTITION = 500_000
_FILES_PER_FOLDER = 10_000
_COUNT_ORDER = 10
_COUNT_SHIFT = 2 * (healpix.ORDER - _COUNT_ORDER)


def read_tables(paths: Iterable[Path], table: TableModel) -> pa.Table:
    """Read files of the working database into one table of the model.

    Parameters
    ----------
    paths : iterable of Path
        Parquet files whose columns are those of the model. One that is not required may be
        missing: it is NULL.
    table : TableModel
        Its columns, in order and type, are those of the result.

    Returns
    -------
    pa.Table
        Sorted by `_healpix_29` and the number of the row; as the files come if the table has
        neither.

    Raises
    ------
    ProductError
        Naming the file that is damaged or does not fit.
    """
    parts = [arrow.conform(read_arrow(path), table, str(path)) for path in paths]
    whole = pa.concat_tables(parts) if parts else arrow.schema(table.columns).empty_table()
    return arrow.order(whole, table).combine_chunks()


class Source(Protocol):
    """Rows of one tile, read when they are asked for."""

    def cells(self) -> NDArray[np.int64]:
        """`_healpix_29` of every row, in any order."""
        ...

    def rows(self, first: int, stop: int) -> pa.Table:
        """Rows in a range of cells, half-open, of exactly the model's columns, in any order."""
        ...


@dataclass(frozen=True)
class TileFile:
    """A tile's file of the working database."""

    path: Path
    table: TableModel
    change: Callable[[pa.Table], pa.Table] | None = None
    """What the release changes of its rows."""

    def cells(self) -> NDArray[np.int64]:
        """Read one column."""
        return arrow.to_numpy(read_arrow(self.path, [arrow.HEALPIX]).column(0))

    def rows(self, first: int, stop: int) -> pa.Table:
        """Read the file; raises `ProductError` naming it if it does not fit."""
        inside = in_cells(read_arrow(self.path), first, stop)
        rows = arrow.conform(inside, self.table, str(self.path))
        return rows if self.change is None else self.change(rows)


def in_cells(rows: pa.Table, first: int, stop: int) -> pa.Table:
    """Rows in a range of cells, half-open."""
    cells = arrow.to_numpy(rows.column(arrow.HEALPIX))
    mine = (cells >= first) & (cells < stop)
    return rows if mine.all() else rows.filter(pa.array(mine))


@dataclass(frozen=True)
class Partition:
    """A HEALPix cell whose rows lie in one file."""

    order: int
    cell: int
    rows: int

    @property
    def bounds(self) -> tuple[int, int]:
        """First cell of order 29 inside, and the one after the last."""
        shift = 2 * (healpix.ORDER - self.order)
        return self.cell << shift, (self.cell + 1) << shift


def write_hats(
    folder: Path,
    table: TableModel,
    sources: Sequence[Source],
    *,
    rows_per_partition: int = ROWS_PER_PARTITION,
) -> int:
    """Write a HATS catalogue, and return its number of rows.

    Cells are counted first; then each partition is put together from the tiles that touch it.

    Parameters
    ----------
    folder : Path
        New; its name is the catalogue's.
    table : TableModel
        A table on the sky.
    sources : sequence of Source
        The tiles. Each is read once to count and once for each partition that it touches.
    rows_per_partition : int
        Cells with more rows are divided in four.

    Notes
    -----
    Memory: the rows of one partition, twice while they are sorted, those of one tile, and 16 bytes
    for each cell of order 10 (12 square arcmin) that a tile touches.
    Measured with a million objects of twelve bands (2.6 kB each) in ten tiles and partitions of at
    most 250 000 rows: 1.5 GB.

    Raises
    ------
    ProductError
        The folder exists, the table is not on the sky, or the rows are not of the model.
    """
    if not table.on_sky:
        raise ProductError(
            f"table {table.name}", found="no positions", expected="a table on the sky"
        )
    if folder.exists():
        raise ProductError(str(folder), found="a file of that name", do="nothing is overwritten")
    counts = [_count(source) for source in sources]
    partitions = list(_divide(sources, counts, rows_per_partition))
    dataset = folder / "dataset"
    files.make_folder(dataset)
    footers = []
    for partition in partitions:
        name = partition_path(partition.order, partition.cell)
        files.make_folder((dataset / name).parent)
        touching = [s for s, c in zip(sources, counts) if _touches(c, partition)]
        write_arrow(dataset / name, _gather(touching, partition, table))
        footer = pq.read_metadata(dataset / name)
        footer.set_file_path(name.as_posix())
        footers.append(footer)
    _write_metadata(dataset, arrow.schema(table.columns), footers)
    _write_text(
        folder / "partition_info.csv",
        "Norder,Npix\n" + "".join(f"{p.order},{p.cell}\n" for p in partitions),
    )
    properties = _properties(folder.name, partitions)
    for text_name in ("properties", "hats.properties"):  # older and newer readers
        _write_text(folder / text_name, properties)
    return sum(partition.rows for partition in partitions)


def partition_path(order: int, cell: int) -> Path:
    """Name of a partition below `dataset`."""
    folder = cell // _FILES_PER_FOLDER * _FILES_PER_FOLDER
    return Path(f"Norder={order}") / f"Dir={folder}" / f"Npix={cell}.parquet"


def partition_files(folder: Path) -> list[Path]:
    """Parquet files of a HATS catalogue, in the order of the sky."""
    found = (folder / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet")

    def place(path: Path) -> int:
        order, cell = (int(part.partition("=")[2]) for part in (path.parts[-3], path.stem))
        return cell << 2 * (healpix.ORDER - order)

    return sorted(found, key=place)


@dataclass(frozen=True)
class _Count:
    """Rows of a tile by cell of order `_COUNT_ORDER`, the cells sorted."""

    cells: NDArray[np.int64]
    rows: NDArray[np.int64]


def _count(source: Source) -> _Count:
    return _Count(*np.unique(source.cells() >> _COUNT_SHIFT, return_counts=True))


def _touches(count: _Count, partition: Partition) -> bool:
    first, stop = partition.bounds
    last = (stop - 1) >> _COUNT_SHIFT
    low, high = np.searchsorted(count.cells, [first >> _COUNT_SHIFT, last + 1])
    return bool(high > low)


def _divide(sources: Sequence[Source], counts: Sequence[_Count], most: int) -> Iterator[Partition]:
    """Partitions in the order of the sky, none with more than `most` rows but of order 29."""
    every = np.concatenate([c.cells for c in counts]) if counts else np.zeros(0, np.int64)
    cells, place = np.unique(every, return_inverse=True)
    rows = np.zeros(len(cells), np.int64)
    if counts:
        np.add.at(rows, place, np.concatenate([c.rows for c in counts]))
    before = np.concatenate([[0], np.cumsum(rows)])

    def below(order: int, cell: int) -> Iterator[Partition]:
        shift = 2 * (_COUNT_ORDER - order)
        low, high = np.searchsorted(cells, [cell << shift, (cell + 1) << shift]).tolist()
        number = int(before[high] - before[low])
        if number > most and order == _COUNT_ORDER:
            crowded = Partition(order, cell, number)
            touching = [s for s, c in zip(sources, counts) if _touches(c, crowded)]
            inside = np.sort(np.concatenate([_inside(s.cells(), crowded) for s in touching]))
            yield from _divide_crowded(inside, crowded, most)
        elif number > most:
            for child in range(4 * cell, 4 * cell + 4):
                yield from below(order + 1, child)
        elif number:
            yield Partition(order, cell, number)

    for base in range(12):
        yield from below(0, base)


def _divide_crowded(
    cells: NDArray[np.int64], partition: Partition, most: int
) -> Iterator[Partition]:
    """Parts of a cell, from the sorted cells of order 29 of its rows."""
    if partition.rows <= most or partition.order == healpix.ORDER:
        yield from [partition] * (partition.rows > 0)
        return
    for child in range(4 * partition.cell, 4 * partition.cell + 4):
        empty = Partition(partition.order + 1, child, 0)
        low, high = np.searchsorted(cells, empty.bounds).tolist()
        yield from _divide_crowded(cells[low:high], replace(empty, rows=high - low), most)


def _inside(cells: NDArray[np.int64], partition: Partition) -> NDArray[np.int64]:
    first, stop = partition.bounds
    return cells[(cells >= first) & (cells < stop)]


def _gather(sources: Sequence[Source], partition: Partition, table: TableModel) -> pa.Table:
    """Sorted rows of a partition."""
    parts = [source.rows(*partition.bounds) for source in sources]
    data = arrow.order(pa.concat_tables(parts), table).combine_chunks()
    if len(data) != partition.rows:
        raise ProductError(
            f"table {table.name}",
            found=f"{len(data)} rows in cell {partition.cell} of order {partition.order}",
            expected=f"the {partition.rows} that were counted",
            do="let nothing change the files while they are frozen",
        )
    return data


def _write_metadata(dataset: Path, schema: pa.Schema, footers: list[pq.FileMetaData]) -> None:
    pq.write_metadata(schema, dataset / "_common_metadata")
    pq.write_metadata(schema, dataset / "_metadata", metadata_collector=footers)
    for name in ("_common_metadata", "_metadata"):
        files.sync(dataset / name)


def _properties(name: str, partitions: Sequence[Partition]) -> str:
    covered = sum(4.0**-p.order for p in partitions) / 12
    values = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": sum(p.rows for p in partitions),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": arrow.HEALPIX,
        "hats_col_healpix_order": healpix.ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_order": max((p.order for p in partitions), default=0),
        "hats_max_rows": max((p.rows for p in partitions), default=0),
        "hats_frame": "equatorial",
        "hats_builder": "Tesela",
        "hats_version": "v0.1",
        "moc_sky_fraction": f"{covered:.9f}",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    files.sync(path)
