"""A description that cannot be right is refused before any frame, with what to correct."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import ConfigError

from .strangers import Stranger, toml

GOOD = {"data": '"[11:330,1:320]"', "dest": '"[1:320,1:320]"', "overscan": '"[1:10,1:320]"'}
LEFT = {"data": '"[1:160,1:320]"', "dest": '"[1:160,1:320]"'}
RIGHT = {"data": '"[161:320,1:320]"', "dest": '"[161:320,1:320]"'}


def refusal(folder: Path, text: str) -> str:
    """The sentence."""
    with pytest.raises(ConfigError) as caught:
        Stranger(text).camera(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": '"[11:331,1:320]"'}, "data [11:331,1:320]; expected a section of a 330x320"),
        ({"dest": '"[2:321,1:320]"'}, "dest [2:321,1:320]; expected a section of the 320x320 im"),
        ({"dest": '"[1:319,1:320]"'}, "expected sections of one size"),
        ({"overscan": '"[1:10,1:319]"'}, "one above or below the data is called parallel"),
        ({"overscan": '"[1:11,1:320]"'}, "data [11:330,1:320] overlaps amplifier 1 overscan [1:11"),
        ({"parallel": '"[11:330,315:320]"'}, "overlaps amplifier 1 parallel"),
        ({"data": '"11:330,1:320"'}, "expected [x1:x2,y1:y2]"),
        ({"data": '"[330:11,1:320]"'}, "expected 1 <= x1 <= x2"),
        ({"gain_adu": "1.0"}, "unknown setting gain_adu; expected id, data, dest, gain_e_per_adu"),
    ],
)
def test_sections(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    assert words in refusal(tmp_path, toml([{**GOOD, **changes}], raw=(330, 320), image=(320, 320)))


@pytest.mark.parametrize(
    ("amplifiers", "words"),
    [
        ([LEFT], "amplifiers fill 51200 of 102400 pixels; expected each pixel"),
        ([LEFT, LEFT], "data [1:160,1:320] overlaps amplifier 2 data [1:160,1:320]"),
        ([LEFT, {**RIGHT, "dest": LEFT["dest"]}], "amplifiers fill 0 of"),
        ([], "amplifiers fill 0 of"),
    ],
)
def test_amplifiers_together(tmp_path: Path, amplifiers: list[dict[str, str]], words: str) -> None:
    said = refusal(tmp_path, toml(amplifiers, raw=(320, 320), image=(320, 320)))
    assert words in said
    assert "correct [[amplifiers]] of the camera's description" in said


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"cd_signs": "[[1, 0], [1, 0]]"}, "expected two directions on the sky"),
        ({"cd_signs": "[1, 0]"}, "cd_signs"),
        ({"pixel_scale_arcsec": "0"}, "expected arcseconds, more than 0"),
        ({"ra_unit": '"hour"'}, "expected deg or hours"),
        ({"equinox": '"J2000"'}, 'expected "ICRS", "date" or a year such as "2000"'),
        ({"float_pixels": '"yes"'}, "strange.toml.float_pixels: 'yes'"),
        ({"colour": '"red"'}, "unknown setting colour"),
        ({"name": '"other"'}, "name = 'strange', as the file is called"),
        ({"ccds": '["01", "02"]'}, "expected one each of 01, 02"),
        ({"raw_nx": '"330"'}, "strange.toml.raw_nx"),
    ],
)
def test_the_top_of_the_file(tmp_path: Path, top: dict[str, str], words: str) -> None:
    text = toml([GOOD], raw=(330, 320), image=(320, 320), top=top)
    assert words in refusal(tmp_path, text)


def test_other_tables(tmp_path: Path) -> None:
    text = toml([GOOD], raw=(330, 320), image=(320, 320), header={"filtre": '["F"]'})
    assert "unknown setting filtre; expected filter, imagetype" in refusal(tmp_path, text)
    text = toml([GOOD], raw=(330, 320), image=(320, 320), header={"filter": '"F"'})
    assert "strange.toml.header.filter" in refusal(tmp_path, text)
    text = toml([GOOD], raw=(330, 320), image=(320, 320)).replace('"science"', '"light"')
    assert "obstype light; expected one of bias, dark, flat, science" in refusal(tmp_path, text)
    text = toml([GOOD], raw=(330, 320), image=(320, 320), gain=-1.0)
    assert "gain -1.0, read noise 5.0, saturation 60000.0; expected positive" in refusal(
        tmp_path, text
    )
