"""The shelf: which releases there are, one atomic switch, served until nobody asks any more."""

from __future__ import annotations

import json
import os
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tesela.errors import BadInput, ProductError
from tesela.sciencedb.model import ReleaseModel
from tesela.sciencedb.shelf import PUBLISHED, Served, Shelf, check_name


@pytest.fixture
def shelf(release_folder: Path, tmp_path: Path) -> Shelf:
    """Three releases, made in another order than their names, and things that are none."""
    for name, year in (("dr1", 2026), ("dr2", 2028), ("early", 2025)):
        skip = shutil.ignore_patterns("images", "hats")
        shutil.copytree(release_folder, tmp_path / name, ignore=skip, copy_function=os.link)
        path = tmp_path / name / "release.json"
        whole = ReleaseModel.read(tmp_path / name)
        path.unlink()
        replace(whole, name=name, created=f"{year}-01-01T00:00:00Z").write(tmp_path / name)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / ".dr9").mkdir()
    shutil.copy(tmp_path / "dr1" / "release.json", tmp_path / ".dr9")
    return Shelf(tmp_path)


def test_complete_releases_oldest_first(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.names() == ["early", "dr1", "dr2"]
    assert Shelf(tmp_path / "nowhere").names() == []
    (tmp_path / "dr1" / "release.json").write_text("{")
    assert shelf.names() == ["dr1", "early", "dr2"]


def test_a_path_only_for_a_release(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.path("dr1") == tmp_path / "dr1"
    with pytest.raises(BadInput, match="early, dr1, dr2"):
        shelf.path("dr7")
    with pytest.raises(BadInput, match="none has been built"):
        Shelf(tmp_path / "nowhere").path("dr1")


@pytest.mark.parametrize(
    "name",
    ["", "..", ".dr9", "../dr1", "dr1/serve", "DR1", "dr1\n", "latest", "static", "theme",
     "robots.txt", "favicon.ico", "-dr1", "a" * 33, "dr 1",
     "dr1\x00", "dr1.json", "dr1.validation.json", "dr1.part", "dr1.lock"],
)  # fmt: skip
def test_names_reach_nothing_else(shelf: Shelf, name: str) -> None:
    for ask in (check_name, shelf.path, shelf.publish):
        with pytest.raises(BadInput, match="not a name of a release"):
            ask(name)


def test_the_two_latest_are_served(shelf: Shelf) -> None:
    assert shelf.published() == []
    assert shelf.publish("early") == ["early"]
    assert shelf.publish("dr1") == ["dr1", "early"]
    assert shelf.publish("dr2") == ["dr2", "dr1"] == shelf.published()
    assert shelf.publish("dr1") == ["dr1", "dr2"]
    assert shelf.withdraw("dr1") == ["dr2"]
    with pytest.raises(BadInput, match="not published; expected dr2"):
        shelf.withdraw("dr1")
    assert shelf.withdraw("dr2") == []
    with pytest.raises(BadInput, match="none is"):
        shelf.withdraw("dr2")


def test_two_who_publish_at_once_lose_nothing(shelf: Shelf) -> None:
    """The second waits, and sees what the first did."""
    with ThreadPoolExecutor(1) as pool:
        with shelf._alone():
            second = pool.submit(shelf.publish, "dr2")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
            shelf._switch(["dr1"])
        assert second.result(timeout=60) == ["dr2", "dr1"]


def test_what_would_be_served_changes_nothing(shelf: Shelf) -> None:
    assert shelf.with_published("dr1") == ["dr1"]
    assert shelf.published() == []
    shelf.publish("dr1")
    assert shelf.with_published("dr2") == ["dr2", "dr1"]
    assert shelf.without_published("dr1") == []
    assert shelf.published() == ["dr1"]


def test_publishing_leaves_no_other_file(shelf: Shelf) -> None:
    before = {path.name for path in shelf.folder.iterdir()}
    shelf.publish("dr1")
    after = {path.name for path in shelf.folder.iterdir() if path.suffix != ".lock"}
    assert after == before | {PUBLISHED}
    assert json.loads((shelf.folder / PUBLISHED).read_text()) == {"published": ["dr1"]}


def test_a_damaged_release_is_not_published(shelf: Shelf) -> None:
    shelf.publish("dr1")
    (shelf.folder / "dr2" / "serve" / "objects.psf.duckdb").unlink()
    with pytest.raises(ProductError, match=r"objects\.psf\.duckdb"):
        shelf.publish("dr2")
    assert shelf.published() == ["dr1"]


def test_a_release_under_another_name_is_not_published(shelf: Shelf) -> None:
    (shelf.folder / "dr1").rename(shelf.folder / "dr3")
    with pytest.raises(ProductError, match="dr1"):
        shelf.publish("dr3")


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"published": 3}', '{"published": ["../x"]}', '{"published": [3]}']
)
def test_a_damaged_list_is_told(shelf: Shelf, content: str) -> None:
    (shelf.folder / PUBLISHED).write_text(content)
    with pytest.raises(ProductError, match=PUBLISHED):
        shelf.published()


def test_served_notices_the_switch(shelf: Shelf) -> None:
    served = Served(shelf)
    assert served.names() == []
    with pytest.raises(BadInput, match="none is published yet"):
        served.get()
    shelf.publish("early")
    assert served.get().model.name == "early"
    shelf.publish("dr1")
    assert served.names() == ["dr1", "early"]
    assert served.get("latest").model.name == "dr1"
    assert served.get("early") is served.get("early")
    with pytest.raises(BadInput, match="not published; expected dr1, early"):
        served.get("dr2")
    with pytest.raises(BadInput, match="not published"):
        served.get("../dr2")


def test_a_withdrawn_release_ends_with_its_last_request(shelf: Shelf) -> None:
    shelf.publish("dr1")
    served = Served(shelf)
    held = served.get("dr1")
    answer = held.scan("objects", ["source_id", "mag_psf"])
    shelf.withdraw("dr1")
    with pytest.raises(BadInput, match="not published"):
        served.get("dr1")
    assert len(held.scan("filters").table()) == 3
    ended = weakref.ref(held)
    del held
    assert len(answer.table()) == 1500
    del answer
    assert ended() is None


def test_a_release_built_anew_under_its_name_is_another(shelf: Shelf) -> None:
    shelf.publish("dr1")
    served = Served(shelf)
    old = served.get("dr1")
    shelf.withdraw("dr1")
    path = shelf.folder / "dr1" / "release.json"
    whole = ReleaseModel.read(path.parent)
    path.rename(path.with_name("old.json"))
    replace(whole, title="again").write(path.parent)
    shelf.publish("dr1")
    assert served.get("dr1").model.title == "again"
    assert old.model.title != "again"


def test_a_damaged_release_does_not_stop_the_others(shelf: Shelf) -> None:
    shelf.publish("early")
    shelf.publish("dr1")
    (shelf.folder / "dr1" / "release.json").write_text("{}")
    served = Served(shelf)
    with pytest.raises(ProductError, match=r"release\.json"):
        served.get()
    assert served.get("early").model.name == "early"


def test_a_published_release_whose_folder_is_gone_is_the_servers_fault(shelf: Shelf) -> None:
    for name in ("dr1", "dr2"):
        shelf.publish(name)
    (shelf.folder / "dr2").rename(shelf.folder / "elsewhere")
    served = Served(shelf)
    with pytest.raises(ProductError, match="though it is published"):
        served.get("dr2")
    with pytest.raises(BadInput, match="not published"):
        served.get("dr9")
    assert served.get("dr1").model.name == "dr1"


def test_threads_open_a_release_once(shelf: Shelf) -> None:
    shelf.publish("dr1")
    served = Served(shelf)
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: served.get(), range(16)))
    assert len({id(release) for release in opened}) == 1
