"""The controller: plans, claims, hands out, commits. Nobody else writes results.

Killed at any moment it leaves a ledger from which the next one goes on: `start` makes the tasks
that ran ready again and sweeps what they left.
"""

from __future__ import annotations

import concurrent.futures as cf
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, ProductError
from tesela.flow.plan import calendar_change, downstream, planner
from tesela.flow.plan.rules import Rules
from tesela.flow.run import commit
from tesela.flow.run.lock import only_controller
from tesela.flow.run.orders import write_order
from tesela.flow.run.retries import fate
from tesela.flow.run.steps import Order, Outcome, Registry, Report, WorkerDied
from tesela.ledger import events, frames, status, steps, tasks
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.engine import Ledger
from tesela.products import paths

_TICK_S = 1.0
_REPLAN_S = 5.0


class Engine(Protocol):
    """Where tasks run."""

    slots: int

    def submit(self, run: Callable[[Order], Outcome], order: Order) -> cf.Future[Report]:
        """Hand an order to a worker; the future raises `WorkerDied` if that is killed."""

    def stop(self) -> None:
        """End all workers."""


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


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    done: int
    open: int
    """Tasks ready or running."""
    running: tuple[str, ...]
    """"<step> <key>" of each task handed out."""


class Controller:
    """Runs what is due on one site until nothing is.

    Parameters
    ----------
    site : Path
    ledger, rules, registry
        What is known, what is wanted, how it is made.
    engine : Engine
    """

    def __init__(
        self, site: Path, ledger: Ledger, rules: Rules, registry: Registry, engine: Engine
    ) -> None:
        self.site, self.ledger, self.rules = site, ledger, rules
        self.registry, self.engine = registry, engine
        self.summary = Summary()
        self._flying: dict[cf.Future[Report], tuple[tasks.Claim, Order]] = {}
        self._suspects: set[int] = set()
        self._warned: list[tuple[str, str, str]] = []
        self._planned_at = 0.0

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Summary:
        """Plan and run until nothing is due; quiet periods end when nothing else is left."""
        started = time.monotonic()
        with only_controller(paths.lock_file(self.site)):
            self._start()
            try:
                while self._step(on_progress):
                    pass
            finally:
                self.engine.stop()
                if self._flying:
                    with self.ledger.write() as conn:
                        tasks.recover(conn, "the controller was stopped")
        self._sum_up()
        self.summary.seconds = time.monotonic() - started
        return self.summary

    def _sum_up(self) -> None:
        with self.ledger.read() as conn:
            states = [row["state"] for row in tasks.ended_badly(conn)]
            self.summary.waiting = status.waiting(conn)
        self.summary.all_dead, self.summary.all_skipped = (
            states.count("dead"),
            states.count("skipped"),
        )
        self.summary.warnings = status.grouped(self._warned)

    def _start(self) -> None:
        """Take over from a controller that died, and say which steps there are."""
        with self.ledger.write() as conn:
            lost = tasks.recover(conn, "the controller died")
            register_steps(conn, self.registry)
            calendar_change.apply(conn, self.rules)
            if lost:
                detail = f"{len(lost)} attempts were lost with the controller before"
                events.record(conn, "recovered", detail=detail)
        self.summary.recovered = len(lost)
        commit.sweep(self.ledger, self.site)
        self._plan(now_mjd())  # before anything is handed out: a verdict may have taken it back

    def _step(self, on_progress: Callable[[Progress], None] | None) -> bool:
        """Hand out, wait, take in; False when nothing is left to do."""
        self._hand_out()
        if time.monotonic() - self._planned_at > _REPLAN_S or self._room() > 0:
            self._plan(now_mjd())
            self._hand_out()
        if on_progress is not None:
            on_progress(self._progress())
        if not self._flying:
            return self._find_more()
        finished, _ = cf.wait(self._flying, timeout=_TICK_S, return_when=cf.FIRST_COMPLETED)
        self._take_in(finished)
        return True

    def _plan(self, now: float) -> int:
        self._planned_at = time.monotonic()
        report = planner.plan(self.ledger, self.rules, now=now)
        return len(report.tasks) + len(report.retired)

    def _find_more(self) -> bool:
        """Nothing runs: wait for a retry, end the quiet periods, look once at who still waits."""
        with self.ledger.read() as conn:
            retry_at = tasks.next_retry(conn)
            quiet = tasks.last_not_before(conn) is not None
        if retry_at is not None:
            time.sleep(min(max((retry_at - now_mjd()) * SECONDS_A_DAY, 0.0), _TICK_S))
            return True
        if quiet:
            self._plan(float("inf"))
            return True
        with self.ledger.write() as conn:
            tasks.wake_pending(conn, "nothing is under way any more")
        return self._plan(float("inf")) > 0

    def _room(self) -> int:
        # After a worker died, tasks run alone until those that may have killed it are through.
        limit = 1 if self._suspects else 2 * self.engine.slots
        used = sum(self.registry[claim.step].cores for claim, _ in self._flying.values())
        return limit - used

    def _hand_out(self) -> None:
        room = self._room()
        if room <= 0:
            return
        with self.ledger.write() as conn:
            claims = tasks.claim(conn, room)
            orders = [
                write_order(conn, self.rules, self.site, claim, self.registry[claim.step])
                for claim in claims
            ]
        for claim, order in zip(claims, orders):
            future = self.engine.submit(self.registry[claim.step].run, order)
            self._flying[future] = (claim, order)

    def _take_in(self, finished: set[cf.Future[Report]]) -> None:
        alone = len(self._flying) == 1
        for future in finished:
            claim, order = self._flying.pop(future)
            try:
                report = future.result()
            except WorkerDied:
                self._worker_died(claim, order, alone)
                continue
            self._suspects.discard(claim.task_id)
            self._settle(claim, order, report)

    def _worker_died(self, claim: tasks.Claim, order: Order, alone: bool) -> None:
        """Alone in flight, a task is to blame; else it is tried again, alone."""
        report = Report(
            None,
            fault_class="memory" if alone else "infrastructure",
            message="its worker was killed",
            log="The worker process ended without a word: killed, or out of memory.",
        )
        self._suspects.add(claim.task_id)
        self._fail(claim, order, report)

    def _settle(self, claim: tasks.Claim, order: Order, report: Report) -> None:
        if report.outcome is None:
            self._fail(claim, order, report)
            return
        try:
            work = (order, report)
            raised = commit.commit(
                self.ledger, self.rules, self.site, claim, work, self.registry.monitors
            )
            if raised is not None:
                self.summary.done += 1
                said = (*report.outcome.warnings, *raised)
                self._warned += [(order.kind, order.key, text) for text in said]
        except (OSError, ProductError) as error:
            message = f"publishing failed: {error}"
            self._fail(claim, order, Report(None, fault_class="infrastructure", message=message))

    def _fail(self, claim: tasks.Claim, order: Order, report: Report) -> None:
        """Store the fault, and decide whether the task is tried again."""
        log = f"{report.message}\n{report.log}".strip()
        with self.ledger.write() as conn:
            task = tasks.get(conn, claim.kind, claim.key)
            if task is None:
                raise LedgerError(
                    f"{claim.kind} {claim.key}", found="no task", expected="the one that ran"
                )
            next_state = fate(task, report)
            ending = tasks.Ending(
                "failed", report.fault_class, report.seconds, report.peak_memory_mb, log
            )
            tasks.end(
                conn,
                claim,
                next_state.state,
                ending,
                reason=next_state.reason,
                delay_s=next_state.delay_s,
            )
            self.summary.failed_attempts += 1
            if next_state.state != "ready":
                self._give_up(conn, claim, next_state.state, next_state.reason)
        commit.discard(order)

    def _give_up(self, conn: Connection, claim: tasks.Claim, state: str, reason: str) -> None:
        """A task ended without a product: write it down and tell who waited for it."""
        if state == "dead":
            self.summary.dead += 1
        else:
            self.summary.skipped += 1
        self._suspects.discard(claim.task_id)
        self.summary.problems.append(
            f"{claim.step} {claim.key} {state}: {reason}; {status.advice(claim.key)}"
        )
        events.record(conn, f"task {state}", kind=claim.kind, key=claim.key, detail=reason)
        tasks.wake(conn, claim.kind, claim.key, "its task ended")
        if claim.kind == "reduced":
            tiles = frames.tiles_of(conn, frames.get(conn, claim.key)["product_id"])
            downstream.reduced_changed(conn, self.rules, claim.key, tiles)
        downstream.settled(conn, self.rules, claim.kind, claim.key)

    def _progress(self) -> Progress:
        with self.ledger.read() as conn:
            waiting = tasks.count_open(conn)
        running = tuple(f"{claim.step} {claim.key}" for claim, _ in self._flying.values())
        return Progress(self.summary.done, waiting, running)


def register_steps(conn: Connection, registry: Registry) -> None:
    """Write down the steps of this program with the settings of this site."""
    steps.register(
        conn,
        (
            steps.StepRow(
                spec.name,
                spec.kind,
                spec.code_version,
                spec.settings_hash,
                spec.cores,
                spec.memory_mb,
                spec.seconds_per_mpix,
            )
            for spec in registry.specs.values()
        ),
    )
    for spec in registry.specs.values():
        steps.register_scopes(conn, spec.name, spec.settings_hash_in)
