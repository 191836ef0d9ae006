"""The queue: what the next work is, how many claims and commits a second, and nobody twice.

A bulk reprocessing is pretended: reductions that were done are made ready again. So this comes last
of what is measured on a ledger.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import ledger_calls as calls
import ledger_survey as survey
import sqlalchemy as sa
from ledger_measure import Case, Measured, Statement, explained, listening, say, stopwatch

from tesela.ledger.engine import Ledger
from tesela.products import paths

BATCH = 8
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Load:
    """How much is asked of the queue."""

    claims: int = 100_000
    """After so many the next work is looked for again."""
    controllers: int = 8
    seconds: float = 20.0
    """Of each of the two rates."""

    @property
    def ready(self) -> int:
        """Tasks that are made ready: more than are claimed."""
        return int(self.claims * 1.3)


def measure(case: Case, place: Path | str, load: Load) -> Iterator[Measured]:
    """Yield the measurements of the queue."""
    say(f"{load.ready} reductions are made ready again")
    _make_ready(case.ledger, load.ready)
    yield _next_work(case, "next work")
    claimed = 0
    controllers = load.controllers if case.ledger.is_shared else 1
    for mode, what in (("attempts", "claim and end"), ("results", "claim, order and commit")):
        most = load.claims // 3 // controllers
        done = run_controllers(place, controllers, mode, load.seconds, most)
        claimed += len(done.tasks)
        yield _rate(case, what, controllers, done)
    say(f"{load.claims - claimed} claims more")
    while claimed < load.claims:
        with calls.claiming(case.ledger) as conn:
            found = calls.claim(conn, 100)
        if not found:
            raise RuntimeError(f"nothing was ready any more after {claimed} claims")
        claimed += len(found)
    yield _next_work(case, f"next work after {load.claims} claims")


def _make_ready(ledger: Ledger, n: int) -> None:
    """As a reprocessing makes them: the same inputs again."""
    some = "SELECT id FROM task WHERE step = 'reduce' AND state = 'done' ORDER BY id LIMIT :n"
    with ledger.write() as conn:
        conn.execute(sa.text(f"CREATE TEMPORARY TABLE again AS {some}"), {"n": n})
        found = conn.scalar(sa.text("SELECT COUNT(*) FROM again"))
        if found < n:
            raise RuntimeError(f"{found} reductions, {n} wanted: ask for fewer claims")
        conn.execute(
            sa.text(
                "INSERT INTO task_input (task_id, source, role) SELECT e.product, e.source, e.role"
                " FROM again a JOIN edge e ON e.product = a.id WHERE NOT EXISTS"
                " (SELECT 1 FROM task_input i WHERE i.task_id = a.id)"
            )
        )
        changed = "UPDATE task SET state = 'ready' WHERE id IN (SELECT id FROM again)"
        conn.execute(sa.text(changed))
        conn.execute(sa.text("DROP TABLE again"))
    if ledger.is_shared:  # nobody marks so many within a second: what the server owes for it first
        with ledger.engine.connect() as alone:
            alone = alone.execution_options(isolation_level="AUTOCOMMIT")
            for statement in ("VACUUM ANALYZE task", "VACUUM ANALYZE task_input", "CHECKPOINT"):
                alone.execute(sa.text(statement))


# ---------------------------------------------------------------- the next work


def _next_work(case: Case, what: str) -> Measured:
    """The statement by which a claim finds what is ready, in transactions that are taken back."""
    times, last = [], None
    for _ in range(30):
        with listening(case.ledger) as statements, case.ledger.rehearse() as conn:
            claimed = calls.claim(conn, BATCH)
        assert len(claimed) == BATCH
        asked = [one for one in statements.values() if _finds_work(one)]
        times.append(sum(one.seconds for one in asked))
        last = asked[0]
    assert last is not None
    plan = explained(case.ledger, last)
    by_index = "ix_task_ready" in plan
    note = "by ix_task_ready" if by_index else f"NOT by ix_task_ready: {plan.splitlines()[0]}"
    if not by_index:
        say(f"{what}: {' '.join(last.sql.split())}\n{plan}")
    return case.measured(
        what, 1e3 * statistics.median(times), "ms", at_most=5.0, note=note, is_right=by_index
    )


def _finds_work(statement: Statement) -> bool:
    sql = statement.sql.upper()
    return "SELECT" in sql and "TASK" in sql and "'READY'" in sql


# ---------------------------------------------------------------- rates


@dataclass
class Done:
    """What several controllers did."""

    tasks: list[int]
    """Every task claimed, by whomever."""
    committed: int
    seconds: float
    attempts_opened: int
    worst_s: float
    """The longest that one claim or commit took."""


def _rate(case: Case, what: str, controllers: int, done: Done) -> Measured:
    twice = len(done.tasks) - len(set(done.tasks))
    idle = done.attempts_opened - len(done.tasks)
    note = f"{controllers} controllers, {len(done.tasks)} claims, {twice} twice, {idle} in vain,"
    note += f" worst {done.worst_s * 1e3:.0f} ms"
    return case.measured(
        what, done.committed / done.seconds, "/s", at_least=200.0, note=note, is_right=not twice
    )


def run_controllers(
    place: Path | str, controllers: int, mode: str, seconds: float, most: int
) -> Done:
    """Let several processes claim and commit beside each other for a while, or so many tasks."""
    ledger = Ledger.open(place)
    before = _last_attempt(ledger)
    begin, results = _SPAWN.Barrier(controllers), _SPAWN.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        paths.work_folder(Path(folder)).mkdir(parents=True)
        arguments = (place, Path(folder), mode, seconds, most, begin, results)
        running = [_SPAWN.Process(target=_control, args=arguments) for _ in range(controllers)]
        for process in running:
            process.start()
        found = [results.get() for _ in running]
        for process in running:
            process.join()
    opened = _last_attempt(ledger) - before
    ledger.close()
    broken = [one for one in found if isinstance(one, str)]
    if broken:
        raise RuntimeError(broken[0])
    return Done(
        tasks=[task for one in found for task in one[0]],
        committed=sum(one[1] for one in found),
        seconds=max(one[2] for one in found),
        attempts_opened=opened,
        worst_s=max(one[3] for one in found),
    )


def _last_attempt(ledger: Ledger) -> int:
    with ledger.read() as conn:
        return int(conn.scalar(sa.text("SELECT MAX(id) FROM attempt")))


def _control(
    place: Path | str,
    site: Path,
    mode: str,
    seconds: float,
    most: int,
    begin: Any,
    results: SimpleQueue[Any],
) -> None:
    try:
        results.put(_work(Ledger.open(place), site, mode, seconds, most, begin))
    except Exception as error:  # noqa: BLE001 - who waits for the result must hear of it
        results.put(f"{type(error).__name__}: {error}")


def _work(
    ledger: Ledger, site: Path, mode: str, seconds: float, most: int, begin: Any
) -> tuple[list[int], int, float, float]:
    """Claim in batches and commit one by one; (tasks, commits, seconds, the worst wait)."""
    rules = survey.rules()
    with ledger.read():
        pass  # connected before the time runs
    begin.wait()
    started = time.perf_counter()
    claimed: list[int] = []
    committed, worst = 0, 0.0
    while time.perf_counter() - started < seconds and len(claimed) < most:
        with stopwatch() as waited, calls.claiming(ledger) as conn:
            claims = calls.claim(conn, BATCH)
            work = [(one, None) for one in claims]
            if mode == "results":
                work = calls.orders(conn, rules, site, claims)  # type: ignore[assignment]
        worst = max(worst, waited[0])
        claimed += [one.task_id for one in claims]
        for one, order in work:
            with stopwatch() as waited:
                if order is None:
                    with calls.claiming(ledger) as conn:
                        committed += calls.end(conn, one)
                else:
                    calls.deliver(ledger, rules, site, one, order)
                    committed += 1
            worst = max(worst, waited[0])
    spent = time.perf_counter() - started
    ledger.close()
    return claimed, committed, spent, worst
