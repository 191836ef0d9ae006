"""An inbox is written by others: manifests that lie are refused, and nothing leaves its place."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tesela.errors import BadInput
from tesela.ledger import frames
from tesela.sites import manifest, receipt
from tesela.sites.audit import Audit
from tesela.sites.manifest import Manifest
from tesela.sites.receipt import Receipt

from . import three
from .conftest import Three

GOOD = b"TOY science good"
ENTRY = three.entry("good", GOOD)


def text(*entries: dict[str, Any], **changes: Any) -> bytes:
    """The text of a manifest for the core."""
    content = json.loads(Manifest(three.SHIPMENT, "obs", "core", 57937.9, (ENTRY,)).text())
    content |= {"files": list(entries)} if entries else {}
    return json.dumps(content | changes).encode()


def one(**changes: Any) -> bytes:
    """A manifest with one file that is not quite right."""
    return text(vars(ENTRY) | changes)


COADD = {"kind": "coadd", "key": "T.r", "version": 1, "size": 1, "sha256": "a" * 64}

BAD = {
    "an absolute path": (one(path="/etc/raw/good.fits"), "a relative path"),
    "a path that climbs": (one(path="raw/../../good.fits"), "a relative path"),
    "a path that climbs inside": (one(path="raw/../raw/good.fits"), "a relative path"),
    "a hidden name": (one(path="raw/.ssh/good.fits"), "a relative path"),
    "an empty part": (one(path="raw//good.fits"), "a relative path"),
    "a backslash": (one(path="raw\\x/2017/good.fits"), "a relative path"),
    "a control character": (one(path="raw/2017\n/good.fits"), "a relative path"),
    "a surrogate": (one(path="raw/\ud800/good.fits"), "UTF-8"),
    "a path that is a number": (one(path=7), "a relative path"),
    "a very deep path": (one(path="raw/" + "a/" * 40 + "good.fits"), "a relative path"),
    "the settings of the site": (one(path="survey.toml", kind="coadd"), "a relative path"),
    "another folder of the site": (one(path="transfer/in/good.fits", kind="coadd"), "are kept"),
    "a frame under another name": (one(key="other"), "are kept"),
    "a frame among products": (one(path="products/raw/good.fits"), "are kept"),
    "a release's shelf": (
        text({**COADD, "kind": "release", "key": "published.json",
              "path": "releases/published.json/x"}),
        "are kept",
    ),
    "another release's file": (
        text({**COADD, "kind": "release", "key": "dr1", "path": "releases/dr2/x"}), "are kept",
    ),
    "the list of what is served": (
        text({**COADD, "kind": "release", "key": "dr1", "path": "releases/published.json"}),
        "are kept",
    ),
    "a size below nothing": (one(size=-1), "size"),
    "a size in words": (one(size="much"), "size"),
    "a size that is true": (one(size=True), "size"),
    "a size beyond all disks": (one(size=1 << 60), "size"),
    "a version that is no number": (one(version=1.5), "version"),
    "no checksum": (one(sha256=""), "SHA-256"),
    "half a checksum": (one(sha256="abc"), "SHA-256"),
    "a kind that is a path": (one(kind="../raw"), "a kind"),
    "a key of many lines": (one(key="a\nb"), "the key"),
    "the same path twice": (text(vars(ENTRY), vars(ENTRY)), "each path once"),
    "a file that is a folder too": (
        text({**COADD, "path": "products/a/b"}, {**COADD, "path": "products/a/b/c"}), "folder too",
    ),
    "a product in two pieces": (
        text({**COADD, "path": "products/a/b"}, vars(ENTRY), {**COADD, "path": "products/a/c"}),
        "together",
    ),
    "files that are no list": (text(files={"a": 1}), "a list"),
    "a file that is no object": (text(files=["x"]), "an object"),
    "too many files": (text(files=[0] * (manifest.MOST_FILES + 1)), "a list of at most"),
    "another sender": (text(**{"from": "somebody"}), "from = 'obs'"),
    "another receiver": (text(to="archive"), "to = 'core'"),
    "another shipment": (text(shipment=three.SHIPMENT[:-1] + "e"), "shipment ="),
    "another format": (text(format=2), "format 1"),
    "another purpose": (text(purpose="delete"), "copy or verify"),
    "a time that is none": (text(packed_mjd=float("nan")), "a finite number"),
    "broken JSON": (text()[:-9], "no JSON"),
    "a list": (b"[]", "a JSON object"),
    "no text": (b"\xff\xfe", "no JSON"),
    "a deep hole": (b"[" * 100_000, "no JSON"),
    "nothing": (b"", "no JSON"),
}  # fmt: skip


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a site but those of its ledger, of the inbox and of transfers."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in ("inbox", "transfer")
        and "ledger" not in path.name
    }


def answer(sites: Three) -> Receipt:
    """The receipt of the shipment that was made by hand."""
    path = sites.core.inbox / "obs" / "receipts" / f"{three.SHIPMENT}.json"
    return receipt.read(path.read_bytes(), "receipt")


@pytest.mark.parametrize("case", BAD)
def test_a_manifest_that_is_not_as_we_write_it_is_refused_whole(sites: Three, case: str) -> None:
    content, expected = BAD[case]
    before = snapshot(sites.core.folder)
    folder = three.put_shipment(sites.core, [(ENTRY, GOOD)], content)
    (told,) = three.receive(sites.core, settle_s=-1.0)
    assert told.outcome == "refused"
    assert expected in told.reason
    assert str(folder) in told.reason
    assert answer(sites).refused
    assert snapshot(sites.core.folder) == before
    assert three.receive(sites.core, settle_s=-1.0) == []  # said once, also by another process


def test_the_manifest_that_those_were_made_of_is_sound(sites: Three) -> None:
    three.put_shipment(sites.core, [(ENTRY, GOOD)], text())
    (told,) = three.receive(sites.core)
    assert told.outcome == "verified"
    assert not answer(sites).refused


def test_a_manifest_that_is_being_written_is_waited_for(sites: Three) -> None:
    three.put_shipment(sites.core, [(ENTRY, GOOD)], text()[:-9])
    assert three.receive(sites.core, settle_s=60.0) == []
    three.put_shipment(sites.core, [(ENTRY, GOOD)], text())
    assert [told.outcome for told in three.receive(sites.core)] == ["verified"]


def _link_to(target: Path) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return make


def test_a_link_is_not_followed(sites: Three, tmp_path: Path) -> None:
    secret = tmp_path / "secret.fits"
    secret.write_bytes(GOOD)
    folder = three.put_shipment(sites.core, [(ENTRY, None)])
    _link_to(secret)(folder / "files" / ENTRY.path)
    before = snapshot(sites.core.folder)
    (told,) = three.receive(sites.core)
    assert (told.outcome, "symbolic link" in told.reason) == ("refused", True)
    assert snapshot(sites.core.folder) == before
    assert secret.read_bytes() == GOOD
    with three.ledger_of(sites.core).read() as conn:
        assert frames.by_name(conn, "good") is None


@pytest.mark.parametrize("level", ["files", "files/raw", f"files/raw/{three.NIGHT}"])
def test_a_folder_that_is_a_link_is_not_followed(sites: Three, tmp_path: Path, level: str) -> None:
    outside = tmp_path / "outside"
    inner = Path("files", ENTRY.path).relative_to(level)
    (outside / inner).parent.mkdir(parents=True)
    (outside / inner).write_bytes(GOOD)
    folder = three.put_shipment(sites.core, [(ENTRY, None)])
    _link_to(outside)(folder / level)
    told, *_ = three.receive(sites.core)  # and the link itself is in no manifest
    assert (told.outcome, "symbolic link" in told.reason) == ("refused", True)
    assert (outside / inner).exists()  # and what it led to is not emptied with the inbox


def test_a_manifest_that_is_a_link_is_refused(sites: Three, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(text())
    folder = three.put_shipment(sites.core, [(ENTRY, GOOD)])
    (folder / "manifest.json").unlink()
    _link_to(tmp_path / "elsewhere")(folder / "manifest.json")
    (told,) = three.receive(sites.core, settle_s=-1.0)
    assert (told.outcome, "symbolic link" in told.reason) == ("refused", True)


def test_a_shipment_or_sender_that_is_a_link_is_none(sites: Three, tmp_path: Path) -> None:
    folder = three.put_shipment(sites.core, [(ENTRY, GOOD)])
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    (sites.core.inbox / "friend").symlink_to(tmp_path)
    assert three.receive(sites.core) == []


def test_a_pipe_is_refused_and_not_waited_for(sites: Three) -> None:
    entry = dataclasses.replace(ENTRY, size=0)
    folder = three.put_shipment(sites.core, [(entry, None)])
    (folder / "files" / ENTRY.path).parent.mkdir(parents=True)
    os.mkfifo(folder / "files" / ENTRY.path)
    (told,) = three.receive(sites.core)
    assert (told.outcome, "a pipe" in told.reason) == ("refused", True)


@pytest.mark.parametrize("size", [len(GOOD) - 1, len(GOOD) + 1, 0])
def test_a_size_that_lies_is_found(sites: Three, size: int) -> None:
    three.put_shipment(sites.core, [(dataclasses.replace(ENTRY, size=size), GOOD)])
    assert three.receive(sites.core, settle_s=60.0) == []  # it may still grow
    (told,) = three.receive(sites.core, settle_s=-1.0)
    assert told.outcome == "damaged"
    assert f"{len(GOOD)} bytes, not {size}" in told.reason


def test_other_bytes_of_the_right_size_are_found(sites: Three) -> None:
    three.put_shipment(sites.core, [(ENTRY, GOOD.upper())])
    (told,) = three.receive(sites.core)
    assert told.outcome == "damaged"
    (found,) = answer(sites).files
    assert found.sha256 not in ("", ENTRY.sha256)
    assert not (sites.core.folder / "raw").exists()


def test_a_file_that_no_manifest_names_is_not_taken(sites: Three) -> None:
    stranger = three.entry("stranger")
    folder = three.put_shipment(sites.core, [(ENTRY, GOOD)])
    (folder / "files" / stranger.path).write_bytes(b"TOY science x")
    told = three.receive(sites.core)
    assert [(one.key, one.outcome) for one in told] == [
        ("good", "verified"), (stranger.path, "refused")
    ]  # fmt: skip
    assert answer(sites).strangers == (stranger.path,)
    with three.ledger_of(sites.core).read() as conn:
        assert frames.by_name(conn, "stranger") is None


def test_what_is_no_frame_is_refused_with_ingests_reason(sites: Three) -> None:
    three.put_shipment(sites.core, [(three.entry("good", b"hello"), b"hello")])
    (told,) = three.receive(sites.core)
    assert told.outcome == "refused"
    assert "leave it out" in told.reason
    assert answer(sites).files[0].state == "refused"


def test_nothing_is_overwritten_at_a_core(sites: Three) -> None:
    three.observe(sites.core, "good")
    before = (sites.core.folder / three.raw("good")).read_bytes()
    three.put_shipment(sites.core, [(ENTRY, GOOD)])
    (told,) = three.receive(sites.core)
    assert (told.outcome, "nothing was overwritten" in told.reason) == ("refused", True)
    assert (sites.core.folder / three.raw("good")).read_bytes() == before


def put_to_archive(sites: Three, *contents: bytes, n: int = 0) -> None:
    """A product of some files, for the archive, in shipment `n`."""
    entries = tuple(
        dataclasses.replace(
            three.entry("x", text), path=f"products/coadd/T/{i}.fits", kind="coadd", key="T.r"
        )
        for i, text in enumerate(contents)
    )
    name = f"{three.SHIPMENT[:-1]}{n}"
    three.put_shipment(sites.archive, list(zip(entries, contents)), sender="core", name=name)


def test_nothing_is_overwritten_at_an_archive(sites: Three) -> None:
    taken = sites.archive.folder / "products/coadd/T/1.fits"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"of somebody else")
    put_to_archive(sites, b"image", b"picture")
    (told,) = three.receive(sites.archive)
    assert (told.outcome, "another file of that name" in told.reason) == ("refused", True)
    assert taken.read_bytes() == b"of somebody else"
    assert not taken.with_name("0.fits").exists()  # the main file never stands alone


def test_a_copy_that_was_damaged_is_replaced_by_its_own_content_alone(sites: Three) -> None:
    put_to_archive(sites, b"image", n=1)
    three.receive(sites.archive)
    place = sites.archive.folder / "products/coadd/T/0.fits"
    place.write_bytes(b"rotten")
    put_to_archive(sites, b"other", n=2)
    assert [told.outcome for told in three.receive(sites.archive)] == ["refused"]
    assert place.read_bytes() == b"rotten"
    put_to_archive(sites, b"image", n=3)
    assert [told.outcome for told in three.receive(sites.archive)] == ["verified"]
    assert place.read_bytes() == b"image"


def test_a_link_in_the_place_of_a_file_is_not_written_through(sites: Three, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    place = sites.archive.folder / "products/coadd/T/0.fits"
    _link_to(victim)(place)
    put_to_archive(sites, b"image")
    (told,) = three.receive(sites.archive)
    assert told.outcome == "refused"
    assert victim.read_bytes() == b"untouched"


@pytest.mark.parametrize("where", ["core", "archive"])
def test_a_question_about_another_checksum_touches_nothing(sites: Three, where: str) -> None:
    site = getattr(sites, where)
    three.put_shipment(site, [(ENTRY, GOOD)])
    three.receive(site)
    kept = site.folder / three.raw("good")
    lie = dataclasses.replace(ENTRY, sha256="b" * 64)
    name = three.SHIPMENT[:-1] + "e"
    made = Manifest(name, "obs", site.name, 57937.9, (lie,), manifest.VERIFY)
    folder = site.inbox / "obs" / name
    folder.mkdir()
    (folder / "manifest.json").write_text(made.text())
    (told,) = three.receive(site)
    assert told.outcome == "damaged"
    assert kept.read_bytes() == GOOD
    assert not (site.folder / "quarantine").exists()


def test_names_of_strangers_do_no_harm(sites: Three) -> None:
    folder = three.put_shipment(sites.core, [(ENTRY, GOOD)])
    (folder / "files" / "\x1b[2Jevil\udcff").write_bytes(b"x")
    told = three.receive(sites.core)[1]
    assert told.key == "\\x1b[2Jevil\\xff"
    assert answer(sites).strangers == (told.key,)


def test_a_core_keeps_products_of_others_apart_from_its_own(sites: Three) -> None:
    three.add_product(sites.core, "coadd", "T.r", [b"our own"])
    own = sites.core.folder / "products/coadd/T.r.v1.0.txt"
    theirs = dataclasses.replace(
        three.entry("x", b"theirs"), path="products/coadd/T.r.v1.0.txt", kind="coadd", key="T.r"
    )
    three.put_shipment(sites.core, [(theirs, b"theirs")])
    (told,) = three.receive(sites.core)
    assert told.outcome == "verified"
    assert own.read_bytes() == b"our own"
    copy = sites.core.folder / "copies/obs" / theirs.path
    assert copy.read_bytes() == b"theirs"
    assert list(Audit(sites.core, checksum=True).faults()) == []
    copy.write_bytes(b"rotten")
    assert [fault.path for fault in Audit(sites.core, checksum=True).faults()] == [
        f"copies/obs/{theirs.path}"
    ]


# -- receipts that lie ---------------------------------------------------------------------------


def forge(sites: Three, change: Callable[[dict[str, Any]], None]) -> list[str]:
    """Let the receipt of one frame be changed on its way, and say what becomes of it."""
    three.observe(sites.obs, "sci1")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    (path,) = (sites.core.inbox / "obs" / "receipts").iterdir()
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return three.send(sites.obs, "core").problems


def _other_checksum(content: dict[str, Any]) -> None:
    content["files"][0]["sha256"] = "b" * 64


def _other_site(content: dict[str, Any]) -> None:
    content["by"] = "archive"


def _other_file(content: dict[str, Any]) -> None:
    content["files"][0]["path"] = f"raw/{three.NIGHT}/sci2.fits"
    content["files"][0]["key"] = "sci2"


def _nothing(content: dict[str, Any]) -> None:
    content["files"] = []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_other_checksum, "not believed"),
        (_other_site, "not of core"),
        (_other_file, "does not name"),
        (_nothing, "does not name"),
    ],
)
def test_a_receipt_that_says_something_else_than_our_ledger_is_not_believed(
    sites: Three, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    (problem,) = forge(sites, change)
    assert expected in problem
    assert three.replicas(sites.obs) == set()


def test_a_receipt_that_is_none_is_told_of_and_thrown_away(sites: Three) -> None:
    problems = forge(sites, lambda content: content.update(files="all of them"))
    assert "no lists" in problems[0]
    assert three.replicas(sites.obs) == set()
    assert three.send(sites.obs, "core").problems == []


def test_a_receipt_from_tomorrow_does_not_look_fresh_for_longer(sites: Three) -> None:
    from tesela.ledger import schema
    from tesela.ledger.clock import now_mjd

    forge(sites, lambda content: content.update(at_mjd=now_mjd() + 1000))
    with three.ledger_of(sites.obs).read() as conn:
        (row,) = conn.execute(schema.replica.select())
    assert row.verified_mjd <= now_mjd()


def test_hearsay_counts_for_frames_of_ours_with_our_checksums_alone(sites: Three) -> None:
    three.observe(sites.obs, "sci1", "sci2")
    three.send(sites.obs, "core")
    three.receive(sites.core)
    three.send(sites.obs, "core")
    ours = three.entry("sci1", three.content("sci1"))
    lie = dataclasses.replace(three.entry("sci2", b"other"), size=1)
    founds = tuple(receipt.Found(file, "verified", file.sha256) for file in (ours, lie))
    unknown = receipt.Found(three.entry("sci9"), "verified", "c" * 64)
    about = Receipt(three.SHIPMENT, "core", "archive", 58000.0, (*founds, unknown))
    receipt.leave(sites.core.inbox / "obs", about)
    sent = three.send(sites.obs, "core")
    assert ("sci1", "archive") in three.replicas(sites.obs)
    assert ("sci2", "archive") not in three.replicas(sites.obs)
    assert any("not believed" in problem for problem in sent.problems)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"format": 1}'])
def test_any_text_is_read_as_a_receipt_or_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        receipt.read(content, "receipt")
