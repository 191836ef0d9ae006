"""Cameras are data: sections tile the detector, headers may correct but not contradict."""

from pathlib import Path

import numpy as np
import pytest

from tesela import cameras
from tesela.cameras import Section
from tesela.errors import BadInput, ConfigError


@pytest.mark.parametrize("name", cameras.names())
def test_amplifiers_fill_every_pixel_once(name: str) -> None:
    camera = cameras.load(name)
    covered = np.zeros(camera.shape, int)
    for amp in camera.amplifiers:
        covered[amp.dest.slices] += 1
    assert (covered == 1).all()


def test_t80cam_has_the_published_sections() -> None:
    camera = cameras.load("t80cam")
    assert (camera.raw_nx, camera.raw_ny, camera.nx, camera.ny) == (9648, 9340, 9216, 9232)
    fifth = camera.amplifiers[4]
    assert fifth.overscan is not None and fifth.prescan is not None
    assert fifth.data.fits() == "[4852:6003,1:4616]"
    assert fifth.overscan.fits() == "[4825:4851,1:4616]"
    assert fifth.prescan.fits() == "[6004:6030,1:4616]"
    assert camera.amplifiers[15].data.fits() == "[8470:9621,4725:9340]"
    assert [a.flip_x for a in camera.amplifiers[:8]] == [False] * 4 + [True] * 4
    assert [a.flip_y for a in camera.amplifiers] == [False] * 8 + [True] * 8


def test_mini80_is_t80cam_at_an_eighth() -> None:
    big, small = cameras.load("t80cam"), cameras.load("mini80")
    assert (small.nx * 8, small.ny * 8) == (big.nx, big.ny)
    for a, b in zip(big.amplifiers, small.amplifiers):
        assert (a.id, a.flip_x, a.flip_y) == (b.id, b.flip_x, b.flip_y)
        assert (a.dest.x0, a.dest.y0) == (b.dest.x0 * 8, b.dest.y0 * 8)


def test_section_round_trip() -> None:
    section = Section.parse("[3:10, 1:4]")
    assert section == Section(2, 10, 0, 4)
    assert section.shape == (4, 8)
    assert Section.parse(section.fits()) == section


@pytest.mark.parametrize("text", ["[0:5,1:2]", "[5:3,1:2]", "1:5,1:2", "", "[a:b,1:2]"])
def test_section_refuses_nonsense(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Section.parse(text)


def test_header_cards_override_the_description() -> None:
    camera = cameras.load("mini80")
    changed = camera.with_header({"OAJ DET OUT3 GAIN": 1.25, "OAJ DET OUT3 RON": "5.5"}, "f")
    assert changed.amplifiers[2].gain_e_per_adu == 1.25
    assert changed.amplifiers[2].readnoise_e == 5.5
    assert changed.amplifiers[3] == camera.amplifiers[3]


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"OAJ DET OUT1 IMSC": "[1:9,1:9]"}, "sections of one size"),
        ({"OAJ DET OUT1 IMSC": "[1291:1434,1:577]"}, "a section of a 1296x1170 frame"),
        ({"OAJ DET OUT2 OVSCX": "[1:12,2:500]"}, "the rows of its data"),
        ({"OAJ DET OUT2 GAIN": "high"}, "a number"),
        ({"OAJ DET OUT2 GAIN": 0.0}, "positive"),
        ({"OAJ DET OUT2 IMSC": "somewhere"}, r"\[x1:x2,y1:y2\]"),
    ],
)
def test_contradicting_cards_are_refused(cards: dict, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        cameras.load("mini80").with_header(cards, "frame")


def test_unknown_camera_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="mini80"):
        cameras.load("hubble")


def test_a_site_may_bring_its_own_camera(tmp_path: Path) -> None:
    text = (Path(cameras.__file__).parent / "data" / "cafos.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('name = "cafos"', 'name = "mine"'))
    assert cameras.load("mine", tmp_path).name == "mine"


def test_a_camera_that_leaves_pixels_empty_is_refused(tmp_path: Path) -> None:
    text = (Path(cameras.__file__).parent / "data" / "cafos.toml").read_text()
    (tmp_path / "half.toml").write_text(text.replace("[1:1024,1:1024]", "[1:1024,1:512]"))
    with pytest.raises(ConfigError, match="each pixel of the image filled once"):
        cameras.load("half", tmp_path)


def test_a_camera_is_called_as_its_file_is(tmp_path: Path) -> None:
    text = (Path(cameras.__file__).parent / "data" / "cafos.toml").read_text()
    (tmp_path / "copied.toml").write_text(text)
    with pytest.raises(ConfigError, match="name = 'cafos'; expected name = 'copied'"):
        cameras.load("copied", tmp_path)
