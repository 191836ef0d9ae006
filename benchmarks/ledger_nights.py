"""Nights: taken in, planned, and scheduled to the end without a pixel."""

from __future__ import annotations

import concurrent.futures as cf
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ledger_calls as calls
import ledger_survey as survey
import sqlalchemy as sa
from ledger_measure import Case, Measured, listening, stopwatch, tell_slowest

from tesela.flow.plan.rules import STEPS
from tesela.flow.run import worker
from tesela.flow.run.steps import Order, Outcome, Report
from tesela.products import paths


@dataclass
class Inline:
    """An engine that performs each order at once in this process."""

    slots: int = 8
    orders: list[Order] = field(default_factory=list)

    def submit(self, run: Callable[[Order], Outcome], order: Order) -> cf.Future[Report]:
        """Run now, and give a finished future."""
        self.orders.append(order)
        future: cf.Future[Report] = cf.Future()
        future.set_result(worker.perform(run, order))
        return future

    def stop(self) -> None:
        """Nothing to end."""


def measure(case: Case, nights: int, share: survey.Share) -> Iterator[Measured]:
    """Yield the cost of the nights that follow the survey, the first one's in parts."""
    first = survey.nights_of(case.frames)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        paths.work_folder(site).mkdir(parents=True)
        for number in range(first, first + nights):
            yield from _one(case, site, number, share, is_first=number == first)


def again(case: Case, most: int = 40) -> Measured:
    """Whether planning the first and last products of each kind again makes nothing due: then the
    synthetic ledger is one that the program could have made."""
    targets: list[calls.Target] = []
    with case.ledger.read() as conn:
        for kind in STEPS:
            for order in ("", "DESC"):
                some = (
                    "SELECT kind, key FROM product WHERE kind = :kind AND is_current ORDER BY key"
                )
                rows = conn.execute(sa.text(f"{some} {order} LIMIT {most}"), {"kind": kind})
                targets += [(row.kind, row.key) for row in rows]
    calls.mark(case.ledger, targets)
    report = calls.plan(case.ledger, survey.rules(), at_once=True)
    return case.measured(
        "made due by looking again", len(report.tasks) + len(report.waiting), "products", at_most=0,
        note=f"of {len(set(targets))}; {report.unchanged} unchanged",
        is_right=report.unchanged >= len(set(targets)),
    )  # fmt: skip


def status(case: Case) -> Measured:
    """What somebody who looks waits for, while controllers count on a timer."""
    counted_s = calls.count(case.ledger)
    calls.overview(case.ledger)
    times = []
    with listening(case.ledger) as statements:
        for _ in range(3):
            with stopwatch() as spent:
                calls.overview(case.ledger)
            times.append(spent[0])
    tell_slowest(case, statements)
    note = f"counting took {counted_s:.1f} s, in the background of a controller"
    return case.measured("status", 1e3 * sorted(times)[1], "ms", at_most=300.0, note=note)


def _one(
    case: Case, site: Path, number: int, share: survey.Share, *, is_first: bool
) -> Iterator[Measured]:
    rules = survey.rules()
    with listening(case.ledger) as statements:
        frames, ingested = _ingest(case, number, share)
        with stopwatch() as planned:
            report = calls.plan(case.ledger, rules)
    if is_first:
        tell_slowest(case, statements)
    due = f"{len(report.tasks)} tasks, {len(report.waiting)} waiting"
    yield case.measured(
        "a night taken in and planned", ingested + planned[0], "s",
        at_most=60.0 if frames == survey.A_NIGHT else None,
        note=f"{frames} frames, {ingested:.1f} s in, {planned[0]:.1f} s planned: {due}",
    )  # fmt: skip
    with listening(case.ledger) as statements, calls.timed() as parts:
        started = time.perf_counter()
        summary = _run(case, site)
        spent = time.perf_counter() - started
    if is_first:
        tell_slowest(case, statements, 8)
    note = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts.seconds.items())
    right = not (summary.dead or summary.skipped or summary.failed_attempts)
    yield case.measured(
        "a night scheduled to the end", spent, "s", note=f"{summary.done} tasks: {note}",
        is_right=right,
    )  # fmt: skip
    yield case.measured("a task of it", 1e3 * spent / max(1, summary.done), "ms")


def _ingest(case: Case, number: int, share: survey.Share) -> tuple[int, float]:
    rules = survey.rules()
    facts = list(survey.facts_of_night(number, share))
    with stopwatch() as spent:
        for one in facts:
            calls.take_in(case.ledger, rules, one)
    return len(facts), spent[0]


def _run(case: Case, site: Path) -> Any:
    engine = Inline()
    control = calls.new_controller(case.ledger, site, survey.rules(), engine, calls.registry())
    return control.run()
