"""Leases: who still lives, and what becomes of the tasks of who does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import attempts, queries, schema
from tesela.ledger.attempts import Ending
from tesela.ledger.clock import SECONDS_A_DAY, UNIX_EPOCH_MJD, now_mjd

LEASE_S = 20.0
"""On PostgreSQL a controller that has not renewed its leases for so long is taken for dead, and its
tasks are tried by others. What fences an attempt is its number alone: one that was given up too
early comes late, and changes nothing."""
RENEW_S = 4.0


def now(conn: Connection) -> float:
    """Return the present (MJD) by the one clock that all controllers of a ledger share."""
    if conn.dialect.name != "postgresql":
        return now_mjd()
    return UNIX_EPOCH_MJD + float(conn.scalar(_DATABASE_CLOCK) or 0.0) / SECONDS_A_DAY


_DATABASE_CLOCK = sa.text("SELECT extract(epoch FROM clock_timestamp())::float8")


def recover(
    conn: Connection, why: str, *, controller: str = "", but: Collection[int] = ()
) -> list[int]:
    """Make the running tasks of a dead controller ready; returns the attempts closed.

    Of one controller alone if it is named, and not the attempts in `but`. An interruption by the
    controller's own end is nobody's fault and is not counted.
    """
    if controller:
        rows = conn.execute(queries.OF_CONTROLLER, {"controller": controller}).all()
    else:
        rows = conn.execute(queries.RUNNING).all()
    return _release(conn, [row for row in rows if row.attempt_id not in but], why)


def recover_lost(conn: Connection, at: float) -> list[int]:
    """Make the tasks ready whose leases ran out; returns the attempts closed.

    `at` is the present by the clock of the ledger. While the database was down nobody could renew:
    so soon after its start no lease counts as run out.
    """
    started = conn.scalar(_DATABASE_START)
    if at < UNIX_EPOCH_MJD + (float(started or 0.0) + 2 * LEASE_S) / SECONDS_A_DAY:
        return []
    rows = list(conn.execute(queries.LOST, {"now": at}).all())
    return _release(conn, rows, "its controller was not heard of any more")


_DATABASE_START = sa.text("SELECT extract(epoch FROM pg_postmaster_start_time())::float8")


def _release(conn: Connection, rows: Sequence[Any], why: str) -> list[int]:
    table = schema.task
    freed = []
    for row in rows:
        moved = conn.execute(
            table.update()
            .where(
                table.c.id == row.id,
                table.c.state == "running",
                table.c.attempt_id == row.attempt_id,
            )
            .values(state="ready", attempt_id=None, lease_until=None)
        ).rowcount
        if moved:
            attempts.close(conn, row.attempt_id, Ending("failed", "infrastructure", log=why))
            freed.append(int(row.attempt_id))
    return freed


def renew(conn: Connection, controller: str, at: float) -> int:
    """Prolong the leases of a controller on PostgreSQL; returns how many. It never waits."""
    until = at + LEASE_S / SECONDS_A_DAY
    return conn.execute(queries.RENEW, {"controller": controller, "until": until}).rowcount


def undo_clock(conn: Connection, latest: float) -> int:
    """Let nothing wait beyond an instant, after the clock was set back; returns how many did."""
    wanted = {"latest": latest}
    tasks = conn.execute(queries.UNDO_CLOCK_TASKS, wanted).rowcount
    return tasks + conn.execute(queries.UNDO_CLOCK_DIRTY, wanted).rowcount
