"""What is to be done: dirty keys, waiting keys, tasks and their attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tesela.errors import LedgerError
from tesela.ledger import attempts, leases, pauses, queries, schema
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.parts import ask, each

TONIGHT, INVALIDATION, BULK = 20, 10, 0
"""Priorities: what the observers wait for, then what stands on bad data, then the rest."""


@dataclass(frozen=True)
class Due:
    """A key whose product may have to be made, and why."""

    kind: str
    key: str
    why: str
    fresh: bool
    """Choose calibrations anew even where the recorded ones still hold."""
    priority: int = BULK

    def joined(self, other: Due | None) -> Due:
        """This one, with what else was asked of its key: neither urgency nor a wish to choose
        afresh is forgotten."""
        if other is None:
            return self
        return replace(
            self,
            fresh=self.fresh or other.fresh,
            priority=max(self.priority, other.priority),
        )


@dataclass(frozen=True)
class Claim:
    """A task that this controller runs now."""

    task_id: int
    attempt_id: int
    number: int
    step: str
    kind: str
    key: str
    megapixels: float
    memory_faults: int


# ---------------------------------------------------------------- dirty and waiting


def mark_dirty(
    conn: Connection,
    targets: Iterable[tuple[str, str]],
    why: str,
    *,
    not_before: float = 0.0,
    fresh: bool = False,
    priority: int = BULK,
) -> None:
    """Have the planner look at (kind, key) of each target, not before an MJD."""
    same = Mark(why, not_before, fresh, priority)
    mark_each_dirty(conn, dict.fromkeys(targets, same))


@dataclass(frozen=True)
class Mark:
    """What is asked of a key that is dirty."""

    why: str
    not_before: float = 0.0
    fresh: bool = False
    priority: int = BULK


def mark_each_dirty(conn: Connection, marks: Mapping[tuple[str, str], Mark]) -> None:
    """Have the planner look at (kind, key) of each, for a reason of its own."""
    rows = [
        {
            "kind": kind, "key": key, "rank": queries.RANKS.get(kind, queries.LAST_RANK),
            **asdict(mark),
        }
        # In one order, so that of two who mark the same keys none waits for the other's second.
        for (kind, key), mark in sorted(marks.items())
    ]  # fmt: skip
    each(conn, queries.MARK_DIRTY, rows)


def due(conn: Connection, now: float, limit: int) -> list[Due]:
    """Return dirty keys whose time has come, calibrations first."""
    rows = conn.execute(queries.DUE, {"now": now, "limit": limit})
    return [Due(row.kind, row.key, row.why, bool(row.fresh), row.priority) for row in rows]


def clear(conn: Connection, item: Due) -> Due:
    """The planner looks at a key now: it is dirty no more. Returns what is asked of it, which may
    have become more since `due`."""
    wanted = {"kind": item.kind, "key": item.key}
    asked = {**wanted, "fresh": item.fresh, "priority": item.priority}
    if conn.execute(queries.CLEAR_DIRTY, asked).rowcount:
        return item
    now = dirty(conn, item.kind, item.key)
    if now is None:
        return item
    more = replace(item, why=now["why"], fresh=bool(now["fresh"]), priority=now["priority"])
    conn.execute(queries.CLEAR_DIRTY, {**wanted, "fresh": more.fresh, "priority": more.priority})
    return more


def stop_waiting(conn: Connection, kind: str, key: str) -> None:
    """A key waits no more."""
    table = schema.waiting
    conn.execute(table.delete().where(table.c.kind == kind, table.c.key == key))


def waiting_among(conn: Connection, kind: str, keys: Collection[str]) -> dict[str, Due]:
    """Return what was asked of those keys of a kind that wait."""
    rows = ask(conn, queries.WAITING_OF_KEYS, keys, kind=kind)
    return {
        row["key"]: Due(kind, row["key"], row["reason"], bool(row["fresh"]), row["priority"])
        for row in rows
    }


def set_waiting(
    conn: Connection, item: Due, reason: str, *, pending: bool, family: str = ""
) -> None:
    """Keep a key until something it lacks arrives."""
    row = {"kind": item.kind, "key": item.key, "now": now_mjd(), "reason": reason}
    rest = {
        "pending": pending,
        "fresh": item.fresh,
        "configuration": family,
        "priority": item.priority,
    }
    conn.execute(queries.SET_WAITING, {**row, **rest})


def waiting(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return why a key waits, or None."""
    table = schema.waiting
    query = table.select().where(table.c.kind == kind, table.c.key == key)
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def dirty(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return why a key is due for a look, or None."""
    table = schema.dirty
    query = table.select().where(table.c.kind == kind, table.c.key == key)
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def wake(conn: Connection, targets: Iterable[tuple[str, str]], why: str) -> None:
    """Look again at (kind, key) of each target that waits."""
    same = {"why": why, "not_before": 0.0}
    rows = [{"kind": kind, "key": key, **same} for kind, key in sorted(set(targets))]
    each(conn, queries.WAKE_KEY, rows)


def wake_family(conn: Connection, family: str, why: str, *, pending_only: bool) -> None:
    """Look again at the frames and masters of a CCD and read-out mode that wait."""
    query = queries.WAKE_FAMILY_PENDING if pending_only else queries.WAKE_FAMILY
    conn.execute(query, {"family": family, "why": why, "not_before": 0.0})


def wake_pending(conn: Connection, why: str) -> int:
    """Look again at everything that waits for something under way; returns how many."""
    return conn.execute(queries.WAKE_PENDING, {"why": why, "not_before": 0.0}).rowcount


def is_pending(conn: Connection, kind: str, key: str) -> bool:
    """Whether the product of a key may still change by what is under way."""
    return bool(conn.scalar(queries.IS_PENDING, {"kind": kind, "key": key}))


def last_not_before(conn: Connection) -> float | None:
    """Return the latest quiet period's end among dirty keys, or None."""
    table = schema.dirty
    row = conn.execute(table.select().order_by(table.c.not_before.desc()).limit(1)).first()
    return None if row is None else float(row.not_before)


# ---------------------------------------------------------------- tasks


def get(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return the task that makes (kind, key), or None."""
    table = schema.task
    query = table.select().where(table.c.kind == kind, table.c.key == key)
    row = conn.execute(query).mappings().first()
    return None if row is None else dict(row)


def several(conn: Connection, kind: str, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the tasks that make products of a kind, by their keys."""
    return {row["key"]: row for row in ask(conn, queries.TASKS_OF_KEYS, keys, kind=kind)}


@dataclass(frozen=True)
class NewTask:
    """A task as the planner asks for it."""

    step: str
    kind: str
    key: str
    wanted_hash: str
    sources: tuple[tuple[int, str], ...]
    """(product id, role) of every input."""
    why: str
    megapixels: float
    priority: int


def put(conn: Connection, new: NewTask) -> int:
    """Make a task ready, replacing what the same task wanted before; returns its id."""
    conn.execute(
        queries.PUT_TASK,
        {
            "step": new.step,
            "kind": new.kind,
            "key": new.key,
            "priority": new.priority,
            "wanted_hash": new.wanted_hash,
            "why": new.why,
            "megapixels": new.megapixels,
            "not_before": 0.0,
        },
    )
    found = get(conn, new.kind, new.key)
    if found is None:
        raise LedgerError(f"{new.kind} {new.key}", found="no row after insert", expected="a task")
    table = schema.task_input
    conn.execute(table.delete().where(table.c.task_id == found["id"]))
    rows = [{"task_id": found["id"], "source": s, "role": role} for s, role in new.sources]
    if rows:
        conn.execute(table.insert(), rows)
    return int(found["id"])


def withdraw(conn: Connection, task: dict[str, Any] | None, reason: str) -> None:
    """Take a task back that is ready, or that ended badly; one that runs is left to end."""
    if task is None or task["state"] not in ("ready", "dead", "skipped"):
        return
    table = schema.task
    conn.execute(
        table.update()
        .where(table.c.id == task["id"], table.c.state == task["state"])
        .values(state="done", wanted_hash="", reason=f"withdrawn: {reason}")
    )


def claim(
    conn: Connection,
    limit: int,
    *,
    now: float | None = None,
    rooms: Mapping[str, int] | None = None,
    controller: str = "",
) -> list[Claim]:
    """Take up to `limit` ready tasks, most urgent first; each gets a new attempt.

    Parameters
    ----------
    rooms : mapping, optional
        At most so many of each step; steps that are not in it are left alone.
    controller : str
        Who takes them, and has to renew their leases.
    """
    at = now_mjd() if now is None else now
    # Nobody else has them in hand: they are locked on PostgreSQL, and SQLite has one writer.
    rows = _next_ready(conn, limit, at, rooms)
    begun = [(row["id"], row["attempts"] + 1) for row in rows]
    opened = attempts.open_each(conn, begun, at, controller)
    until = at + leases.LEASE_S / SECONDS_A_DAY
    running = [
        {"task_id": task_id, "attempt_id": attempt_id, "lease_until": until}
        for (task_id, _), attempt_id in zip(begun, opened)
    ]
    each(conn, queries.CLAIM, running)
    names = ("step", "kind", "key", "megapixels", "memory_faults")
    return [
        Claim(task_id, attempt_id, number, **{name: row[name] for name in names})
        for row, (task_id, number), attempt_id in zip(rows, begun, opened)
    ]


def _next_ready(
    conn: Connection, limit: int, at: float, rooms: Mapping[str, int] | None
) -> list[RowMapping]:
    query = queries.NEXT_READY_ALONE
    if conn.dialect.name == "postgresql":
        query = queries.NEXT_READY_OF_MANY
    if rooms is None:
        table = schema.task
        steps = sa.select(table.c.step).where(table.c.state == "ready").distinct()
        rooms = dict.fromkeys(conn.scalars(steps), limit)
    found: list[RowMapping] = []
    for step, room in rooms.items():
        if (most := min(room, limit)) > 0:
            wanted = {"step": step, "now": at, "limit": most, "floor": pauses.FLOOR}
            while rows := conn.execute(query, wanted).mappings().all():
                free = pauses.divert(conn, rows)
                if free or len(rows) < most:
                    found += free
                    break
    return sorted(found, key=lambda row: (-row["priority"], row["id"]))[:limit]


def inputs_of(conn: Connection, ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the inputs chosen for tasks, by their ids: role, id, kind, key, version, path,
    data_hash."""
    found: dict[int, list[dict[str, Any]]] = {one: [] for one in ids}
    for row in ask(conn, queries.INPUTS_OF_TASKS, ids):
        found[row["task_id"]].append(row)
    return found


def hand_over_inputs(conn: Connection, task_id: int, product_id: int) -> None:
    """The inputs that a task was given become the edges of what it made."""
    conn.execute(queries.EDGES_OF_TASK, {"task_id": task_id, "product": product_id})
    table = schema.task_input
    conn.execute(table.delete().where(table.c.task_id == task_id))


def end(
    conn: Connection,
    claim: Claim,
    state: str,
    ending: attempts.Ending,
    *,
    reason: str = "",
    delay_s: float = 0.0,
) -> bool:
    """Close an attempt and move its task to `state`; False if another attempt holds it by now."""
    counted = ending.fault_class
    moved = conn.execute(
        queries.END_TASK,
        {
            "state": state,
            "reason": reason,
            "not_before": now_mjd() + delay_s / SECONDS_A_DAY if delay_s else 0.0,
            "fault": int(counted == "fault"),
            "interruption": int(counted == "infrastructure"),
            "memory": int(counted == "memory"),
            "task_id": claim.task_id,
            "attempt_id": claim.attempt_id,
        },
    ).rowcount
    attempts.close(
        conn, claim.attempt_id, ending if moved else attempts.Ending("late", log=ending.log)
    )
    return bool(moved)


def is_held(conn: Connection, claim: Claim) -> bool:
    """Whether an attempt still holds its task."""
    held = {"task_id": claim.task_id, "attempt_id": claim.attempt_id}
    return conn.execute(queries.IS_HELD, held).first() is not None


def holder(conn: Connection, kind: str, key: str) -> int | None:
    """Return the attempt that runs at the task of (kind, key), or None."""
    found = get(conn, kind, key)
    return found["attempt_id"] if found is not None and found["state"] == "running" else None
