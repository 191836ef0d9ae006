"""The audit finds what changed behind our back, and mends it from another site."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tesela.errors import TransferError
from tesela.ledger import events, products
from tesela.sites import orphans, rsync
from tesela.sites.audit import Audit, Fault, Names
from tesela.sites.expected import Choice
from tesela.sites.installation import Installation
from tesela.sites.repair import repair

from . import three
from .conftest import Three


def audit(site: Installation, *, checksum: bool = True, **choice: object) -> list[Fault]:
    """All faults of a site."""
    return list(Audit(site, Choice(**choice), checksum=checksum).faults())  # type: ignore[arg-type]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    "gone": (lambda path: path.unlink(), "missing", False),
    "a bit": (flip, "checksum", True),
    "cut": (lambda path: os.truncate(path, 10), "size", False),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "unreadable", False),
}
"""What is done to a file, what the audit says, and whether it takes reading it."""


@pytest.mark.parametrize("case", DAMAGE)
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_changed_behind_our_back_is_found(sites: Three, case: str, which: int) -> None:
    damage, expected, needs_reading = DAMAGE[case]
    three.observe(sites.core, "sci1")
    three.add_product(sites.core, "coadd", "T.r", [b"image" * 10, b"picture" * 10])
    three.add_product(sites.core, "coadd", "T.g", [b"another"])
    assert audit(sites.core) == []
    damage(sites.core.folder / f"products/coadd/T.r.v1.{which}.txt")
    (fault,) = audit(sites.core)
    assert (fault.what, fault.kind, fault.key) == (expected, "coadd", "T.r")
    assert fault.is_main == (which == 0)
    assert len(audit(sites.core, checksum=False)) == (0 if needs_reading else 1)


def test_a_raw_frame_that_was_cut_is_found_without_reading_it(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    os.truncate(sites.core.folder / three.raw("sci1"), 10)
    (fault,) = audit(sites.core, checksum=False)
    assert (fault.what, fault.found) == ("size", "10 bytes")


def test_old_versions_are_looked_at_and_what_was_removed_on_purpose_is_not(sites: Three) -> None:
    three.add_product(sites.core, "coadd", "T.r", [b"one"], version=1)
    three.add_product(sites.core, "coadd", "T.r", [b"two"], version=2)
    old = sites.core.folder / "products/coadd/T.r.v1.0.txt"
    old.unlink()
    (fault,) = audit(sites.core)
    assert (fault.version, fault.what) == (1, "missing")
    with three.ledger_of(sites.core).write() as conn:
        conn.execute(
            sa.text("UPDATE product SET dropped_mjd = 58000.0 WHERE id = :id"),
            {"id": fault.product_id},
        )
    looked = Audit(sites.core, checksum=True)
    assert list(looked.faults()) == []
    assert looked.dropped == 1


def test_a_choice_leaves_the_others_out(sites: Three) -> None:
    from tesela.ledger.clock import now_mjd

    three.observe(sites.core, "sci1", "sci2")
    three.add_product(sites.core, "coadd", "T.r", [b"one"])
    for name in ("sci1", "sci2"):
        (sites.core.folder / three.raw(name)).unlink()
    assert audit(sites.core, kinds=("coadd",)) == []
    assert len(audit(sites.core, kinds=("raw", "coadd"))) == 2
    assert audit(sites.core, since_mjd=now_mjd() + 1) == []
    assert len(audit(sites.core, since_mjd=now_mjd() - 1)) == 2
    looked = Audit(sites.core, Choice(sample=2), checksum=True)
    list(looked.faults())
    assert looked.products == 2


def test_pages_leave_nothing_out(sites: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tesela.sites.expected._WINDOW", 2)
    for n in range(7):
        three.add_product(sites.core, "coadd", f"T{n}.r", [b"x"])
    looked = Audit(sites.core)
    assert list(looked.faults()) == []
    assert (looked.products, looked.files) == (8, 8)  # with the reference catalogue
    for n in range(7):
        (sites.core.folder / f"products/coadd/T{n}.r.v1.0.txt").unlink()
    assert len(audit(sites.core)) == 7


def test_every_file_of_a_release_is_looked_at(sites: Three) -> None:
    from .test_chain import add_release

    add_release(sites.core.folder, three.ledger_of(sites.core))
    assert audit(sites.core) == []
    flip(sites.core.folder / "releases/dr1/hips/colour/Norder3/Npix1.jpg")
    (sites.core.folder / "releases/dr1/tables/tiles.parquet").unlink()
    assert [fault.what for fault in audit(sites.core)] == ["missing", "checksum"]


def test_an_archive_audits_what_it_took_in(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    three.send(sites.core, "archive")
    three.receive(sites.archive)
    assert audit(sites.archive) == []
    flip(sites.archive.folder / three.raw("sci1"))
    (fault,) = audit(sites.archive)
    assert (fault.what, fault.key) == ("checksum", "sci1")


# -- orphans --------------------------------------------------------------------------------------


def find(site: Installation, age_s: float = 7200.0) -> list[orphans.Orphan]:
    """Orphans as they are seen so long after now."""
    looked = Audit(site)
    list(looked.faults())
    return list(orphans.find(site.folder, looked.names, time.time() + age_s))


def test_a_file_that_nobody_knows_is_found_when_it_is_old_enough(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    stray = sites.core.folder / "products/coadd/T9/stray.fits"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"whose?")
    assert find(sites.core, age_s=0.0) == []  # it may be about to be committed
    (orphan,) = find(sites.core)
    assert (orphan.path, orphan.bytes) == ("products/coadd/T9/stray.fits", 6)
    assert not orphan.is_temporary


def test_a_sweep_removes_what_is_half_written_and_keeps_the_rest_apart(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    folder = sites.core.folder / "raw" / three.NIGHT
    (folder / ".sci2.fits.4711.part").write_bytes(b"half")
    (folder / "sci3.fits").write_bytes(b"whole, and unknown")
    found = find(sites.core)
    assert {(one.path.rpartition("/")[2], one.is_temporary) for one in found} == {
        (".sci2.fits.4711.part", True), ("sci3.fits", False)
    }  # fmt: skip
    done = [orphans.sweep(sites.core, one) for one in found]
    assert done[0] == "removed"
    assert (sites.core.folder / done[1].removeprefix("moved to ")).read_bytes() == (
        b"whole, and unknown"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["sci1.fits"]
    assert find(sites.core) == []
    with three.ledger_of(sites.core).read() as conn:
        swept = events.last_of(conn, ("orphan swept",), f"raw/{three.NIGHT}/sci3.fits")
    assert swept is not None and swept["detail"] == done[1]


def test_a_freed_frame_whose_file_is_left_is_an_orphan(sites: Three) -> None:
    """A crash between the ledger and the disk."""
    three.observe(sites.obs, "sci1")
    with three.ledger_of(sites.obs).write() as conn:
        conn.execute(sa.text("UPDATE product SET dropped_mjd = 58000.0 WHERE key = 'sci1'"))
    (orphan,) = find(sites.obs)
    assert orphan.path == three.raw("sci1")


def test_names_know_what_was_added_and_nothing_else() -> None:
    names = Names()
    for n in range(1000):
        names.add(f"products/{n}")
    assert all(f"products/{n}" in names for n in range(1000))
    assert not any(f"products/{n}" in names for n in range(1000, 3000))
    assert "x" not in Names()


# -- repair ---------------------------------------------------------------------------------------


def copied(sites: Three) -> None:
    """A frame and a coadd at the core, with copies at the archive."""
    three.observe(sites.core, "sci1")
    three.add_product(sites.core, "coadd", "T.r", [b"image" * 10, b"picture" * 10])
    three.send(sites.core, "archive")
    three.receive(sites.archive)
    three.send(sites.core, "archive")


@pytest.mark.parametrize("case", [case for case in DAMAGE if case != "a folder"])
@pytest.mark.parametrize(
    "path", [three.raw("sci1"), "products/coadd/T.r.v1.0.txt", "products/coadd/T.r.v1.1.txt"]
)
def test_a_damaged_file_comes_back_from_the_archive(sites: Three, case: str, path: str) -> None:
    copied(sites)
    file = sites.core.folder / path
    sound = file.read_bytes()
    DAMAGE[case][0](file)
    damaged = file.read_bytes() if file.exists() else None
    (fault,) = audit(sites.core)
    assert "fetched from archive" in repair(sites.core, fault)
    assert file.read_bytes() == sound
    assert audit(sites.core) == []
    kept = [p.read_bytes() for p in (sites.core.folder / "quarantine").rglob("*") if p.is_file()]
    assert kept == ([damaged] if damaged is not None else [])
    with three.ledger_of(sites.core).read() as conn:
        past = events.history(conn, fault.key)["events"]
    assert past[-1]["what"] == "repaired"
    assert fault.what in past[-1]["detail"]


def test_an_observatory_repairs_from_the_core(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    three.send(sites.obs, "core")
    (sites.obs.folder / three.raw("sci1")).unlink()
    (fault,) = audit(sites.obs)
    repair(sites.obs, fault)
    assert audit(sites.obs) == []


def test_a_copy_that_is_damaged_too_is_not_taken_and_counts_no_more(sites: Three) -> None:
    copied(sites)
    flip(sites.archive.folder / three.raw("sci1"))
    flip(sites.core.folder / three.raw("sci1"))
    before = (sites.core.folder / three.raw("sci1")).read_bytes()
    (fault,) = audit(sites.core)
    with pytest.raises(TransferError, match="its copy is damaged"):
        repair(sites.core, fault)
    assert (sites.core.folder / three.raw("sci1")).read_bytes() == before
    assert ("sci1", "archive") not in three.replicas(sites.core)
    assert not (sites.core.folder / "quarantine").exists()


def test_what_nobody_has_is_said(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    (sites.core.folder / three.raw("sci1")).unlink()
    (fault,) = audit(sites.core)
    with pytest.raises(TransferError, match="no verified copy"):
        repair(sites.core, fault)


def test_a_site_that_is_away_or_lost_its_copy_is_said_and_forgotten_not(sites: Three) -> None:
    copied(sites)
    (sites.core.folder / three.raw("sci1")).unlink()
    (fault,) = audit(sites.core)
    copy = sites.archive.folder / three.raw("sci1")
    copy.rename(copy.with_name("hidden"))
    with pytest.raises(TransferError, match=r"archive: .*no file"):
        repair(sites.core, fault)
    copy.with_name("hidden").rename(copy)
    sites.archive.folder.rename(sites.archive.folder.with_name("away"))
    with pytest.raises(TransferError, match=r"archive: .*no folder"):
        repair(sites.core, fault)
    sites.archive.folder.with_name("away").rename(sites.archive.folder)
    repair(sites.core, fault)
    assert audit(sites.core) == []


@pytest.mark.parametrize(
    ("inbox", "expected"),
    [
        ("/data/site/inbox", "/data/site"),
        ("user@host:/data/site/inbox", "user@host:/data/site"),
        ("user@host:/data/site/inbox/", "user@host:/data/site"),
        ("host:inbox", "host:."),
        ("host:site/inbox", "host:site"),
        ("[::1]:/data/inbox", "[::1]:/data"),
        ("rsync://host/module/inbox", "rsync://host/module"),
    ],
)
def test_copies_are_fetched_from_the_folder_of_the_inbox(inbox: str, expected: str) -> None:
    assert rsync._folder_of(inbox) == expected


def test_a_repaired_master_keeps_its_row(sites: Three) -> None:
    copied(sites)
    flip(sites.core.folder / "products/coadd/T.r.v1.0.txt")
    with three.ledger_of(sites.core).read() as conn:
        before = products.current(conn, "coadd", "T.r")
    (fault,) = audit(sites.core)
    repair(sites.core, fault)
    with three.ledger_of(sites.core).read() as conn:
        assert products.current(conn, "coadd", "T.r") == before
