"""`tesela simulate`: presets, and a night that nobody knows."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from tesela.simulate import campaign, night, settings
from tesela.simulate.settings import NightSettings
from verbs import tesela, well

SMALL = {"stars_per_field": 10.0, "galaxies_per_field": 5.0}


@pytest.fixture
def small_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset, of a night that takes seconds."""

    def blind(**changes: Any) -> list[NightSettings]:
        return [settings.tiny(**(campaign.REAL | SMALL | changes))]

    monkeypatch.setitem(campaign.PRESETS, "blind", blind)


def test_a_blind_night_tells_neither_seed_nor_truth(small_blind: None, tmp_path: Path) -> None:
    out, truth = tmp_path / "night", tmp_path / "elsewhere"
    said = well("simulate", out, "--blind", "--truth", truth, "--workers", 1, "--json")
    assert {p.name for p in out.iterdir()} == {"raw", "refcat.parquet", "survey.toml", "SHA256SUMS"}
    (wanted,) = night.read_settings(truth)
    assert wanted.seed != NightSettings().seed
    assert wanted.seed > 2**32
    seed = str(wanted.seed)
    assert seed not in said.out + said.err
    for path in out.rglob("*"):
        assert seed not in path.name
        if path.is_file():
            assert seed.encode() not in path.read_bytes()
    for path in (out / "raw").glob("*.fits"):
        words = repr(fits.getheader(path)).casefold()
        for word in ("seed", "truth", "epoch", "stray", "simul"):
            assert word not in words
    assert (truth / "objects.parquet").is_file()
    assert list(tmp_path.glob("*.part")) == []


def test_no_two_blind_nights_are_alike(small_blind: None, tmp_path: Path) -> None:
    seeds = set()
    for name in ("one", "two"):
        well("simulate", tmp_path / name, "--blind", "--truth", tmp_path / f"t-{name}",
             "--workers", 1)  # fmt: skip
        seeds.add(night.read_settings(tmp_path / f"t-{name}")[0].seed)
    assert len(seeds) == 2


def test_a_frozen_night_verifies_and_shows_a_change(small_blind: None, tmp_path: Path) -> None:
    out = tmp_path / "night"
    well("simulate", out, "--blind", "--truth", tmp_path / "t", "--workers", 1)
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=out, check=False).returncode == 0
    files = [p for p in out.rglob("*") if p.is_file()]
    assert not any(p.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) for p in files)
    lines = (out / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(files) - 1
    survey = out / "survey.toml"
    survey.chmod(0o644)
    survey.write_text(survey.read_text() + "\n")
    changed = subprocess.run(check, cwd=out, check=False, capture_output=True)
    assert changed.returncode == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--blind"], "no --truth"),
        (["--blind", "--truth", "{out}/truth"], "a folder elsewhere"),
        (["--blind", "--truth", "{out}"], "a folder elsewhere"),
        (["--blind", "--truth", "{out}/../night/x"], "a folder elsewhere"),
        (["--preset", "tiny", "--truth", "{out}/truth"], "a folder elsewhere"),
        (["--blind", "--truth", "{out}-t", "--seed", "3"], "one nobody knows"),
        (["--blind", "--truth", "{out}-t", "--preset", "tiny"], "tiny with --blind"),
        (["--preset", "huge"], "night, tiny, demo, calibration, blind"),
        (["--preset", "calibration", "--bands", "gSDSS"], "its own"),
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_nothing(
    tmp_path: Path, words: list[str], says: str
) -> None:
    out = tmp_path / "night"
    said = tesela("simulate", out, *(word.format(out=out) for word in words))
    assert said.code == 2
    assert says in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_truth_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_text("x")
    said = tesela("simulate", tmp_path / "n", "--preset", "tiny", "--truth", tmp_path / "t")
    assert said.code == 2
    assert (tmp_path / "t" / "mine").read_text() == "x"
    assert not (tmp_path / "n").exists()


def test_a_preset_takes_what_is_asked_and_keeps_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "night"
    said = well("simulate", out, "--preset", "tiny", "--biases", 2, "--flats", 0, "--density", 0.2,
                "--date", "2018-01-01", "--workers", 1, "--json")  # fmt: skip
    assert said.data["frames"] == 3
    assert said.data["nights"] == 1
    (wanted,) = night.read_settings(out / "truth")
    assert (wanted.n_bias, wanted.n_flat, wanted.date) == (2, 0, "2018-01-01")
    assert wanted.stars_per_field == pytest.approx(12.0)
    assert wanted.seed == NightSettings().seed
    assert json.loads((out / "truth/night.json").read_text())["settings"]["n_bias"] == 2


def test_a_campaign_is_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def two(**changes: Any) -> list[NightSettings]:
        first = settings.tiny(**(SMALL | {"tiles": 0, "n_flat": 0} | changes))
        return [first, settings.tiny(**(SMALL | {"tiles": 0, "n_flat": 0, "epoch": 1} | changes
                                        | {"date": "2017-07-09"}))]  # fmt: skip

    monkeypatch.setitem(campaign.PRESETS, "calibration", two)
    said = well("simulate", tmp_path / "c", "--preset", "calibration", "--workers", 1, "--json")
    assert (said.data["nights"], said.data["frames"]) == (2, 2)
    assert 'at = "2017-07-09"' in (tmp_path / "c" / "survey.toml").read_text()


@pytest.mark.parametrize("verb", ["simulate", "demo"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "galsim", None)
    said = tesela(verb, tmp_path / "night")
    assert said.code == 2
    assert said.err == (
        "tesela: tesela simulate: GalSim is not installed; expected the extra `simulate`; "
        "pip install 'tesela[simulate]'\n"
    )
    assert list(tmp_path.iterdir()) == []
