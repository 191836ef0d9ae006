"""All that is wrong with a description is said at once, and the levels of each output beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cameras import strangers
from cameras.strangers import Stranger, toml
from tesela.stages.ingest.inspection import Inspection, inspect

STRIP = {"data": '"[11:330,1:320]"', "dest": '"[1:320,1:320]"', "overscan": '"[1:10,1:320]"'}


def stranger(changes: dict[str, str] | None = None, **description: Any) -> Stranger:
    amplifier = {**STRIP, **(changes or {})}
    return Stranger(toml([amplifier], raw=(330, 320), image=(320, 320), **description))


TRUE = stranger()


def look(folder: Path, told: Stranger, spoil: Any = None, **cards: Any) -> Inspection:
    """What is said of a frame of the true camera, read as another description says."""
    pixels = TRUE.pixels(TRUE.camera(folder))
    if spoil is not None:
        spoil(pixels)
    path = replace(TRUE, dtype=told.dtype).write(folder, pixels, **cards)
    return inspect(path, told.camera(folder), strangers.SURVEY)[0]


def test_a_sound_description(tmp_path: Path) -> None:
    found = look(tmp_path, TRUE)
    assert (found.problems, found.doubts) == ([], [])
    assert (found.size, found.pixel_type) == ("330x320", "uint16")
    assert found.facts["band"] == "r"
    assert found.facts["night"] == "2017-07-03"
    assert found.facts["ra_deg"] == strangers.POINTING[0]
    (output,) = found.outputs
    assert output.zero_adu == pytest.approx(strangers.LEVEL_ADU, abs=0.5)
    assert output.noise_e == pytest.approx(strangers.NOISE_E, rel=0.05)
    assert output.sections["overscan"] == "[1:10,1:320]"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    cards = {"FILTER": "B", "IMAGETYP": "lamp", "DATE-OBS": "yesterday", "INSTRUME": "Else"}
    found = look(tmp_path, TRUE, **cards)
    said = " ".join(found.problems)
    for words in ("IMAGETYP = 'lamp'", "DATE-OBS = 'yesterday'", "INSTRUME = 'Else'"):
        assert words in said
    assert found.outputs  # the levels are there all the same


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (stranger({"overscan": '"[1:10,1:320]"', "readnoise_e": "2.0"}), "readnoise_e says 2"),
        (stranger({"readnoise_e": "50"}), "is the gain another"),
        (
            stranger({"data": '"[1:320,1:320]"', "overscan": '"[321:330,1:320]"'}),
            "are the sections exchanged?",
        ),
        (
            stranger({"data": '"[1:320,1:320]"', "overscan": '"[321:330,1:320]"'}),
            "does the strip hold light",
        ),
    ],
)
def test_sections_in_the_wrong_place(tmp_path: Path, told: Stranger, words: str) -> None:
    def light_up(pixels: Any) -> None:
        pixels[:, 10:] += np.random.default_rng(5).normal(400, 15, (320, 320))
        pixels[:, 320:] += 900

    assert words in " ".join(look(tmp_path, told, light_up).doubts)


def test_an_overscan_that_holds_columns_of_the_image(tmp_path: Path) -> None:
    told = stranger({"data": '"[12:330,1:320]"', "overscan": '"[1:11,1:320]"'})
    told = replace(told, text=told.text.replace("[1:320,1:320]", "[1:319,1:320]"))
    told = replace(told, text=told.text.replace("nx = 320", "nx = 319"))
    found = look(tmp_path, told)
    assert "columns 11 of its overscan [1:11,1:320] are unlike the others" in found.doubts[0]


def test_no_overscan_and_no_numbers(tmp_path: Path) -> None:
    amplifier = {"data": '"[11:330,1:320]"', "dest": '"[1:320,1:320]"'}
    told = Stranger(
        toml([amplifier], raw=(330, 320), image=(320, 320), top={"float_pixels": "true"}),
        dtype="float32",
    )

    def spoil(pixels: Any) -> None:
        pixels[5, 20:27] = np.nan

    said = look(tmp_path, told, spoil).doubts
    assert "7 pixels are no number: they become BAD" in said
    assert "amplifier 1 has no overscan: its level is that of the master bias" in said


def test_the_matrix_of_the_header_is_compared(tmp_path: Path) -> None:
    scale = 0.55 / 3600
    cards = {"CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale}
    assert look(tmp_path, TRUE, **cards).doubts == []
    cards = {"CD1_1": 0.0, "CD1_2": 2 * scale, "CD2_1": 2 * scale, "CD2_2": 0.0}
    said = look(tmp_path, TRUE, name="s2", **cards).doubts
    assert "1.1000 arcsec a pixel, pixel_scale_arcsec says 0.55" in said[0]
    assert "CD matrix goes [[0.0, 1.0], [1.0, 0.0]], cd_signs says" in said[1]


def test_a_frame_of_another_size_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    told = Stranger(toml([{**STRIP}], raw=(660, 640), image=(320, 320)))
    found = look(tmp_path, told)
    assert "may be a frame binned 2 x 2" in found.problems[0]
    (tmp_path / "x.fits").write_bytes(b"no")
    found, _, pixels = inspect(tmp_path / "x.fits", TRUE.camera(tmp_path))
    assert pixels is None
    assert len(found.problems) == 1
