"""Killing the controller or a worker anywhere loses nothing and doubles nothing."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tesela.flow.plan import planner
from tesela.flow.run import commit, controller, retries
from tesela.flow.run.steps import Order
from tesela.ledger import counts, leases, products, schema, tasks
from tesela.ledger.engine import Ledger
from tesela.products import paths

from . import toys

RUN = [sys.executable, str(Path(__file__).with_name("crash_run.py"))]
WHOLE_NIGHT = 2 + 5 + 3 + 3 + 4 * 3


def site_of_a_night(folder: Path) -> tuple[Path, Ledger, controller.Controller]:
    """A new site with the frames of a night, and who will process them."""
    site = folder / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    return site, ledger, toys.controller(ledger, site)


def reference(folder: Path) -> dict[tuple[str, str], str]:
    """The archive as an undisturbed run makes it."""
    ledger = toys.new_site(folder)
    toys.add_frames(ledger, folder, toys.small_night(), toys.rules())
    toys.controller(ledger, folder).run()
    return toys.served(ledger)


def assert_nothing_lost_nothing_doubled(ledger: Ledger, site: Path) -> None:
    """Each product once, each file with a row, each row with its file, no task left open."""
    with ledger.read() as conn:
        rows = conn.execute(schema.product.select()).all()
        assert counts.count_open(conn) == 0
        open_attempts = conn.execute(
            schema.attempt.select().where(schema.attempt.c.outcome == "running")
        ).all()
    assert open_attempts == []
    assert all(row.version == 1 for row in rows)
    recorded = {site / row.path for row in rows if row.path.startswith("products/")}
    on_disk = {path for path in (site / "products").rglob("*") if path.is_file()}
    assert on_disk == recorded
    assert list(paths.work_folder(site).iterdir()) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_at_random_moments_ends_in_the_same_archive(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    for _ in range(3):
        process = subprocess.Popen([*RUN, str(site)])
        time.sleep(moments.uniform(0.5, 2.2))
        process.kill()
        process.wait()
    subprocess.run([*RUN, str(site)], check=True, timeout=60)
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)


STOPS = {
    "before the journal": (commit, "_write_journal"),
    "before the first name": (commit, "publish"),
    "after the names, before the rows": (commit, "_commit_rows"),
    "within the transaction": (products, "add_quality"),
    "after the rows, before tidying": (commit.shutil, "rmtree"),
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


@pytest.mark.parametrize("moment", STOPS)
@pytest.mark.parametrize("nth", [1, 4, 9])
def test_stopping_at_each_stage_of_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, nth: int
) -> None:
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    module, name = STOPS[moment]
    original, calls = getattr(module, name), []

    def stop_at_nth(*args: object, **options: object) -> object:
        calls.append(name)
        if len(calls) >= nth:
            raise Killed
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stop_at_nth)
        # The process would be gone: neither tidying nor the controller's own recovery happens.
        patch.setattr(commit.shutil, "rmtree", _gone if name != "rmtree" else stop_at_nth)
        patch.setattr(leases, "recover", _only_at_start(leases.recover))
        with pytest.raises(Killed):
            toys.controller(ledger, site).run()
    toys.controller(ledger, site).run()
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)


def _gone(*_args: object, **_options: object) -> None:
    """A dead process removes nothing."""


def _only_at_start(recover):  # type: ignore[no-untyped-def]
    def guarded(conn, why, **which):  # type: ignore[no-untyped-def]
        return recover(conn, why, **which) if why == "the controller died" else []

    return guarded


def test_a_killed_worker_is_replaced_and_its_task_done(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    faults = {"sci2": f"kill once {tmp_path / 'mark'}"}
    summary = toys.controller(ledger, site, workers=2, settings={"faults": faults}).run()
    assert (summary.done, summary.dead) == (WHOLE_NIGHT, 0)
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)


def test_a_task_that_kills_every_worker_is_found_and_the_others_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_DELAY_S", 0.1)
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    summary = toys.controller(ledger, site, workers=2, settings={"faults": {"sci2": "kill"}}).run()
    assert (summary.done, summary.dead) == (WHOLE_NIGHT - 1, 1)
    assert summary.problems == [
        "reduce sci2 dead: its process was killed (SIGKILL) (infrastructure, 10 times); when that"
        " is mended, `tesela retry sci2`"
    ]


def test_a_journal_takes_back_nothing_outside_the_products(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    names = ["raw/a", "../b", "products/../c", str(tmp_path / "d"), "products/e"]
    for name in names:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("x")
    journal = site / "work" / "1" / commit.JOURNAL
    journal.parent.mkdir(parents=True)
    entry = {"attempt": 1, "kind": "reduced", "key": "sci1", "version": 1}
    files = [["gone", name] for name in [*names, None]]
    journal.write_text(json.dumps({**entry, "files": files}))
    assert commit.sweep(ledger, site) == 1
    assert [name for name in names if (site / name).exists()] == names[:-1]


def left_before_the_end(control: controller.Controller, site: Path) -> list[list[str]]:
    """What lies in `work/` when a run ends, before it sweeps: a list that is filled then."""
    stop, left = control.engine.stop, []

    def stopped() -> None:
        stop()
        left.append(sorted(path.name for path in paths.work_folder(site).iterdir()))

    control.engine.stop = stopped
    return left


def test_a_late_attempt_leaves_nothing(tmp_path: Path) -> None:
    site, ledger, control = site_of_a_night(tmp_path)
    submit = control.engine.submit
    taken = []

    def someone_else_takes_it(run, order):  # type: ignore[no-untyped-def]
        future = submit(run, order)
        if not taken:
            taken.append(order.key)
            with ledger.write() as conn:
                leases.recover(conn, "its lease ended")
        return future

    control.engine.submit = someone_else_takes_it
    left = left_before_the_end(control, site)
    control.run()
    assert left == [[]]
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)
    with ledger.read() as conn:
        outcomes = [row.outcome for row in conn.execute(schema.attempt.select())]
    assert outcomes.count("done") == WHOLE_NIGHT


@pytest.mark.parametrize("again", [False, True])
def test_a_late_attempt_that_gave_names_takes_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Another controller freed its task and swept its folder just before the name was given. If the
    task runs again by then, whoever holds it may have the same name: it is left to the next sweep.
    """
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    monkeypatch.setattr(retries, "_LONGEST_DELAY_S", 0.1)
    publish, given = commit.publish, []

    def slow(temporary: Path, final: Path) -> None:
        if given:
            publish(temporary, final)
            return
        with ledger.write() as conn:
            leases.recover(conn, "it was not heard of any more")
            if again:
                tasks.claim(conn, 1)
                control.stop()
        publish(temporary, final)
        shutil.rmtree(temporary.parent)
        given.append(final)

    monkeypatch.setattr(commit, "publish", slow)
    control = toys.controller(ledger, site)
    assert control.run().failed_attempts == 0
    assert given[0].exists()
    toys.controller(ledger, site).run()
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)


def left_by_a_dead_attempt(site: Path, order: Order, names: list[str]) -> Path:
    """The folder of an attempt that gave names and was killed before its transaction."""
    folder = paths.work_folder(site) / "999"
    folder.mkdir(parents=True)
    entry = {"attempt": 999, "kind": order.kind, "key": order.key, "version": order.version}
    files = [[str(folder / "gone"), name] for name in names]
    (folder / commit.JOURNAL).write_text(json.dumps({**entry, "files": files}))
    return folder


def test_a_run_ends_with_a_sweep(tmp_path: Path) -> None:
    """A late result whose task ran again meanwhile kept its journal until then."""
    site, ledger, control = site_of_a_night(tmp_path)
    submit, left = control.engine.submit, []

    def one_more_is_left(run, order):  # type: ignore[no-untyped-def]
        if not left:
            another = dataclasses.replace(order, version=2)
            left.append(left_by_a_dead_attempt(site, another, ["products/of/nobody.fits"]))
            (site / "products/of").mkdir(parents=True)
            (site / "products/of/nobody.fits").write_bytes(b"")
        return submit(run, order)

    control.engine.submit = one_more_is_left
    control.run()
    assert_nothing_lost_nothing_doubled(ledger, site)


def test_names_that_another_attempt_committed_stay(tmp_path: Path) -> None:
    """The one before had the same names in its journal, for they are those of the version."""
    site, ledger, control = site_of_a_night(tmp_path)
    submit, orders = control.engine.submit, []

    def noted(run, order):  # type: ignore[no-untyped-def]
        orders.append(order)
        return submit(run, order)

    control.engine.submit = noted
    control.run()
    order = orders[-1]
    with ledger.read() as conn:
        made = products.current(conn, order.kind, order.key)
    folder = left_by_a_dead_attempt(site, order, [made["path"]])
    assert commit.sweep(ledger, site) == 1
    assert (site / made["path"]).is_file()
    assert not folder.exists()


def test_what_a_dead_attempt_left_under_a_name_gives_way(tmp_path: Path) -> None:
    """Its task was claimed again before anybody had swept."""
    site, ledger, control = site_of_a_night(tmp_path)
    submit = control.engine.submit

    def met(run, order):  # type: ignore[no-untyped-def]
        future = submit(run, order)
        if not (paths.work_folder(site) / "999").exists() and order.kind == "coadd":
            final = future.result().files[0].final
            (site / final).parent.mkdir(parents=True, exist_ok=True)
            (site / final).write_text("half of another")
            left_by_a_dead_attempt(site, order, [final])
        return future

    control.engine.submit = met
    left = left_before_the_end(control, site)
    summary = control.run()
    assert (summary.done, summary.failed_attempts) == (WHOLE_NIGHT, 0)
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert left == [[]], "who met the name had it swept"
    assert_nothing_lost_nothing_doubled(ledger, site)


def test_a_name_that_nobody_knows_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_FIRST_DELAY_S", 0.0)
    site, _, control = site_of_a_night(tmp_path)
    submit, strange = control.engine.submit, []

    def met(run, order):  # type: ignore[no-untyped-def]
        future = submit(run, order)
        if order.kind == "coadd" and order.key == "T10.r" and not strange:
            strange.append(site / future.result().files[0].final)
            strange[0].parent.mkdir(parents=True, exist_ok=True)
            strange[0].write_text("somebody's")
        return future

    control.engine.submit = met
    summary = control.run()
    assert summary.dead == 1
    assert strange[0].read_text() == "somebody's"


def test_a_task_for_which_no_order_can_be_written_ends_alone(tmp_path: Path) -> None:
    """Its raw file was freed, and no step makes that again."""
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    with ledger.write() as conn:
        raw = products.current(conn, "raw", "sci2")
        products.set_dropped(conn, raw["id"], 58000.0)
    summary = toys.controller(ledger, site).run()
    assert summary.dead == 1
    assert "raw sci2" in summary.problems[0] and "audit --repair" in summary.problems[0]
    assert summary.done == WHOLE_NIGHT - 1


def test_a_long_plan_lets_others_work_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "_PLAN_S", 0.0)
    monkeypatch.setattr(planner, "BATCH", 1)
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    report = planner.plan(ledger, toys.rules(), enough=lambda: True)
    assert not report.is_whole
    assert len(report.tasks) + len(report.waiting) == 1
    assert toys.controller(ledger, site).run().done == WHOLE_NIGHT
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")


def test_a_disk_that_fails_at_publishing_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    original, calls = commit.publish, []

    def fails_once_half_way(temporary: Path, final: Path) -> None:
        calls.append(final)
        if len(calls) == 3:
            final.parent.mkdir(parents=True, exist_ok=True)
            final.hardlink_to(temporary)
            raise OSError("input/output error")
        original(temporary, final)

    monkeypatch.setattr(commit, "publish", fails_once_half_way)
    summary = toys.controller(ledger, site).run()
    assert (summary.done, summary.failed_attempts) == (WHOLE_NIGHT, 1)
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    assert_nothing_lost_nothing_doubled(ledger, site)
