"""The working science database: views over the Parquet files of all tiles, for reading only.

DuckDB is handed the files as Arrow datasets and may itself open none: a folder that it was allowed
to read could also be written to by `COPY`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads

from tesela.errors import BadInput, ProductError
from tesela.products.columns import TABLES

THREADS = 4
"""Most threads of a connection."""
MEMORY = "2GB"
_PARQUET = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(page_checksum_verification=True)
)


def connect(
    files: Mapping[str, Sequence[Path]], *, threads: int = THREADS, memory: str = MEMORY
) -> duckdb.DuckDBPyConnection:
    """Open the current files of the working database.

    Parameters
    ----------
    files : mapping of str to sequence of Path
        Files of `objects`, `detections`, `tiles`: those that are current, one a tile. A table
        without files has no view.
    threads : int
    memory : str
        Limits of the connection.

    Returns
    -------
    DuckDBPyConnection
        With a view a table. It cannot reach any file, and its settings are locked. Each thread
        takes a `cursor()` of its own. Columns are read only where a query names them.

    Raises
    ------
    BadInput
        A table that is not published.
    ProductError
        A file that is missing or damaged.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads,
        "memory_limit": memory,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": "",
    }
    connection = duckdb.connect(":memory:", config=settings)
    for name, paths in files.items():
        if name not in TABLES:
            raise BadInput(
                f"table {name!r}", found="no such table", expected="objects, detections or tiles"
            )
        if paths:
            connection.from_arrow(_dataset(paths)).create_view(name)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _dataset(paths: Sequence[Path]) -> pads.Dataset:
    """The files as one table, with the columns of all; a column that a file lacks is NULL there."""
    schemas = []
    for path in paths:
        try:
            schemas.append(pads.dataset(str(path), format=_PARQUET).schema)
        except (OSError, pa.ArrowException) as error:
            raise ProductError(
                str(path), found=str(error), expected="a whole Parquet file",
                do="load the tile again",
            ) from error  # fmt: skip
    schema = pa.unify_schemas([schema.remove_metadata() for schema in schemas])
    return pads.dataset([str(path) for path in paths], schema=schema, format=_PARQUET)
