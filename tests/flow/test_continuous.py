"""A run that goes on: quiet periods, priorities, limits, pauses, several controllers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tesela.errors import Busy, LedgerLost
from tesela.flow.plan import planner
from tesela.flow.run.clockwatch import ClockWatch
from tesela.flow.run.controller import Controller, Manner
from tesela.ledger import counts, frames, leases, schema, tasks
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger

from . import toys

WHOLE_NIGHT = 2 + 5 + 3 + 3 + 4 * 3


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Iterator[Ledger]:
    made = toys.new_site(site)
    yield made
    made.close()


def running(control: Controller) -> threading.Thread:
    thread = threading.Thread(target=control.run, daemon=True)
    thread.start()
    return thread


def until(condition, seconds: float = 30.0) -> None:  # type: ignore[no-untyped-def]
    """Wait for something that has to come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def current(ledger: Ledger, kind: str) -> int:
    return sum(one == kind for one, _ in toys.served(ledger))


def manner(**changes: object) -> Manner:
    return Manner(**{"continuous": True, **changes})  # type: ignore[arg-type]


def test_a_continuous_run_takes_what_comes_and_ends_when_it_is_stopped(
    ledger: Ledger, site: Path
) -> None:
    control = toys.controller(ledger, site, manner=manner())
    thread = running(control)
    night = toys.small_night()
    toys.add_frames(ledger, site, night[:4], toys.rules())
    until(lambda: current(ledger, "master") == 2)
    toys.add_frames(ledger, site, night[4:], toys.rules())
    until(lambda: current(ledger, "science") == 3)
    assert thread.is_alive()
    control.stop()
    thread.join(20)
    assert not thread.is_alive()
    with ledger.read() as conn:
        assert counts.count_open(conn) == 0


def test_in_a_continuous_run_a_tile_waits_for_its_quiet_period(ledger: Ledger, site: Path) -> None:
    rules = toys.rules(quiet_s=3600.0)
    control = toys.controller(ledger, site, rules, manner=manner())
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())  # masters at once
    thread = running(control)
    until(lambda: current(ledger, "reduced") == 5)
    time.sleep(1.5)
    assert current(ledger, "coadd") == 0
    control.stop()
    thread.join(20)
    with ledger.read() as conn:
        due = conn.execute(schema.dirty.select().where(schema.dirty.c.kind == "coadd")).all()
    assert {row.key for row in due} == {"T10.r", "T11.r", "T20.r"}
    assert all(now_mjd() < row.not_before < now_mjd() + 3600.0 / 86400.0 for row in due)


def test_a_complete_tile_waits_for_no_quiet_period(ledger: Ledger, site: Path) -> None:
    """Two frames are enough of T20 by its own plan; elsewhere four would be."""
    rules = toys.rules(quiet_s=3600.0, complete={"r": 4})
    with ledger.write() as conn:
        conn.execute(schema.tile.insert().values(name="T20"))
        frames.set_planned(conn, [("T20", "r", 2)])
    control = toys.controller(ledger, site, rules, manner=manner())
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    thread = running(control)
    until(lambda: current(ledger, "reduced") == 5)
    until(lambda: current(ledger, "coadd") == 1)
    time.sleep(1.0)
    assert [key for kind, key in toys.served(ledger) if kind == "coadd"] == ["T20.r"]
    control.stop()
    thread.join(20)


def test_masters_wait_until_no_more_of_their_frames_come(ledger: Ledger, site: Path) -> None:
    rules = toys.rules(quiet_s=3600.0)
    toys.add_frames(ledger, site, toys.small_night(), rules)
    report = planner.plan(ledger, rules)
    assert report.tasks == []
    assert {kind for kind, _ in report.waiting} == {"reduced"}
    assert {step for step, _, _ in planner.plan(ledger, rules, now=float("inf")).tasks} == {
        "master"
    }


def test_frames_of_tonight_come_before_older_ones(ledger: Ledger, site: Path) -> None:
    tonight = toys.facts("new", "science", mjd_start=now_mjd() - 0.1)
    toys.add_frames(ledger, site, [toys.facts("old", "science"), tonight], toys.rules())
    with ledger.read() as conn:
        due = tasks.due(conn, now_mjd(), 10)
    assert [(item.key, item.priority) for item in due if item.kind == "reduced"] == [
        ("new", tasks.TONIGHT),
        ("old", tasks.BULK),
    ]


def test_waiting_keeps_the_priority(ledger: Ledger, site: Path) -> None:
    """Tonight's frame waits for its biases; when these come it is as urgent as before."""
    toys.add_frames(
        ledger, site, [toys.facts("new", "science", mjd_start=now_mjd() - 0.1)], toys.rules()
    )
    planner.plan(ledger, toys.rules())
    with ledger.write() as conn:
        tasks.wake(conn, [("reduced", "new")], "its biases came")
        found = next(item for item in tasks.due(conn, now_mjd(), 10) if item.kind == "reduced")
    assert found.priority == tasks.TONIGHT


def test_a_wish_to_choose_afresh_outlasts_another_look(ledger: Ledger, site: Path) -> None:
    """What waits for its biases is looked at again because a master near it changed."""
    toys.add_frames(ledger, site, [toys.facts("new", "science")], toys.rules())
    image = [("reduced", "new")]
    with ledger.write() as conn:
        tasks.mark_dirty(conn, image, "asked for", fresh=True, priority=tasks.INVALIDATION)
    planner.plan(ledger, toys.rules())
    with ledger.write() as conn:
        tasks.mark_dirty(conn, image, "a master near it changed")
    planner.plan(ledger, toys.rules())
    with ledger.read() as conn:
        waits = tasks.waiting(conn, "reduced", "new")
    assert (bool(waits["fresh"]), waits["priority"]) == (True, tasks.INVALIDATION)


def test_what_is_asked_of_a_key_until_its_turn_counts(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, [toys.facts("new", "science")], toys.rules())
    with ledger.write() as conn:
        (item,) = (one for one in tasks.due(conn, now_mjd(), 10) if one.key == "new")
        tasks.mark_dirty(conn, [("reduced", "new")], "retired", fresh=True)
        found = tasks.clear(conn, item)
        assert (item.fresh, found.fresh, found.why) == (False, True, "retired")
        assert tasks.dirty(conn, "reduced", "new") is None


def test_no_more_of_a_step_run_than_its_limit(ledger: Ledger, site: Path) -> None:
    marks = {f"sci{n}": f"mark {site / f'mark{n}'}" for n in range(1, 6)}
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    control = toys.controller(
        ledger, site, workers=2, settings={"faults": marks}, manner=Manner(limits={"reduce": 1})
    )
    assert control.run().done == WHOLE_NIGHT
    spans = sorted(tuple(map(float, (site / f"mark{n}").read_text().split())) for n in range(1, 6))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_paused_step_is_not_begun_and_a_run_ends_with_it_left(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    pause = {"step": "reduce", "project": "*", "reason": "x", "who": "y", "at_mjd": 0.0}
    with ledger.write() as conn:
        conn.execute(schema.paused.insert().values(**pause))
    assert toys.controller(ledger, site).run().done == 2
    with ledger.write() as conn:
        assert counts.count_open(conn) == 5
        conn.execute(schema.paused.delete())
    assert toys.controller(ledger, site).run().done == WHOLE_NIGHT - 2


def test_with_a_full_disk_nothing_is_begun_and_somebody_is_told(ledger: Ledger, site: Path) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    control = toys.controller(ledger, site, manner=Manner(keep_free_gb=1e9))
    notes: list[str] = []
    summary = control.run(lambda progress: notes.append(progress.note))
    assert summary.done == 0
    assert "keep_free_gb" in notes[0]
    assert toys.controller(ledger, site).run().done == WHOLE_NIGHT


def test_two_controllers_at_once(ledger: Ledger, site: Path) -> None:
    """On SQLite the second is refused; on PostgreSQL they share the work, none of it twice."""
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    slow = {"delay_s": 0.05}
    first = toys.controller(ledger, site, workers=2, settings=slow)
    thread = running(first)
    until(lambda: current(ledger, "master") == 2)
    if not ledger.is_shared:
        with pytest.raises(Busy, match="one controller at a time"):
            toys.controller(ledger, site).run()
        thread.join(60)
        return
    other = Ledger(ledger.engine)
    second = toys.controller(other, site, workers=2, settings=slow)
    second.run()
    thread.join(60)
    assert first.summary.done + second.summary.done == WHOLE_NIGHT
    with ledger.read() as conn:
        rows = conn.execute(schema.product.select()).all()
    assert all(row.version == 1 for row in rows)


def test_the_database_goes_away_and_comes_back(
    ledger: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any question may fail, at any moment: the run goes on when the database is back."""
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    control = toys.controller(ledger, site)
    real, calls = Ledger.write, []

    def fails_sometimes(self: Ledger, **how: str):  # type: ignore[no-untyped-def]
        calls.append(how)
        if len(calls) % 7 == 5:
            raise LedgerLost("ledger", found="a lost connection")
        return real(self, **how)

    monkeypatch.setattr("tesela.flow.run.controller._TICK_S", 0.01)
    with control._at_work():
        monkeypatch.setattr(Ledger, "write", fails_sometimes)
        while True:
            try:
                if not control._step(None):
                    break
            except LedgerLost as lost:
                control._wait_for_ledger(lost)
        monkeypatch.setattr(Ledger, "write", real)
    assert len(calls) > 40
    assert toys.controller(ledger, site).run().done == 0
    assert current(ledger, "science") == 3
    with ledger.read() as conn:
        assert all(row.version == 1 for row in conn.execute(schema.product.select()))


def test_a_clock_that_is_set_back_keeps_nothing_waiting(
    ledger: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    with ledger.write() as conn:  # as retries look that were planned before the clock was set back
        conn.execute(schema.dirty.update().values(not_before=now_mjd() + 300.0))
    control = toys.controller(ledger, site)
    jumps = iter([-300 * 86400.0])
    monkeypatch.setattr(ClockWatch, "jumped_s", lambda _: next(jumps, 0.0))
    assert control.run().done == WHOLE_NIGHT
    with ledger.read() as conn:
        said = conn.execute(schema.event.select().where(schema.event.c.what == "clock jumped"))
        assert len(said.all()) == 1


def test_a_jump_of_the_clock_is_noticed_once() -> None:
    wall, steady = [1000.0], [5.0]
    watch = ClockWatch(lambda: wall[0], lambda: steady[0])
    wall[0], steady[0] = 1060.0, 65.0
    assert watch.jumped_s() == 0.0
    wall[0] -= 3600.0
    assert watch.jumped_s() == -3600.0
    assert watch.jumped_s() == 0.0


def test_leases_are_renewed_while_a_controller_is_busy(ledger: Ledger, site: Path) -> None:
    """A step longer than a lease is tried once: nobody takes it for lost."""
    if not ledger.is_shared:
        pytest.skip("SQLite has one controller, which needs no leases")
    toys.add_frames(ledger, site, toys.calibration_night(), toys.rules())
    long = {"delay_s": 2.5 * leases.LEASE_S}
    first = toys.controller(ledger, site, workers=2, settings=long)
    thread = running(first)
    until(lambda: _n_running(ledger) == 1)
    second = toys.controller(Ledger(ledger.engine), site)
    second.run()
    thread.join(60)
    assert (first.summary.done, second.summary.done) == (2, 0)
    with ledger.read() as conn:
        assert len(conn.execute(schema.attempt.select()).all()) == 2


def test_a_renewal_waits_for_nobody(ledger: Ledger, site: Path) -> None:
    """It would hold some tasks while it waits for others: with a recovery, that is a deadlock."""
    if not ledger.is_shared:
        pytest.skip("SQLite has one controller, which needs no leases")
    frames_of_ccds = [
        toys.facts(f"b{ccd}-{n}", "bias", ccd=f"0{ccd}") for ccd in (1, 2, 3) for n in (1, 2)
    ]
    toys.add_frames(ledger, site, frames_of_ccds, toys.rules())
    planner.plan(ledger, toys.rules())
    with ledger.write() as conn:
        now = leases.now(conn)
        claims = tasks.claim(conn, 5, now=now, rooms={"master": 5}, controller="me")
    assert len(claims) == 3
    later = now + 1.0
    with ledger.write() as holding:
        one = schema.task.c.id == claims[0].task_id
        holding.execute(schema.task.update().where(one).values(attempts=1))
        with ledger.write(how="free") as conn:
            assert leases.renew(conn, "me", later) == 2
    with ledger.write(how="free") as conn:
        assert leases.renew(conn, "me", later) == 3
        assert leases.renew(conn, "somebody else", later) == 0


def _n_running(ledger: Ledger) -> int:
    with ledger.read() as conn:
        return sum(counts.running_by_step(conn).values())


def test_frames_of_a_project_that_is_not_coadded_touch_no_tile(ledger: Ledger, site: Path) -> None:
    rules = toys.rules(uncoadded=frozenset({"opentime"}))
    assert rules.tiles_of("opentime", ((10.1, 0.0),), 0.0) == []
    assert rules.tiles_of("survey", ((10.1, 0.0),), 0.0) == ["T10"]
