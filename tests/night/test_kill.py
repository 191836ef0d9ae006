"""`tesela run` killed with -9 at any moment, and started again, loses and doubles nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from verbs import start, well

from .ledgers import ask, assert_nothing_left_over, current, fresh

pytestmark = pytest.mark.night


def test_kill_9_at_random_moments_ends_in_the_same_archive(
    night: Path, done: Path, tmp_path: Path
) -> None:
    moments = random.Random(20170703)
    site = fresh(tmp_path / "site", night)
    well("ingest", night / "raw", "--site", site)
    for attempt in range(3):
        before = _attempts(site)
        process = start("run", "--site", site, "--workers", 2)
        _wait_for_work(site, before)
        time.sleep(moments.uniform(0.0, 1.0))
        _wait_for_work(site, before)
        assert process.poll() is None, "it ended before it could be killed"
        if attempt == 0:
            process.kill()  # the controller alone: its workers must die with it
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _wait_for_silence(process.pid)
    assert ask(site, "SELECT * FROM attempt WHERE outcome = 'running'")
    summary = well("run", "--site", site, "--workers", 2, "--json").data
    assert summary["recovered"] > 0
    assert summary["dead"] == summary["skipped"] == 0
    assert current(site, "data_hash") == current(done, "data_hash")
    assert set(current(site, "version").values()) == {1}
    assert_nothing_left_over(site)
    assert well("run", "--site", site, "--json").data["done"] == 0


def _attempts(site: Path) -> int:
    return int(ask(site, "SELECT COUNT(*) FROM attempt")[0][0])


def _wait_for_work(site: Path, before: int) -> None:
    """Wait until a task runs that was begun after there had been `before` attempts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running = ask(site, "SELECT COUNT(*) FROM task WHERE state = 'running'")[0][0]
        if running and _attempts(site) > before:
            return
        time.sleep(0.02)
    raise AssertionError("no task was started")


def _wait_for_silence(group: int) -> None:
    """Wait until no process of a killed controller is left."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlived its controller")
