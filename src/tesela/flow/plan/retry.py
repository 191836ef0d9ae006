"""Trying again what was skipped or is dead: only people ask for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.flow.plan import downstream
from tesela.ledger import events, tasks


def choose(
    conn: Connection, keys: Collection[str], states: Collection[str]
) -> list[dict[str, Any]]:
    """Return the tasks that ended badly and have one of the keys or one of the states.

    Raises `NotFound` if a key has no such task.
    """
    failed = tasks.ended_badly(conn)
    known = {row["key"] for row in failed}
    for key in keys:
        if key not in known:
            raise NotFound(
                key,
                found="no skipped or dead task",
                expected="a key that `tesela status` lists as skipped or dead",
                do="see `tesela why` for what it waits for",
            )
    return [row for row in failed if row["key"] in keys or row["state"] in states]


def retry(conn: Connection, chosen: list[dict[str, Any]], who: str) -> None:
    """Make tasks ready again; the planner looks first whether they are still wanted."""
    for row in chosen:
        kind, key = row["kind"], row["key"]
        if tasks.retry(conn, kind, key):
            tasks.mark_dirty(conn, [(kind, key)], "to be tried again")
            if kind == "master":  # who waits in vain has something to hope for
                downstream.awaited(conn, key)
            detail = f"it was {row['state']}: {row['reason']}"
            events.record(conn, "retry", kind=kind, key=key, detail=detail, who=who)
