"""From the telescope to the public: each site with its own ledger, and none between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import Busy, ConfigError
from tesela.ledger import frames, history, products, shipments
from tesela.products.files import sha256_of
from tesela.sites import free
from tesela.sites.send import Sender

from . import three
from .conftest import Three


def test_a_frame_reaches_the_core_and_its_receipt_comes_back(sites: Three) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    sent = three.send(sites.obs, "core")
    assert (sent.files, sent.verified, sent.under_way) == (2, 0, 1)
    told = three.receive(sites.core)
    assert [(one.key, one.outcome) for one in told] == [("sci1", "verified"), ("sci2", "verified")]
    with three.ledger_of(sites.core).read() as conn:
        frame = frames.get(conn, "sci1")
        (came,) = shipments.latest(conn, "in", "obs", "verified")
    assert (sites.core.folder / frame["path"]).read_bytes() == three.content("sci1")
    assert came["files"] == 2
    assert three.replicas(sites.obs) == set()
    assert three.send(sites.obs, "core").verified == 2
    assert three.replicas(sites.obs) == {("sci1", "core"), ("sci2", "core")}
    assert list((sites.core.inbox / "obs").iterdir()) == [sites.core.inbox / "obs" / "receipts"]


def test_what_was_verified_is_not_sent_again(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    assert three.send(sites.obs, "core").files == 0  # on its way
    three.receive(sites.core)
    three.send(sites.obs, "core")
    assert three.send(sites.obs, "core").files == 0
    three.observe(sites.obs, "sci2")
    assert three.send(sites.obs, "core").files == 1


def test_an_archive_without_a_ledger_keeps_files_by_checksum(sites: Three) -> None:
    three.observe(sites.core, "sci1")
    three.add_product(sites.core, "coadd", "T1.r", [b"image", b"picture"])
    three.send(sites.core, "archive")
    told = three.receive(sites.archive)
    assert {(one.kind, one.outcome) for one in told} == {("raw", "verified"), ("coadd", "verified")}
    for path in (three.raw("sci1"), "products/coadd/T1.r.v1.0.txt", "products/coadd/T1.r.v1.1.txt"):
        here, there = sites.core.folder / path, sites.archive.folder / path
        assert sha256_of(here) == sha256_of(there)
    assert not list(sites.archive.folder.glob("*.sqlite*"))
    assert three.send(sites.core, "archive").verified == 2


def test_the_observatory_learns_of_the_second_copy_from_the_core(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    three.send(sites.obs, "core")
    three.send(sites.core, "archive")
    three.receive(sites.archive)
    three.send(sites.core, "archive")
    assert three.replicas(sites.core) == {("sci1", "archive")}
    three.send(sites.obs, "core")
    assert three.replicas(sites.obs) == {("sci1", "core"), ("sci1", "archive")}


def make_two_copies(sites: Three, *names: str) -> None:
    """Let frames go all the way, and their receipts back."""
    three.observe(sites.obs, *names)
    for _ in range(2):
        three.send(sites.obs, "core")
        three.receive(sites.core)
        three.send(sites.core, "archive")
        three.receive(sites.archive)
    three.send(sites.core, "archive")
    three.send(sites.obs, "core")


AT_ONCE = free.Limits(older_days=0.0)


def test_a_raw_file_goes_when_two_other_sites_have_it(sites: Three) -> None:
    make_two_copies(sites, "sci1")
    (one,) = free.candidates(sites.obs, AT_ONCE)
    assert (one.key, one.copies) == ("sci1", 2)
    assert free.free(sites.obs, one, AT_ONCE, "somebody").reason == ""
    assert not (sites.obs.folder / one.path).exists()
    with three.ledger_of(sites.obs).read() as conn:
        row = products.current(conn, "raw", "sci1")
        past = history.of_key(conn, "sci1")
    assert row is not None and row["dropped_mjd"] is not None
    assert {(c["site"], c["is_ours"]) for c in past["copies"]} == {
        ("archive", True), ("core", True)
    }  # fmt: skip
    (event,) = [e for e in past["events"] if e["what"] == "freed"]
    assert event["who"] == "somebody"
    assert event["detail"].endswith("verified copies at archive, core")
    assert list(free.candidates(sites.obs, AT_ONCE)) == []
    assert three.send(sites.obs, "core").files == 0


def test_one_copy_is_not_enough(sites: Three) -> None:
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    three.send(sites.obs, "core")
    assert list(free.candidates(sites.obs, AT_ONCE)) == []


def test_young_frames_and_copies_that_nobody_looked_at_lately_do_not_count(sites: Three) -> None:
    make_two_copies(sites, "sci1")
    assert list(free.candidates(sites.obs, free.Limits(older_days=7.0))) == []
    assert list(free.candidates(sites.obs, free.Limits(older_days=0.0, fresh_days=0.0))) == []


def test_a_file_that_is_not_the_one_that_was_copied_stays(sites: Three) -> None:
    make_two_copies(sites, "sci1")
    (one,) = free.candidates(sites.obs, AT_ONCE)
    (sites.obs.folder / one.path).write_bytes(b"changed behind our back")
    assert "the copies" in free.free(sites.obs, one, AT_ONCE, "x").reason
    assert (sites.obs.folder / one.path).read_bytes() == b"changed behind our back"
    with three.ledger_of(sites.obs).read() as conn:
        row = products.current(conn, "raw", "sci1")
    assert row is not None and row["dropped_mjd"] is None


def test_a_copy_that_is_lost_before_the_file_goes_stops_it(sites: Three) -> None:
    from tesela.ledger import replicas

    make_two_copies(sites, "sci1")
    (one,) = free.candidates(sites.obs, AT_ONCE)
    with three.ledger_of(sites.obs).write() as conn:
        replicas.remove(conn, one.product_id, "archive")
    assert "fewer than 2" in free.free(sites.obs, one, AT_ONCE, "x").reason
    assert (sites.obs.folder / one.path).exists()


def test_only_an_observatory_deletes(sites: Three) -> None:
    with pytest.raises(ConfigError, match="role core"):
        list(free.candidates(sites.core, AT_ONCE))


def test_copies_are_hashed_again_on_request(sites: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    from tesela.ledger.clock import now_mjd

    make_two_copies(sites, "sci1", "sci2")
    copy = sites.archive.folder / three.raw("sci2")
    copy.write_bytes(b"rotten")
    way = sites.core.way_to("archive")
    assert way is not None
    with Sender(sites.core, way).at_work() as sender:
        assert sender.ask(now_mjd(), 100) == 2
        sender.once()
        told = three.receive(sites.archive)
        assert {(one.key, one.outcome) for one in told} == {
            ("sci1", "verified"), ("sci2", "damaged")
        }  # fmt: skip
        sender.once()
    assert three.replicas(sites.core) == {("sci1", "archive")}
    assert copy.read_bytes() == b"rotten"  # a question changes nothing
    monkeypatch.setattr("tesela.sites.outbox.now_mjd", lambda: 1e6)  # its time has come again
    three.send(sites.core, "archive")
    assert [one.outcome for one in three.receive(sites.archive)] == ["verified"]
    assert copy.read_bytes() == three.content("sci2")
    assert [p.read_bytes() for p in sites.archive.folder.glob("quarantine/*/raw/*/*")] == [
        b"rotten"
    ]


def test_two_senders_to_one_site_are_one_too_many(sites: Three) -> None:
    way = sites.obs.way_to("core")
    assert way is not None
    with (
        Sender(sites.obs, way).at_work(),
        pytest.raises(Busy, match="one process that sends"),
        Sender(sites.obs, way).at_work(),
    ):
        pass


def test_two_receivers_are_one_too_many(sites: Three) -> None:
    with (
        three.receiver(sites.core).at_work(),
        pytest.raises(Busy, match="one process that receives"),
        three.receiver(sites.core).at_work(),
    ):
        pass


def test_a_release_arrives_whole_and_its_list_comes_last(sites: Three, tmp_path: Path) -> None:
    add_release(sites.core.folder, three.ledger_of(sites.core))
    three.send(sites.core, "archive")
    (told,) = three.receive(sites.archive)
    assert (told.kind, told.key, told.outcome) == ("release", "dr1", "verified")
    here, there = sites.core.folder / "releases/dr1", sites.archive.folder / "releases/dr1"
    names = sorted(p.relative_to(here) for p in here.rglob("*") if p.is_file())
    assert [p.relative_to(there) for p in sorted(there.rglob("*")) if p.is_file()] == names
    newest = max(there.rglob("*.*"), key=lambda path: path.stat().st_ctime_ns)
    assert newest.name == "release.json"
    assert three.send(sites.core, "archive").verified == 1


def add_release(site: Path, ledger) -> None:  # type: ignore[no-untyped-def]
    """A release with a table, and an image survey that lists its tiles by itself."""
    import hashlib
    import json

    folder = site / "releases/dr1"
    contents = {"tables/tiles.parquet": b"tiles", "hips/colour/Norder3/Npix1.jpg": b"a picture"}
    sums = f"{hashlib.sha256(b'a picture').hexdigest()}  Norder3/Npix1.jpg\n".encode()
    contents["hips/colour/sha256sums.txt"] = sums
    listed = []
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        if not name.endswith(".jpg"):
            listed.append({"path": name, "sha256": sha256_of(path), "size": len(text)})
    (folder / "release.json").write_text(json.dumps({"files": listed}))
    checksum = sha256_of(folder / "release.json")
    file = ("releases/dr1/release.json", checksum, (folder / "release.json").stat().st_size)
    with ledger.write() as conn:
        products.insert(
            conn,
            products.NewProduct(
                "release", "dr1", 1, path=file[0], files=(file,), checksum=checksum
            ),
        )
