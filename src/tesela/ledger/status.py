"""Counts and lists for people."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

from tesela.ledger import queries


def overview(conn: Connection) -> dict[str, Any]:
    """Return counts of products and tasks, reasons of waiting, what ended badly, what is stale."""
    return {
        "products": {row["kind"]: row["n"] for row in _rows(conn, queries.COUNT_PRODUCTS)},
        "tasks": _rows(conn, queries.COUNT_TASKS),
        "waiting": _rows(conn, queries.WAITING_REASONS),
        "ended_badly": _rows(conn, queries.ENDED_BADLY),
        "stale": _rows(conn, queries.STALE),
    }


def load(conn: Connection) -> list[dict[str, Any]]:
    """Return, a step, the number of tasks due and the core seconds expected for them."""
    return _rows(conn, queries.READY_LOAD)


def due_tasks(conn: Connection) -> list[dict[str, Any]]:
    """Return the tasks ready or running, with why."""
    return _rows(conn, queries.READY_TASKS)


def _rows(conn: Connection, query: TextClause) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(query).mappings()]
