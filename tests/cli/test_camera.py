"""`tesela camera check` says what a description makes of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cameras import strangers
from cameras.strangers import Stranger, toml
from verbs import tesela, well

STRIP = {"data": '"[11:330,1:320]"', "dest": '"[1:320,1:320]"', "overscan": '"[1:10,1:320]"'}
CAMERA = Stranger(toml([STRIP], raw=(330, 320), image=(320, 320)))


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    return CAMERA.write(tmp_path, CAMERA.pixels(CAMERA.camera(tmp_path)))


def test_a_description_alone(tmp_path: Path) -> None:
    CAMERA.camera(tmp_path)
    said = well("camera", "check", tmp_path / "strange.toml")
    assert said.out.startswith("strange: 1 CCD, raw 330x320, image 320x320, 1 amplifier, 0.55")
    assert well("camera", "check", "cafos", "--json").data["n_amplifiers"] == 1


def test_against_a_frame_with_a_picture(tmp_path: Path, frame: Path) -> None:
    picture = tmp_path / "p.png"
    toml_file = tmp_path / "strange.toml"
    said = well("camera", "check", toml_file, frame, "--picture", picture)
    assert "amplifier 1: data [11:330,1:320], overscan [1:10,1:320]; zero 999.9" in said.out
    assert "ra_deg: 211.80000 (ICRS)" in said.out
    pixels = np.asarray(Image.open(picture))
    assert pixels.shape == (320, 330, 3)
    assert pixels[100, 10].tolist() == [60, 220, 90]
    assert pixels[100, 0].tolist() == [230, 60, 60]
    found = well("camera", "check", toml_file, frame, "--json").data["frames"][0]
    assert found["outputs"][0]["id"] == 1
    assert found["problems"] == []


def test_what_would_be_refused_ends_with_2(tmp_path: Path, frame: Path) -> None:
    other = CAMERA.write(tmp_path, CAMERA.pixels(CAMERA.camera(tmp_path)), "s2", IMAGETYP="lamp")
    said = tesela("camera", "check", tmp_path / "strange.toml", frame, other)
    assert said.code == 2
    assert (
        "REFUSED: s2.fits: IMAGETYP = 'lamp'; expected one of OBJECT, LIGHT*, BIAS, FLAT"
        in said.out
    )
    wrong = tmp_path / "wrong" / "strange.toml"
    wrong.parent.mkdir()
    wrong.write_text(CAMERA.text.replace("raw_nx = 330", "raw_nx = 320"))
    said = tesela("camera", "check", wrong, frame)
    assert said.code == 2
    assert "expected a section of a 320x320 frame" in said.err


def test_the_survey_tells_the_filters(tmp_path: Path, frame: Path) -> None:
    assert strangers.SURVEY.band_of("SDSS r'") == "r"
    survey = Path(__file__).parents[2] / "examples" / "cafos_ngc2420" / "survey.toml"
    said = tesela("camera", "check", tmp_path / "strange.toml", frame, "--survey", survey)
    assert said.code == 2
    assert 'unknown filter FILTER = "SDSS r\'"; expected one of V' in said.out
