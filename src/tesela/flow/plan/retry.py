"""Trying again what was skipped or is dead: only people ask for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.flow.plan import downstream
from tesela.ledger import chosen, events, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.keys import MasterKey
from tesela.ledger.parts import ask, parts
from tesela.ledger.queries import judging
from tesela.ledger.where import Condition

STATES = ("dead", "skipped")

PART = 5000
"""Tasks of one transaction."""

Told = Callable[[int], None]
"""Is told how many tasks are ready again."""


def choose(
    conn: Connection,
    keys: Collection[str],
    states: Collection[str],
    steps: Collection[str] = (),
    where: Condition | None = None,
) -> list[dict[str, Any]]:
    """Return the tasks that ended badly and have one of the keys, one of the states, one of the
    steps and meet the condition, where such are given.

    Raises `NotFound` if a key has no such task.
    """
    found = chosen.failed_tasks(conn, states or STATES, where, keys=keys, steps=steps)
    known = {row["key"] for row in found}
    in_words = " or ".join(sorted(states or STATES, reverse=True))
    for key in keys:
        if key not in known:
            raise NotFound(
                key,
                found=f"no {in_words} task",
                expected=f"a key that `tesela status` lists as {in_words}",
                do="see `tesela why` for what it waits for",
            )
    return found


def retry(conn: Connection, some: Sequence[dict[str, Any]], who: str) -> None:
    """Make tasks ready again; the planner looks first whether they are still wanted."""
    by_kind: dict[str, list[str]] = {}
    for row in some:
        by_kind.setdefault(row["kind"], []).append(row["key"])
    for kind, keys in by_kind.items():
        wanted = list(ask(conn, judging.RETRIABLE, keys, kind=kind))
        for part in parts([row["key"] for row in wanted]):
            why = f"to be tried again, by {who}"
            conn.execute(judging.RETRY, {"kind": kind, "keys": part, "why": why})
        tasks.mark_dirty(conn, ((kind, row["key"]) for row in wanted), "to be tried again")
        if kind == "master":  # who waits in vain has something to hope for
            for key in _one_of_each_detector(row["key"] for row in wanted):
                downstream.awaited(conn, key)
        said = ((kind, row["key"], f"it was {row['state']}: {row['reason']}") for row in wanted)
        events.record_each(conn, "retry", said, who=who)


def _one_of_each_detector(keys: Iterable[str]) -> list[str]:
    return list({MasterKey.parse(key).configuration.detector: key for key in keys}.values())


def retry_all(
    ledger: Ledger, some: Sequence[dict[str, Any]], who: str, told: Told | None = None
) -> None:
    """Do it in transactions of `PART` tasks; interrupted, it is finished by doing it again."""
    done = 0
    for part in parts(some, PART):
        with ledger.write() as conn:
            retry(conn, part, who)
        done += len(part)
        if told is not None:
            told(done)
