"""The controller: plans, claims, hands out, commits. Nobody else writes results.

Killed at any moment it leaves a ledger from which the next one goes on: its tasks are made ready
again and what they left is swept. While the database is away it waits, with what it holds.
"""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import Connection

from tesela.errors import LedgerLost
from tesela.flow.plan import calendar_change, planner
from tesela.flow.plan.rules import Rules
from tesela.flow.run import allowance, commit, gate
from tesela.flow.run.alerts import Alerts
from tesela.flow.run.clockwatch import ClockWatch
from tesela.flow.run.engines.engine import Engine
from tesela.flow.run.heartbeat import Heartbeat
from tesela.flow.run.journal import Journal
from tesela.flow.run.lock import only_controller
from tesela.flow.run.orders import Patience, Scribe
from tesela.flow.run.registration import register_steps
from tesela.flow.run.settler import Settler, Summary
from tesela.flow.run.steps import Order, Registry, Report, WorkerDied
from tesela.ledger import controllers, counts, events, leases, status, tasks
from tesela.ledger.clock import SECONDS_A_DAY, now_mjd
from tesela.ledger.engine import Ledger
from tesela.products import paths

_TICK_S = 1.0
_REPLAN_S = 5.0
_PLAN_S = 5.0
"""So long is planned before results are taken in again."""
_CHORES_S = 20.0
_LONGEST_WAIT_S = 15.0
_COUNT_S = 1.0

Chore = Callable[[], None]
"""Something that is done now and then while the controller runs: new frames, counts."""


@dataclass(frozen=True)
class Manner:
    """How a run goes on."""

    continuous: bool = False
    """Go on when nothing is due, and wait for more."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Most tasks of a step at a time, over all controllers."""
    keep_free_gb: float = 0.0
    """With less space on the disk of the site nothing new is handed out."""
    lost_s: float = 600.0
    """So long the database may be away before a run that is not continuous ends."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    done: int
    open: int
    """Tasks ready or running."""
    running: tuple[str, ...]
    """"<step> <key>" of each task handed out."""
    note: str = ""
    """Why nothing is handed out, if so."""


class Controller:
    """Runs what is due on one site until nothing is, or until it is stopped.

    Parameters
    ----------
    site : Path
    ledger, rules, registry
        What is known, what is wanted, how it is made.
    engine : Engine
    manner : Manner
    said : (Journal, Alerts), optional
        Where it tells of what it does.
    chores : sequence of Chore
    """

    def __init__(
        self,
        site: Path,
        ledger: Ledger,
        rules: Rules,
        registry: Registry,
        engine: Engine,
        manner: Manner | None = None,
        said: tuple[Journal, Alerts] | None = None,
        chores: tuple[Chore, ...] = (),
    ) -> None:
        self.site, self.ledger, self.rules = site, ledger, rules
        self.registry, self.engine = registry, engine
        self.manner, self.chores = manner or Manner(), chores
        self.journal, self.alerts = said or _silent()
        self.id = controllers.new_id()
        self._settler = Settler(site, ledger, rules, registry, (self.journal, self.alerts))
        self._flying: dict[cf.Future[Report], tuple[tasks.Claim, Order]] = {}
        self._landed: list[tuple[tasks.Claim, Order, Report]] = []
        self._stopping = threading.Event()
        self._clock = ClockWatch()
        self._planned_at = self._chores_at = self._count_at = float("-inf")
        self._open = 0
        self._note = ""

    @property
    def summary(self) -> Summary:
        """What was done so far."""
        return self._settler.summary

    def stop(self) -> None:
        """Have `run` end soon; what runs is interrupted, and ready again for the next."""
        self._stopping.set()

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Summary:
        """Plan and run until nothing is due; quiet periods end when nothing else is left.

        Continuous, it goes on until `stop`, and quiet periods take their time.
        """
        started = time.monotonic()
        with self._at_work():
            while not self._stopping.is_set():
                try:
                    if not self._step(on_progress):
                        break
                except LedgerLost as lost:
                    self._wait_for_ledger(lost, on_progress)
        self._sum_up()
        self.summary.seconds = time.monotonic() - started
        return self.summary

    # ------------------------------------------------------------ beginning and end

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Be known as a controller: the only one on SQLite, one with leases on PostgreSQL."""
        heartbeat = Heartbeat(self.ledger, self.id) if self.ledger.is_shared else None
        alone = only_controller(paths.lock_file(self.site))
        with contextlib.nullcontext() if heartbeat else alone:
            self._start()
            if heartbeat:
                heartbeat.start()
            self.journal.write("controller started", controller=self.id)
            try:
                yield
            finally:
                if heartbeat:
                    heartbeat.end()
                self._end()

    def _start(self) -> None:
        """Take over from a controller that died, and say which steps there are."""
        with self.ledger.write() as conn:
            now = leases.now(conn)
            lost = self._recover(conn, now)
            controllers.enter(conn, self.id, type(self.engine).__name__, now)
            register_steps(conn, self.registry)
            calendar_change.apply(conn, self.rules)
        self.summary.recovered = len(lost)
        commit.sweep(self.ledger, self.site)
        # All of it before anything is handed out: a verdict may have taken it back.
        planner.plan(self.ledger, self.rules, enough=self._stopping.is_set)

    def _recover(self, conn: Connection, now: float) -> list[int]:
        """Free the tasks of dead controllers: of all others on SQLite, where this one is alone."""
        if self.ledger.is_shared:
            lost = leases.recover_lost(conn, now)
            controllers.bury(conn, now - 3 * leases.LEASE_S / SECONDS_A_DAY, but=self.id)
        else:
            lost = leases.recover(conn, "the controller died")
            controllers.bury(conn, now, but=self.id)
        if lost:
            detail = f"{len(lost)} attempts were lost with the controller before"
            events.record(conn, "recovered", detail=detail)
            self.journal.write("recovered", attempts=len(lost))
        return lost

    def _end(self) -> None:
        """Stop the workers and give back what they had."""
        self.engine.stop()
        with contextlib.suppress(LedgerLost), self.ledger.write() as conn:
            leases.recover(conn, "the controller was stopped", controller=self.id)
            controllers.leave(conn, self.id, leases.now(conn))
        for _, order in self._flying.values():
            commit.discard(order)
        # What the database did not take, or came late while its task ran again, may have names. If
        # this fails, the next start does it: it must not hide how the run ended.
        with contextlib.suppress(LedgerLost, OSError):
            commit.sweep(self.ledger, self.site)
        self.journal.write("controller ended", controller=self.id, done=self.summary.done)
        self.alerts.close()

    def _sum_up(self) -> None:
        with self.ledger.read() as conn:
            states = counts.count_ended_badly(conn)
            self.summary.waiting = status.waiting(conn)
            self.summary.held = allowance.held(conn, self.registry.specs, self.manner.limits)
        self.summary.all_dead, self.summary.all_skipped = states["dead"], states["skipped"]
        self.summary.warnings = status.grouped(self._settler.warned)

    # ------------------------------------------------------------ one round

    def _step(self, on_progress: Callable[[Progress], None] | None) -> bool:
        """Hand out, wait, take in; False when nothing is left to do."""
        self._settle_landed()
        self._do_chores()
        self._hand_out()
        if time.monotonic() - self._planned_at > _REPLAN_S or self._room() > 0:
            self._plan(now_mjd())
            self._hand_out()
        if on_progress is not None:
            on_progress(self._progress())
        if not self._flying:
            return self._find_more() or self._idle()
        finished, _ = cf.wait(self._flying, timeout=_TICK_S, return_when=cf.FIRST_COMPLETED)
        self._take_in(finished)
        return True

    def _plan(self, now: float) -> int:
        self._planned_at = time.monotonic()
        until = time.monotonic() + _PLAN_S
        report = planner.plan(
            self.ledger, self.rules, now=now,
            enough=lambda: time.monotonic() > until or self._stopping.is_set(),
        )  # fmt: skip
        if report.tasks or report.retired:
            self.journal.write("planned", tasks=len(report.tasks), retired=len(report.retired))
        return len(report.tasks) + len(report.retired) + (not report.is_whole)

    def _find_more(self) -> bool:
        """Nothing of ours runs: wait for a retry or for other controllers, end the quiet periods,
        look once at who still waits."""
        with self.ledger.read() as conn:
            may_run = [step for step, room in self._rooms(conn, 1).items() if room]
            retry_at = counts.next_retry(conn, may_run)
            quiet = tasks.last_not_before(conn) is not None
            others = sum(counts.running_by_step(conn).values())
        if retry_at is not None and not self._note:
            wait_s = (retry_at - now_mjd()) * SECONDS_A_DAY
            self._stopping.wait(min(max(wait_s, 0.05), _TICK_S))
            return True
        if others:
            self._stopping.wait(_TICK_S)
            return True
        if self._note:
            return False
        if quiet:
            if self.manner.continuous:
                return False
            self._plan(float("inf"))
            return True
        with self.ledger.write() as conn:
            woken = tasks.wake_pending(conn, "nothing is under way any more")
        return woken > 0 and self._plan(float("inf")) > 0

    def _idle(self) -> bool:
        """Nothing is due: continuous, wait a moment and go on."""
        if self.manner.continuous:
            self._stopping.wait(_TICK_S)
        return self.manner.continuous

    def _do_chores(self) -> None:
        """What is looked at now and then: the clock, leases of others, new frames, counts."""
        jumped_s = self._clock.jumped_s()
        if jumped_s:
            with self.ledger.write() as conn:
                latest = now_mjd() + max(self.rules.quiet_s, 60.0) / SECONDS_A_DAY
                n = leases.undo_clock(conn, latest) if jumped_s < 0 else 0
                detail = f"by {jumped_s:.0f} s; {n} waited for a time that is far off now"
                events.record(conn, "clock jumped", detail=detail)
            self.journal.write("clock jumped", seconds=jumped_s)
        if time.monotonic() - self._chores_at < (_TICK_S if self.manner.continuous else _CHORES_S):
            return
        self._chores_at = time.monotonic()
        if self.ledger.is_shared:
            with self.ledger.write() as conn:
                lost = self._recover(conn, leases.now(conn))
            if lost:
                commit.sweep(self.ledger, self.site)
        for chore in self.chores:
            chore()
        self.alerts.flush()

    # ------------------------------------------------------------ handing out

    def _room(self) -> int:
        used = sum(self.registry[claim.step].cores for claim, _ in self._flying.values())
        return 2 * self.engine.slots - used

    def _hand_out(self) -> None:
        room = self._room()
        if room <= 0 or self._is_held_up():
            return
        with self.ledger.write(how="shared") as conn:
            claims = tasks.claim(
                conn, room, now=leases.now(conn), rooms=self._rooms(conn, room), controller=self.id
            )
            scribe = Scribe(conn, self.rules, self.site, self.registry, self.manner.patience)
            orders, refused = scribe.of_claims(claims)
        for claim, error in refused:
            self._settler.refuse(claim, error)
        for claim, order in orders:
            future = self.engine.submit(self.registry[claim.step].run, order)
            self._flying[future] = (claim, order)

    def _rooms(self, conn: Connection, room: int) -> dict[str, int]:
        return allowance.rooms(conn, self.registry.specs, self.manner.limits, room)

    def _is_held_up(self) -> bool:
        """Whether nothing may be begun; somebody is told when that begins."""
        found = gate.closed(self.site, self.manner.keep_free_gb)
        if found is not None and not self._note:
            self.alerts.tell(*found)
        self._note = "" if found is None else found[1]
        return found is not None

    # ------------------------------------------------------------ taking in

    def _take_in(self, finished: set[cf.Future[Report]]) -> None:
        for future in finished:
            claim, order = self._flying.pop(future)
            self._landed.append((claim, order, _report_of(future)))
        self._settle_landed()

    def _settle_landed(self) -> None:
        """Settle one after another; what the database did not take is kept for the next time."""
        while self._landed:
            self._settler.settle(*self._landed[0])
            self._landed.pop(0)

    def _wait_for_ledger(
        self, lost: LedgerLost, on_progress: Callable[[Progress], None] | None = None
    ) -> None:
        """The database is away: keep the results, and go on when it is back."""
        self.journal.write("ledger lost", error=str(lost))
        self.alerts.tell("ledger lost", str(lost))
        since, wait_s = time.monotonic(), _TICK_S
        while not self._stopping.wait(wait_s):
            if on_progress is not None:
                note = f"waiting for the database: {lost.found}"
                on_progress(Progress(self.summary.done, self._open, (), note))
            try:
                self._reconcile()
            except LedgerLost:
                away_s = time.monotonic() - since
                if not self.manner.continuous and away_s > self.manner.lost_s:
                    raise
                wait_s = min(1.5 * wait_s, _LONGEST_WAIT_S)
            else:
                self.journal.write("ledger back", seconds=time.monotonic() - since)
                return

    def _reconcile(self) -> None:
        """Make ready what was claimed in our name when the database went, unknown to us."""
        known = {claim.attempt_id for claim, _ in self._flying.values()}
        known |= {claim.attempt_id for claim, _, _ in self._landed}
        with self.ledger.write() as conn:
            leases.recover(conn, "claimed when the database went", controller=self.id, but=known)

    def _progress(self) -> Progress:
        if time.monotonic() > self._count_at:
            began = time.monotonic()
            with self.ledger.read() as conn:
                self._open = counts.count_open(conn)
            now = time.monotonic()
            self._count_at = now + max(_COUNT_S, 50 * (now - began))
        waiting = max(self._open, len(self._flying))
        running = tuple(f"{claim.step} {claim.key}" for claim, _ in self._flying.values())
        return Progress(self.summary.done, waiting, running, self._note)


def _report_of(future: cf.Future[Report]) -> Report:
    try:
        return future.result()
    except WorkerDied as died:
        return Report(None, fault_class="infrastructure", message=f"its worker is gone: {died}")


def _silent() -> tuple[Journal, Alerts]:
    from tesela.config import Alerts as Settings

    journal = Journal(None)
    return journal, Alerts(Settings(), "", journal)
