"""A night on real Grid Engine and Slurm, while its parts are killed; and what handing out costs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

from flow import toys
from postgres import new_database
from tesela.config import Cluster
from tesela.flow.run.engines import sge, slurm
from tesela.flow.run.engines.pilots import PilotEngine
from tesela.flow.run.steps import Order
from tesela.ledger import schema
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from verbs import start, well

from .farm import Farm, kill_job

pytestmark = pytest.mark.cluster
_PATH = f"{Path(__file__).parents[1]}:{os.environ.get('PYTHONPATH', '')}"


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def rows(ledger: Ledger, what: str) -> list:  # type: ignore[type-arg]
    table = schema.metadata.tables[what]
    with ledger.read() as conn:
        return list(conn.execute(table.select().order_by(table.c.id)))


def hashes(ledger: Ledger) -> dict[tuple[str, str], str]:
    served = [row for row in rows(ledger, "product") if row.is_current]
    return {(row.kind, row.key): row.data_hash for row in served}


@pytest.fixture
def started() -> Iterator[Callable[..., Popen[bytes]]]:
    """`start`, and nothing of it is left in the end."""
    processes: list[Popen[bytes]] = []

    def start_one(*words: object) -> Popen[bytes]:
        processes.append(start(*words))
        return processes[-1]

    yield start_one
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.timeout(900)
def test_a_night_while_everything_is_killed_ends_as_an_undisturbed_one(
    farm: Farm, night: Path, done: Path, tmp_path: Path, started: Callable[..., Popen[bytes]]
) -> None:
    """PostgreSQL with Grid Engine, SQLite with Slurm: as it ends with SQLite and processes."""
    moments = random.Random(20170703)
    url = new_database(empty=True) if farm.kind == "sge" else ""
    settings = tmp_path / "site.toml"
    settings.write_text(farm.site_toml(url))
    site = tmp_path / "site"
    well("init", site, "--survey", night / "survey.toml", "--settings", settings)
    well("refcat", "add", "simulated", night / "refcat.parquet", "--site", site)
    well("ingest", night / "raw", "--site", site)
    ledger = Ledger.open(place_of(site))

    def n_done() -> int:
        return sum(row.outcome == "done" for row in rows(ledger, "attempt"))

    def is_busy() -> bool:
        return bool(farm.step_processes()) and any(
            row.outcome == "running" for row in rows(ledger, "attempt")
        )

    def busy_after(n: int) -> None:
        until(lambda: n_done() >= n and is_busy())
        time.sleep(moments.uniform(0.0, 1.0))

    process = started("run", "--site", site)
    busy_after(1)
    os.kill(moments.choice(farm.step_processes()), signal.SIGKILL)  # the process of a step
    busy_after(3)
    kill_job(moments.choice(farm.job_processes()))  # a batch job with all that is in it
    busy_after(6)
    process.kill()  # the controller
    process.wait()
    began = time.monotonic()
    process = started("run", "--site", site)
    busy_after(n_done() + 1)
    print(f"{farm.kind}: at work again {time.monotonic() - began:.0f} s after the controller died")
    busy_after(9)
    time.sleep(farm.settled_s)
    farm.kill_master()
    assert process.wait(600) == 0

    assert hashes(ledger) == hashes(Ledger.open(place_of(done)))
    made = [row for row in rows(ledger, "product") if row.kind != "raw"]
    assert {row.version for row in made} == {1}
    assert {row.state for row in rows(ledger, "task")} == {"done"}
    outcomes = [row.outcome for row in rows(ledger, "attempt")]
    assert outcomes.count("done") == len(rows(ledger, "task"))
    assert "running" not in outcomes
    assert outcomes.count("failed") >= 3  # what was killed was seen
    recorded = {row.path for row in made if row.path.startswith("products/")}
    assert all((site / path).is_file() for path in recorded)
    until(lambda: not farm.jobs(), 60.0)


@pytest.fixture
def engine(farm: Farm, tmp_path: Path):  # type: ignore[no-untyped-def]
    settings = Cluster(
        kind=farm.kind, queue=farm.queue, interface="127.0.0.1", max_jobs=2, memory_mb=1500.0,
        max_memory_mb=6000.0, idle_s=5.0, prologue=(f"export PYTHONPATH={_PATH}",),
    )  # fmt: skip
    made = PilotEngine(settings, {"sge": sge.make, "slurm": slurm.make}[farm.kind], tmp_path)
    yield made
    made.stop()


def order(folder: Path, number: int, **settings: object) -> Order:
    key = f"k{number}"
    return Order(
        number, number, "reduce", "reduced", key, 1, (), settings, str(folder),
        str(folder / key),
    )  # fmt: skip


def test_handing_out_a_task_costs_little(engine: PilotEngine, farm: Farm, tmp_path: Path) -> None:
    """1000 tasks that do next to nothing: less than 20 ms each."""
    warm = [engine.submit(toys.toy_step, order(tmp_path, n, delay_s=2.0)) for n in range(6)]
    assert all(future.result(120).outcome is not None for future in warm)
    began = time.monotonic()
    futures = [engine.submit(toys.toy_step, order(tmp_path, 10 + n)) for n in range(1000)]
    assert all(future.result(120).outcome is not None for future in futures)
    each_ms = time.monotonic() - began
    print(f"{farm.kind}: {each_ms:.1f} ms a task")
    assert each_ms < 20.0


def test_a_step_that_crashes_hangs_or_eats_memory_is_told_of(
    engine: PilotEngine, tmp_path: Path
) -> None:
    ways = {
        "segfault": ({}, "fault", "crashed (SIGSEGV)"),
        "hang": ({"timeout_s": 1.0}, "fault", "it hangs"),
        "eat": ({"limit_mb": 400.0}, "memory", "and may have 400"),
    }
    for number, (how, (limits, fault_class, said)) in enumerate(ways.items()):
        bad = order(tmp_path, number, faults={f"k{number}": how})
        report = engine.submit(toys.toy_step, replace(bad, **limits)).result(120)
        assert (report.outcome, report.fault_class) == (None, fault_class)
        assert said in report.message
    good = engine.submit(toys.toy_step, order(tmp_path, 9)).result(120)
    assert good.outcome is not None


def test_a_task_gets_a_job_with_the_memory_that_it_asks_for(
    engine: PilotEngine, tmp_path: Path
) -> None:
    """More memory means another job; more than any job may have is said at once."""
    larger = replace(order(tmp_path, 1), memory_mb=2500.0)
    assert engine.submit(toys.toy_step, larger).result(120).outcome is not None
    assert list(engine._pools) == [3000]
    report = engine.submit(toys.toy_step, replace(order(tmp_path, 2), memory_mb=9000.0)).result(1)
    assert report.fault_class == "impossible"
    assert "max_memory_mb" in report.message


def test_jobs_are_given_back_when_nothing_is_left(
    engine: PilotEngine, farm: Farm, tmp_path: Path
) -> None:
    assert engine.submit(toys.toy_step, order(tmp_path, 1)).result(120).outcome is not None
    assert farm.jobs()
    until(lambda: not farm.jobs(), 60.0)
    assert engine.submit(toys.toy_step, order(tmp_path, 2)).result(120).outcome is not None
