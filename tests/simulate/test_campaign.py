"""Several nights: one sky, one camera, epochs, and the survey that goes with them."""

import hashlib
import itertools
from dataclasses import fields, replace

import fitsio
import numpy as np
import pytest

from tesela import config
from tesela.errors import ConfigError
from tesela.simulate import campaign, detector, night, schedule, settings, survey, universe
from tesela.simulate.truth import read_frame

FIRST = settings.tiny(
    tiles=0, n_flat=1, raster_bands=("rSDSS",), n_raster=2, fringe_bands=("zSDSS",),
    n_fringe_fields=2, stars_per_field=15.0, galaxies_per_field=5.0, **campaign.REAL,
)  # fmt: skip
SECOND = replace(FIRST, date="2017-07-20", epoch=1, fringe_bands=(), n_fringe_fields=0, n_dome=1)
NIGHTS = [FIRST, SECOND]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    return folder, night.make(folder, NIGHTS)


def _digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_nights_have_the_same_bytes_whatever_the_workers_and_the_order(made, tmp_path):
    night.make(tmp_path, NIGHTS[::-1], workers=2)
    assert _digests(tmp_path) == _digests(made[0])


def test_every_frame_of_every_night_is_there(made):
    folder, paths = made
    plans = [schedule.plan(wanted) for wanted in NIGHTS]
    assert [p.stem for p in paths] == [e.name for plan in plans for e in plan]
    truths = {p.stem for p in (folder / "truth").glob("*.npz")} - {"camera"}
    assert truths == {e.name for plan in plans for e in plan if e.kind == "science"}
    kinds = {fitsio.read_header(str(p))["IMAGETYP"].strip() for p in paths}
    assert kinds == {"BIAS", "SKYFLAT", "DOMEFLAT", "OBJECT"}


def test_settings_come_back_from_the_truth(made):
    assert night.read_settings(made[0] / "truth") == tuple(NIGHTS)


def test_one_sky_holds_every_field(made):
    folder, paths = made
    for path in paths:
        truth = folder / "truth" / f"{path.stem}.npz"
        if truth.exists():
            seen = read_frame(truth)
            assert seen.id.size > 5
            # All over the frame: the patch reaches beyond its edges.
            assert np.ptp(seen.x) > 0.5 * seen.shape[1]
            assert seen.epoch == int("0720T" in path.name)


def test_the_sky_does_not_depend_on_the_programme_of_other_fields():
    tile = settings.tiny()
    alone = universe.make(tile)
    more = universe.make(replace(tile, raster_bands=("rSDSS",), n_raster=3))
    n = alone.id.size
    assert more.id.size > n
    np.testing.assert_array_equal(more.ra[:n], alone.ra)
    np.testing.assert_array_equal(more.mag[:n], alone.mag)
    assert np.array_equal(more.id, np.arange(more.id.size))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 5}, "another seed"),
        ({"stray_light": 0.01}, "another stray_light"),
        ({"ra_deg": 10.0}, "another ra_deg"),
        ({"date": "2017-07-03"}, "two nights of 2017-07-03"),
    ],
)
def test_nights_of_another_sky_or_camera_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        settings.campaign_of([FIRST, replace(SECOND, **change)])


def test_no_night_is_refused():
    with pytest.raises(ConfigError, match="no night"):
        settings.campaign_of([])


def test_what_a_camera_needs_does_not_know_the_night():
    assert settings.of_camera(FIRST) == settings.of_camera(SECOND)
    known = {field.name for field in fields(settings.NightSettings)}
    assert known > settings.OF_A_NIGHT


@pytest.mark.parametrize("nights", [campaign.calibration(), campaign.blind(), campaign.month()])
def test_presets_can_be_made_and_their_survey_is_understood(nights, tmp_path):
    assert settings.campaign_of(nights) == tuple(nights)
    for wanted in nights:
        plan = schedule.plan(wanted)
        assert {e.night for e in plan} == {wanted.date.replace("-", "")}
    (tmp_path / "survey.toml").write_text(survey.survey_toml(nights))
    read = config.load_survey(tmp_path / "survey.toml")
    assert set(read.filters) == set(settings.bands_of(nights))


def test_the_calibration_campaign_has_what_each_kind_of_master_needs():
    nights = campaign.calibration()
    frames = [(wanted.epoch, e) for wanted in nights for e in schedule.plan(wanted)]

    def count(epoch, kind, obj="", band=""):
        return sum(
            ep == epoch and e.kind == kind and obj in e.object and band in e.band
            for ep, e in frames
        )

    for epoch in (0, 1):
        assert count(epoch, "bias") >= 10
        assert count(epoch, "flat", band="rSDSS") >= 10
        assert count(epoch, "flat", band="zSDSS") >= 10
        assert count(epoch, "science", "RASTER", "rSDSS") == 15
    assert count(0, "dark") == 10
    assert count(0, "dome", "RAMP", "rSDSS") == 20
    assert count(0, "science", "RASTER", "zSDSS") == 9
    assert count(0, "science", "BLANK", "zSDSS") == 15
    maps = [detector.stray_light(wanted, "rSDSS") for wanted in (nights[0], nights[2])]
    assert np.std(np.log(maps[0] / maps[1])) > 0.003


def test_a_month_is_quiet_until_a_fault():
    nights = campaign.month(nights=9, fault_from=6, faults={"gain_drift": (5, 1.01)})
    assert [wanted.gain_drift[0] for wanted in nights] == [0] * 5 + [5] * 4
    for a, b in itertools.pairwise(campaign.month()[1:]):
        assert replace(a, date=b.date) == b


def test_the_survey_of_a_plain_night_says_nothing_of_campaigns():
    text = survey.survey_toml(settings.demo())
    for word in ("interventions", "illumination", "fringe", "RASTER"):
        assert word not in text
    assert "minimum = { BIAS = 3, FLAT = 3 }\nwanted = { BIAS = 10, FLAT = 5 }\n\n[steps" in text


def test_the_survey_of_a_campaign_names_interventions_and_frames(tmp_path):
    (tmp_path / "survey.toml").write_text(survey.survey_toml(NIGHTS))
    calibration = config.load_survey(tmp_path / "survey.toml").calibration
    assert [(i.at, i.what) for i in calibration.interventions] == [("2017-07-20", "baffle")]
    assert calibration.illumination.bands == ("rSDSS",)
    assert calibration.illumination.objects == ("RASTER",)
    assert calibration.fringe.bands == ("zSDSS",)
    assert calibration.fringe.objects == ("BLANK-*",)
    assert calibration.pattern.bands == ()


@pytest.mark.parametrize(
    "name",
    [
        "warm_fraction", "overscan_offset_adu", "twilight_gradient", "lamp_drift",
        "shutter_offset_s",
    ],
)  # fmt: skip
def test_campaigns_are_near_the_limits_and_the_demonstration_is_not(name):
    for nights in (campaign.calibration(), campaign.blind(), campaign.month()):
        assert all(getattr(wanted, name) > 0 for wanted in nights)
    assert all(getattr(wanted, name) == 0 for wanted in campaign.demonstration())
