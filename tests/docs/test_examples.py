"""What the pages show as an example is accepted by the program, and what they name exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tesela import cameras, config
from tesela.flow.run.bodies import registry
from tesela.ledger.keys import Scope
from tesela.sky.tiles import TileGrid

ROOT = Path(__file__).parents[2]
_TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _tables(page: str) -> list[dict[str, object]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [tomllib.loads(body) for body in _TOML.findall(text)]


def test_the_camera_of_the_page_is_a_camera(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "howto" / "new-camera.md").read_text(encoding="utf-8")
    (tmp_path / "example.toml").write_text(_TOML.findall(text)[0])
    camera = cameras.load("example", tmp_path)
    assert [amplifier.id for amplifier in camera.amplifiers] == [1, 2]
    assert camera.amplifiers[1].flip_x


def test_the_focal_plane_of_the_page_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "howto" / "new-camera.md").read_text(encoding="utf-8")
    one, many = _TOML.findall(text)
    top, places = many.split("[header]")
    whole = one.replace('ccds = ["01"]\n', top.replace('amplifiers_of = "t80cam"', "#"))
    whole = whole.replace("[header]", "[header]" + places.partition("[[detectors]]")[0])
    (tmp_path / "example.toml").write_text(whole + places.partition("\n\n")[2])
    camera = cameras.load("example", tmp_path)
    assert [detector.ccd for detector in camera.detectors] == ["01", "02"]
    assert camera.header.exposure == ("EXPID",)
    assert camera.for_ccd("02").cd_signs[0][0] == pytest.approx(1.0)


def test_the_overrides_of_the_page_are_understood() -> None:
    (table,) = [t for t in _tables("howto/operate.md") if "overrides" in t]
    grid = {
        "scheme": "list", "pixel_scale_arcsec": 0.5, "size_px": 10, "centres": {"T": [0.0, 0.0]},
    }  # fmt: skip
    survey = config.build(
        config.Survey,
        {"name": "x", "cameras": ["jpcam"], "filters": {"r": {}}, "grid": grid, **table},
        "page",
    )
    reduce = registry(survey)["reduce"]
    settings, _ = reduce.settings_in(Scope.of("jpcam", "open time", "science"))
    assert settings["stage"]["cosmics"]["sigclip"] == 6.0
    assert settings["stage"]["psf"]["degree"] == 1


def test_the_survey_tables_of_the_page_are_understood() -> None:
    tables = _tables("howto/real-frames.md")
    assert len(tables) == 3
    for table in tables:
        for band, content in table.get("filters", {}).items():  # type: ignore[attr-defined]
            assert config.build(config.Filter, content, band).reference != config.Reference()
        if "grid" in table:
            assert len(TileGrid.from_settings(table["grid"])) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/survey.toml")), ids=str)
def test_examples_load(path: Path) -> None:
    survey = config.load_survey(path)
    assert [cameras.load(name).name for name in survey.cameras] == list(survey.cameras)


def test_every_room_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "tesela"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    rooms |= {path.parent.name for path in package.glob("stages/*/__init__.py")}
    assert len(rooms) > 15
    for room in sorted(rooms):
        assert re.search(rf"`(\w+\.)?\.?{room}`|`{room}\.\w+`", page), f"{room} is not mentioned"
