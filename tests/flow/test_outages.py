"""What goes away comes back, and nothing was lost: database, disk, archive, settings."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from postgres import Server, is_wanted, new_server
from tesela.errors import LedgerError, LedgerLost
from tesela.flow.plan import retry
from tesela.flow.run import backup
from tesela.flow.run.controller import Manner
from tesela.flow.run.journal import Journal
from tesela.flow.run.settingswatch import SettingsWatch
from tesela.ledger import counts, pauses, products, schema, status
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths

from . import toys
from .test_continuous import WHOLE_NIGHT, running, until


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def ledger(site: Path) -> Iterator[Ledger]:
    made = toys.new_site(site)
    toys.add_frames(made, site, toys.small_night(), toys.rules())
    yield made
    made.close()


def reference(folder: Path) -> dict[tuple[str, str], str]:
    made = toys.new_site(folder)
    toys.add_frames(made, folder, toys.small_night(), toys.rules())
    toys.controller(made, folder).run()
    return toys.served(made)


@pytest.fixture
def own_server() -> Server:
    """A PostgreSQL that this test may stop."""
    return new_server()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_postgresql_is_restarted_under_a_run(own_server: Server, tmp_path: Path, how: str) -> None:
    """Down for some seconds, orderly or as by a power cut: the run goes on where it was."""
    site = tmp_path / "site"
    site.mkdir()
    made = Ledger.create(own_server.new_database("template0"))
    toys.add_refcat(made, site)
    toys.add_frames(made, site, toys.small_night(), toys.rules())
    control = toys.controller(made, site, workers=2, settings={"delay_s": 0.2})
    thread = running(control)
    until(lambda: control.summary.done >= 3)
    own_server.stop(how)
    time.sleep(4.0)
    with pytest.raises(LedgerLost), made.read():
        pass
    own_server.start()
    thread.join(120)
    assert not thread.is_alive()
    assert toys.served(made) == reference(tmp_path / "undisturbed")
    with made.read() as conn:
        rows = conn.execute(schema.product.select()).all()
        assert counts.count_open(conn) == 0
        attempts = conn.execute(schema.attempt.select()).all()
    assert all(row.version == 1 for row in rows)
    assert sum(row.outcome == "done" for row in attempts) == WHOLE_NIGHT
    assert "running" not in {row.outcome for row in attempts}
    on_disk = {p for p in (site / "products").rglob("*") if p.is_file()}
    assert on_disk == {site / row.path for row in rows if row.path.startswith("products/")}
    made.close()


def test_a_run_gives_up_on_a_database_that_stays_away(
    ledger: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = toys.controller(ledger, site, manner=Manner(lost_s=0.5))

    def away(self: Ledger, **_how: str):  # type: ignore[no-untyped-def]
        raise LedgerLost("ledger", found="no connection")

    with control._at_work(), monkeypatch.context() as patch:
        patch.setattr(Ledger, "write", away)
        with pytest.raises(LedgerLost):
            control._wait_for_ledger(LedgerLost("ledger"))
    assert toys.controller(ledger, site).run().done == WHOLE_NIGHT


def test_a_full_disk_under_the_ledger_is_waited_out(ledger: Ledger, site: Path) -> None:
    """SQLite's own words for it: `database or disk is full`."""
    if is_wanted():
        pytest.skip("about the file of SQLite")
    limits = [1]

    @sa.event.listens_for(ledger.engine, "begin")
    def _limit(conn: sa.Connection) -> None:
        conn.exec_driver_sql(f"PRAGMA max_page_count = {limits[0]}")

    control = toys.controller(ledger, site)
    with pytest.raises(LedgerLost, match="full"):
        for _ in range(2000):
            with ledger.write() as conn:
                conn.execute(schema.event.insert().values(at_mjd=0.0, what="x" * 4000))
    ledger.engine.dispose()
    thread = running(control)
    time.sleep(3.0)
    limits[0] = 1_000_000
    thread.join(60)
    assert not thread.is_alive()
    assert control.summary.done == WHOLE_NIGHT


def test_a_disk_that_is_full_in_the_middle_of_a_write(
    ledger: Ledger, site: Path, tmp_path: Path
) -> None:
    """The system's own error, once: nothing half is left, and the task is tried again."""
    faults = {"sci2": f"full once {tmp_path / 'mark'}"}
    summary = toys.controller(ledger, site, workers=2, settings={"faults": faults}).run()
    assert (summary.done, summary.dead) == (WHOLE_NIGHT, 0)
    assert toys.served(ledger) == reference(tmp_path / "undisturbed")
    with ledger.read() as conn:
        failed = conn.execute(schema.attempt.select().where(schema.attempt.c.outcome == "failed"))
        row = failed.one()
    assert (row.fault_class, "No space left" in row.log) == ("infrastructure", True)
    assert list(paths.work_folder(site).iterdir()) == []


@pytest.fixture
def read_only(site: Path, ledger: Ledger) -> Iterator[Path]:
    """The folder of products, as a disk that may only be read."""
    folder = site / "products"
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("root may write everywhere, and this machine lets us mount nothing read-only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def test_with_a_read_only_archive_nothing_is_begun(
    ledger: Ledger, site: Path, read_only: Path
) -> None:
    """No task is worn out by trying; when it may be written again all is done."""
    notes: list[str] = []
    control = toys.controller(ledger, site)
    summary = control.run(lambda progress: notes.append(progress.note))
    assert summary.done == summary.dead == summary.failed_attempts == 0
    assert notes[0].startswith("products may only be read")
    if os.geteuid() == 0:
        subprocess.run(["umount", "-l", str(read_only)], check=True)
    else:
        read_only.chmod(0o700)
    assert toys.controller(ledger, site).run().done == WHOLE_NIGHT


def test_a_raw_file_that_is_gone_ends_one_task_with_its_name(
    ledger: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tesela.flow.run.retries._LONGEST_DELAY_S", 0.01)
    (site / "raw/2017-07-03/sci2.fits").unlink()
    summary = toys.controller(ledger, site).run()
    assert (summary.done, summary.dead) == (WHOLE_NIGHT - 1, 1)
    assert "sci2.fits" in summary.problems[0]


def test_a_disk_that_was_away_costs_no_frame(
    ledger: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is no bad data: the frames are tried again, and nothing is skipped."""
    monkeypatch.setattr("tesela.flow.run.retries._LONGEST_DELAY_S", 0.01)
    (site / "raw").rename(site / "away")
    summary = toys.controller(ledger, site).run()
    assert summary.skipped == 0
    assert summary.dead > 0
    assert all("bring it back" in text for text in summary.problems)
    (site / "away").rename(site / "raw")
    with ledger.write() as conn:
        retry.retry(conn, retry.choose(conn, (), ("dead",)), "somebody")
    assert toys.controller(ledger, site).run().dead == 0
    with ledger.read() as conn:
        assert len(products.all_current(conn, "reduced")) == 5


def test_what_is_due_and_held_is_told_at_the_end(ledger: Ledger, site: Path) -> None:
    with ledger.write() as conn:
        pauses.pause(conn, "coadd", "*", reason="a look", who="ana")
    none = Manner(limits={"reduce": 0})
    (held,) = toys.controller(ledger, site, manner=none).run().held
    assert held == "5 of step reduce due and held: `limits.reduce` of site.toml is 0"
    (held,) = toys.controller(ledger, site).run().held
    assert held == "3 of step coadd due and held: step coadd is paused by ana: a look"


def test_settings_edited_while_running_are_told_of_and_not_used(ledger: Ledger, site: Path) -> None:
    file = site / "survey.toml"
    file.write_text("before")
    watch = SettingsWatch([file, site / "site.toml"], ledger, Journal(None))
    watch.look()
    file.write_text("after, and longer")
    watch.look()
    watch.look()
    with ledger.read() as conn:
        said = conn.execute(
            schema.event.select().where(schema.event.c.what == "settings changed")
        ).all()
    assert [row.detail for row in said] == [
        "survey.toml edited: a run that goes on keeps what it began with; start it again to use it"
    ]


def test_a_ledger_that_may_only_be_read_is_told_of(ledger: Ledger, site: Path) -> None:
    if is_wanted():
        pytest.skip("about the file of SQLite")
    only = Ledger(sa.create_engine(f"sqlite:///file:{paths.ledger_file(site)}?mode=ro&uri=true"))
    with pytest.raises(LedgerError, match="may only be read"), only.write() as conn:
        conn.execute(schema.event.insert().values(at_mjd=0.0, what="x"))


@pytest.fixture
def frozen(site: Path, ledger: Ledger) -> Iterator[Path]:
    """The whole site, on a disk that became read-only."""
    if is_wanted():
        pytest.skip("about the file of SQLite")
    ledger.close()
    if os.geteuid() != 0:
        site.chmod(0o500)
        yield site
        site.chmod(0o700)
        return
    for words in (["--bind", str(site), str(site)], ["-o", "remount,ro,bind", str(site)]):
        if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and this machine lets us mount nothing")
    yield site
    subprocess.run(["umount", "-l", str(site)], capture_output=True, check=False)


def test_a_site_that_became_read_only_can_be_looked_at_and_saved(
    frozen: Path, tmp_path: Path
) -> None:
    ledger = Ledger.open(place_of(frozen))
    with ledger.read() as conn:
        assert status.overview(conn)["totals"] is not None
    with pytest.raises(LedgerError, match="mounted read-only"), ledger.write() as conn:
        conn.execute(schema.event.insert().values(at_mjd=0.0, what="x"))
    ledger.close()
    saved = backup.backup(frozen, tmp_path / "saved")
    assert saved.size > 0
    assert not (frozen / "ledger.sqlite-shm").exists()
