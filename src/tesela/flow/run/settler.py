"""What becomes of a report: a commit, another try, or the end of the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, ProductError
from tesela.flow.plan import downstream
from tesela.flow.plan.rules import Rules
from tesela.flow.run import commit
from tesela.flow.run.alerts import Alerts
from tesela.flow.run.journal import Journal
from tesela.flow.run.retries import fate
from tesela.flow.run.steps import Order, Registry, Report
from tesela.ledger import attempts, events, status, tasks
from tesela.ledger.engine import Ledger


@dataclass
class Summary:
    """What one run did."""

    done: int = 0
    skipped: int = 0
    dead: int = 0
    failed_attempts: int = 0
    recovered: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    """A sentence for each task skipped or dead."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """Of what was made now, grouped: kind, text, n, example."""
    all_dead: int = 0
    """Tasks dead at the end, those of earlier runs included."""
    all_skipped: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """What could not be made at the end, grouped: kind, reason, n, served, example."""
    held: list[str] = field(default_factory=list)
    """A sentence for each step of which tasks are due that may not be begun."""


_MOST_PROBLEMS = 1000
"""Sentences that a run for months keeps; the ledger has them all."""


class Settler:
    """Commits what succeeded, and decides about what did not.

    `settle` may be repeated with the same report: after `LedgerLost` nobody knows whether it was
    committed, and the second time finds out.
    """

    def __init__(
        self,
        site: Path,
        ledger: Ledger,
        rules: Rules,
        registry: Registry,
        said: tuple[Journal, Alerts],
    ) -> None:
        self.site, self.ledger, self.rules, self.registry = site, ledger, rules, registry
        self.journal, self.alerts = said
        self.summary = Summary()
        self.warned: list[tuple[str, str, str]] = []

    def settle(self, claim: tasks.Claim, order: Order, report: Report) -> None:
        """Commit a result, or store a fault and what follows from it."""
        if report.outcome is None:
            self._fail(claim, order, report)
            return
        try:
            work = (order, report)
            raised = commit.commit(
                self.ledger, self.rules, self.site, claim, work, self.registry.monitors
            )
        except (OSError, ProductError) as error:
            message = f"publishing failed: {error}"
            self._fail(claim, order, Report(None, fault_class="infrastructure", message=message))
            return
        if raised is None:
            self._write("late", claim, report)
            return
        self.summary.done += 1
        said = (*report.outcome.warnings, *raised)
        self.warned += [(order.kind, order.key, text) for text in said]
        del self.warned[:-_MOST_PROBLEMS]
        self._write("done", claim, report, version=order.version, warnings=list(said))
        for text in raised:
            if text.startswith("alarm"):
                self.alerts.tell("monitor alarm", f"{order.kind} {order.key}: {text}")

    def refuse(self, claim: tasks.Claim, error: LedgerError) -> None:
        """End a task for which no order can be written."""
        self._fail(claim, None, Report(None, fault_class="impossible", message=str(error)))

    def _fail(self, claim: tasks.Claim, order: Order | None, report: Report) -> None:
        """Store the fault, and decide whether the task is tried again."""
        log = f"{report.message}\n{report.log}".strip()
        with self.ledger.write(how="shared") as conn:
            task = tasks.get(conn, claim.kind, claim.key)
            if task is None:
                raise LedgerError(
                    f"{claim.kind} {claim.key}", found="no task", expected="the one that ran"
                )
            next_state = fate(task, report)
            ending = attempts.Ending(
                "failed", report.fault_class, report.seconds, report.peak_memory_mb, log
            )
            ours = tasks.end(
                conn,
                claim,
                next_state.state,
                ending,
                reason=next_state.reason,
                delay_s=next_state.delay_s,
            )
            if ours and next_state.state != "ready":
                self._give_up(conn, claim, next_state.state, next_state.reason)
        if order is not None:
            commit.discard(order)
        if not ours:
            self._write("late", claim, report)
            return
        self.summary.failed_attempts += 1
        self._write(
            "failed", claim, report, fault=report.fault_class, error=report.message,
            now=next_state.state,
        )  # fmt: skip
        if next_state.state != "ready":
            self._tell(claim, next_state.state, next_state.reason)

    def _give_up(self, conn: Connection, claim: tasks.Claim, state: str, reason: str) -> None:
        """A task ended without a product: write it down and have those look who waited for it."""
        events.record(conn, f"task {state}", kind=claim.kind, key=claim.key, detail=reason)
        tasks.wake(conn, [(claim.kind, claim.key)], "its task ended")
        if claim.kind == "reduced":
            where = downstream.touched(conn, claim.key)
            downstream.reduced_changed(conn, self.rules, claim.key, where)
        downstream.settled(conn, self.rules, claim.kind, claim.key)

    def _tell(self, claim: tasks.Claim, state: str, reason: str) -> None:
        if state == "dead":
            self.summary.dead += 1
            self.alerts.tell("task dead", f"{claim.step} {claim.key}: {reason}")
        else:
            self.summary.skipped += 1
        sentence = f"{claim.step} {claim.key} {state}: {reason}; {status.advice(claim.key)}"
        self.summary.problems.append(sentence)
        del self.summary.problems[:-_MOST_PROBLEMS]

    def _write(self, what: str, claim: tasks.Claim, report: Report, **facts: Any) -> None:
        self.journal.write(
            f"task {what}",
            step=claim.step,
            kind=claim.kind,
            key=claim.key,
            attempt=claim.attempt_id,
            number=claim.number,
            seconds=round(report.seconds, 3),
            peak_memory_mb=round(report.peak_memory_mb, 1),
            worker=report.host,
            **facts,
        )
