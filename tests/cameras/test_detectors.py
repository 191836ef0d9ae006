"""A camera of many CCDs: each has a place, an orientation and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela import cameras
from tesela.cameras.detectors import turned
from tesela.errors import ConfigError
from tesela.sky.nominal import nominal

DATA = Path(cameras.__file__).parent / "data"
MANY = [name for name in cameras.names() if len(cameras.load(name).ccds) > 1]


def test_jpcam_has_fourteen_ccds_of_t80cams_type() -> None:
    camera, t80cam = cameras.load("jpcam"), cameras.load("t80cam")
    assert camera.ccds == tuple(f"{n:02d}" for n in range(1, 15))
    assert camera.amplifiers == t80cam.amplifiers
    assert (camera.raw_nx, camera.raw_ny, camera.shape) == (9648, 9340, t80cam.shape)
    assert (camera.telescope, camera.pixel_scale_arcsec) == ("JST250", 0.2267)


@pytest.mark.parametrize("name", MANY)
def test_ccds_do_not_overlap_and_are_centred_on_the_pointing(name: str) -> None:
    camera = cameras.load(name)
    places = np.array([detector.offset_arcmin for detector in camera.detectors])
    assert places.mean(axis=0) == pytest.approx((0, 0), abs=0.1)
    size = max(camera.shape) * camera.pixel_scale_arcsec / 60
    for i, place in enumerate(places[:-1]):
        apart = np.abs(places[i + 1 :] - place).max(axis=1)
        assert (apart > size).all()


def test_the_field_of_jpcam_is_four_to_five_square_degrees() -> None:
    camera = cameras.load("jpcam")
    a_ccd = np.prod(np.array(camera.shape) * camera.pixel_scale_arcsec / 3600)
    assert 4.2 < 14 * a_ccd < 4.8


def test_turning_goes_from_north_through_east() -> None:
    north_up = ((-1.0, 0.0), (0.0, 1.0))
    assert np.allclose(turned(north_up, 90.0), ((0, 1), (1, 0)))
    assert np.allclose(turned(north_up, 180.0), ((1, 0), (0, -1)))
    for angle in (17.0, 90.0, 200.0):
        camera = nominal(10.0, 0.0, 1.0, turned(north_up, angle), (10, 10))
        assert camera.position_angle_deg % 360 == pytest.approx(angle)
        assert camera.parity == -1


def test_a_ccd_is_the_camera_at_its_place() -> None:
    camera = cameras.load("mini14")
    north, south = camera.for_ccd("01"), camera.for_ccd("14")
    assert north.offset_arcmin == (11.5, 17.25)
    assert north.cd_signs == camera.cd_signs
    assert south.offset_arcmin == (-11.5, -17.25)
    assert np.allclose(south.cd_signs, -np.array(camera.cd_signs))
    alone = cameras.load("mini80")
    assert alone.for_ccd("01") == alone


def test_a_ccd_may_have_outputs_and_a_filter_of_its_own(tmp_path: Path) -> None:
    text = (DATA / "mini14.toml").read_text().replace('"mini14"', '"own"')
    text = text.replace('ccd = "02"\n', 'ccd = "02"\ngain_e_per_adu = 1.5\nserial = "r-7"\n')
    rows = (DATA / "mini80.toml").read_text()
    amplifiers = "[[amplifiers]]" + rows.partition("[[amplifiers]]")[2].replace("3.43", "5")
    own = amplifiers.replace("[[amplifiers]]", "[[detectors.amplifiers]]")
    (tmp_path / "own.toml").write_text(text + own)  # of the last detector
    camera = cameras.load("own", tmp_path)
    second, last = camera.for_ccd("02"), camera.for_ccd("14")
    assert {amp.gain_e_per_adu for amp in second.amplifiers} == {1.5}
    assert {amp.readnoise_e for amp in second.amplifiers} == {3.43}
    assert second.defaults["serial"] == "r-7"
    assert {amp.readnoise_e for amp in last.amplifiers} == {5.0}
    assert {amp.gain_e_per_adu for amp in camera.for_ccd("01").amplifiers} == {0.95}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('ccd = "02"', 'ccd = "03"', r"\[\[detectors\]\] of 01, 03, 03"),
        ('ccd = "02"', 'ccd = "15"', "one each of 01, 02"),
        ('amplifiers_of = "mini80"', 'amplifiers_of = "hubble"', "hubble"),
        ('amplifiers_of = "mini80"', 'amplifiers_of = "wrong"', "which lists none"),
        (
            'amplifiers_of = "mini80"',
            'amplifiers_of = "cafos"',
            "each pixel of the image filled once",
        ),
        ('ccd = "02"', 'ccd = "02"\ngain_e_per_adu = -1.0', "positive numbers"),
        ('ccd = "02"', 'ccd = "02"\nplace = 3', "unknown setting place"),
        ("offset_arcmin = [0, 17.25]", "", "no offset_arcmin"),
    ],
)
def test_a_wrong_focal_plane_is_refused(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    text = (DATA / "mini14.toml").read_text().replace('"mini14"', '"wrong"')
    assert before in text
    (tmp_path / "wrong.toml").write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError, match=words):
        cameras.load("wrong", tmp_path)


def test_outputs_are_said_once(tmp_path: Path) -> None:
    text = (DATA / "mini80.toml").read_text().replace('"mini80"', '"twice"')
    text = text.replace("[header]", 'amplifiers_of = "t80cam"\n\n[header]')
    (tmp_path / "twice.toml").write_text(text)
    with pytest.raises(ConfigError, match="one of them"):
        cameras.load("twice", tmp_path)


def test_several_ccds_without_places_are_refused(tmp_path: Path) -> None:
    text = (DATA / "mini80.toml").read_text().replace('"mini80"', '"lost"')
    (tmp_path / "lost.toml").write_text(text.replace('ccds = ["01"]', 'ccds = ["01", "02"]'))
    with pytest.raises(ConfigError, match="of no CCD; expected one each of 01, 02"):
        cameras.load("lost", tmp_path)
