"""Asking about many keys at once."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from sqlalchemy import Executable, TextClause, text
from sqlalchemy.engine import Connection

Key = TypeVar("Key")

MOST = 10_000
"""Keys of one statement; SQLite binds at most 32766 values."""


def parts(keys: Collection[Key], most: int = MOST) -> Iterator[list[Key]]:
    """Give the keys in lists of at most so many."""
    every = list(keys)
    for i in range(0, len(every), most):
        yield every[i : i + most]


def ask(
    conn: Connection, query: TextClause, keys: Collection[Any], **values: Any
) -> Iterator[dict[str, Any]]:
    """Give the rows that a statement with `:keys` finds for any number of keys."""
    for some in parts(keys):
        for row in conn.execute(query, {**values, "keys": some}).mappings():
            yield dict(row)


def each(conn: Connection, query: Executable, rows: list[dict[str, Any]]) -> None:
    """Execute a statement with every row; of one without the round trips that many take."""
    if rows:
        conn.execute(query, rows if len(rows) > 1 else rows[0])


@contextlib.contextmanager
def in_written_order(conn: Connection) -> Iterator[None]:
    """Have PostgreSQL join tables in the order in which they stand: what `CROSS JOIN` does on
    SQLite."""
    if conn.dialect.name != "postgresql":
        yield
        return
    conn.execute(text("SET LOCAL join_collapse_limit = 1"))
    yield
    conn.execute(text("SET LOCAL join_collapse_limit = DEFAULT"))


@contextlib.contextmanager
def followed_by_index(conn: Connection, wanted: bool = True) -> Iterator[None]:
    """Have PostgreSQL look up each row by its index, if that is wanted.

    It takes for granted that a walk meets ten times more with every step, and for a night would
    read all edges and products there are. SQLite joins in no other way.
    """
    if conn.dialect.name != "postgresql" or not wanted:
        yield
        return
    for how in ("off", "DEFAULT"):
        for setting in ("enable_hashjoin", "enable_mergejoin", "jit"):
            conn.execute(text(f"SET LOCAL {setting} = {how}"))
        if how == "off":
            yield
