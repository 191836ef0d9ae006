"""The engine under a release: DuckDB, with the files of the release and nothing else in reach."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tesela.errors import ProductError
from tesela.products.catalogue import read_arrow
from tesela.sciencedb import arrow, serving, sql
from tesela.sciencedb.answer import DAMAGED
from tesela.sciencedb.model import ReleaseModel, TableModel

THREADS = 2
MEMORY_LIMIT = "1GB"
TABLES = "tables"
"""Folder of the tables that are not on the sky."""
SERVE = "serve"
"""Folder of the DuckDB files."""


def connect(folder: Path, model: ReleaseModel) -> duckdb.DuckDBPyConnection:
    """Open all tables of a release, read-only, then lock the engine.

    Threads and memory are limited; files other than those opened here, extensions and settings
    are out of reach of any query.

    Raises
    ------
    ProductError
        Naming the file that is missing, damaged, or not what `release.json` says.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": THREADS,
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    try:
        for table in model.tables:
            (_attach if table.on_sky else _load)(connection, folder, table, model)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def source(table: TableModel, family: str = serving.CORE) -> str:
    """Name of a table as queries write it."""
    if not table.on_sky:
        return f"memory.main.{sql.quoted(table.name)}"
    return f"{_database(table, family)}.main.{sql.quoted(table.name)}"


def table_file(folder: Path, table: str) -> Path:
    """File of a table that is not on the sky."""
    return folder / TABLES / f"{table}.parquet"


def _database(table: TableModel, family: str) -> str:
    return sql.quoted(f"{table.name}.{family}")


def _load(
    connection: duckdb.DuckDBPyConnection, folder: Path, table: TableModel, model: ReleaseModel
) -> None:
    """Read a table without positions, which is small, into memory."""
    path = table_file(folder, table.name)
    data = arrow.conform(read_arrow(path), table, str(path))
    _check_rows(path, len(data), table, model)
    connection.register("incoming", data)
    connection.execute(f"CREATE TABLE {source(table)} AS SELECT * FROM incoming")
    connection.unregister("incoming")


def _attach(
    connection: duckdb.DuckDBPyConnection, folder: Path, table: TableModel, model: ReleaseModel
) -> None:
    """Open the files of a table's families."""
    sizes = {file.path: file.size for file in model.files}
    for family in table.families:
        path = serving.serving_path(folder / SERVE, table.name, family)
        _check_size(path, sizes.get(path.relative_to(folder).as_posix()))
        try:
            connection.execute(
                f"ATTACH {sql.text(str(path))} AS {_database(table, family)} (READ_ONLY)"
            )
            count = f"SELECT count(*) FROM {source(table, family)}"
            rows = int(connection.execute(count).fetchall()[0][0])
            described = connection.execute(f"DESCRIBE {source(table, family)}").fetchall()
        except duckdb.Error as error:
            raise ProductError(
                str(path), found=str(error).split("\n")[0], expected="a whole file", do=DAMAGED
            ) from error
        _check_rows(path, rows, table, model)
        found = [(str(row[0]), str(row[1])) for row in described]
        expected = [(c.name, sql.sql_type(c)) for c in serving.family_columns(table, family)]
        if found != expected:
            odd = sorted({name for name, _ in set(found) ^ set(expected)})
            raise ProductError(
                str(path),
                found=f"other columns or types: {', '.join(odd[:8]) or 'another order'}",
                expected="those of release.json",
                do=DAMAGED,
            )


def _check_size(path: Path, expected: int | None) -> None:
    if not path.is_file():
        raise ProductError(str(path), found="no such file", do=DAMAGED)
    found = path.stat().st_size
    if expected is not None and found != expected:
        raise ProductError(
            str(path), found=f"{found} bytes", expected=f"{expected} bytes", do=DAMAGED
        )


def _check_rows(path: Path, found: int, table: TableModel, model: ReleaseModel) -> None:
    expected = model.rows.get(table.name)
    if found != expected:
        raise ProductError(
            str(path), found=f"{found} rows", expected=f"{expected} rows", do=DAMAGED
        )
