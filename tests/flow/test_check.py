"""Settings that cannot be meant are refused as a site is opened, and what is known is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela import config
from tesela.cameras.camera import load
from tesela.errors import ConfigError
from tesela.flow.plan.check import check
from tesela.flow.run.site import init_site, open_site
from tesela.products import paths

HEAD = """
name = "t"
cameras = ["mini80"]
[filters.rSDSS]
[filters.zSDSS]
[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [1200, 1200]
centres = { "T1" = [211.8, 55.1] }
"""
KINDS = "BIAS, DARK, LINEARITY"


def checked(folder: Path, text: str) -> None:
    path = folder / "survey.toml"
    path.write_text(HEAD + text)
    check(config.load_survey(path), (load("mini80"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[calibration]\nminimum = { BIAS = 30 }",
        "[calibration]\nminimum = { BIAS = 50 }\nwanted = { BIAS = 50 }",
        "[calibration]\nrequired = ['BIAS']\nunused = ['FLAT', 'DARK']",
        "[calibration.fringe]\nbands = ['zSDSS']\nmost = 15",
        "[calibration]\nwanted = { FRINGE = 4 }\n[calibration.fringe]\nmost = 4",
        "[[calibration.interventions]]\nat = '2017-07-01'\nwhat = 'b'\ncameras = ['mini80']",
    ],
)
def test_what_can_be_meant_is_taken(tmp_path: Path, text: str) -> None:
    checked(tmp_path, text)


@pytest.mark.parametrize("name", ["required", "unused"])
def test_unknown_kinds_of_a_list_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: unknown kind of master 'BIES'.*{KINDS}"):
        checked(tmp_path, f'[calibration]\n{name} = ["BIES", "FLAT"]')


@pytest.mark.parametrize(
    "text", ["required = ['BIAS', 'DARK']\nunused = ['DARK']", "unused = ['FLAT']"]
)
def test_a_kind_is_not_both_required_and_unused(tmp_path: Path, text: str) -> None:
    """Also where `required` is the usual one, and so not in the file."""
    with pytest.raises(ConfigError, match=r"calibration\.unused: (DARK|FLAT), also in required"):
        checked(tmp_path, f"[calibration]\n{text}")


@pytest.mark.parametrize(
    "name", ["minimum", "wanted", "cadence_days", "validity_days", "fallback_days"]
)
def test_unknown_kinds_of_a_table_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: unknown kind of master 'FLATS'.*{KINDS}"):
        checked(tmp_path, f"[calibration]\n{name} = {{ FLATS = 3 }}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kinds = ['FLATS']", "interventions.0..kinds: unknown kind of master 'FLATS'"),
        ("cameras = ['mini81']", "cameras: unknown camera 'mini81'; expected some of mini80"),
    ],
)
def test_an_intervention_on_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked(tmp_path, f"[[calibration.interventions]]\nat = '2017-07-01'\nwhat = 'b'\n{text}")


@pytest.mark.parametrize("kind", ["illumination", "fringe", "pattern"])
def test_masters_of_an_unknown_band_are_refused(tmp_path: Path, kind: str) -> None:
    words = f"{kind}.bands: unknown band 'z'; expected some of rSDSS, zSDSS"
    with pytest.raises(ConfigError, match=words):
        checked(tmp_path, f"[calibration.{kind}]\nbands = ['z']")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("minimum = { BIAS = 31 }", "minimum.BIAS: 31.*at most wanted.BIAS, which is 30"),
        ("minimum = { FLAT = 4 }\nwanted = { FLAT = 3 }", "minimum.FLAT: 4.*which is 3"),
        ("wanted = { FRINGE = 41 }", "fringe.most: 40; expected at least wanted.FRINGE.*41"),
        (
            "minimum = { PATTERN = 8 }\nwanted = { PATTERN = 8 }\n[calibration.pattern]\nmost = 7",
            "pattern.most: 7; expected at least minimum.PATTERN.*8",
        ),
        ("[calibration.illumination]\nmost = 14", "illumination.most: 14.*which is 15"),
    ],
)
def test_numbers_out_of_order_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked(tmp_path, f"[calibration]\n{text}")


def test_a_site_is_neither_made_nor_opened_with_them(tmp_path: Path) -> None:
    survey = tmp_path / "survey.toml"
    survey.write_text(HEAD + "[calibration]\nunused = ['PATERN']")
    with pytest.raises(ConfigError, match="PATERN"):
        init_site(tmp_path / "site", survey)
    assert not (tmp_path / "site").exists()
    survey.write_text(HEAD)
    init_site(tmp_path / "site", survey).ledger.close()
    paths.survey_file(tmp_path / "site").write_text(HEAD + "[calibration]\nunused = ['PATERN']")
    with pytest.raises(ConfigError, match="PATERN"):
        open_site(tmp_path / "site")


def test_a_site_is_not_made_with_senseless_monitors(tmp_path: Path) -> None:
    survey = tmp_path / "survey.toml"
    survey.write_text(HEAD + "[monitors]\nruns = []")
    with pytest.raises(ConfigError, match=r"monitors\.runs"):
        init_site(tmp_path / "site", survey)
