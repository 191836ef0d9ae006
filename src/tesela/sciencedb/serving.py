"""The files that a release is served from: DuckDB tables, one file for each family of columns.

All files of a table hold the same rows in the same order, that of `_healpix_29`, so a row has one
place in all of them. The family `core` holds the number of the row, with a unique index, and the
cell; the others hold both once more, so that each can be asked by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from tesela.errors import ProductError
from tesela.products import files
from tesela.products.catalogue import read_arrow
from tesela.sciencedb import arrow, hats, sql
from tesela.sciencedb.model import ColumnModel, TableModel

CORE = "core"
MEMORY_LIMIT = "2GB"
"""Most that DuckDB takes while it writes."""


def serving_path(folder: Path, table: str, family: str) -> Path:
    """File of a family."""
    return folder / f"{table}.{family}.duckdb"


def family_columns(table: TableModel, family: str) -> tuple[ColumnModel, ...]:
    """Columns in a family's file: number and cell first, then its own."""
    keys = [c for c in table.columns if c.name in (table.id_column, arrow.HEALPIX)]
    own = [c for c in table.columns if c.family == family and c not in keys]
    return (*keys, *own)


def write_serving(folder: Path, table: TableModel, catalogue: Path) -> None:
    """Write the DuckDB files of a table on the sky from its HATS catalogue.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    table : TableModel
        With `id_column` and on the sky; one of its families is `core`.
    catalogue : Path
        Folder of a HATS catalogue of the same table: its partitions are appended in the order of
        the sky, one family after the other.

    Notes
    -----
    Memory: a family's columns of one partition, DuckDB's buffers within `MEMORY_LIMIT`, and the
    index of the numbers while it is made, which must fit into that limit too.

    The same rows give files that answer alike, but not the same bytes: DuckDB leaves the padding
    of its compressed blocks as it found the memory.

    Raises
    ------
    ProductError
        A name is taken, the data are not of the model, numbers occur twice, or cells are not
        those of the positions.
    """
    if not (table.on_sky and table.id_column and CORE in table.families):
        raise ProductError(
            f"table {table.name}",
            found="no positions, no numbers or no family core",
            expected="a table on the sky",
        )
    taken = [p for f in table.families if (p := serving_path(folder, table.name, f)).exists()]
    if taken:
        raise ProductError(str(taken[0]), found="a file of that name", do="nothing is overwritten")
    files.make_folder(folder)
    for family in table.families:
        final = serving_path(folder, table.name, family)
        with files.atomic_copy_target(final) as temporary:
            _write_family(temporary, table, family, hats.partition_files(catalogue))


def _write_family(path: Path, table: TableModel, family: str, partitions: Sequence[Path]) -> None:
    columns = family_columns(table, family)
    names = [c.name for c in columns]
    declared = ", ".join(f"{sql.quoted(c.name)} {sql.sql_type(c)}" for c in columns)
    name = sql.quoted(table.name)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,  # rows keep their order
        "memory_limit": MEMORY_LIMIT,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(path, config=settings) as connection:
            connection.execute(f"CREATE TABLE {name} ({declared})")
            for partition in partitions:
                data = read_arrow(partition, names)
                if family == CORE:
                    arrow.check_cells(data, table)
                connection.register("incoming", data)
                connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")
                connection.unregister("incoming")
            if family == CORE:
                _index(connection, table)
            connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise ProductError(
            str(path), found=str(error).split("\n")[0], do="see whether the disk is full"
        ) from error
    finally:
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def _index(connection: duckdb.DuckDBPyConnection, table: TableModel) -> None:
    """Index the numbers, which must be unique."""
    number, name = sql.quoted(table.id_column), sql.quoted(table.name)
    try:
        connection.execute(f"CREATE UNIQUE INDEX by_number ON {name} ({number})")
    except duckdb.ConstraintException as error:
        raise ProductError(
            f"table {table.name}",
            found=f"numbers more than once: {str(error).splitlines()[0]}",
            expected="unique numbers",
        ) from error
