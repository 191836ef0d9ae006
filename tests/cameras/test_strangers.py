"""Described by a TOML alone, a camera nobody has seen is reduced right, or refused with advice."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.products import rawfile
from tesela.products.maskbit import MaskBit
from tesela.products.rawparts import Reading
from tesela.sky import match
from tesela.stages.ingest.describe import describe

from . import strangers
from .strangers import SURVEY, Stranger, Taken, take, toml

ONE = [{"data": '"[1:320,1:320]"', "dest": '"[1:320,1:320]"'}]
STRIP = [{"data": '"[11:330,1:320]"', "dest": '"[1:320,1:320]"', "overscan": '"[1:10,1:320]"'}]
PLAIN = Stranger(toml(ONE, raw=(320, 320), image=(320, 320)), zero_adu=1000.0)
STRIPPED = Stranger(toml(STRIP, raw=(330, 320), image=(320, 320)))


def assert_right(taken: Taken, n_dead: int = 0) -> None:
    """Stars where they were drawn, as bright as they were drawn."""
    m = taken.made.metrics
    known = strangers.refcat(taken.camera)
    stars = taken.made.image.sources
    i, _, away = match.nearest(known["ra"], known["dec"], stars["ra"], stars["dec"], 1.0)
    scale = taken.camera.pixel_scale_arcsec
    assert len(i) >= 0.97 * len(known["ra"]) - n_dead
    bright = known["mag"][i] < 16
    assert np.median(away[bright]) < 0.05 * scale
    # A hundred stars, whose wings a small field shows but in part: 8 mmag from draw to draw.
    assert m["zeropoint_mag"] == pytest.approx(strangers.ZEROPOINT_MAG, abs=0.025)
    assert m["fwhm_px"] == pytest.approx(strangers.FWHM_PX, rel=0.05)
    assert m["readnoise_e"] == pytest.approx(strangers.NOISE_E, rel=0.1)
    assert not taken.made.rejections


def quadrants() -> list[dict[str, str]]:
    """Four outputs, each with a prescan at its corner's side, strips in the middle."""
    amps = []
    for iy in (0, 1):
        for ix in (0, 1):
            x0 = 9 if ix == 0 else 193  # [prescan 8][data 160][overscan 12] [12][160][8]
            over = (169, 180) if ix == 0 else (181, 192)
            pre = (1, 8) if ix == 0 else (353, 360)
            rows = f"{160 * iy + 1}:{160 * iy + 160}"
            amps.append(
                {
                    "data": f'"[{x0}:{x0 + 159},{rows}]"',
                    "dest": f'"[{160 * ix + 1}:{160 * ix + 160},{rows}]"',
                    "overscan": f'"[{over[0]}:{over[1]},{rows}]"',
                    "prescan": f'"[{pre[0]}:{pre[1]},{rows}]"',
                    "flip_x": str(ix == 1).lower(),
                    "flip_y": str(iy == 1).lower(),
                }
            )
    return amps


OUTER = [
    {"data": '"[13:172,1:320]"', "dest": '"[1:160,1:320]"', "overscan": '"[1:12,1:320]"'},
    {
        "data": '"[173:332,1:320]"', "dest": '"[161:320,1:320]"', "overscan": '"[333:344,1:320]"',
        "flip_x": "true",
    },
]  # fmt: skip
TOP = [{"data": '"[1:320,1:320]"', "dest": '"[1:320,1:320]"', "parallel": '"[1:320,321:340]"'}]
LAYOUTS = {
    "no overscan": PLAIN,
    "prescan as overscan": STRIPPED,
    "outer sides": Stranger(toml(OUTER, raw=(344, 320), image=(320, 320))),
    "quadrants": Stranger(toml(quadrants(), raw=(360, 320), image=(320, 320))),
    "above only": Stranger(toml(TOP, raw=(320, 340), image=(320, 320))),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_amplifiers_of_every_layout(tmp_path: Path, name: str) -> None:
    assert_right(take(LAYOUTS[name], tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "int16"},
        {"dtype": "int32"},
        {"dtype": "uint32"},
        {"extension": True},
        {"compress": "RICE_1", "suffix": ".fits.fz"},
        {"compress": "GZIP_1", "suffix": ".fits.fz"},
    ],
    ids=str,
)
def test_every_way_to_write_integers(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert_right(take(replace(STRIPPED, **changes), tmp_path))


def test_gzipped_files(tmp_path: Path) -> None:
    camera = STRIPPED.camera(tmp_path)
    plain = STRIPPED.write(tmp_path, STRIPPED.pixels(camera))
    packed = plain.with_suffix(".fits.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert_right(strangers.reduced(packed, camera))


@pytest.mark.parametrize("scale", [0.2, 1.5])
def test_small_and_large_pixels(tmp_path: Path, scale: float) -> None:
    text = toml(STRIP, raw=(330, 320), image=(320, 320), top={"pixel_scale_arcsec": str(scale)})
    assert_right(take(Stranger(text), tmp_path))


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("quarter", range(4))
def test_all_eight_orientations(tmp_path: Path, quarter: int, flip: int) -> None:
    turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarter)
    signs = (turn @ np.array([[flip, 0], [0, 1]])).tolist()
    text = toml(STRIP, raw=(330, 320), image=(320, 320), top={"cd_signs": str(signs)})
    assert_right(take(Stranger(text), tmp_path))


def test_numbers_that_only_the_header_knows(tmp_path: Path) -> None:
    header = {"gain": '["GAIN"]', "readnoise": '["RDNOISE"]', "saturation": '["SATLEVEL"]'}
    text = toml(STRIP, raw=(330, 320), image=(320, 320), header=header, gain=1.0)
    taken = take(
        Stranger(text, {"GAIN": 2.5, "RDNOISE": "5.5", "SATLEVEL": 30000}, gain=2.5), tmp_path
    )
    assert_right(taken)
    assert taken.camera.amplifiers[0].saturation_adu == 30000
    assert taken.camera.amplifiers[0].readnoise_e == 5.5


def test_a_card_of_each_output(tmp_path: Path) -> None:
    text = toml(
        OUTER, raw=(344, 320), image=(320, 320), header={"gain": '["HIERARCH ESO OUT{id} GAIN"]'}
    )
    cards = {"HIERARCH ESO OUT1 GAIN": 2.0, "HIERARCH ESO OUT2 GAIN": 2.0}
    taken = take(Stranger(text, cards, gain=2.0), tmp_path)
    assert_right(taken)
    with pytest.raises(BadInput, match="ESO OUT2 GAIN = 'high'; expected a number"):
        cards["HIERARCH ESO OUT2 GAIN"] = "high"
        take(Stranger(text, cards), tmp_path, name="s2")


def test_an_output_an_extension(tmp_path: Path) -> None:
    text = toml(
        OUTER,
        raw=(344, 320),
        image=(320, 320),
        top={"images": "2"},
        header={"gain": '["EXT{id} GAIN"]'},
        gain=1.0,
    )
    stranger = Stranger(text, gain=2.0, images=2)
    assert_right(take(stranger, tmp_path))
    with pytest.raises(BadInput, match="2 images of one size; expected 4, one an output"):
        rawfile.read(tmp_path / "s1.fits", rawfile.known(Reading(images=4)))
    with rawfile.open_rows(tmp_path / "s1.fits", rawfile.known(Reading(images=2))) as rows:
        assert rows[5:9].shape == (4, 344)
        assert np.array_equal(rows[:][5:9], rows[5:9])
    half = [{"data": '"[13:172,1:320]"', "dest": '"[1:160,1:320]"'}]
    one = Stranger(toml(half, raw=(172, 320), image=(160, 320))).camera(tmp_path)
    with pytest.raises(BadInput, match="say images = their number in the camera's description"):
        describe(tmp_path / "s1.fits", SURVEY, [one])


def test_a_dead_output_in_an_extension_of_its_own(tmp_path: Path) -> None:
    four = [
        {
            "data": f'"[{80 * n + 1}:{80 * n + 80},1:320]"',
            "dest": f'"[{80 * n + 1}:{80 * n + 80},1:320]"',
        }
        for n in range(4)
    ]
    text = toml(four, raw=(320, 320), image=(320, 320), top={"images": "4"})

    def spoil(pixels: Any) -> None:
        pixels[:, 80:160] = 0

    taken = take(Stranger(text, images=4, zero_adu=1000.0), tmp_path, spoil)
    assert taken.made.metrics["n_dead_amplifiers"] == 1


def described(tmp_path: Path, cards: dict[str, Any], **description: Any) -> Any:
    """What ingest says of a frame with these cards."""
    text = toml(STRIP, raw=(330, 320), image=(320, 320), **description)
    stranger = Stranger(text, cards)
    camera = stranger.camera(tmp_path)
    pixels = np.random.default_rng(2).normal(1000, 5, (320, 330))
    return describe(stranger.write(tmp_path, pixels), SURVEY, [camera]).facts


@pytest.mark.parametrize(
    ("ra", "dec", "top"),
    [
        ("14:07:12.0", "+55:06:00", {}),
        ("14 07 12.0", "55 06 00", {}),
        ("14h07m12.0s", "55d06m00s", {}),
        (" 14:07:12", " 55:06:00.00 ", {}),
        (14.12, 55.1, {"ra_unit": '"hours"'}),
        ("14.12", "55.1", {"ra_unit": '"hours"'}),
        ("211.8", "55.1", {}),
        ("211:48:00.0", "+55:06:00", {"ra_unit": '"dms"'}),
        ("211 48 00.0", "55 06 00", {"ra_unit": '"dms"'}),
        (211.8, 55.1, {"ra_unit": '"dms"'}),
        ("14h07m12.0s", "55d06m00s", {"ra_unit": '"dms"'}),
        ("211d48m00s", "55d06m00s", {}),
        ("14:07:12", "55:06:00", {"ra_unit": '"hours"'}),
    ],
)
def test_pointings_in_every_writing(tmp_path: Path, ra: Any, dec: Any, top: dict[str, str]) -> None:
    facts = described(tmp_path, {"RA": ra, "DEC": dec}, top=top)
    assert facts.ra_deg == pytest.approx(211.8, abs=1e-9)
    assert facts.dec_deg == pytest.approx(55.1, abs=1e-9)


@pytest.mark.parametrize(("unit", "ra_deg"), [("deg", 187.5), ("hours", 187.5), ("dms", 12.5)])
def test_degrees_below_24_are_hours_unless_the_camera_says_dms(
    tmp_path: Path, unit: str, ra_deg: float
) -> None:
    cards = {"RA": "12:30:00", "DEC": "+55:06:00"}
    facts = described(tmp_path, cards, top={"ra_unit": f'"{unit}"'})
    assert facts.ra_deg == pytest.approx(ra_deg)


MJD = 57937.9


@pytest.mark.parametrize(
    ("cards", "header"),
    [
        ({"DATE-OBS": "2017-07-03T21:36:00"}, {}),
        ({"DATE-OBS": "2017-07-03T21:36:00.000"}, {}),
        ({"DATE-OBS": "2017-07-03T21:36:00.0000000Z"}, {}),
        ({"DATE-OBS": "2017-07-03 21:36:00"}, {}),
        ({"DATE-OBS": "2017-07-03", "UT": "21:36:00"}, {}),
        ({"DATE-OBS": "2017-07-03", "UT": " 21:36: 0.00"}, {}),
        ({"DATE-OBS": "2017-07-03", "TIME-OBS": "21:36:00.0"}, {}),
        ({"DATE-OBS": "2017-07-03", "UTBEGIN": 21.6}, {"time": '["UTBEGIN"]'}),
        ({"DATE-OBS": None, "MJD-OBS": MJD}, {}),
        ({"DATE-OBS": None, "JD": MJD + 2400000.5}, {"jd": '["JD"]'}),
        ({"DATE-OBS": None, "UTSTART": "2017-07-03T21:36:00"}, {"date": '["UTSTART"]'}),
    ],
)
def test_times_in_every_writing(
    tmp_path: Path, cards: dict[str, Any], header: dict[str, str]
) -> None:
    facts = described(tmp_path, cards, header=header)
    assert facts.mjd_start == pytest.approx(MJD, abs=1e-6)
    assert facts.night == "2017-07-03"


def test_dates_of_the_last_century(tmp_path: Path) -> None:
    facts = described(tmp_path, {"DATE-OBS": "31/12/98", "UT": "21:36:00"})
    assert facts.night == "1998-12-31"


@pytest.mark.parametrize(
    ("longitude", "date", "night"),
    [
        # Noon of the mean sun at 150 deg east is 02:00 UT.
        (150.0, "2017-07-04T01:59:59", "2017-07-03"),
        (150.0, "2017-07-04T02:00:01", "2017-07-04"),
        (-70.0, "2017-07-04T16:39:00", "2017-07-03"),
        (-70.0, "2017-07-04T16:41:00", "2017-07-04"),
    ],
)
def test_a_night_ends_at_local_noon(
    tmp_path: Path, longitude: float, date: str, night: str
) -> None:
    facts = described(tmp_path, {"DATE-OBS": date}, top={"longitude_deg": str(longitude)})
    assert facts.night == night


@pytest.mark.parametrize(
    ("cards", "header"),
    [
        ({"FILTER": None, "HIERARCH FILT NAME": "sdss R'"}, {"filter": '["FILT NAME"]'}),
        ({"FILTER": None, "FILTERS": 48}, {"filter": '["FILTERS"]'}),
        (
            {"FILTER": None, "HIERARCH ESO INS Filt1 NAME": "SDSS r'"},
            {"filter": '["hierarch ESO INS FILT1 NAME"]'},
        ),
        ({"IMAGETYP": None, "OBSTYPE": "Object"}, {"imagetype": '["IMAGETYP", "OBSTYPE"]'}),
        ({"IMAGETYP": "Light Frame"}, {}),
        ({"AIRMASS": None}, {}),
        (
            {"FILTER": None, "FILT1": "Open", "FILT2": "SDSS r'"},
            {"filter": '["FILT1", "FILT2", "FILT3"]'},
        ),
    ],
)  # fmt: skip
def test_cards_of_other_names(
    tmp_path: Path, cards: dict[str, Any], header: dict[str, str]
) -> None:
    facts = described(tmp_path, cards, header=header, top={"open_filters": '["open", "Clear"]'})
    assert (facts.band, facts.obstype, facts.airmass) == ("r", "science", None)


def test_biases_that_cannot_be_of_0_s(tmp_path: Path) -> None:
    cards = {"IMAGETYP": "bias", "EXPTIME": 0.12, "FILTER": None}
    facts = described(tmp_path, cards, top={"bias_exptime_s": "0.2"})
    assert (facts.obstype, facts.exptime_s) == ("bias", 0.12)


def refusal(tmp_path: Path, cards: dict[str, Any], **description: Any) -> str:
    """The sentence."""
    with pytest.raises(BadInput) as caught:
        described(tmp_path, cards, **description)
    said = str(caught.value)
    assert said.count("; ") >= 2
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"DATE-OBS": "2017-07-03"}, "name the card of the time (UT, UTC"),
        ({"DATE-OBS": None}, "or name the card of the date, the MJD or the Julian date"),
        ({"DATE-OBS": None, "MJD-OBS": 57937.0}, "MJD-OBS = 57937.0 is a day without its time"),
        ({"MJD-OBS": 57937.0}, "if the card means something else, take it out"),
        ({"INSTRUME": "Else"}, "or this value among the `instruments` of its description"),
        ({"FILTER": "B"}, "unknown filter FILTER = 'B'; expected one of r"),
        ({"IMAGETYP": "bias", "EXPTIME": 0.12}, "has bias_exptime_s in its description"),
        ({"RA": "14-07-12"}, "RA = '14-07-12'; expected a number"),
        ({"RA": "152:18:00.0"}, "RA = '152:18:00.0' was read in hours"),
        (
            {"RA": "380d00m00s"},
            "ra_unit of the camera's description: RA = '380d00m00s' was read in de",
        ),
        ({"RA": 400.0}, "RA = 400.0 was read in degrees"),
    ],
)
def test_what_to_do_is_said(tmp_path: Path, cards: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, cards)


def test_a_binned_frame_needs_a_description_of_its_own(tmp_path: Path) -> None:
    camera = PLAIN.camera(tmp_path)
    pixels = np.random.default_rng(3).normal(1000, 5, (160, 160))
    path = PLAIN.write(tmp_path, pixels)
    with pytest.raises(BadInput, match="binned 2 x 2: describe that read-out in a TOML of its own"):
        describe(path, SURVEY, [camera])
    half = [{"data": '"[1:160,1:160]"', "dest": '"[1:160,1:160]"'}]
    text = toml(half, raw=(160, 160), image=(160, 160), top={"pixel_scale_arcsec": "1.1"})
    binned = replace(Stranger(text).camera(tmp_path), name="strange2")
    assert describe(path, SURVEY, [camera, binned]).facts.camera == "strange2"


FLOATS = replace(
    STRIPPED,
    text=toml(STRIP, raw=(330, 320), image=(320, 320), top={"float_pixels": "true"}),
    dtype="float32",
)


def test_frames_of_floats_are_refused_unless_the_camera_writes_them(tmp_path: Path) -> None:
    stranger = replace(STRIPPED, dtype="float32")
    with pytest.raises(BadInput, match=r"pixels of type float32.*say float_pixels = true"):
        take(stranger, tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int32"])
def test_frames_of_floats(tmp_path: Path, dtype: str) -> None:
    assert_right(take(replace(FLOATS, dtype=dtype), tmp_path))


def test_pixels_that_are_no_number_are_bad_and_filled(tmp_path: Path) -> None:
    def spoil(pixels: Any) -> None:
        pixels[40, 100:140] = np.nan
        pixels[200:203, 250] = np.inf
        pixels[7, 50] = -np.inf
        pixels[60:90, 2:5] = np.nan  # in the strip

    taken = take(FLOATS, tmp_path, spoil)
    assert_right(taken)
    bad = (taken.made.image.mask & MaskBit.BAD) > 0
    wanted = np.zeros((320, 320), bool)
    wanted[40, 90:130] = wanted[200:203, 240] = wanted[7, 40] = True
    assert np.array_equal(bad, wanted)
    for plane in (taken.made.image.image, taken.made.image.variance):
        assert np.isfinite(plane).all()
    assert np.abs(np.median(taken.made.image.image[bad])) < 60


def test_an_output_that_gives_no_numbers_is_dead(tmp_path: Path) -> None:
    text = toml(OUTER, raw=(344, 320), image=(320, 320), top={"float_pixels": "true"})

    def spoil(pixels: Any) -> None:
        pixels[:, 172:] = np.nan

    taken = take(Stranger(text, dtype="float32"), tmp_path, spoil)
    assert taken.made.metrics["n_dead_amplifiers"] == 1
    assert taken.made.rejections  # half of the pixels are bad
    assert np.isfinite(taken.made.image.image).all()


def test_integers_beyond_16_bits(tmp_path: Path) -> None:
    wide = replace(FLOATS, dtype="uint32", pedestal_adu=90000.0)
    wide = replace(wide, text=wide.text.replace("60000", "900000"))
    assert_right(take(wide, tmp_path))
    with pytest.raises(BadInput, match=r"pixels from 8.* to .*float_pixels = true"):
        take(replace(STRIPPED, dtype="uint32", pedestal_adu=90000.0), tmp_path, name="s2")
