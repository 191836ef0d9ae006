"""Who hands tasks out now. On PostgreSQL several may; each keeps its leases alive."""

from __future__ import annotations

import os
import secrets
import socket

from sqlalchemy.engine import Connection

from tesela.ledger import schema


def new_id() -> str:
    """Return a name that no other controller ever has."""
    return f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"


def enter(conn: Connection, controller: str, engine: str, now: float) -> None:
    """A controller begins."""
    row = {"id": controller, "host": socket.gethostname(), "pid": os.getpid(), "engine": engine}
    conn.execute(schema.controller.insert().values(**row, started_mjd=now, seen_mjd=now))


def seen(conn: Connection, controller: str, now: float) -> None:
    """It still lives."""
    table = schema.controller
    conn.execute(table.update().where(table.c.id == controller).values(seen_mjd=now))


def leave(conn: Connection, controller: str, now: float) -> None:
    """It ended in order."""
    table = schema.controller
    ended = {"seen_mjd": now, "ended_mjd": now}
    conn.execute(table.update().where(table.c.id == controller).values(**ended))


def bury(conn: Connection, unseen_since: float, *, but: str = "") -> int:
    """Call those ended that were last seen before an instant; returns how many."""
    table = schema.controller
    gone = table.c.ended_mjd.is_(None) & (table.c.seen_mjd < unseen_since) & (table.c.id != but)
    return conn.execute(table.update().where(gone).values(ended_mjd=table.c.seen_mjd)).rowcount
