"""Insert unless it is there: the same statement on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


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
    names = list(row)
    action = (
        "UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in update)
        if update
        else "NOTHING"
    )
    statement = sa.text(
        f"INSERT INTO {table.name} ({', '.join(names)})"
        f" VALUES ({', '.join(':' + name for name in names)})"
        f" ON CONFLICT ({', '.join(unique)}) DO {action}"
    )
    return conn.execute(statement, dict(row)).rowcount > 0
