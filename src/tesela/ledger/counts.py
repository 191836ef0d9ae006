"""How many tasks there are, and when the next may run."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import pauses, queries, schema


def running_by_step(conn: Connection) -> dict[str, int]:
    """Return how many tasks of each step run, whoever handed them out."""
    return {row.step: row.n for row in conn.execute(queries.STEPS_RUNNING)}


def ready_by_step(conn: Connection) -> dict[str, int]:
    """Return how many tasks of each step are ready."""
    table = schema.task
    query = sa.select(table.c.step, sa.func.count()).where(table.c.state == "ready")
    return {step: int(n) for step, n in conn.execute(query.group_by(table.c.step))}


def next_retry(conn: Connection, steps: Iterable[str]) -> float | None:
    """Return the earliest MJD at which a ready task of some steps may run; None without any."""
    table = schema.task
    ready = (table.c.state == "ready") & (table.c.priority >= pauses.FLOOR)
    ready &= table.c.step.in_(list(steps))
    found = conn.scalar(sa.select(sa.func.min(table.c.not_before)).where(ready))
    return None if found is None else float(found)


def count_open(conn: Connection) -> int:
    """Return how many tasks are ready or running."""
    table = schema.task
    # One by one, for each has its partial index.
    counts = (sa.select(sa.func.count()).where(table.c.state == s) for s in ("ready", "running"))
    return sum(int(conn.scalar(query) or 0) for query in counts)


def count_ended_badly(conn: Connection) -> dict[str, int]:
    """Return how many tasks are dead, and how many skipped."""
    table = schema.task
    query = (
        sa.select(table.c.state, sa.func.count())
        .where(table.c.state.in_(("dead", "skipped")))
        .group_by(table.c.state)
    )
    return {"dead": 0, "skipped": 0, **{state: int(n) for state, n in conn.execute(query)}}
