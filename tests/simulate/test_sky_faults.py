"""Clouds, refraction and spoiled frames: each in the truth alone."""

from dataclasses import replace

import fitsio
import numpy as np
import pytest

from tesela.bands import filters
from tesela.simulate import clouds, faults, night, refraction, schedule, settings
from tesela.simulate.truth import read_frame

MANY = settings.tiny(tiles=2, n_dither=100, n_bias=0, n_flat=0)


def frames(**changes):
    wanted = replace(MANY, **changes)
    return wanted, schedule.plan(wanted)


def test_gradients_of_clouds_have_no_level_and_every_direction():
    wanted, plan = frames(cloud_gradient_mag=0.004)
    drawn = [clouds.draw(wanted, frame) for frame in plan]
    x, y = np.meshgrid(np.linspace(0, 1151, 9), np.linspace(0, 1153, 9))
    for cloud in drawn:
        lost = cloud.dimming_mag(x, y)
        assert abs(lost.mean()) < 1e-12
        assert 0.003 <= np.hypot(cloud.gradient_x_mag, cloud.gradient_y_mag) <= 0.005
    assert abs(np.mean([cloud.gradient_x_mag for cloud in drawn])) < 0.001


def test_patches_are_in_a_few_frames_and_dim_by_50_mmag():
    wanted, plan = frames(cloud_patch_probability=0.1)
    drawn = [clouds.draw(wanted, frame) for frame in plan]
    patchy = [cloud for cloud in drawn if cloud.patch_mag]
    assert 8 <= len(patchy) <= 36
    cloud = patchy[0]
    assert cloud.dimming_mag(cloud.patch_x, cloud.patch_y) == pytest.approx(0.05)
    assert abs(cloud.dimming_mag(0.0, 0.0)) < 0.03


def test_without_clouds_nothing_is_dimmed():
    wanted, plan = frames()
    assert not clouds.draw(wanted, plan[0]).dimming_mag(np.arange(9.0), np.arange(9.0)).any()


def _colours(slope):
    """(1, 12) magnitudes of a spectrum whose magnitude changes by `slope` from g to i."""
    pivot = np.array([filters.load(name).pivot_A for name in filters.names()])
    return -slope * ((pivot - 4758.0) / (7671.0 - 4758.0))[None, :]


@pytest.mark.parametrize(("band", "low", "high"), [("gSDSS", 30, 80), ("rSDSS", 5, 25)])
def test_blue_stars_are_nearer_to_the_zenith(band, low, high):
    row = filters.names().index(band)
    tangent = np.tan(np.arccos(1 / 1.5))
    red = refraction.towards_zenith_arcsec(_colours(1.8), row, tangent)[0]
    blue = refraction.towards_zenith_arcsec(_colours(0.3), row, tangent)[0]
    assert low < 1e3 * (blue - red) < high


def test_refraction_grows_with_the_zenith_distance_and_not_in_narrow_bands():
    row = filters.names().index("gSDSS")
    one, two = (refraction.towards_zenith_arcsec(_colours(1.0), row, t) for t in (0.5, 1.0))
    np.testing.assert_allclose(two, 2 * one)
    narrow = filters.names().index("J0515")
    assert abs(refraction.towards_zenith_arcsec(_colours(1.8), narrow, 1.0)[0]) < 0.003


def test_the_zenith_is_north_of_what_culminates_south_of_it():
    _, plan = frames(dec_deg=10.0)
    angles = np.array([frame.hour_angle_rad(-1.0) for frame in plan])
    for frame, hour in zip(plan, angles):
        east, north, tangent = frame.zenith(-1.0)
        assert north > 0
        # West of the meridian the zenith lies to the east.
        assert np.sign(east) == np.sign(np.sin(hour))
        assert tangent >= np.tan(np.radians(40.042 - 10.0)) - 1e-3


def test_refraction_moves_stars_along_one_direction(tmp_path):
    plain = settings.tiny(bands=("gSDSS",), n_bias=0, n_flat=0, stars_per_field=200.0)
    bent = replace(plain, refraction=True)
    truths = []
    for name, wanted in (("plain", plain), ("bent", bent)):
        (path,) = night.make(tmp_path / name, wanted)
        truths.append(read_frame(tmp_path / name / "truth" / f"{path.stem}.npz"))
    _, first, second = np.intersect1d(truths[0].id, truths[1].id, return_indices=True)
    dx = truths[1].x[second] - truths[0].x[first]
    dy = truths[1].y[second] - truths[0].y[first]
    spread = np.linalg.svd(np.stack([dx, dy], axis=1), compute_uv=False)
    assert spread[0] > 0
    assert spread[1] < 1e-3 * spread[0]


def test_as_many_frames_are_spoiled_as_asked_and_none_twice():
    wanted, plan = frames(spoiled_wcs=3, spoiled_zeropoint=2)
    displaced = [frame for frame in plan if frame.is_displaced]
    mistimed = [frame for frame in plan if frame.stated_exptime_s != frame.exptime_s]
    assert (len(displaced), len(mistimed)) == (3, 2)
    assert not set(displaced) & set(mistimed)
    for frame in mistimed:
        wrong = -2.5 * np.log10(frame.stated_exptime_s / frame.exptime_s)
        assert abs(wrong) == pytest.approx(0.103, abs=0.002)
    for frame in plan:
        x = np.linspace(0, 1151, 60)
        dx, dy = faults.bump(wanted, frame).at(*np.meshgrid(x, x))
        furthest = np.hypot(dx, dy).max()
        assert furthest == (pytest.approx(0.5, abs=0.01) if frame.is_displaced else 0.0)


def test_spoiled_frames_differ_in_header_and_positions_alone(tmp_path):
    plain = settings.tiny(n_bias=0, n_flat=0, n_dither=2)
    spoiled = replace(plain, spoiled_wcs=1, spoiled_zeropoint=1)
    (one, two), bad = night.make(tmp_path / "a", plain), night.make(tmp_path / "b", spoiled)
    wrong_time = [p for p in bad if fitsio.read_header(str(p))["EXPTIME"] != 40.0]
    assert len(wrong_time) == 1
    for before, after in zip((one, two), bad):
        then = read_frame(tmp_path / "a/truth" / f"{before.stem}.npz")
        now = read_frame(tmp_path / "b/truth" / f"{after.stem}.npz")
        assert now.exptime_s == then.exptime_s == 40.0
        np.testing.assert_array_equal(now.flux_e, then.flux_e)
        moved = np.hypot(now.x - then.x, now.y - then.y)
        if after in wrong_time:
            assert now.stated_exptime_s == fitsio.read_header(str(after))["EXPTIME"]
            np.testing.assert_array_equal(fitsio.read(str(before)), fitsio.read(str(after)))
            assert not moved.any()
        else:
            assert moved.any()
            assert (moved <= 0.5).all()
