"""How the benchmark of the ledger measures, and what a measurement is."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from tesela.ledger.engine import Ledger


@dataclass(frozen=True)
class Measured:
    """One number beside what is asked of it."""

    what: str
    database: str
    frames: int
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    is_right: bool = True
    """Whether what was to be checked besides held: sets, double claims, plans."""

    @property
    def is_met(self) -> bool | None:
        """Whether it is as asked; None where nothing is."""
        return self.is_within(1.0)

    def is_within(self, factor: float) -> bool | None:
        """Whether it is as asked, or worse by at most a factor; what is wrong never is."""
        if not self.is_right:
            return False
        if self.at_most is None and self.at_least is None:
            return None
        low = -float("inf") if self.at_least is None else self.at_least / factor
        high = float("inf") if self.at_most is None else self.at_most * factor
        return low <= self.value <= high

    @property
    def asked(self) -> str:
        """What is asked, in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g} {self.unit}"
        return f"at least {self.at_least:g} {self.unit}" if self.at_least is not None else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "is_met": self.is_met}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measured:
        """The inverse of `as_dict`."""
        return cls(**{name: value for name, value in values.items() if name != "is_met"})


@dataclass(frozen=True)
class Case:
    """A ledger that is measured."""

    database: str
    """PostgreSQL or SQLite."""
    frames: int
    ledger: Ledger

    def measured(self, what: str, value: float, unit: str, **rest: Any) -> Measured:
        """A measurement of it, said at once."""
        found = Measured(what, self.database, self.frames, value, unit, **rest)
        verdict = {True: "met", False: "NOT MET", None: ""}[found.is_met]
        say(f"{self.database} {self.frames}: {what}: {value:.3g} {unit} {verdict} {found.note}")
        return found


def say(what: str) -> None:
    """Tell how far it is."""
    print(f"... {what}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Give a list that holds the seconds when it ends."""
    found: list[float] = []
    started = time.perf_counter()
    yield found
    found.append(time.perf_counter() - started)


@dataclass
class Statement:
    """One text of SQL, and what it cost as often as it was run."""

    sql: str
    times: int = 0
    seconds: float = 0.0
    worst_s: float = 0.0
    parameters: Any = None
    """Of the worst."""


_SLOW_S = 0.02
"""A statement that took longer is explained."""


@contextlib.contextmanager
def listening(ledger: Ledger) -> Iterator[dict[str, Statement]]:
    """Give the statements that are run while this lasts, by their text."""
    found: dict[str, Statement] = {}
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(_conn: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        spent = time.perf_counter() - begun.pop()
        known = found.setdefault(sql, Statement(sql))
        known.times += 1
        known.seconds += spent
        if spent >= known.worst_s:
            known.worst_s, known.parameters = spent, parameters

    sa.event.listen(ledger.engine, "before_cursor_execute", before)
    sa.event.listen(ledger.engine, "after_cursor_execute", after)
    try:
        yield found
    finally:
        sa.event.remove(ledger.engine, "before_cursor_execute", before)
        sa.event.remove(ledger.engine, "after_cursor_execute", after)


def explained(ledger: Ledger, statement: Statement) -> str:
    """How the database goes about a statement; what it changes is taken back."""
    how = "EXPLAIN (ANALYZE, BUFFERS)" if ledger.is_shared else "EXPLAIN QUERY PLAN"
    with ledger.rehearse() as conn:
        rows = conn.exec_driver_sql(f"{how} {statement.sql}", statement.parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def tell_slowest(case: Case, statements: dict[str, Statement], most: int = 5) -> None:
    """Say which statements cost most in all, and how the database goes about the slow ones."""
    for one in sorted(statements.values(), key=lambda one: -one.seconds)[:most]:
        say(f"{one.seconds:.2f} s in {one.times} of: {' '.join(one.sql.split())}")
        if one.worst_s > _SLOW_S and one.sql.lstrip().startswith(("SELECT", "WITH")):
            say(f"the worst took {one.worst_s * 1e3:.0f} ms:\n{explained(case.ledger, one)}")
