"""Local workers: one that is killed loses its own task and nothing else; stopping never waits."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tesela.flow.run.engines import LocalEngine, pilots
from tesela.flow.run.steps import Order

from . import toys


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.stop()


def order(folder: Path, key: str, **settings: object) -> Order:
    return Order(1, 1, "reduce", "reduced", key, 1, (), settings, str(folder), str(folder / key))


def test_a_killed_worker_loses_its_own_task_only(engine: LocalEngine, tmp_path: Path) -> None:
    slow = engine.submit(toys.toy_step, order(tmp_path, "slow", delay_s=0.5))
    killed = engine.submit(toys.toy_step, order(tmp_path, "bad", faults={"bad": "kill"}))
    queued = [engine.submit(toys.toy_step, order(tmp_path, f"q{n}")) for n in range(3)]
    report = killed.result(30)
    assert (report.outcome, report.fault_class) == (None, "infrastructure")
    assert "killed (SIGKILL)" in report.message
    assert all(future.result(30).outcome is not None for future in (slow, *queued))


def test_many_kills_in_a_row_are_all_told(engine: LocalEngine, tmp_path: Path) -> None:
    faults = {f"k{n}": "kill" for n in range(4)}
    futures = [engine.submit(toys.toy_step, order(tmp_path, key, faults=faults)) for key in faults]
    assert [future.result(30).outcome for future in futures] == [None] * 4
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


def test_a_report_that_cannot_be_read_is_no_report(engine: LocalEngine, tmp_path: Path) -> None:
    broken = engine.submit(toys.unreadable_step, order(tmp_path, "bad"))
    report = broken.result(30)
    assert (report.outcome, report.fault_class) == (None, "fault")
    assert "cannot be read" in report.message
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


@pytest.mark.parametrize(
    ("how", "limits", "fault_class", "said"),
    [
        ("segfault", {}, "fault", "crashed (SIGSEGV)"),
        ("exit", {}, "fault", "ended itself (exit status 7)"),
        ("hang", {"timeout_s": 1.0}, "fault", "may for 1: it hangs"),
        ("eat", {"limit_mb": 400.0}, "memory", "and may have 400"),
    ],
)
def test_a_step_that_crashes_hangs_or_eats_memory_is_ended_and_told_of(
    engine: LocalEngine,
    tmp_path: Path,
    how: str,
    limits: dict[str, float],
    fault_class: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = replace(order(tmp_path, "bad", faults={"bad": how}), **limits)
    started = time.monotonic()
    report = engine.submit(toys.toy_step, bad).result(60)
    assert time.monotonic() - started < 30
    assert (report.outcome, report.fault_class) == (None, fault_class)
    assert said in report.message
    assert not list(tmp_path.glob("core*"))
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


def test_tasks_that_ask_for_all_the_memory_run_one_after_another(tmp_path: Path) -> None:
    engine = LocalEngine(2, memory_mb=1000.0)
    marks = [tmp_path / f"mark{n}" for n in range(2)]
    settings = {"faults": {f"m{n}": f"mark {mark}" for n, mark in enumerate(marks)}}
    large = [replace(order(tmp_path, f"m{n}", **settings), memory_mb=800.0) for n in range(2)]
    futures = [engine.submit(toys.toy_step, one) for one in large]
    assert all(future.result(30).outcome is not None for future in futures)
    spans = sorted(tuple(map(float, mark.read_text().split())) for mark in marks)
    assert spans[0][1] <= spans[1][0]
    # One that asks for more than there is runs alone rather than never.
    huge = replace(order(tmp_path, "huge"), memory_mb=5000.0)
    assert engine.submit(toys.toy_step, huge).result(30).outcome is not None
    engine.stop()


def test_what_cannot_be_sent_is_an_error_of_its_own(engine: LocalEngine, tmp_path: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        engine.submit(lambda _: None, order(tmp_path, "x")).result(30)  # type: ignore[arg-type,return-value]
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


def test_stopping_ends_workers_at_once_and_the_engine_can_go_on(tmp_path: Path) -> None:
    engine = LocalEngine(2)
    engine.submit(toys.toy_step, order(tmp_path, "warm")).result(30)
    futures = [
        engine.submit(toys.toy_step, order(tmp_path, f"s{n}", delay_s=60.0)) for n in range(4)
    ]
    time.sleep(0.2)
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < 20
    assert not any(future.done() and future.exception() is None for future in futures)
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None
    engine.stop()


def test_starting_workers_leaves_this_process_its_threads(
    engine: LocalEngine, tmp_path: Path
) -> None:
    """Numba fails at the next compilation where the number of threads is another one by then."""
    before = dict(os.environ)
    futures = [engine.submit(toys.toy_step, order(tmp_path, f"e{n}")) for n in range(4)]
    assert all(future.result(30).outcome is not None for future in futures)
    assert dict(os.environ) == before


def test_one_order_at_a_time_needs_one_process(engine: LocalEngine, tmp_path: Path) -> None:
    for n in range(3):
        engine.submit(toys.toy_step, order(tmp_path, f"o{n}")).result(30)
    assert len(engine._keepers) == 1


def test_logs_of_jobs_are_kept_for_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / "job.1", tmp_path / "job.2"
    for log, days in ((old, 31), (new, 29)):
        log.touch()
        os.utime(log, (time.time() - days * 86400,) * 2)
    pilots._prune(tmp_path, 30.0)
    assert list(tmp_path.iterdir()) == [new]
