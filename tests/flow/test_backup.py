"""A copy of the ledger is one state, and from it a site comes back to the very same archive."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres import is_wanted, new_database
from tesela.errors import ConfigError, LedgerError
from tesela.flow.run import backup
from tesela.ledger import schema
from tesela.ledger.engine import Ledger
from tesela.ledger.place import place_of
from tesela.products import paths

from . import toys


def site_of_a_night(folder: Path) -> Ledger:
    ledger = toys.new_site(folder)
    toys.add_frames(ledger, folder, toys.small_night(), toys.rules())
    toys.controller(ledger, folder).run()
    return ledger


def put_back(site: Path, copy: Path) -> Ledger:
    """Restore: over a ledger that is moved aside, or into a new database."""
    if is_wanted():
        url = new_database(empty=True)
        paths.site_file(site).write_text(f'[ledger]\nurl = "{url}"\n')
    backup.restore(site, copy)
    return Ledger.open(place_of(site))


def rows(ledger: Ledger, name: str) -> list[tuple[object, ...]]:
    table = schema.metadata.tables[name]
    with ledger.read() as conn:
        return sorted(map(tuple, conn.execute(table.select())), key=str)


@pytest.fixture(autouse=True)
def _programs() -> None:
    if is_wanted() and shutil.which("pg_dump") is None:
        pytest.skip("no pg_dump here: install postgresql-client")


def test_what_is_restored_is_what_was_copied(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ledger = site_of_a_night(site)
    before = {name: rows(ledger, name) for name in schema.metadata.tables}
    made = backup.backup(site, tmp_path / "copies")
    assert made.size > 0
    ledger.close()
    again = put_back(site, Path(made.path))
    assert {name: rows(again, name) for name in schema.metadata.tables} == before
    # It goes on where it was: identities that are given now are new ones.
    toys.add_frames(again, site, [toys.facts("late", "science", ra=10.2)], toys.rules())
    assert toys.controller(again, site).run().dead == 0


def test_what_was_made_after_the_copy_is_made_again(tmp_path: Path) -> None:
    """Its files have no rows then: moved aside, everything comes out the same."""
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    night = toys.small_night()
    toys.add_frames(ledger, site, night[:6], toys.rules())
    toys.controller(ledger, site).run()
    made = backup.backup(site, tmp_path / "copies")
    toys.add_frames(ledger, site, night[6:], toys.rules())
    toys.controller(ledger, site).run()
    wanted = toys.served(ledger)
    ledger.close()

    again = put_back(site, Path(made.path))
    with again.read() as conn:
        known = {row.path for row in conn.execute(schema.product.select())}
    for file in [path for path in (site / "products").rglob("*") if path.is_file()]:
        if str(file.relative_to(site)) not in known:
            file.unlink()  # as `tesela audit --sweep` moves it aside
    toys.add_frames(again, site, night[6:], toys.rules())
    toys.controller(again, site).run()
    assert toys.served(again) == wanted


def test_a_copy_is_one_state_while_work_goes_on(tmp_path: Path) -> None:
    """Every product of it has its edges, every finished task its product."""
    site = tmp_path / "site"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    control = toys.controller(ledger, site)
    copies: list[str] = []

    def copy_now(progress: object) -> None:
        if len(copies) < 3:
            copies.append(backup.backup(site, tmp_path / f"copy{len(copies)}").path)

    control.run(copy_now)
    wanted = toys.served(ledger)
    ledger.close()
    again = put_back(site, Path(copies[-1]))
    with again.read() as conn:
        done = conn.execute(schema.task.select().where(schema.task.c.state == "done")).all()
        made = conn.execute(schema.product.select().where(schema.product.c.is_current)).all()
    assert {(t.kind, t.key) for t in done} == {
        (p.kind, p.key) for p in made if p.kind not in ("raw", "refcat", "calset")
    }
    assert set(toys.served(again).items()) <= set(wanted.items())


def test_a_damaged_ledger_is_told_of_and_the_copy_puts_it_right(tmp_path: Path) -> None:
    if is_wanted():
        pytest.skip("about the file of SQLite")
    site = tmp_path / "site"
    ledger = site_of_a_night(site)
    wanted = toys.served(ledger)
    made = backup.backup(site, tmp_path / "copies")
    ledger.close()
    file = paths.ledger_file(site)
    content = bytearray(file.read_bytes())
    content[8192 : len(content) // 2] = b"\xff" * (len(content) // 2 - 8192)
    file.write_bytes(content)
    with pytest.raises(LedgerError, match=r"damaged database.*`tesela backup --restore FILE`"):
        toys.served(Ledger.open(file))
    with pytest.raises(LedgerError, match="damaged database"):
        backup.backup(site, tmp_path / "copies of damage")
    assert not (tmp_path / "copies of damage").exists()
    aside = backup.restore(site, Path(made.path))
    assert Path(aside).read_bytes() == bytes(content)
    assert toys.served(Ledger.open(file)) == wanted


def test_a_file_that_is_no_database_is_told_of(tmp_path: Path) -> None:
    if is_wanted():
        pytest.skip("about the file of SQLite")
    site = tmp_path / "site"
    site_of_a_night(site).close()
    paths.ledger_file(site).write_bytes(b"no database at all" * 1000)
    with pytest.raises(LedgerError, match="damaged database"):
        Ledger.open(paths.ledger_file(site))


def test_a_copy_that_has_changed_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site_of_a_night(site).close()
    made = Path(backup.backup(site, tmp_path / "copies").path)
    with made.open("r+b") as handle:
        handle.seek(made.stat().st_size // 2)
        handle.write(b"x")
    with pytest.raises(LedgerError, match="take another backup"):
        backup.restore(site, made)


@pytest.mark.parametrize(
    ("folder", "message"),
    [("file", "file: a file; expected a folder"), ("disk/deep", "no folder .*disk; .*mount")],
)
def test_a_copy_goes_to_no_folder_that_looks_unmounted(
    tmp_path: Path, folder: str, message: str
) -> None:
    site = tmp_path / "site"
    toys.new_site(site).close()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        backup.backup(site, tmp_path / folder)
    assert not (tmp_path / "disk").exists()


def test_nothing_is_restored_over_a_database_in_use(tmp_path: Path) -> None:
    if not is_wanted():
        pytest.skip("on SQLite the present ledger is moved aside")
    site = tmp_path / "site"
    site_of_a_night(site).close()
    made = backup.backup(site, tmp_path / "copies")
    with pytest.raises(LedgerError, match="expected an empty database"):
        backup.restore(site, Path(made.path))


HOLD = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1])
try:
    conn.execute("SELECT * FROM product").fetchall()
except sqlite3.DatabaseError:
    pass
print("open", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def somebody_has_it_open(file: Path) -> Iterator[None]:
    """Another process; what it has open of a ledger it may write to."""
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"open\n"
        yield
        process.stdin.close()


@pytest.mark.parametrize("damaged", [False, True])
def test_nothing_is_restored_while_somebody_has_the_ledger_open(
    tmp_path: Path, damaged: bool
) -> None:
    """Who has the file open would go on writing into the one that is moved aside."""
    if is_wanted():
        pytest.skip("a database on PostgreSQL has to be empty")
    site = tmp_path / "site"
    site_of_a_night(site).close()
    made = backup.backup(site, tmp_path / "copies")
    file = paths.ledger_file(site)
    if damaged:
        content = bytearray(file.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        file.write_bytes(content)
    before, there = file.read_bytes(), sorted(site.iterdir())
    with somebody_has_it_open(file):
        with pytest.raises(LedgerError, match=r"has it open.*portal"):
            backup.restore(site, Path(made.path))
        assert file.read_bytes() == before
        assert [path for path in sorted(site.iterdir()) if path.suffix == ".part"] == []
    assert sorted(site.iterdir()) == there
    aside = backup.restore(site, Path(made.path))
    assert Path(aside).read_bytes() == before
