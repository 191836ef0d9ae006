"""Programmes of nights."""

import itertools

import numpy as np
import pytest

from tesela.errors import ConfigError
from tesela.simulate import schedule, settings


def test_a_programme_is_what_was_asked_for():
    night = settings.tiny(
        tiles=0, n_bias=2, n_flat=0, n_dark=3, n_dome=2, ramp_band="gSDSS",
        raster_bands=("rSDSS", "zSDSS"), n_raster=4, fringe_bands=("zSDSS",), n_fringe_fields=7,
    )  # fmt: skip
    plan = schedule.plan(night)
    counted = {}
    for frame in plan:
        key = frame.kind, frame.object.split("-")[0], frame.band
        counted[key] = counted.get(key, 0) + 1
    assert counted == {
        ("dark", "DARK", ""): 3,
        ("dome", "DOMEFLAT", "rSDSS"): 2,
        ("dome", "RAMP", "gSDSS"): 20,
        ("bias", "BIAS", ""): 2,
        ("science", "RASTER", "rSDSS"): 4,
        ("science", "RASTER", "zSDSS"): 4,
        ("science", "BLANK", "zSDSS"): 7,
    }
    names = [frame.name for frame in plan]
    assert names == sorted(set(names))
    assert {frame.night for frame in plan} == {"20170703"}
    assert night.observed == ("gSDSS", "rSDSS", "zSDSS")


def test_frames_do_not_overlap_in_time():
    night = settings.tiny(n_dark=2, n_dome=2, ramp_band="rSDSS", n_bias=3, n_flat=3)
    for a, b in itertools.pairwise(schedule.plan(night)):
        assert (b.start - a.start).total_seconds() >= a.exptime_s + schedule.READOUT_S - 1


def test_a_ramp_has_pairs_over_the_range():
    night = settings.tiny(ramp_band="rSDSS")
    times = [frame.exptime_s for frame in schedule.plan(night) if frame.object == "RAMP"]
    assert {times.count(t) for t in times} == {2}
    assert len(set(times)) == 10
    assert (min(times), max(times)) == (1.5, 58.0)


@pytest.mark.parametrize("n", [9, 15, 25])
def test_a_raster_reaches_a_quarter_of_the_field_on_both_axes(n):
    offsets = np.array(schedule.raster(n))
    assert len({tuple(offset) for offset in offsets}) == n
    np.testing.assert_allclose(np.abs(offsets).max(axis=0), 0.25)
    assert np.linalg.matrix_rank(offsets - offsets.mean(axis=0), tol=0.01) == 2


def test_blank_fields_are_apart():
    night = settings.tiny(fringe_bands=("zSDSS",), n_fringe_fields=15)
    fields = settings.blank_centres(night)
    fields = [*fields, ("RASTER", *settings.raster_centre(night)), *settings.tile_centres(night)]
    width = settings.tile_size_arcsec(night) / 3600
    for (_, ra1, dec1), (_, ra2, dec2) in itertools.combinations(fields, 2):
        east = (ra1 - ra2) * np.cos(np.radians(dec1))
        assert max(abs(east), abs(dec1 - dec2)) > 1.3 * width


def test_fields_are_well_above_the_horizon():
    night = settings.NightSettings(
        raster_bands=("rSDSS",), n_raster=15, fringe_bands=("zSDSS",), n_fringe_fields=15
    )
    for frame in schedule.plan(night):
        if frame.kind == "science":
            assert frame.airmass(-1.0) < 1.7


@pytest.mark.parametrize(
    "wrong",
    [
        {"ramp_band": "V"},
        {"raster_bands": ("V",)},
        {"tiles": 0, "injected_stars": 5},
        {"tiles": 0, "spoiled_wcs": 1},
    ],
)
def test_senseless_programmes_are_refused(wrong):
    with pytest.raises(ConfigError):
        settings.tiny(**wrong)
