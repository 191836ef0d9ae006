"""Where a site stands: counts that are kept (`tallies`) and lists that are short.

Everything here takes milliseconds at any size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

from tesela.ledger import amp_quality, exposures, pauses, queries, quicklooks, schema, tallies
from tesela.ledger import stale as staleness
from tesela.ledger.chosen import Products
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.parts import followed_by_index
from tesela.ledger.queries import status as lists
from tesela.ledger.queries import tallies as counts
from tesela.ledger.tallies import Tally

LISTED = 100
"""Most rows of a list; the counts beside it are of all."""
_AMONG = 2000
"""Verdicts on frames among which those are looked for that stand alone."""
_ALERT_NIGHTS = 3


def overview(conn: Connection, steps: Mapping[str, staleness.Now] | None = None) -> dict[str, Any]:
    """Return where a site stands.

    Parameters
    ----------
    conn : Connection
    steps : mapping, optional
        The steps by kind as they are now, by which older products are stale; as they were when a
        run or a plan began last if not given.

    Returns
    -------
    dict
        Counts of the latest nights, of products and tasks; exposures of these nights without some
        of their CCDs, quick looks of frames that are not reduced yet, masters that a person has to
        judge, reasons of waiting, what is flagged, was refused (latest first), ended badly, came
        with warnings, is stale, and what the monitors raised; what is paused, which controllers
        and attempts run. `counted_s` is the age of the counts, and `totals` has those of the lists,
        which are cut at `LISTED`.
    """
    tally = tallies.current(conn)
    with followed_by_index(conn):
        return {
            "counted_s": tally.age_s,
            "totals": _totals(conn, tally),
            **work(conn),
            "nights": _nights(tally),
            "incomplete": _incomplete(conn, tally),
            "quick_looks": _quick_looks(conn, tally),
            "products": dict(sorted((one.kind, one.n) for one in tally.of("product"))),
            "tasks": _tasks(tally),
            "proposed": proposed(conn),
            "waiting": _waiting(tally),
            "flagged": flagged(conn),
            "refused": _rows(conn, lists.REFUSED),
            "causes": _causes(tally),
            "ended_badly": [{**row, "do": advice(row["key"])} for row in ended_badly(conn)],
            "warnings": _warnings(tally),
            "stale": _stale(tally, staleness.now(conn) if steps is None else steps),
            "alerts": _alerts(conn),
        }


def work(conn: Connection) -> dict[str, Any]:
    """Return what is paused, by whom and why, and the controllers and attempts that run."""
    now = now_mjd()
    running = [
        {
            "step": row["step"],
            "key": row["key"],
            "attempt": row["number"],
            "host": row["host"],
            "controller": row["controller"],
            "age_s": (now - row["started_mjd"]) * SECONDS_A_DAY,
            "memory_mb": (row["memory_mb"] or 0.0) * 2 ** row["memory_faults"],
        }
        for row in _rows(conn, lists.RUNNING)
    ]
    return {
        "paused": [asdict(one) for one in pauses.in_force(conn)],
        "held": pauses.count_held(conn),
        "controllers": [
            {
                **{name: row[name] for name in ("id", "host", "pid", "engine")},
                "age_s": (now - row["started_mjd"]) * SECONDS_A_DAY,
                "seen_s": (now - row["seen_mjd"]) * SECONDS_A_DAY,
            }
            for row in _rows(conn, lists.CONTROLLERS)
        ],
        "running": running,
    }


def _totals(conn: Connection, tally: Tally) -> dict[str, Any]:
    """How long the lists would be."""
    looked: dict[str, int] = {}
    for one in tally.of("quick look"):
        looked[one.state] = looked.get(one.state, 0) + one.n
    ended = [one for one in tally.of("task") if one.state in ("dead", "skipped")]
    return {
        "running": int(conn.scalar(lists.COUNT_RUNNING) or 0),
        "quick_looks": {
            "frames": sum(looked.values()), "rejected": looked.get("rejected", 0)
        },
        "flagged": [
            {"kind": one.kind, "reason": one.state, "n": one.n} for one in tally.of("flagged")
        ],
        "refused": sum(one.n for one in tally.of("refused")),
        **{
            state: sum(one.n for one in ended if one.state == state)
            for state in ("dead", "skipped")
        },
    }  # fmt: skip


def _nights(tally: Tally) -> list[dict[str, Any]]:
    """The latest nights, the oldest first: frames and exposures by type, and how many were
    reduced."""
    nights: dict[str, dict[str, Any]] = {
        one.kind: {"night": one.kind, "frames": {}, "exposures": {}, "reduced": one.n}
        for one in sorted(tally.of("reduced"), key=lambda one: one.kind)
    }
    for what in ("frames", "exposures"):
        for one in sorted(tally.of(what), key=lambda one: one.state):
            nights[one.kind][what][one.state] = one.n
    return list(nights.values())


def _incomplete(conn: Connection, tally: Tally) -> list[dict[str, Any]]:
    """Exposures of the latest nights without some of their CCDs, those without the same ones told
    together."""
    found = []
    groups = sorted(tally.of("incomplete"), key=lambda one: (one.kind, one.example))
    for one in groups[:LISTED]:
        missing = json.loads(one.state)
        first = exposures.of_night(conn, one.example, one.kind)
        expected = len(first["ccds"]) if first else len(missing)
        found.append(
            {
                "exposure": one.example,
                "night": one.kind,
                "expected": expected,
                "arrived": expected - len(missing),
                "missing": missing,
                "n": one.n,
            }
        )
    return found


def _quick_looks(conn: Connection, tally: Tally) -> list[dict[str, Any]]:
    """Frames that were looked at and are not reduced yet, the latest night first."""
    found: list[dict[str, Any]] = []
    for night in sorted({one.kind for one in tally.of("quick look")}, reverse=True):
        if len(found) < LISTED:
            found += quicklooks.without_reduction(conn, night, LISTED - len(found))
    return found


def _causes(tally: Tally) -> list[dict[str, Any]]:
    """Why tasks are dead or were skipped, the most frequent first."""
    found = []
    for one in tally.of("ended"):
        state, step = one.kind.split(" ", 1)
        found.append(
            {"state": state, "step": step, "reason": one.state, "n": one.n, "example": one.example}
        )
    return sorted(found, key=lambda row: (row["state"], -int(row["n"]), row["step"]))


def _alerts(conn: Connection) -> list[dict[str, Any]]:
    """What was raised in the latest nights with values, alarms first."""
    latest = amp_quality.nights(conn, limit=_ALERT_NIGHTS)
    if not latest:
        return []
    found = [asdict(row) for row in amp_quality.alerts(conn, latest[-1].night)]
    return sorted(found, key=lambda row: (-row["level"], row["night"]))


def _tasks(tally: Tally) -> list[dict[str, Any]]:
    counts = sorted(tally.of("task"), key=lambda one: (one.kind, one.state))
    return [{"step": one.kind, "state": one.state, "n": one.n} for one in counts]


def proposed(conn: Connection) -> list[dict[str, Any]]:
    """Return kind, key, version and reason of masters that a person has to certify or reject."""
    return _rows(conn, lists.PROPOSED)


def _waiting(tally: Tally) -> list[dict[str, Any]]:
    served = {(one.kind, one.state): one.n for one in tally.of("waiting served")}
    found = [
        {
            "kind": one.kind,
            "reason": one.state,
            "n": one.n,
            "served": served.get((one.kind, one.state), 0),
            "example": one.example,
        }
        for one in tally.of("waiting")
    ]
    return sorted(found, key=lambda row: (-row["n"], row["kind"], row["reason"]))


def flagged(conn: Connection) -> list[dict[str, Any]]:
    """Return the verdicts in force that stand for themselves: on groups, on products, and on frames
    that were not flagged with a group."""
    asked = {"limit": LISTED, "among": _AMONG}
    rows = [*conn.execute(lists.FLAGGED, {"limit": LISTED}).mappings()]
    rows += conn.execute(lists.FLAGGED_FRAMES, asked).mappings()
    return [dict(row) for row in rows][:LISTED]


def _stale(tally: Tally, steps: Mapping[str, staleness.Now]) -> list[dict[str, Any]]:
    """How many products a newer choice, other code or other settings left behind."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}

    def add(kind: str, why: str, n: int, example: str) -> None:
        new = {"kind": kind, "why": why, "n": 0, "example": example}
        groups.setdefault((kind, why), new)["n"] += n

    for one in tally.of("stale"):
        if one.kind in steps:
            add(one.kind, one.state, one.n, one.example)
    for one in tally.of("made by"):
        scope, code, settings = json.loads(one.state)
        step = steps.get(one.kind)
        why = step.why(scope, code, settings) if step else ""
        if why:
            add(one.kind, why, one.n, one.example)
    return sorted(groups.values(), key=lambda row: (-row["n"], row["kind"], row["why"]))


def waiting(conn: Connection) -> list[dict[str, Any]]:
    """Return why products wait, the most frequent first: kind, reason, n, served, example."""
    rows = conn.execute(counts.WAITING, {"limit": tallies.GROUPS}).mappings()
    return [dict(row) for row in rows]


def stale(conn: Connection) -> list[dict[str, Any]]:
    """Return every product that a newer choice, other code or other settings left behind."""
    return [
        {name: row[name] for name in ("kind", "key", "version", "why")}
        for row in Products(tuple(staleness.now(conn)), only_stale=True).every(conn)
    ]


def stale_groups(conn: Connection) -> list[dict[str, Any]]:
    """Return how many these are, as `overview` does: kind, why, n and an example."""
    return _stale(tallies.current(conn), staleness.now(conn))


MOST_DUE = 1000
"""Tasks that are named, of the many that may be due."""


def due_tasks(conn: Connection) -> list[dict[str, Any]]:
    """Return the most urgent tasks ready or running, with why: `MOST_DUE` at the most."""
    found = [
        row
        for step in conn.scalars(sa.select(schema.step.c.name))
        for state in ("ready", "running")
        for row in conn.execute(
            queries.OPEN_TASKS, {"step": step, "state": state, "limit": MOST_DUE}
        )
    ]
    found.sort(key=lambda row: (-row.priority, row.id))
    names = ("step", "key", "why", "state")
    return [{name: getattr(row, name) for name in names} for row in found[:MOST_DUE]]


def ended_badly(conn: Connection) -> list[dict[str, Any]]:
    """Return dead tasks, then skipped ones, `LISTED` of each at the most: step, kind, key, state,
    attempts, reason."""
    return [
        dict(row)
        for state in ("dead", "skipped")
        for row in conn.execute(lists.ENDED_BADLY, {"state": state, "limit": LISTED}).mappings()
    ]


def advice(key: str) -> str:
    """Say what a person can do about a dead or skipped task."""
    return f"when that is mended, `tesela retry {key}`"


def _warnings(tally: Tally) -> list[dict[str, Any]]:
    found = [
        {"kind": one.kind, "text": one.state, "n": one.n, "example": one.example}
        for one in tally.of("warned")
    ]
    return sorted(found, key=lambda row: (-int(row["n"]), row["kind"], row["text"]))


def grouped(warned: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return warnings (kind, key, text) as kind, text, n and an example, most frequent first."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for kind, key, text in warned:
        group = {"kind": kind, "text": text, "n": 0, "example": key}
        groups.setdefault((kind, text), group)["n"] += 1
    return sorted(groups.values(), key=lambda group: -int(group["n"]))


def _rows(conn: Connection, query: TextClause) -> list[dict[str, Any]]:
    asked = {"limit": LISTED} if ":limit" in str(query) else {}
    return [dict(row) for row in conn.execute(query, asked).mappings()]
