"""A raw frame is described or refused with one sentence: file, found, expected, what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from tesela.cameras import Camera, Detector
from tesela.cameras.camera import HeaderCards, ImageType
from tesela.config import Filter, Survey
from tesela.errors import BadInput
from tesela.products.frame import FrameFacts
from tesela.stages.ingest.describe import describe

from . import drawn

SIZE = 32
CAMERA: Camera = replace(
    drawn.camera(SIZE),
    header=HeaderCards(category=("CATG",), serial=("FSERIAL",), ccd=("CHIP",)),
    imagetypes={
        "BIAS": ImageType("bias", "", "CAL"),
        "FLAT": ImageType("flat", "sky", "CAL"),
        "OBJECT": ImageType("science", "", "SCI"),
    },
    instruments=("Drawn",),
    defaults={"ccd": "01", "serial": "-", "readout_mode": "slow"},
)
SURVEY = Survey("test", ("drawn",), {"r": Filter(names=("Sloan r",), serials=("r-1",))}, {})
CARDS: dict[str, Any] = {
    "INSTRUME": "Drawn",
    "IMAGETYP": "OBJECT",
    "CATG": "SCI",
    "EXPTIME": 60.0,
    "DATE-OBS": "2017-07-03T21:36:00",
    "MJD-OBS": 57937.9,
    "FILTER": "sloan R",
    "FSERIAL": "r-1",
    "RA": 211.8,
    "DEC": 55.1,
    "CHIP": "01",
}


def frame(folder: Path, name: str = "x1.fits", **cards: Any) -> Path:
    """Write a sound frame, but for some cards; None leaves a card out."""
    pixels = np.random.default_rng(1).integers(900, 1100, (SIZE, SIZE + 2 * drawn.STRIP))
    header = fits.Header()
    for key, value in {**CARDS, **{k.replace("_", "-"): v for k, v in cards.items()}}.items():
        if value is not None:
            header[key] = value
    path = folder / name
    fits.PrimaryHDU(pixels.astype(np.uint16), header).writeto(path)
    return path


def look(path: Path) -> FrameFacts:
    return describe(path, SURVEY, [CAMERA]).facts


def test_a_sound_frame_is_described(tmp_path: Path) -> None:
    facts = look(frame(tmp_path))
    assert (facts.name, facts.camera, facts.band, facts.obstype) == ("x1", "drawn", "r", "science")
    assert facts.mjd_start == pytest.approx(57937.9)
    assert facts.night == "2017-07-03"
    assert (facts.nx, facts.ny) == (SIZE, SIZE)
    assert facts.footprint is not None
    assert len(facts.footprint) == 4


def test_pointing_may_be_sexagesimal(tmp_path: Path) -> None:
    facts = look(frame(tmp_path, RA="14:07:12.0", DEC="-00:30:00"))
    assert facts.ra_deg == pytest.approx(211.8)
    assert facts.dec_deg == pytest.approx(-0.5)


def test_a_flat_needs_a_filter_and_no_pointing(tmp_path: Path) -> None:
    facts = look(frame(tmp_path, IMAGETYP="FLAT", CATG="CAL", RA=None, DEC=None))
    assert (facts.obstype, facts.flat_kind, facts.footprint) == ("flat", "sky", None)
    with pytest.raises(BadInput, match="no card FILTER; expected one of r"):
        look(frame(tmp_path, "x2.fits", IMAGETYP="FLAT", CATG="CAL", FILTER=None))


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ("INSTRUME", "no card INSTRUME; expected INSTRUME = Drawn"),
        ("IMAGETYP", "no card IMAGETYP; expected one of BIAS, FLAT, OBJECT"),
        ("EXPTIME", "no card EXPTIME; expected a number"),
        ("FILTER", "no card FILTER; expected one of r"),
        ("RA", "no card RA; expected a number"),
        ("DEC", "no card DEC; expected a number"),
    ],
)
def test_each_needed_card_is_asked_for(tmp_path: Path, card: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        look(frame(tmp_path, **{card: None}))
    assert str(caught.value).startswith(f"x1.fits: {sentence}; ")


def test_without_date_and_mjd_nobody_knows_when(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no card DATE-OBS; expected UTC of the start; complete the"):
        look(frame(tmp_path, DATE_OBS=None, MJD_OBS=None))


@pytest.mark.parametrize("card", ["DATE_OBS", "MJD_OBS", "CATG", "CHIP"])
def test_cards_that_only_confirm_may_be_missing(tmp_path: Path, card: str) -> None:
    assert look(frame(tmp_path, **{card: None})).name == "x1"


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        ({"INSTRUME": "Other"}, "INSTRUME = 'Other', an unknown camera; expected"),
        ({"IMAGETYP": "FOCUS"}, "IMAGETYP = 'FOCUS'; expected one of"),
        ({"CATG": "CAL"}, "IMAGETYP = 'OBJECT' but CATG = 'CAL'; expected CATG = 'SCI'"),
        ({"IMAGETYP": "BIAS", "CATG": "CAL"}, "a bias frame with EXPTIME = 60; expected 0 s"),
        ({"EXPTIME": 0.0}, "a science frame with EXPTIME = 0; expected 0 s for a bias"),
        ({"EXPTIME": -1.0}, "EXPTIME = -1.0; expected seconds >= 0"),
        ({"EXPTIME": "long"}, "EXPTIME = 'long'; expected a number"),
        ({"EXPTIME": "nan"}, "EXPTIME = 'nan'; expected a number"),
        ({"DATE_OBS": "2017-07-03"}, "DATE-OBS = '2017-07-03'; expected a date and time like"),
        ({"DATE_OBS": "2017-13-45T99:00:00"}, "expected a date and time like"),
        ({"DATE_OBS": "0001-01-01T00:00:00"}, "expected a year from 1980 to 2099"),
        ({"DATE_OBS": "9999-12-31T23:59:59"}, "expected a year from 1980 to 2099"),
        ({"MJD_OBS": 57938.0}, "but MJD-OBS = 57938.0; expected the same instant within 60 s"),
        ({"FILTER": "z"}, "unknown filter FILTER = 'z'; expected one of r"),
        ({"FSERIAL": "r-2"}, "filter serial 'r-2' in band r; expected one of r-1"),
        ({"RA": 400.0}, "RA = 400.0, Dec = 55.1 degrees; expected 0 <= RA < 360"),
        ({"DEC": "55:99:00"}, "DEC = '55:99:00'; expected an angle"),
        ({"RA": "14:seven"}, "RA = '14:seven'; expected an angle"),
        ({"CHIP": "07"}, "CCD '07'; expected one of 01 for drawn"),
    ],
)
def test_cards_that_contradict_or_make_no_sense(
    tmp_path: Path, cards: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput) as caught:
        look(frame(tmp_path, **cards))
    said = str(caught.value)
    assert said.startswith("x1.fits: ")
    assert sentence in said
    assert said.count("; ") >= 2
    assert "\n" not in said


@pytest.mark.parametrize(
    "name", ["a b.fits", ".hidden.fits", "-x.fits", "ü.fits", "a\nb.fits", "a\n.fits"]
)
def test_unsafe_names_are_refused_before_the_file_is_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="not safe; expected letters, digits"):
        look(tmp_path / name)


def test_only_cameras_of_many_ccds_name_exposures_without_theirs(tmp_path: Path) -> None:
    path = frame(tmp_path, "obs-01.fits")
    assert look(path).exposure == "obs-01"
    mosaic = replace(CAMERA, ccds=("01", "02"))
    assert describe(path, SURVEY, [mosaic]).facts.exposure == "obs"


def test_the_size_is_judged_before_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "wide.fits"
    header = fits.getheader(frame(tmp_path))
    fits.PrimaryHDU(np.zeros((3, 5), np.float32), header).writeto(path)
    with pytest.raises(BadInput, match="5x3 pixels; expected 56x32 for drawn; windowed"):
        look(path)


def test_equinox_of_date_is_brought_to_icrs(tmp_path: Path) -> None:
    of_date = replace(CAMERA, equinox="date")
    facts = describe(frame(tmp_path), SURVEY, [of_date]).facts
    assert facts.ra_deg is not None
    # 17.5 years of precession move this place by a fifth of a degree.
    assert (
        0.1 < np.hypot((facts.ra_deg - 211.8) * np.cos(np.radians(55)), facts.dec_deg - 55.1) < 0.3
    )


MANY = replace(
    CAMERA,
    ccds=("01", "02"),
    detectors=(Detector("01", (30.0, 0.0)), Detector("02", (-30.0, 0.0), 180.0, serial="r-2")),
)
"""Two CCDs half a degree on either side of the pointing."""


def look_at_many(path: Path, camera: Camera = MANY) -> FrameFacts:
    survey = replace(SURVEY, filters={"r": Filter(names=("Sloan r",)), "J0660": Filter()})
    return describe(path, survey, [camera]).facts


def test_the_frames_of_an_exposure_share_its_name_and_pointing(tmp_path: Path) -> None:
    one, two = (look_at_many(frame(tmp_path, f"e7-{ccd}.fits", CHIP=ccd)) for ccd in ("01", "02"))
    assert one.exposure == two.exposure == "e7"
    assert one.ccds == two.ccds == ("01", "02")
    assert (one.ra_deg, one.dec_deg) == (two.ra_deg, two.dec_deg) == (211.8, 55.1)


def test_each_ccd_has_a_footprint_at_its_own_place(tmp_path: Path) -> None:
    one, two = (look_at_many(frame(tmp_path, f"e7-{ccd}.fits", CHIP=ccd)) for ccd in ("01", "02"))
    assert one.footprint is not None
    assert two.footprint is not None
    for facts, side in ((one, 1), (two, -1)):
        corners = np.array(facts.footprint).mean(axis=0)
        east = (corners[0] - 211.8) * np.cos(np.radians(corners[1]))
        assert east == pytest.approx(0.5 * side, abs=0.002)
        assert corners[1] == pytest.approx(55.1, abs=0.004)
    # Upside down: the first corner, of pixel (0, 0), is in the south-east and in the north-west.
    assert one.footprint[0] == max(one.footprint, key=lambda corner: corner[0] - corner[1])
    assert two.footprint[0] == min(two.footprint, key=lambda corner: corner[0] - corner[1])


def test_the_filter_is_of_the_exposure_and_ccd(tmp_path: Path) -> None:
    one = look_at_many(frame(tmp_path, "e7-01.fits", CHIP="01", FILTER="J0660", FSERIAL="n-1"))
    two = look_at_many(frame(tmp_path, "e7-02.fits", CHIP="02", FSERIAL=None))
    assert (one.exposure, one.band, one.filter_serial) == ("e7", "J0660", "n-1")
    assert (two.exposure, two.band, two.filter_serial) == ("e7", "r", "r-2")


def test_a_card_may_name_the_exposure(tmp_path: Path) -> None:
    camera = replace(MANY, header=replace(MANY.header, exposure=("EXPID",)))
    facts = look_at_many(frame(tmp_path, "a.fits", CHIP="02", EXPID=" 20170703-0012 "), camera)
    assert (facts.name, facts.exposure) == ("a", "20170703-0012")


@pytest.mark.parametrize(
    ("name", "cards", "words"),
    [
        ("e7-01.fits", {"CHIP": "03"}, "CCD '03'; expected one of 01, 02 for drawn"),
        ("e7-01.fits", {"CHIP": None}, "CCD ''"),
        ("e7-01.fits", {"CHIP": "02"}, "does not end with -02; expected e7-01-02, or a card"),
        ("e7.fits", {"CHIP": "02"}, "rename the file"),
        ("e7-02.fits", {"CHIP": "02", "EXPID": "a/b"}, "EXPID = 'a/b'; expected the name of its"),
        ("e7-02.fits", {"CHIP": "02", "EXPID": "e7-02"}, "EXPID = 'e7-02'"),
    ],
)
def test_a_frame_of_no_exposure_is_refused(
    tmp_path: Path, name: str, cards: dict[str, Any], words: str
) -> None:
    camera = replace(MANY, defaults={}, header=replace(MANY.header, exposure=("EXPID",)))
    with pytest.raises(BadInput, match=words):
        look_at_many(frame(tmp_path, name, **cards), camera)


def test_pictures_of_flats_are_bright_and_of_the_sky_dark(tmp_path: Path) -> None:
    sky = describe(frame(tmp_path), SURVEY, [CAMERA]).picture
    flat = frame(tmp_path, "f1.fits", IMAGETYP="FLAT", CATG="CAL")
    assert np.median(describe(flat, SURVEY, [CAMERA]).picture) > np.median(sky) + 60
