"""The demonstration goes on wherever it was stopped: each step asks what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flow import released
from tesela.cli import demo, doctor, ingest, init, refcat, run
from tesela.flow.run.site import Site
from tesela.sciencedb.shelf import Shelf
from tesela.simulate.survey import REFCAT

SURVEY = """
name = "test"
cameras = ["mini80"]
[filters.rSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T-1" = [211.8, 55.1] }
"""


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A night of settings and a reference catalogue."""
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "survey.toml").write_text(SURVEY)
    stars = {"ra": np.array([211.8]), "dec": np.array([55.1]), "mag_r": np.array([15.0])}
    pq.write_table(pa.table(stars), folder / "refcat.parquet")
    return folder


@pytest.mark.parametrize("stopped", ["at the start", "before the reference", "after it"])
def test_each_step_is_done_once_wherever_it_was_stopped(
    tmp_path: Path, night: Path, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    site = tmp_path / "site"
    if stopped != "at the start":
        init.init(site, night / "survey.toml", as_json=True)
    if stopped == "after it":
        refcat.add(REFCAT, night / "refcat.parquet", site, as_json=True)
    done: list[str] = []
    for module, verb in ((doctor, "doctor"), (ingest, "ingest"), (run, "run")):
        monkeypatch.setattr(module, verb, lambda *_, verb=verb, **__: done.append(verb))
    said: list[str] = []
    demo._process(site, night, 1, True, said.append)
    assert done == ["doctor", "ingest", "run"]
    words = [line.split()[2] for line in said]
    before = {"at the start": ["init", "refcat"], "before the reference": ["refcat"]}
    assert words == [*before.get(stopped, []), "doctor", "ingest", "run"]
    assert demo._has_reference(site, REFCAT)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with two tiles and no release."""
    return released.make(tmp_path_factory.mktemp("drawn"))


def test_a_release_of_what_is_current_is_made_once(drawn: Site, tmp_path: Path) -> None:
    shelf = Shelf(drawn.folder / "releases")
    said: list[str] = []
    assert demo._publish(drawn.folder, True, said.append) == "dr1"
    assert [line.split()[3:5] for line in said] == [["build", "dr1"], ["publish", "dr1"]]
    # Again, with nothing new: the same one, published or not.
    shelf.withdraw("dr1")
    said.clear()
    assert demo._publish(drawn.folder, True, said.append) == "dr1"
    assert [line.split()[3:5] for line in said] == [["publish", "dr1"]]
    assert shelf.published() == ["dr1"]
    tile = released.frozen.make_inputs(tmp_path / "again", seed=6).tiles[0]
    released.enter(drawn, tile.name, 2, (tile.objects, tile.detections, tile.tiles), tile.coadds)
    assert demo._publish(drawn.folder, True, said.append) == "dr2"
    assert shelf.published() == ["dr2", "dr1"]


def test_products_of_the_ledger_are_found_by_tile_and_band(drawn: Site) -> None:
    found = demo.current_products(drawn)
    assert set(found.coadds) == {
        (tile, band) for tile in released.TILES for band in ("gSDSS", "rSDSS", "iSDSS")
    }
    assert all(path.is_file() for path in found.coadds.values())
    assert set(found.duals) == set(found.zeropoints) == set(found.valueadded) == set(released.TILES)


def test_the_last_words_say_how_to_look_at_it(drawn: Site) -> None:
    words = "\n".join(demo._closing(drawn.folder.parent, "dr1", 12.4))
    assert "done in 12 s" in words
    assert f"serve archive --site {drawn.folder}" in words
    assert f"serve portal --site {drawn.folder}" in words
    assert "http://127.0.0.1:8080/" in words
