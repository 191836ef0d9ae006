"""What happened: the append-only record."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import queries, schema
from tesela.ledger.clock import now_mjd


def record(
    conn: Connection, what: str, *, kind: str = "", key: str = "", detail: str = "", who: str = ""
) -> None:
    """Append one event."""
    row = {"at_mjd": now_mjd(), "what": what, "kind": kind, "key": key}
    conn.execute(schema.event.insert(), {**row, "detail": detail, "who": who})


def record_each(
    conn: Connection, what: str, about: Iterable[tuple[str, str, str]], *, who: str = ""
) -> None:
    """Append an event about each of many products: (kind, key, detail)."""
    same = {"at_mjd": now_mjd(), "what": what, "who": who}
    rows = [{**same, "kind": kind, "key": key, "detail": detail} for kind, key, detail in about]
    if rows:
        conn.execute(schema.event.insert(), rows)


def last_detail(conn: Connection, what: str, key: str) -> str | None:
    """Return the detail of the latest event of a sort about a key, or None."""
    table = schema.event
    query = (
        table.select()
        .where(table.c.kind == "", table.c.key == key, table.c.what == what)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).first()
    return None if row is None else str(row.detail)


def last_of(conn: Connection, whats: Collection[str], key: str) -> dict[str, Any] | None:
    """Return the latest event about a key that is of one of some sorts, or None."""
    table = schema.event
    query = (
        table.select()
        .where(table.c.kind == "", table.c.key == key, table.c.what.in_(whats))
        .order_by(table.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def history(conn: Connection, key: str) -> dict[str, list[dict[str, Any]]]:
    """Return the events, versions, attempts and verdicts of everything called `key`."""
    parts = {
        "events": queries.EVENTS_OF_KEY,
        "versions": queries.PRODUCTS_OF_KEY,
        "attempts": queries.ATTEMPTS_OF_KEY,
        "verdicts": queries.VERDICTS_OF_KEY,
    }
    return {
        name: [dict(row) for row in conn.execute(query, {"key": key}).mappings()]
        for name, query in parts.items()
    }
