"""HATS catalogues: Parquet files partitioned by HEALPix, which LSDB, DuckDB or pandas open alike.

Layout and words are those of the IVOA note "HATS: A Standard for the Hierarchical Adaptive Tiling
Scheme in the Virtual Observatory"; partition_info.csv, `_metadata` and `_common_metadata` spare
readers the footers of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

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


def write_hats(
    folder: Path,
    table: TableModel,
    data: pa.Table,
    *,
    rows_per_partition: int = ROWS_PER_PARTITION,
) -> None:
    """Write a HATS catalogue.

    Parameters
    ----------
    folder : Path
        New; its name is the catalogue's.
    table : TableModel
        A table on the sky.
    data : pa.Table
        Of exactly the model's columns. It is sorted if it is not yet.
    rows_per_partition : int
        Cells with more rows are divided in four.

    Raises
    ------
    ProductError
        The folder exists, the table is not on the sky, or the data are not of the model.
    """
    if not table.on_sky:
        raise ProductError(
            f"table {table.name}", found="no positions", expected="a table on the sky"
        )
    if folder.exists():
        raise ProductError(str(folder), found="a file of that name", do="nothing is overwritten")
    data = arrow.order(arrow.conform(data, table, f"table {table.name}"), table)
    cells = np.asarray(data.column(arrow.HEALPIX).to_numpy())
    partitions = list(_partitions(cells, rows_per_partition))
    dataset = folder / "dataset"
    files.make_folder(dataset)
    footers = []
    for order, cell, start, stop in partitions:
        name = partition_path(order, cell)
        files.make_folder((dataset / name).parent)
        write_arrow(dataset / name, data.slice(start, stop - start))
        footer = pq.read_metadata(dataset / name)
        footer.set_file_path(name.as_posix())
        footers.append(footer)
    _write_metadata(dataset, data.schema, footers)
    _write_text(
        folder / "partition_info.csv",
        "Norder,Npix\n" + "".join(f"{order},{cell}\n" for order, cell, _, _ in partitions),
    )
    properties = _properties(folder.name, data, partitions)
    for text_name in ("properties", "hats.properties"):  # older and newer readers
        _write_text(folder / text_name, properties)


def partition_path(order: int, cell: int) -> Path:
    """Name of a partition below `dataset`."""
    folder = cell // _FILES_PER_FOLDER * _FILES_PER_FOLDER
    return Path(f"Norder={order}") / f"Dir={folder}" / f"Npix={cell}.parquet"


def _partitions(
    cells: NDArray[np.int64], most: int, order: int = 0, cells_of_order: Iterable[int] = range(12)
) -> Iterator[tuple[int, int, int, int]]:
    """Order, cell, first row and the row after the last, in the order of the sky."""
    for cell in cells_of_order:
        shift = 2 * (healpix.ORDER - order)
        start, stop = np.searchsorted(cells, [cell << shift, (cell + 1) << shift]).tolist()
        if stop - start > most and order < healpix.ORDER:
            yield from _partitions(cells, most, order + 1, range(4 * cell, 4 * cell + 4))
        elif stop > start:
            yield order, cell, start, stop


def _write_metadata(dataset: Path, schema: pa.Schema, footers: list[pq.FileMetaData]) -> None:
    pq.write_metadata(schema, dataset / "_common_metadata")
    pq.write_metadata(schema, dataset / "_metadata", metadata_collector=footers)
    for name in ("_common_metadata", "_metadata"):
        files.sync(dataset / name)


def _properties(name: str, data: pa.Table, partitions: list[tuple[int, int, int, int]]) -> str:
    covered = sum(4.0**-order for order, _, _, _ in partitions) / 12
    values = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": len(data),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": arrow.HEALPIX,
        "hats_col_healpix_order": healpix.ORDER,
        "hats_npix_suffix": ".parquet",
        "hats_order": max((order for order, _, _, _ in partitions), default=0),
        "hats_max_rows": max((stop - start for _, _, start, stop in partitions), default=0),
        "hats_frame": "equatorial",
        "hats_builder": "Tesela",
        "hats_version": "v0.1",
        "moc_sky_fraction": f"{covered:.9f}",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    files.sync(path)
