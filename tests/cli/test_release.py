"""`tesela release`: what its verbs print, and the exit codes they end with."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow import released
from verbs import Said, tesela, well


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with two tiles and the release dr1, not published; look, but do not touch."""
    site = released.make(tmp_path_factory.mktemp("original"))
    site.ledger.close()
    well("release", "build", "dr1", "--title", "The first", "--site", site.folder)
    return site.folder


@pytest.fixture
def site(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return released.clone(original, tmp_path / "site")


def _refused(said: Said, code: int, *words: str) -> None:
    """One sentence on standard error, no traceback, the exit code."""
    assert said.code == code, said
    assert said.out == ""
    assert said.err.startswith("tesela: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def test_build_says_each_check_and_how_to_go_on(site: Path) -> None:
    said = well("release", "build", "dr2", "--without", "T-2", "--site", site)
    assert "  ok     files unchanged:" in said.out
    assert "checks, passed" in said.out
    assert "release dr2: 1 tile, " in said.out
    assert said.out.rstrip().endswith("tesela release publish dr2")


def test_build_as_json_holds_rows_and_checks(site: Path) -> None:
    data = well("release", "build", "dr2", "--site", site, "--json").data
    assert data["name"] == "dr2"
    assert data["tiles"] == 2
    assert data["rows"]["objects"] > 100
    assert Path(data["folder"]) == site.resolve() / "releases" / "dr2"
    assert data["validation"]["passed"] is True


def test_a_second_build_a_bad_name_and_an_unknown_tile_are_bad_usage(site: Path) -> None:
    build = ("release", "build")
    _refused(tesela(*build, "dr1", "--site", site), 2, "dr1", "never changed")
    _refused(tesela(*build, "No/Name", "--site", site), 2, "No/Name", "not a name")
    _refused(tesela(*build, "dr2", "--without", "T-9", "--site", site), 2, "T-9", "T-1, T-2")
    _refused(tesela(*build, "dr2", "--site", site / "nowhere"), 2, "no survey.toml")


def test_a_tile_that_is_not_ready_ends_with_1(site: Path) -> None:
    well("flag", "T-2.rSDSS.frame", "--reason", "clouds", "--yes", "--site", site)
    _refused(tesela("release", "build", "dr2", "--site", site), 1, "T-2: ", "--without TILE")


def test_publish_withdraw_and_list(site: Path) -> None:
    said = well("release", "list", "--site", site)
    assert said.out.startswith("dr1: The first, 2 tiles, ")
    assert said.out.rstrip().endswith("validation passed, not served")
    well("release", "build", "dr2", "--site", site)
    assert well("release", "publish", "dr1", "--site", site).out == "served now: dr1\n"
    assert well("release", "publish", "dr2", "--site", site).out == "served now: dr2, dr1\n"
    first, second = well("release", "list", "--site", site).out.splitlines()
    assert first.endswith(", served")
    assert second.endswith(", latest")
    assert well("release", "withdraw", "dr2", "--site", site, "--json").data == {"served": ["dr1"]}
    assert well("release", "withdraw", "dr1", "--site", site).out == "served now: no release\n"
    _refused(tesela("release", "withdraw", "dr1", "--site", site), 2, "not published")
    rows = well("release", "list", "--site", site, "--json").data
    assert [row["name"] for row in rows] == ["dr1", "dr2"]
    assert not any(row["served"] or row["latest"] for row in rows)


def test_a_dry_build_says_what_would_be_frozen_and_what_refuses(site: Path) -> None:
    said = well("release", "build", "dr2", "--dry-run", "--site", site)
    first, second, last = said.out.splitlines()
    assert first.startswith("would freeze T-1 version 1: ")
    assert second.startswith("would freeze T-2 version 1: ")
    assert last.endswith(" objects; nothing was written")
    data = well("release", "build", "dr2", "--dry-run", "--json", "--site", site).data
    assert [one["tile"] for one in data["tiles"]] == ["T-1", "T-2"]
    assert data["tiles"][0]["rows"]["objects"] > 50
    well("flag", "T-2.rSDSS.frame", "--reason", "clouds", "--yes", "--site", site)
    said = tesela("release", "build", "dr2", "--dry-run", "--site", site)
    assert said.code == 1
    assert said.out.splitlines()[1].startswith("refused: T-2: ")
    assert said.out.rstrip().endswith("1 reason against it")
    assert not (site / "releases" / "dr2").exists()
    _refused(tesela("release", "build", "dr1", "--dry-run", "--site", site), 2, "never changed")


def test_dry_publishing_changes_nothing(site: Path) -> None:
    dry = ("--dry-run", "--site", site)
    assert well("release", "publish", "dr1", *dry).out == "would be served: dr1\n"
    _refused(tesela("release", "withdraw", "dr1", *dry), 2, "not published")
    well("release", "publish", "dr1", "--site", site)
    assert well("release", "withdraw", "dr1", *dry).out == "would be served: no release\n"
    rows = well("release", "list", "--site", site, "--json").data
    assert [row["latest"] for row in rows] == [True]


def test_an_archive_without_site_and_ledger_has_its_verbs(site: Path, tmp_path: Path) -> None:
    """Only the folder of releases is there."""
    folder = (site / "releases").rename(tmp_path / "served")
    at = ("--releases", folder)
    assert well("release", "list", *at).out.rstrip().endswith("validation passed, not served")
    assert well("release", "publish", "dr1", "--dry-run", *at).out == "would be served: dr1\n"
    assert well("release", "publish", "dr1", *at).out == "served now: dr1\n"
    assert well("release", "withdraw", "dr1", "--dry-run", *at).out.startswith("would")
    assert well("release", "withdraw", "dr1", *at).out == "served now: no release\n"
    assert well("release", "validate", "dr1", *at).out.rstrip().endswith("checks, passed")
    (folder / "dr1.validation.json").unlink()
    _refused(tesela("release", "publish", "dr1", *at), 1, "no validation of it")
    nowhere = tesela("release", "list", "--releases", tmp_path / "nowhere")
    _refused(nowhere, 2, "no such folder")


def test_a_damaged_release_fails_its_validation_and_is_not_published(site: Path) -> None:
    next((site / "releases" / "dr1" / "serve").glob("*.duckdb")).unlink()
    _refused(tesela("release", "publish", "dr1", "--site", site), 1, ".duckdb", "gone")
    said = tesela("release", "validate", "dr1", "--site", site)
    assert said.code == 1
    assert "  FAILED files unchanged" in said.out
    assert "is missing" in said.out
    assert "failed" in said.out.splitlines()[-1]
    data = tesela("release", "validate", "dr1", "--site", site, "--json").data
    assert data["passed"] is False
    _refused(tesela("release", "publish", "dr1", "--site", site), 1, "did not pass")


def test_a_whole_release_passes_its_validation(site: Path) -> None:
    said = well("release", "validate", "dr1", "--site", site)
    assert "FAILED" not in said.out
    assert said.out.splitlines()[-1].endswith("checks, passed")


def test_a_site_without_releases_says_how_to_make_one(original: Path, tmp_path: Path) -> None:
    well("init", tmp_path / "site", "--survey", original / "survey.toml")
    said = well("release", "list", "--site", tmp_path / "site")
    assert said.out == "no release yet: make one with `tesela release build dr1`\n"
    said = tesela("release", "build", "dr1", "--site", tmp_path / "site")
    _refused(said, 1, "no tile in the science database", "tesela run")
    assert well("release", "list", "--site", tmp_path / "site", "--json").data == []


def test_why_and_history_tell_of_releases_and_tiles(site: Path) -> None:
    well("release", "publish", "dr1", "--site", site)
    told = well("history", "dr1", "--site", site).out
    assert "release built: The first" in told
    assert "release published by " in told
    assert "version 1 of release: current, releases/dr1/release.json" in told
    said = well("why", "dr1", "--site", site).out.splitlines()
    assert said == [
        "release: version 1 is current",
        "  T-1: version 1, still current",
        "  T-2: version 1, still current",
    ]
    well("flag", "T-2.rSDSS.frame", "--reason", "clouds", "--yes", "--site", site)
    assert "science: to be looked at: raw T-2.rSDSS.frame flagged: clouds" in (
        well("why", "T-2", "--site", site).out
    )
    assert "version 1 of science: current" in well("history", "T-2", "--site", site).out
    assert "2 science" in well("status", "--site", site).out
    assert "1 release" in well("status", "--site", site).out
