"""Releases of a site: what is refused, what is published, and what the ledger remembers."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tesela.errors import BadInput, Busy, ProductError, QualityError, TeselaError
from tesela.flow.plan import flags, why
from tesela.flow.run import release
from tesela.flow.run.site import Site, open_site
from tesela.ledger import history, products, status, tasks
from tesela.sciencedb.shelf import PUBLISHED, Served, Shelf
from tesela.stages import release as release_stage

from . import released

PUBLISHER = Path(__file__).with_name("publish_run.py")
BUILDER = Path(__file__).with_name("build_run.py")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with the releases dr1 and dr2, built and not published; look, but do not touch."""
    site = released.make(tmp_path_factory.mktemp("original"))
    for name in ("dr1", "dr2"):
        release.build(site, name)
    site.ledger.close()
    return site.folder


@pytest.fixture
def site(original: Path, tmp_path: Path) -> Site:
    """A copy of it."""
    return open_site(released.clone(original, tmp_path / "site"))


@pytest.fixture
def shelf(site: Site) -> Shelf:
    """Its releases."""
    return Shelf(site.folder / "releases")


def _left(shelf: Shelf) -> set[str]:
    """What lies in the folder of releases, but locks."""
    return {path.name for path in shelf.folder.iterdir() if path.suffix != ".lock"}


# ---------------------------------------------------------------- build


def test_a_release_is_whole_validated_and_entered(site: Site, shelf: Shelf) -> None:
    built = release.build(site, "dr3", title="The third")
    assert built.folder == shelf.path("dr3")
    assert built.model.title == "The third"
    assert [tile.name for tile in built.model.tiles] == list(released.TILES)
    assert built.validation.passed
    assert release_stage.validate(built.folder).passed
    with site.ledger.read() as conn:
        row = products.current(conn, "release", "dr3")
        sources = [(r["kind"], r["key"], r["version"]) for r in products.inputs(conn, row["id"])]
        said = history.of_key(conn, "dr3")["events"]
    assert row["path"] == "releases/dr3/release.json"
    assert {(kind, key) for kind, key, _ in sources if kind == "science"} == {
        ("science", tile) for tile in released.TILES
    }
    assert sum(kind == "coadd" for kind, _, _ in sources) == 6
    assert [event["what"] for event in said] == ["built"]
    assert shelf.published() == []
    assert {"dr3", "dr3.validation.json"} <= _left(shelf)
    assert not any(name.startswith(".") for name in _left(shelf))


@pytest.mark.parametrize("name", ["dr1", "DR9", "../dr9", "", "latest", ".hidden", "a b", "x" * 33])
def test_a_name_that_is_taken_or_is_none_is_refused(site: Site, shelf: Shelf, name: str) -> None:
    before = _left(shelf)
    with pytest.raises(BadInput, match="expected"):
        release.build(site, name)
    assert _left(shelf) == before


def test_a_folder_that_is_no_release_is_left_alone(site: Site, shelf: Shelf) -> None:
    (shelf.folder / "dr9").mkdir()
    (shelf.folder / "dr9" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"dr9.*without release\.json.*move it away"):
        release.build(site, "dr9")
    assert (shelf.folder / "dr9" / "notes.txt").read_text() == "mine"


def _dirty(kind: str, key: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        with site.ledger.write() as conn:
            tasks.mark_dirty(conn, [(kind, key)], "a test")

    return change


def _flag(site: Site) -> None:
    with site.ledger.write() as conn:
        flags.flag(conn, site.rules, "raw", "T-2.rSDSS.frame", reason="clouds", who="a test")


def _dead(site: Site) -> None:
    new = tasks.NewTask("dual", "dual", "T-2", "hash", [], "a test", 1.0, 0)
    with site.ledger.write() as conn:
        tasks.put(conn, new)
        conn.exec_driver_sql("UPDATE task SET state = 'dead', reason = 'no memory'")


NOT_READY = {
    "a tile's product": (_dirty("valueadded", "T-2"), "T-2: valueadded is due"),
    "a coadd": (_dirty("coadd", "T-2.gSDSS"), "T-2: coadd T-2.gSDSS is due"),
    "a frame": (_dirty("reduced", "T-2.gSDSS.frame"), "T-2: frame T-2.gSDSS.frame: due: a test"),
    "a flagged frame": (_flag, "T-2: "),
    "a dead task": (_dead, "T-2: dual is dead, no memory"),
}


@pytest.mark.parametrize("what", NOT_READY)
def test_a_tile_that_is_not_ready_is_refused_or_left_out(
    site: Site, shelf: Shelf, what: str
) -> None:
    change, sentence = NOT_READY[what]
    change(site)
    with pytest.raises(QualityError) as refused:
        release.build(site, "dr3")
    assert sentence in str(refused.value)
    assert "--without" in str(refused.value)
    assert "T-1:" not in str(refused.value)
    assert "dr3" not in _left(shelf)
    built = release.build(site, "dr3", without=["T-2"])
    assert [tile.name for tile in built.model.tiles] == ["T-1"]


def test_a_tile_without_tables_is_refused(site: Site) -> None:
    with site.ledger.write() as conn:
        products.retire(conn, products.current(conn, "science", "T-1")["id"], "a test")
    with pytest.raises(QualityError, match="T-1: not in the science database"):
        release.build(site, "dr3")


def test_leaving_out_an_unknown_tile_or_all_of_them_is_refused(site: Site) -> None:
    with pytest.raises(BadInput, match=r"--without T-9.*T-1, T-2"):
        release.build(site, "dr3", without=["T-9"])
    with pytest.raises(QualityError, match="no tile in the science database"):
        release.build(site, "dr3", without=list(released.TILES))


def test_a_release_that_does_not_pass_leaves_its_reasons_alone(
    site: Site, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = release_stage.Validation((release_stage.Check("sums", False, "3 wrong", "none"),))
    monkeypatch.setattr(release_stage, "validate", lambda *_: bad)
    with pytest.raises(QualityError, match=r"sums: 3 wrong.*dr3\.validation\.json"):
        release.build(site, "dr3")
    assert "dr3" not in shelf.names()
    assert not list(shelf.folder.glob(".dr3*"))
    kept = json.loads((shelf.folder / "dr3.validation.json").read_text())
    assert kept["passed"] is False
    with site.ledger.read() as conn:
        assert products.current(conn, "release", "dr3") is None


def test_a_build_killed_with_9_leaves_no_release_and_the_next_works(
    site: Site, shelf: Shelf
) -> None:
    words = [sys.executable, str(BUILDER), str(site.folder), "dr3"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "images":
        assert process.poll() is None
    with pytest.raises(Busy, match="one build of a release at a time"):
        release.build(site, "dr4")
    process.kill()
    process.wait()
    process.stdout.close()
    assert shelf.names() == ["dr1", "dr2"]
    assert any(path.name == ".dr3.building" for path in shelf.folder.iterdir())
    with site.ledger.read() as conn:
        assert products.current(conn, "release", "dr3") is None
    release.build(site, "dr4")
    assert "dr4" in shelf.names()
    assert not list(shelf.folder.glob(".*.building"))


# ---------------------------------------------------------------- publish


def test_the_two_latest_are_served_and_one_can_be_withdrawn(site: Site, shelf: Shelf) -> None:
    served = Served(shelf)
    assert served.names() == []
    release.build(site, "dr3")
    assert release.publish(site, "dr1", "me") == ["dr1"]
    assert release.publish(site, "dr2", "me") == ["dr2", "dr1"]
    held = served.get("dr1")
    assert release.publish(site, "dr3", "me") == ["dr3", "dr2"]
    assert served.names() == ["dr3", "dr2"]
    assert served.get().model.name == "dr3"
    with pytest.raises(BadInput, match=r"dr1.*not published.*dr3, dr2"):
        served.get("dr1")
    assert len(held.scan("objects", ["source_id"]).table()) == held.model.rows["objects"]
    assert release.withdraw(site, "dr3", "me") == ["dr2"]
    assert served.get("latest").model.name == "dr2"
    with pytest.raises(BadInput, match=r"dr3.*not published"):
        release.withdraw(site, "dr3", "me")
    assert shelf.path("dr3").is_dir()
    with site.ledger.read() as conn:
        said = history.of_key(conn, "dr3")["events"]
    assert [(e["what"], e["who"]) for e in said] == [
        ("built", ""),
        ("published", "me"),
        ("withdrawn", "me"),
    ]


def test_publishing_again_changes_nothing(site: Site) -> None:
    release.publish(site, "dr1", "me")
    assert release.publish(site, "dr2", "me") == release.publish(site, "dr2", "me")


@pytest.mark.parametrize("verb", ["publish", "withdraw", "validate"])
def test_an_unknown_release_is_named_with_those_that_there_are(site: Site, verb: str) -> None:
    who = () if verb == "validate" else ("me",)
    with pytest.raises(BadInput, match=r"dr7.*no such release.*dr1, dr2"):
        getattr(release, verb)(site, "dr7", *who)


def _truncate(folder: Path) -> Path:
    path = next(iter(sorted((folder / "hats").rglob("Npix=*.parquet"))))
    path.write_bytes(path.read_bytes()[:-100])
    return path


def _delete(folder: Path) -> Path:
    path = next(iter(sorted((folder / "serve").glob("*.duckdb"))))
    path.unlink()
    return path


def _byte(folder: Path) -> Path:
    path = next(iter(sorted((folder / "tables").glob("*.parquet"))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def _shorten_image(folder: Path) -> Path:
    path = next(iter(sorted((folder / "images").rglob("*.fits"))))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-2880])
    return path


@pytest.mark.parametrize("damage", [_truncate, _delete, _byte, _shorten_image])
def test_a_damaged_release_is_not_published_and_its_file_is_named(
    site: Site, shelf: Shelf, damage: Callable[[Path], Path]
) -> None:
    release.publish(site, "dr1", "me")
    damaged = damage(shelf.path("dr2")).relative_to(shelf.path("dr2")).as_posix()
    with pytest.raises(QualityError, match="1 files changed or gone") as refused:
        release.publish(site, "dr2", "me")
    assert damaged in str(refused.value)
    assert shelf.published() == ["dr1"]
    assert not release.validate(site, "dr2").passed
    with pytest.raises(QualityError, match="a validation that it did not pass"):
        release.publish(site, "dr2", "me")
    assert [r["validation"] for r in release.listed(site)] == ["passed", "did not pass"]


def _spoil_validation(shelf: Shelf) -> None:
    (shelf.folder / "dr2.validation.json").write_text("{")


def _forget_validation(shelf: Shelf) -> None:
    (shelf.folder / "dr2.validation.json").unlink()


def _change_model(shelf: Shelf) -> None:
    path = shelf.folder / "dr2" / "release.json"
    path.write_text(path.read_text().replace("drawn dr2", "other dr2"))


@pytest.mark.parametrize("change", [_spoil_validation, _forget_validation, _change_model])
def test_without_a_validation_of_what_is_there_nothing_is_published(
    site: Site, shelf: Shelf, change: Callable[[Shelf], None]
) -> None:
    change(shelf)
    with pytest.raises(QualityError, match=r"no validation of it.*release validate dr2"):
        release.publish(site, "dr2", "me")
    assert shelf.published() == []
    assert [r["validation"] for r in release.listed(site)] == ["passed", "not done"]


def test_validating_again_makes_it_fit_to_be_published(site: Site, shelf: Shelf) -> None:
    _forget_validation(shelf)
    assert release.validate(site, "dr2").passed
    assert release.publish(site, "dr2", "me") == ["dr2"]


def test_publishing_is_atomic_whenever_it_is_killed(site: Site, shelf: Shelf) -> None:
    moments = random.Random(20170703)
    release.publish(site, "dr1", "me")
    release.publish(site, "dr2", "me")
    states: list[list[str]] = []
    served = Served(shelf)
    for _ in range(4):
        number = (shelf.folder / PUBLISHED).stat().st_ino
        process = subprocess.Popen([sys.executable, str(PUBLISHER), str(shelf.folder)])
        deadline = time.monotonic() + 60
        while (shelf.folder / PUBLISHED).stat().st_ino == number:
            assert process.poll() is None
            assert time.monotonic() < deadline
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.wait()
        states.append(shelf.published())
        assert states[-1] in (["dr1", "dr2"], ["dr2", "dr1"])
        assert served.names() == states[-1]
        assert served.get().model.name == states[-1][0]
    assert release.publish(site, "dr1", "me") == ["dr1", "dr2"]


def test_a_release_that_was_not_entered_is_when_it_is_published(
    site: Site, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when it has its name, before the ledger knows it: the files are whole."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(release, "_enter", stopped)
        release.build(site, "dr5")
    with site.ledger.read() as conn:
        assert products.current(conn, "release", "dr5") is None
    assert release.publish(site, "dr5", "me") == ["dr5"]
    with site.ledger.read() as conn:
        row = products.current(conn, "release", "dr5")
        assert len(products.inputs(conn, row["id"])) == 2 + 6


@pytest.mark.parametrize("same_name", [False, True])
def test_a_release_of_another_site_is_published_without_edges(
    site: Site, original: Path, tmp_path: Path, same_name: bool
) -> None:
    """This ledger has no such tables, or others of the same tile and version."""
    other = released.init_site(tmp_path / "other", original / "survey.toml")
    if same_name:
        with other.ledger.write() as conn:
            products.insert(conn, products.NewProduct("science", "T-1", 1, data_hash="other"))
    shutil.copytree(site.folder / "releases", other.folder / "releases")
    assert release.publish(other, "dr1", "me") == ["dr1"]
    with other.ledger.read() as conn:
        row = products.current(conn, "release", "dr1")
        assert products.inputs(conn, row["id"]) == []
        said = [event["what"] for event in history.of_key(conn, "dr1")["events"]]
    assert said == ["entered, made by another site", "published"]


# ---------------------------------------------------------------- afterwards


def test_a_flag_does_not_touch_a_release_but_makes_its_tiles_due(site: Site, shelf: Shelf) -> None:
    release.publish(site, "dr1", "me")
    before = {p: p.stat().st_mtime_ns for p in shelf.path("dr1").rglob("*")}
    with site.ledger.write() as conn:
        found = flags.flag(conn, site.rules, "raw", "T-1.rSDSS.frame", reason="clouds", who="me")
        assert ("science", "T-1") in found.targets
        assert not any(kind == "release" for kind, _ in found.targets)
        assert tasks.is_pending(conn, "science", "T-1")
        assert not tasks.is_pending(conn, "science", "T-2")
        row = products.current(conn, "release", "dr1")
        assert (row["state"], row["stale"]) == ("valid", "")
    assert {p: p.stat().st_mtime_ns for p in shelf.path("dr1").rglob("*")} == before
    assert Served(shelf).get().model.name == "dr1"


def test_the_newest_release_of_what_is_current_is_found(site: Site, tmp_path: Path) -> None:
    assert release.newest_of_current(site) == "dr2"
    inputs = released.frozen.make_inputs(tmp_path / "again", seed=6)
    tile = inputs.tiles[0]
    released.enter(site, tile.name, 2, (tile.objects, tile.detections, tile.tiles), tile.coadds)
    assert release.newest_of_current(site) is None
    built = release.build(site, "dr3")
    assert {t.name: t.version for t in built.model.tiles} == {"T-1": 2, "T-2": 1}
    assert release.newest_of_current(site) == "dr3"


def test_the_list_says_what_is_served(site: Site) -> None:
    release.publish(site, "dr1", "me")
    first, second = release.listed(site)
    assert first == {
        "name": "dr1",
        "title": "drawn dr1",
        "created": first["created"],
        "tiles": 2,
        "objects": first["objects"],
        "validation": "passed",
        "served": True,
        "latest": True,
    }
    assert first["objects"] > 100
    assert (second["served"], second["latest"]) == (False, False)


def test_why_history_and_status_know_releases_and_tiles(site: Site) -> None:
    release.publish(site, "dr1", "me")
    with site.ledger.write() as conn:
        of_release = why.explain(conn, site.rules, "dr1")
        of_tile = why.explain(conn, site.rules, "T-1")
        counts: dict[str, Any] = status.overview(conn)
    assert of_release["state"] == ["release: version 1 is current"]
    assert of_release["tiles"][0] == {"tile": "T-1", "version": 1, "current": 1}
    assert "science: version 1 is current" in of_tile["state"]
    assert counts["products"]["release"] == 2


def test_an_empty_site_has_no_release(tmp_path: Path, original: Path) -> None:
    survey = tmp_path / "survey.toml"
    shutil.copyfile(original / "survey.toml", survey)
    from tesela.flow.run.site import init_site

    empty = init_site(tmp_path / "empty", survey)
    assert release.listed(empty) == []
    assert release.newest_of_current(empty) is None
    with pytest.raises(QualityError, match="no tile in the science database"):
        release.build(empty, "dr1")
    with pytest.raises(TeselaError, match="none has been built yet"):
        release.publish(empty, "dr1", "me")


def test_a_damaged_release_json_is_named(site: Site, shelf: Shelf) -> None:
    (shelf.folder / "dr1" / "release.json").write_text("{")
    with pytest.raises(ProductError, match=r"dr1/release\.json"):
        release.listed(site)
