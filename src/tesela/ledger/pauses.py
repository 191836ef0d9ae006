"""What people paused: everything, a step, or the frames of a project.

Of a paused step nothing is claimed. Which tasks are of a project is looked up when they are about
to be claimed: those of a paused one are moved below the `FLOOR` of priorities, where no claim
looks, and stay ready there. So a pause costs those who claim nothing but the tasks that they move,
each of them once, and nothing has to be looked for when it begins. Resuming raises them again.

What runs goes on to its end. Planning goes on, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.ledger import events, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger
from tesela.ledger.queries import pausing

ALL = "*"
"""Every step, or every project."""
OF_FRAMES = ("reduce", "detrend")
"""Steps whose tasks are of one frame, and so of one project. Masters and tiles are of all."""

_DEPTH = 1_000_000
FLOOR = -_DEPTH // 2
"""Tasks of a lower priority are held by a pause: a claim asks for `priority >= FLOOR`."""

_PART = 10_000
_COUNTED = 100_000

Row = TypeVar("Row", bound=Mapping[Any, Any])


@dataclass(frozen=True)
class Pause:
    """One pause: of a step or `ALL`, for a project or `ALL`."""

    step: str
    project: str
    reason: str
    who: str
    at_mjd: float

    @property
    def name(self) -> str:
        """For a sentence."""
        step = "everything" if self.step == ALL else f"step {self.step}"
        return step if self.project == ALL else f"{step} of project {self.project}"


def in_force(conn: Connection) -> list[Pause]:
    """Return the pauses in force."""
    return [Pause(**row) for row in conn.execute(pausing.PAUSES).mappings()]


def paused_steps(conn: Connection) -> frozenset[str]:
    """Return the steps of which nothing may be claimed; `ALL` among them means all."""
    return frozenset(one.step for one in in_force(conn) if one.project == ALL)


def is_paused(steps: frozenset[str], step: str) -> bool:
    """Whether a step is among those of `paused_steps`."""
    return ALL in steps or step in steps


def divert(conn: Connection, rows: Sequence[Row]) -> list[Row]:
    """Of ready tasks about to be claimed, keep those that no project's pause holds; the others are
    moved out of the way.

    Parameters
    ----------
    conn : Connection
        Of a writer.
    rows : sequence of rows
        Each with `id` and `step`. Where some are taken out, ask for the next ones.
    """
    held = _held(conn)
    if not held or not rows:
        return list(rows)
    ids = [row["id"] for row in rows if row["step"] in OF_FRAMES]
    step_of = {row["id"]: row["step"] for row in rows}
    lowered = {
        row.id
        for some in _parts(ids)
        for row in conn.execute(pausing.PROJECTS_OF_TASKS, {"ids": some})
        if _is_held(held, step_of[row.id], row.project)
    }
    _move(conn, sorted(lowered), -_DEPTH)
    return [row for row in rows if row["id"] not in lowered]


def pause(conn: Connection, step: str, project: str, *, reason: str, who: str) -> Pause:
    """Pause a step for a project, either of them `ALL`.

    Raises `LedgerError` if that is paused already, or if tasks of the step are of no project.
    """
    if project != ALL and step not in (ALL, *OF_FRAMES):
        raise LedgerError(
            f"step {step} of project {project}",
            found="a step whose products are of frames of all projects",
            expected=f"{' or '.join(OF_FRAMES)}, or no step",
            do="pause the step for all projects, or the project's frames alone",
        )
    for one in in_force(conn):
        if (one.step, one.project) == (step, project):
            raise LedgerError(
                one.name, found=f"paused already by {one.who}: {one.reason}", do="resume it first"
            )
    new = Pause(step, project, reason, who, now_mjd())
    conn.execute(schema.paused.insert().values(**asdict(new)))
    events.record(conn, "paused", kind="pause", key=f"{step}.{project}", detail=reason, who=who)
    return new


def resume(conn: Connection, step: str, project: str, *, who: str) -> None:
    """Take one pause back; raises `NotFound` if there is none of this step and project.

    The tasks that it held come back by `release`.
    """
    table = schema.paused
    gone = conn.execute(table.delete().where(table.c.step == step, table.c.project == project))
    if not gone.rowcount:
        known = "; ".join(one.name for one in in_force(conn))
        raise NotFound(
            Pause(step, project, "", "", 0.0).name,
            found="it is not paused",
            expected=f"one of these: {known}" if known else "something that is paused",
            do="`tesela status` tells what is paused",
        )
    events.record(conn, "resumed", kind="pause", key=f"{step}.{project}", who=who)


def release(ledger: Ledger) -> int:
    """Give back the tasks that no pause holds any more; returns how many.

    In transactions of limited size: interrupted, it is finished by doing it again.
    """
    released = 0
    for step in OF_FRAMES:
        place = {"priority": FLOOR, "last": 0}
        while True:
            with ledger.write() as conn:
                asked = {**place, "step": step, "floor": FLOOR, "limit": _PART}
                rows = conn.execute(pausing.LOWERED, asked).all()
                held = _held(conn)
                free = [row.id for row in rows if not _is_held(held, step, row.project)]
                _move(conn, free, _DEPTH)
            released += len(free)
            if len(rows) < _PART:
                break
            place = {"priority": rows[-1].priority, "last": rows[-1].id}
    return released


def count_held(conn: Connection) -> dict[str, int]:
    """Return how many ready tasks of each step are held for their project, 100000 at most."""
    found = {}
    for step in OF_FRAMES:
        asked = {"step": step, "floor": FLOOR, "limit": _COUNTED}
        n = int(conn.scalar(pausing.COUNT_LOWERED, asked) or 0)
        if n:
            found[step] = n
    return found


def _held(conn: Connection) -> frozenset[tuple[str, str]]:
    """(step, project) of the pauses of projects."""
    return frozenset((p.step, p.project) for p in in_force(conn) if p.project != ALL)


def _is_held(held: frozenset[tuple[str, str]], step: str, project: str) -> bool:
    return (step, project) in held or (ALL, project) in held


def _move(conn: Connection, ids: Sequence[int], by: int) -> None:
    for some in _parts(ids):
        conn.execute(pausing.MOVE, {"ids": some, "by": by})


def _parts(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[i : i + _PART]) for i in range(0, len(ids), _PART)]
