"""Local workers: one that is killed loses its own task and nothing else; stopping never waits."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tesela.flow.run.engines import LocalEngine
from tesela.flow.run.steps import Order, WorkerDied

from . import toys


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.stop()


def order(folder: Path, key: str, **settings: object) -> Order:
    return Order(
        1, 1, "reduce", "reduced", key, 1, (), settings, "", str(folder), str(folder / key)
    )


def test_a_killed_worker_loses_its_own_task_only(engine: LocalEngine, tmp_path: Path) -> None:
    slow = engine.submit(toys.toy_step, order(tmp_path, "slow", delay_s=0.5))
    killed = engine.submit(toys.toy_step, order(tmp_path, "bad", faults={"bad": "kill"}))
    queued = [engine.submit(toys.toy_step, order(tmp_path, f"q{n}")) for n in range(3)]
    with pytest.raises(WorkerDied, match="reduce bad"):
        killed.result(30)
    assert all(future.result(30).outcome is not None for future in (slow, *queued))


def test_many_kills_in_a_row_are_all_told(engine: LocalEngine, tmp_path: Path) -> None:
    faults = {f"k{n}": "kill" for n in range(4)}
    futures = [engine.submit(toys.toy_step, order(tmp_path, key, faults=faults)) for key in faults]
    assert [type(future.exception(30)) for future in futures] == [WorkerDied] * 4
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


def test_a_report_that_cannot_be_read_is_no_report(engine: LocalEngine, tmp_path: Path) -> None:
    broken = engine.submit(toys.unreadable_step, order(tmp_path, "bad"))
    with pytest.raises(WorkerDied, match="reduce bad"):
        broken.result(30)
    assert engine.submit(toys.toy_step, order(tmp_path, "good")).result(30).outcome is not None


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
