"""Verdicts: how long they take, and whether they concern exactly what they should.

What they should concern is found again in memory: every edge and every tile of a frame is read
from the ledger, and walked.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import ledger_calls as calls
import ledger_survey as survey
import numpy as np
import sqlalchemy as sa
from ledger_calls import Target
from ledger_measure import Case, Measured, listening, say, tell_slowest
from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import STEPS

_LINES = 100_000
_TILE_KINDS = ("dual", "zeropoints", "valueadded", "science")


@dataclass(frozen=True)
class Chosen:
    """Frames whose verdicts are measured."""

    one_by_one: list[str]
    night: list[str]
    """Of one night, or as many as it has."""
    flagged: list[str]
    """Flagged before they were in any coadd."""


def measure(case: Case, a_night: int) -> Iterator[Measured]:
    """Yield the measurements; the ledger is the same afterwards, but for the verdicts' history."""
    say("edges are read into memory")
    brute = BruteForce.read(case)
    chosen = _choose(case, a_night)
    yield from _single(case, brute, chosen)
    yield from _night(case, brute, chosen)
    yield _unused(case, brute, chosen)


def _choose(case: Case, a_night: int) -> Chosen:
    """Frames from the middle of the survey; those that are flagged already are not flagged."""
    with case.ledger.read() as conn:
        nights = conn.execute(sa.text("SELECT DISTINCT night FROM exposure ORDER BY night")).all()
        night = nights[len(nights) // 2].night
        flagged = "SELECT key FROM verdict WHERE kind = 'raw' AND withdrawn_mjd IS NULL"
        names = conn.execute(
            sa.text(
                "SELECT f.name FROM frame f JOIN exposure x ON x.id = f.exposure_id"
                " WHERE x.night = :night AND x.obstype = 'science'"
                f" AND f.name NOT IN ({flagged}) ORDER BY f.name LIMIT :n"
            ),
            {"night": night, "n": a_night},
        )
        found = [row.name for row in names]
        before = conn.execute(sa.text(f"{flagged} ORDER BY key LIMIT 20"))
        known = [row.key for row in before]
    return Chosen(found[:: max(1, len(found) // 20)][:20], found, known)


def _single(case: Case, brute: BruteForce, chosen: Chosen) -> Iterator[Measured]:
    """One frame at a time, committed; then each taken back, and nothing is due."""
    for action, what in ((calls.flag, "flag an image"), (calls.unflag, "unflag an image")):
        times, right, sizes = [], True, []
        for name in chosen.one_by_one:
            started = time.perf_counter()
            with case.ledger.write() as conn:
                targets = action(conn, survey.rules(), [name])
            times.append(time.perf_counter() - started)
            expected = brute.of_flag([name]) if action is calls.flag else brute.of_unflag([name])
            right = right and targets == expected and _is_due(case, targets)
            sizes.append(len(targets))
        note = f"{_same(right)}; {statistics.median(sizes):.0f} targets; worst"
        yield case.measured(
            what, 1e3 * statistics.median(times), "ms", at_most=50.0,
            note=f"{note} {1e3 * max(times):.0f} ms", is_right=right,
        )  # fmt: skip
    report = calls.plan(case.ledger, survey.rules(), at_once=True)
    yield case.measured(
        "made due by flags that were taken back", len(report.tasks), "tasks", at_most=0
    )


def _night(case: Case, brute: BruteForce, chosen: Chosen) -> Iterator[Measured]:
    """Thousands at once, in a transaction that is taken back."""
    names, found = chosen.night, {}
    with listening(case.ledger) as statements, case.ledger.rehearse() as conn:
        for action in (calls.flag, calls.unflag):
            started = time.perf_counter()
            targets = action(conn, survey.rules(), names)
            found[action] = (targets, time.perf_counter() - started)
    for action, what, expected in (
        (calls.flag, "flag", brute.of_flag(names)),
        (calls.unflag, "unflag", brute.of_unflag(names)),
    ):
        targets, seconds = found[action]
        right = targets == expected
        yield case.measured(
            f"{what} a night of {len(names)}", seconds, "s", at_most=5.0, is_right=right,
            note=f"{_same(right)}; {len(targets)} targets",
        )  # fmt: skip
    tell_slowest(case, statements)


def _unused(case: Case, brute: BruteForce, chosen: Chosen) -> Measured:
    """Frames that no coadd has used: their tiles are known from the frame alone."""
    with case.ledger.rehearse() as conn:
        started = time.perf_counter()
        targets = calls.unflag(conn, survey.rules(), chosen.flagged)
        seconds = time.perf_counter() - started
    right = targets == brute.of_unflag(chosen.flagged) and not brute.of_flag(chosen.flagged)
    return case.measured(
        "unflag an image that no coadd used", 1e3 * seconds / max(1, len(chosen.flagged)), "ms",
        at_most=50.0, is_right=right, note=_same(right),
    )  # fmt: skip


def _same(right: bool) -> str:
    return "the set of brute force" if right else "NOT the set of brute force"


def _is_due(case: Case, targets: set[Target]) -> bool:
    """Whether all of them are looked at."""
    with case.ledger.read() as conn:
        rows = conn.execute(sa.text("SELECT kind, key FROM dirty WHERE fresh"))
        return targets <= {(row.kind, row.key) for row in rows}


# ---------------------------------------------------------------- brute force


@dataclass(frozen=True)
class BruteForce:
    """All edges of role `input`, by source; and the tiles of frames as they are asked for."""

    case: Case
    users: np.ndarray
    """Products, int32, in the order of their sources."""
    sources: np.ndarray
    """Sources, int32, sorted."""

    @classmethod
    def read(cls, case: Case) -> BruteForce:
        """Read every edge."""
        with case.ledger.read() as conn:
            products, sources = _edges(conn)
        order = np.argsort(sources, kind="stable")
        return cls(case, products[order], sources[order])

    def reached(self, ids: Iterable[int]) -> np.ndarray:
        """Ids of all that was made of these, directly or not; themselves included."""
        found = front = np.unique(np.fromiter(ids, np.int32))
        while front.size:
            low = np.searchsorted(self.sources, front, "left")
            high = np.searchsorted(self.sources, front, "right")
            parts = [self.users[a:b] for a, b in zip(low, high) if b > a]
            made = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int32)
            front = np.setdiff1d(made, found, assume_unique=True)
            found = np.union1d(found, front)
        return found

    def of_flag(self, names: list[str]) -> set[Target]:
        """Current products of a step that used one of these raw science frames, their own images
        apart."""
        with self.case.ledger.read() as conn:
            ids = [row.id for row in _by_keys(conn, "raw", names)]
            reached = _by_ids(conn, self.reached(ids))
        own = {("reduced", name) for name in names}
        return {(kind, key) for kind, key, current in reached if current and kind in STEPS} - own

    def of_unflag(self, names: list[str]) -> set[Target]:
        """Everything of the tiles that these raw science frames touch, but for frames whose image
        did not pass: nothing used it, and nothing will."""
        with self.case.ledger.read() as conn:
            rows = [row for some in _slices(names) for row in _tiles(conn, some)]
        bands = {(kind, f"{tile}.{band}") for tile, band in rows for kind in ("coadd", "catalogue")}
        return bands | {(kind, tile) for tile, _ in rows for kind in _TILE_KINDS}


def _edges(conn: Connection) -> tuple[np.ndarray, np.ndarray]:
    query = "SELECT product, source FROM edge WHERE role = 'input'"
    parts = []
    if conn.dialect.name == "postgresql":
        lines: list[bytes] = []
        with conn.connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            for line in copy:
                lines.append(bytes(line))
                if len(lines) == _LINES:
                    parts.append(_numbers(lines))
                    lines.clear()
        parts.append(_numbers(lines))
    else:
        found = conn.exec_driver_sql(query)
        while some := found.fetchmany(1_000_000):
            parts.append(np.array([tuple(row) for row in some], np.int32).ravel())
    pairs = np.concatenate(parts).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def _numbers(lines: list[bytes]) -> np.ndarray:
    return np.fromstring(b"".join(lines).decode(), np.int32, sep=" ")


def _slices(names: list[str], most: int = 500) -> Iterator[list[str]]:
    for at in range(0, len(names), most):
        yield names[at : at + most]


def _in(sql: str) -> sa.TextClause:
    return sa.text(sql).bindparams(sa.bindparam("those", expanding=True))


def _by_keys(conn: Connection, kind: str, names: list[str]) -> list[sa.Row]:
    query = _in("SELECT id, key FROM product WHERE kind = :kind AND key IN :those")
    return [
        row for some in _slices(names) for row in conn.execute(query, {"kind": kind, "those": some})
    ]


def _by_ids(conn: Connection, ids: np.ndarray) -> list[tuple[str, str, bool]]:
    query = _in("SELECT kind, key, is_current FROM product WHERE id IN :those")
    return [
        (row.kind, row.key, bool(row.is_current))
        for some in _slices(ids.tolist())
        for row in conn.execute(query, {"those": some})
    ]


def _tiles(conn: Connection, names: list[str]) -> list[tuple[str, str]]:
    query = _in(
        "SELECT DISTINCT t.tile, t.band FROM frame f JOIN frame_tile t ON t.frame_id = f.product_id"
        " LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current"
        " LEFT JOIN quality q ON q.product_id = r.id"
        " WHERE f.name IN :those AND (q.passed IS NULL OR q.passed)"
    )
    return [(row.tile, row.band) for row in conn.execute(query, {"those": names})]
