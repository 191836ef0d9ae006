"""`tesela lineage`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from flow import toys
from verbs import SMALL_SURVEY, tesela, well


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ledger = toys.new_site(folder)
    toys.add_frames(ledger, folder, toys.small_night(), toys.rules())
    toys.controller(ledger, folder).run()
    ledger.close()
    (folder / "survey.toml").write_text(SMALL_SURVEY)
    return folder


def test_as_text(site: Path) -> None:
    lines = well("lineage", "T10.r", "--site", site).out.splitlines()
    assert lines[0] == "coadd T10.r, version 1, current"
    assert "├─ reduced image sci1, version 1, current" in lines
    assert lines[-1] == "of this name there is also catalogue: choose with --kind"
    of_kind = well("lineage", "T10.r", "--kind", "catalogue", "--site", site).out
    assert of_kind.startswith("catalogue T10.r")


def test_forward_and_one_step(site: Path) -> None:
    said = well("lineage", "bias1-20170703", "--forward", "--depth", 1, "--site", site).out
    assert said == (
        "raw frame bias1-20170703\n"
        "└─ master BIAS.JAST80.toycam.01.-.fast.20170703, version 1, certified\n"
    )
    assert "came in from outside" in well("lineage", "sci1", "--kind", "raw", "--site", site).out
    assert "nothing was made with it" in well(
        "lineage", "T20", "--kind", "science", "--forward", "--site", site
    ).out  # fmt: skip


def test_many_are_one_line_unless_all_are_asked_for(site: Path) -> None:
    short = well("lineage", "bias1-20170703", "--forward", "--site", site).out
    assert "5 reduced images (sci1, sci2, sci3, sci4, sci5)" in short
    every = well("lineage", "bias1-20170703", "--forward", "--all", "--site", site).out
    assert "reduced image sci4," in every


def test_for_programs(site: Path) -> None:
    data = well("lineage", "T10.r", "--site", site, "--json").data
    kinds = {node["kind"] for node in data["nodes"]}
    assert kinds == {"coadd", "reduced", "raw", "calset", "master", "refcat"}
    assert data["cut"] == ""
    assert well("lineage", "T10.r", "--format", "json", "--site", site).data == data
    both = tesela("lineage", "T10.r", "--format", "svg", "--json", "--site", site)
    assert (both.code, "--json and --format svg" in both.err) == (2, True)


def test_as_a_picture_in_a_new_file(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "t.svg"
    said = well("lineage", "T10.r", "--format", "svg", "-o", target, "--site", site)
    assert said.out == f"wrote {target}\n"
    assert ET.parse(target).getroot().tag.endswith("svg")  # noqa: S314 - our own
    assert list(tmp_path.iterdir()) == [target]
    again = tesela("lineage", "T10.r", "--format", "svg", "-o", target, "--site", site)
    assert again.code == 2
    assert "nothing is overwritten" in again.err
    shown = well("lineage", "T10.r", "--format", "svg", "--site", site).out
    assert shown == target.read_text()
    as_data = tmp_path / "t.json"
    well("lineage", "T10.r", "--json", "-o", as_data, "--site", site)
    assert json.loads(as_data.read_text())["root"]


@pytest.mark.parametrize(
    "words",
    [
        ("nobody",),
        ("T10.r", "--kind", "raw"),
        ("T10.r", "--version", "9"),
        ("T10.r", "--format", "pdf"),
    ],
)
def test_what_is_not_there_is_one_sentence(site: Path, words: tuple[str, ...]) -> None:
    said = tesela("lineage", *words, "--site", site)
    assert said.code == 2
    assert said.err.startswith("tesela: ")
    assert said.err.count("\n") == 1
