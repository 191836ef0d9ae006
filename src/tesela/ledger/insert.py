"""Insert unless it is there: the same statement on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger.parts import each


def insert_once(
    conn: Connection,
    table: sa.Table,
    row: Mapping[str, Any],
    unique: Sequence[str],
    *,
    update: Sequence[str] = (),
) -> bool:
    """Insert `row`; where one with the same `unique` columns exists, set its `update` columns.

    Returns whether anything was written.
    """
    return conn.execute(_statement(table, row, unique, update), dict(row)).rowcount > 0


def insert_each_once(
    conn: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], unique: Sequence[str]
) -> None:
    """Insert every row of which none is there; all have the same columns."""
    each(conn, _statement(table, rows[0], unique, ()), [dict(row) for row in rows])


def _statement(
    table: sa.Table, row: Mapping[str, Any], unique: Sequence[str], update: Sequence[str]
) -> sa.TextClause:
    names = list(row)
    action = (
        "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in update)
        if update
        else "NOTHING"
    )
    return sa.text(
        f"INSERT INTO {table.name} ({', '.join(names)})"
        f" VALUES ({', '.join(':' + name for name in names)})"
        f" ON CONFLICT ({', '.join(unique)}) DO {action}"
    )
