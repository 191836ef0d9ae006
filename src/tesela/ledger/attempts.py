"""Attempts at tasks: each is opened by a claim, closed once, and kept."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import queries, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.parts import ask, each


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: outcome done, failed or late; fault_class '' unless it failed."""

    outcome: str
    fault_class: str = ""
    seconds: float | None = None
    peak_memory_mb: float | None = None
    log: str = ""


def open_each(
    conn: Connection, begun: Sequence[tuple[int, int]], at: float, controller: str = ""
) -> list[int]:
    """Begin an attempt at each (task id, number), where none runs; returns their ids in order."""
    host = socket.gethostname()
    rows = [
        {
            "task_id": task_id, "number": number, "host": host, "controller": controller,
            "started_mjd": at,
        }
        for task_id, number in begun
    ]  # fmt: skip
    each(conn, schema.attempt.insert(), rows)
    tasks = [task_id for task_id, _ in begun]
    ids = {row["task_id"]: row["id"] for row in ask(conn, queries.RUNNING_OF_TASKS, tasks)}
    return [ids[task_id] for task_id in tasks]


def running(conn: Connection) -> list[int]:
    """Return the ids of the attempts that run, whoever handed them out."""
    table = schema.attempt
    return list(conn.scalars(sa.select(table.c.id).where(table.c.outcome == "running")))


def close(conn: Connection, attempt_id: int, ending: Ending) -> None:
    """Write down how an attempt ended, once."""
    conn.execute(
        queries.CLOSE_ATTEMPT, {"id": attempt_id, "ended_mjd": now_mjd(), **asdict(ending)}
    )
