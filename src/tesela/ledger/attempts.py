"""Attempts at tasks: each is opened by a claim, closed once, and kept."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.errors import LedgerError
from tesela.ledger import queries, schema
from tesela.ledger.clock import now_mjd


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: outcome done, failed or late; fault_class '' unless it failed."""

    outcome: str
    fault_class: str = ""
    seconds: float | None = None
    peak_memory_mb: float | None = None
    log: str = ""


def open_attempt(
    conn: Connection, task_id: int, number: int, at: float, controller: str = ""
) -> int:
    """Begin an attempt; returns its id."""
    row = {
        "task_id": task_id, "number": number, "host": socket.gethostname(),
        "controller": controller, "started_mjd": at,
    }  # fmt: skip
    result = conn.execute(schema.attempt.insert(), row)
    key = result.inserted_primary_key
    if key is None:
        raise LedgerError(f"task {task_id}", found="no row after insert", expected="an attempt")
    return int(key[0])


def running(conn: Connection) -> list[int]:
    """Return the ids of the attempts that run, whoever handed them out."""
    table = schema.attempt
    return list(conn.scalars(sa.select(table.c.id).where(table.c.outcome == "running")))


def close(conn: Connection, attempt_id: int, ending: Ending) -> None:
    """Write down how an attempt ended, once."""
    conn.execute(
        queries.CLOSE_ATTEMPT, {"id": attempt_id, "ended_mjd": now_mjd(), **asdict(ending)}
    )
