"""Building a synthetic ledger quickly: rows first, then every index and constraint as it was.

The tables are those that the migrations make. On PostgreSQL rows go in by COPY into emptied tables
without indexes, on SQLite by many at a time; then the very definitions that were taken away come
back, and both the database's own list of them and Alembic's comparison have to agree.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import duckdb
import ledger_rows
import ledger_survey as survey
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.engine import Ledger

_CHUNK = 1 << 20
_ROWS = 20_000


@dataclass
class Built:
    """A ledger, and what it cost to make."""

    place: Path | str
    nights: int
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0

    @property
    def frames(self) -> int:
        """Raw frames."""
        return self.nights * survey.A_NIGHT


def build(place: Path | str, frames: int, scratch: Path) -> Built:
    """Make a ledger of whole nights with at least so many frames, and check it."""
    started = time.perf_counter()
    made = Built(place, survey.nights_of(frames))
    ledger = Ledger.create(place)
    source = survey.open_survey(made.nights, scratch)
    ids = ledger_rows.Ids(made.nights)
    ledger_rows.prepare(source, ids)
    fill = _fill_sqlite if isinstance(place, Path) else _fill_postgresql
    with ledger.engine.connect() as conn:
        before = _definitions(conn)
        made.rows = fill(conn, source, list(ledger_rows.tables(ids)))
        _check(conn, before, made.rows)
    source.close()
    if ledger.is_shared:
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM (ANALYZE)")
            made.bytes = conn.scalar(sa.text("SELECT pg_database_size(current_database())"))
    else:
        made.bytes = Path(place).stat().st_size
    ledger.close()
    made.seconds = time.perf_counter() - started
    return made


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- what a schema is


def _definitions(conn: Connection) -> dict[str, str]:
    """Every index and constraint by name, as the database tells them."""
    if conn.dialect.name == "sqlite":
        rows = conn.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY name")
        return {name: sql or "" for name, sql in rows}
    rows = conn.exec_driver_sql(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace UNION ALL"
        " SELECT oid::regclass::text, reloptions::text FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return dict(map(tuple, rows))


def _check(conn: Connection, before: dict[str, str], rows: dict[str, int]) -> None:
    """The schema is what it was and what the program wants, and every row is there."""
    after = _definitions(conn)
    if after != before:
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        raise RuntimeError(f"other indexes or constraints than before: {sorted(changed)}")
    differences = compare_metadata(MigrationContext.configure(conn), schema.metadata)
    if differences:
        raise RuntimeError(f"not the schema of the program: {differences}")
    for table, expected in rows.items():
        found = conn.scalar(sa.text(f"SELECT COUNT(*) FROM {table}"))
        if found != expected:
            raise RuntimeError(f"{table}: {found} rows, expected {expected}")


# ---------------------------------------------------------------- PostgreSQL


def _fill_postgresql(
    conn: Connection, source: duckdb.DuckDBPyConnection, tables: list[tuple[str, str]]
) -> dict[str, int]:
    names = ", ".join(f"'{name}'" for name, _ in tables)
    of_tables = f"t.relname IN ({names}) AND t.relnamespace = 'public'::regnamespace"
    constraints = conn.exec_driver_sql(
        "SELECT t.relname, c.conname, pg_get_constraintdef(c.oid), c.contype FROM pg_constraint c"
        f" JOIN pg_class t ON t.oid = c.conrelid LEFT JOIN pg_class f ON f.oid = c.confrelid"
        f" WHERE ({of_tables}) OR f.relname IN ({names})"
        " ORDER BY CASE c.contype WHEN 'p' THEN 0 WHEN 'u' THEN 1 ELSE 2 END, 1, 2"
    ).all()
    indexes = conn.exec_driver_sql(
        "SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x"
        " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
        f" WHERE {of_tables} AND NOT EXISTS"
        " (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'))"
    ).all()
    for table, name, _, _ in reversed(constraints):
        conn.exec_driver_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        conn.exec_driver_sql(f'DROP INDEX "{name}"')
    conn.commit()
    rows = {}
    for table, query in tables:
        _say(f"{table}: rows")
        rows[table] = _copy(conn, source, table, query)
        _say(f"{table}: {rows[table]} rows; keys and indexes")
        for _, name, definition, _ in (c for c in constraints if c[0] == table and c[3] in "pu"):
            conn.exec_driver_sql(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for _, definition in (one for one in indexes if f" ON public.{table} " in one[1]):
            conn.exec_driver_sql(definition)
        conn.commit()
    for table, name, definition, kind in constraints:
        if kind not in "pu":
            _say(f"{table}: {name}")
            conn.exec_driver_sql(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    _advance_sequences(conn, rows)
    conn.commit()
    return rows


def _copy(conn: Connection, source: duckdb.DuckDBPyConnection, table: str, query: str) -> int:
    """Load a table in the transaction that empties it; DuckDB writes into a pipe that we read."""
    columns = ", ".join(f'"{name}"' for name in _columns(source, query))
    cursor = conn.connection.cursor()
    cursor.execute(f"TRUNCATE {table}")
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "rows.csv"
        os.mkfifo(pipe)
        failed: list[BaseException] = []
        writer = threading.Thread(target=_write, args=(source, query, pipe, failed))
        writer.start()
        with (
            pipe.open("rb") as rows,
            cursor.copy(
                f"COPY {table} ({columns}) FROM STDIN (FORMAT csv, NULL '\\N', FREEZE)"
            ) as copy,
        ):
            while chunk := rows.read(_CHUNK):
                copy.write(chunk)
        writer.join()
        if failed:
            raise failed[0]
    return int(cursor.rowcount)


def _write(
    source: duckdb.DuckDBPyConnection, query: str, pipe: Path, failed: list[BaseException]
) -> None:
    try:
        source.execute(
            f"COPY ({query}) TO '{pipe}' (FORMAT csv, HEADER false, NULLSTR '\\N',"
            " USE_TMP_FILE false)"
        )
    except BaseException as error:  # noqa: BLE001 - it is raised where the table is loaded
        failed.append(error)
        with pipe.open("wb"):  # who reads the pipe must come to its end
            pass


def _columns(source: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row[0] for row in source.execute(f"DESCRIBE {query}").fetchall()]


def _advance_sequences(conn: Connection, tables: Iterable[str]) -> None:
    """The next id follows the last one that was loaded."""
    for table in tables:
        if "id" in schema.metadata.tables[table].c:
            conn.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), MAX(id)) FROM {table}"
                f" HAVING pg_get_serial_sequence('{table}', 'id') IS NOT NULL"
            )


# ---------------------------------------------------------------- SQLite


def _fill_sqlite(
    conn: Connection, source: duckdb.DuckDBPyConnection, tables: list[tuple[str, str]]
) -> dict[str, int]:
    raw = conn.connection.driver_connection
    assert raw is not None
    conn.rollback()
    sqlite3.register_adapter(Decimal, float)  # numbers with a point, as DuckDB reads them
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF",
                   "cache_size = -1000000"):  # fmt: skip
        raw.execute(f"PRAGMA {pragma}")
    indexes = raw.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        raw.execute(f'DROP INDEX "{name}"')
    rows = {}
    for table, query in tables:
        _say(f"{table}: rows")
        names = [f'"{name}"' for name in _columns(source, query)]
        into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        found = source.execute(query)
        rows[table] = 0
        raw.execute("BEGIN")
        while some := found.fetchmany(_ROWS):
            raw.executemany(into, some)
            rows[table] += len(some)
        raw.execute("COMMIT")
    for name, sql in indexes:
        _say(f"index {name}")
        raw.execute(sql)
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        raw.execute(f"PRAGMA {pragma}")
    problems = raw.execute("PRAGMA foreign_key_check").fetchall()
    if problems:
        raise RuntimeError(f"{len(problems)} rows refer to nothing: {problems[:3]}")
    return rows
