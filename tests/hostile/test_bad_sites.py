"""Settings, catalogues and commands that make no sense: one sentence each, no half-made site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tesela.flow.run import site as site_module
from tesela.flow.run.lock import only_controller
from tesela.ledger import schema
from tesela.products import paths
from verbs import Said, tesela, well

from .conftest import Given

GOOD = """
name = "test"
cameras = ["mini80"]
[filters.rSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T-1" = [211.8, 55.1] }
"""

NONSENSE = {
    "no TOML": ("name =", "valid TOML"),
    "bytes": (b"\xff\xfe\x00name", "valid TOML"),
    "nothing": ("", "no name"),
    "no camera of that name": (GOOD.replace("mini80", "hubble"), "camera 'hubble'"),
    "a camera outside": (GOOD.replace("mini80", "../../etc/passwd"), "camera '../../etc/passwd'"),
    "cameras is a word": (GOOD.replace('["mini80"]', '"mini80"'), "expected a list"),
    "unknown key": ("colour = 1\n" + GOOD, "unknown setting colour"),
    "unknown table": (GOOD + "[detector]\ngain = 3\n", "unknown setting detector"),
    "no filters": (GOOD.replace("[filters.rSDSS]", "[filters]"), "no filters"),
    "a slash in a band": (GOOD.replace("filters.rSDSS", 'filters."../r"'), "band '../r'"),
    "unknown scheme": (GOOD.replace('"list"', '"hexagons"'), "hexagons"),
    "scale of zero": (GOOD.replace("= 0.55", "= 0.0"), "pixel_scale_arcsec"),
    "scale of nan": (GOOD.replace("= 0.55", "= nan"), "pixel_scale_arcsec"),
    "scale in words": (GOOD.replace("= 0.55", '= "fine"'), "pixel_scale_arcsec"),
    "centres in a row": (GOOD.replace('{ "T-1" = [211.8, 55.1] }', "[1, 2]"), "centres"),
    "a centre in words": (GOOD.replace("55.1]", '"north"]'), "T-1"),
    "negative tile": (GOOD.replace("[1200, 1200]", "[-5, 1200]"), "size_px"),
    "tile in words": (GOOD.replace("[1200, 1200]", '"large"'), "size_px"),
    "centre off the sky": (GOOD.replace("55.1]", "155.1]"), "T-1"),
    "a tile outside": (GOOD.replace('"T-1"', '"../../T"'), "../../T"),
    "archive": (GOOD + '[flow]\narchive = "shred"\n', "'shred'"),
    "limits": (GOOD + "[filters.rSDSS.reference]\nmag_limits = [1, 2, 3]\n", "expected 2 values"),
    "unknown step": (GOOD + "[steps.polish]\nhard = true\n", "polish"),
    "unknown setting of a step": (GOOD + "[steps.reduce.sky]\nmash_px = 3\n", "mash_px"),
    "wrong type in a step": (GOOD + '[steps.reduce.sky]\nmesh_px = "wide"\n', "mesh_px"),
}


def assert_one_sentence(said: Said, code: int = 2) -> None:
    """One line on the error stream, beginning with the program's name."""
    assert said.code == code, said.out + said.err
    assert said.err.startswith("tesela: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_in_survey_toml_makes_no_site(tmp_path: Path, case: str) -> None:
    content, expected = NONSENSE[case]
    toml = tmp_path / "survey.toml"
    toml.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = tesela("init", tmp_path / "site", "--survey", toml)
    assert_one_sentence(said)
    assert expected in said.err
    assert not (tmp_path / "site").exists()


def test_the_survey_that_the_nonsense_was_made_of_is_sound(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_text(GOOD)
    well("init", tmp_path / "site", "--survey", tmp_path / "survey.toml")


def test_a_survey_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for survey in (tmp_path / "none.toml", tmp_path):
        assert_one_sentence(tesela("init", tmp_path / "site", "--survey", survey))


class Killed(BaseException):
    """As sudden as a signal: nothing of ours catches it."""


@pytest.mark.parametrize("step", range(6))
def test_a_site_left_half_made_is_finished_by_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder, survey = tmp_path / "site", tmp_path / "survey.toml"
    survey.write_text(GOOD)
    count = iter(range(100))

    def dying(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(count) == step:
                raise Killed
            return whole(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(site_module.Ledger, "create", dying(site_module.Ledger.create))
        patch.setattr(site_module.tiles, "register", dying(site_module.tiles.register))
        patch.setattr(site_module.shutil, "copyfile", dying(site_module.shutil.copyfile))
        patch.setattr(site_module, "sync", dying(site_module.sync))
        patch.setattr(Path, "replace", dying(Path.replace))
        with pytest.raises(Killed):
            site_module.init_site(folder, survey)
    assert not (folder / "survey.toml").exists()
    well("init", folder, "--survey", survey)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ledger.sqlite", "products", "raw", "survey.toml", "work",
    ]  # fmt: skip
    assert well("status", "--site", folder, "--json").data["products"] == {}
    made = site_module.open_site(folder)
    with made.ledger.read() as conn:
        assert len(conn.execute(schema.tile.select()).all()) == 1
    made.ledger.close()


@pytest.mark.parametrize("content", ["used", "foreign"])
def test_a_ledger_in_use_whose_survey_is_lost_is_not_replaced(
    site: Path, given: Given, content: str
) -> None:
    ledger = site / "ledger.sqlite"
    if content == "foreign":
        ledger.write_bytes(b"of another program")
    else:
        well("ingest", given.bias, "--site", site)
    (site / "survey.toml").unlink()
    before = ledger.stat().st_ino
    said = tesela("init", site, "--survey", given.survey)
    assert_one_sentence(said)
    assert "a site is already there" in said.err
    assert ledger.stat().st_ino == before


def test_a_site_is_not_made_over_another(site: Path, given: Given) -> None:
    before = (site / "survey.toml").read_bytes()
    said = tesela("init", site, "--survey", given.survey)
    assert_one_sentence(said)
    assert "a site is already there" in said.err
    assert (site / "survey.toml").read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ("run",), ("plan",), ("status",), ("ingest", "x.fits"), ("why", "x"), ("history", "x"),
        ("flag", "x", "--reason", "r"), ("unflag", "x"), ("refcat", "add", "n", "f.csv"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_verb_in_a_folder_that_is_no_site(tmp_path: Path, words: tuple[str, ...]) -> None:
    said = tesela(*words, "--site", tmp_path)
    assert_one_sentence(said)
    assert "no survey.toml" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("plan",), ("run",), ("history", "x"),
        ("pause", "--step", "coadd", "--reason", "r"),
        ("serve", "portal", "--port", "1"), ("upgrade",), ("quicklook", "."),
        ("backup", "copies"), ("backup", "--restore", "copy.sqlite"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_verb_that_needs_a_ledger_at_an_archive(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.site_file(tmp_path).write_text('name = "archive"\nrole = "archive"\n')
    said = tesela(*words, "--site", tmp_path)
    assert_one_sentence(said)
    assert "an archive, which has no ledger" in said.err
    assert "`tesela audit`, `tesela transfer status` and `tesela serve archive`" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]


@pytest.mark.parametrize(
    "words",
    [("why", "ghost"), ("history", "ghost"), ("flag", "ghost", "--reason", "r"),
     ("unflag", "ghost"), ("flag", "ghost", "--kind", "coadd", "--reason", "r"),
     ("flag", "ghost", "--kind", "spoon", "--reason", "r")],
    ids=" ".join,
)  # fmt: skip
def test_names_that_nobody_knows(site: Path, words: tuple[str, ...]) -> None:
    assert_one_sentence(tesela(*words, "--site", site))


def test_a_second_controller_is_told_who_holds_the_site(site: Path) -> None:
    with only_controller(paths.lock_file(site)):
        said = tesela("run", "--site", site)
    assert_one_sentence(said, code=3)
    assert "one controller at a time" in said.err
    well("run", "--site", site)


def test_a_frame_without_calibrations_waits_and_why_says_for_what(site: Path, given: Given) -> None:
    well("ingest", given.science, "--site", site)
    summary = well("run", "--site", site, "--json").data
    assert summary["done"] == 0
    said = well("why", given.science.stem, "--site", site).out
    assert "reduced: waits for" in said
    assert "BIAS" in said
    assert "FLAT" in said
    assert "waiting: 1 reduced" in well("status", "--site", site).out


def test_too_few_calibrations_are_no_calibration(tmp_path: Path, given: Given) -> None:
    toml = tmp_path / "survey.toml"
    text = given.survey.read_text()
    toml.write_text(text.replace("minimum = { BIAS = 1", "minimum = { BIAS = 2"))
    assert toml.read_text() != text
    site = tmp_path / "site"
    well("init", site, "--survey", toml)
    well("ingest", given.bias, given.science, "--site", site)
    assert well("run", "--site", site, "--json").data["done"] == 0
    said = well("why", given.science.stem, "--site", site).out
    assert "waits for" in said
    assert "BIAS" in said


def write_catalogues(folder: Path) -> dict[str, str]:
    """Catalogues that cannot be used, and what must be said of each."""
    (folder / "text.csv").write_text("once upon a time\n")
    (folder / "ragged.csv").write_text("ra,dec\n1,2\n3\n")
    (folder / "sexagesimal.csv").write_text("ra,dec\n14:07:12,55:06:00\n")
    (folder / "hours.csv").write_text("ra,dec\n-14.1,155.1\n")
    (folder / "empty.csv").touch()
    (folder / "header.csv").write_text("ra,dec,r\n")
    (folder / "noise.fits").write_bytes(b"\0" * 5760)
    (folder / "noise.parquet").write_bytes(b"PAR1 and then nothing PAR1")
    (folder / "stars.xlsx").write_bytes(b"PK")
    pq.write_table(pa.table({"l": np.ones(3), "b": np.ones(3)}), folder / "galactic.parquet")
    return {
        "text.csv": "expected columns ra and dec",
        "ragged.csv": "unreadable table",
        "sexagesimal.csv": "expected decimal numbers, positions in degrees",
        "hours.csv": "1 rows and no valid position",
        "empty.csv": "unreadable table",
        "header.csv": "0 rows and no valid position",
        "noise.fits": "unreadable table",
        "noise.parquet": "unreadable table",
        "stars.xlsx": "a file ending in '.xlsx'",
        "galactic.parquet": "columns l, b; expected columns ra and dec",
        "absent.csv": "no such file",
    }


def test_reference_catalogues_that_cannot_be_used(tmp_path: Path, site: Path) -> None:
    for name, expected in write_catalogues(tmp_path).items():
        said = tesela("refcat", "add", "simulated", tmp_path / name, "--site", site)
        assert_one_sentence(said)
        assert name in said.err
        assert expected in said.err
    assert not (site / "products" / "refcat").exists()


def test_a_reference_catalogue_is_not_added_twice(site: Path, given: Given) -> None:
    well("refcat", "add", "simulated", given.refcat, "--site", site)
    again = tesela("refcat", "add", "simulated", given.refcat, "--site", site)
    assert_one_sentence(again)
    assert "the same rows as version 1" in again.err


def test_a_catalogue_cannot_be_named_out_of_its_folder(site: Path, given: Given) -> None:
    well("refcat", "add", "../../evil", given.refcat, "--site", site)
    assert [p.parent for p in site.rglob("*.parquet")] == [site / "products" / "refcat"]
