"""Laws of calibration frames: ramps, dome flats, darks, and stars that see no stray light."""

from dataclasses import replace

import numpy as np
import pytest

from tesela.simulate import detector, flats, night, schedule, settings, structure
from tesela.simulate.truth import read_frame

from .images import aperture, electrons


@pytest.fixture(scope="module")
def ramp(tmp_path_factory):
    """Exposures of a ramp with amplifiers that are far from linear, each with its image."""
    wanted = settings.tiny(
        tiles=0, n_bias=0, n_flat=0, ramp_band="rSDSS", nonlinearity=0.015, crosstalk_max=0.0
    )
    paths = night.make(tmp_path_factory.mktemp("ramp"), wanted)
    return wanted, [(e, electrons(path, wanted)) for e, path in zip(schedule.plan(wanted), paths)][
        :10
    ]


def test_a_ramp_is_linear_in_truth(ramp):
    wanted, frames = ramp
    rates = [flats.dome_level_e(e, wanted) / e.exptime_s for e, _ in frames]
    np.testing.assert_allclose(rates, np.mean(rates), rtol=0.0021)
    assert np.ptp(rates) > 0


def test_a_ramp_is_not_linear_in_adu_and_as_stated(ramp):
    wanted, frames = ramp
    unit = detector.build(wanted)
    gray = detector.response(wanted, "rSDSS") * detector.stray_light(wanted, "rSDSS")
    gray = gray * detector.pixel_area(wanted) * detector.lamp(wanted)
    for k, amp in enumerate(unit.camera.amplifiers):
        part = amp.dest.slices
        true = np.array([flats.dome_level_e(e, wanted) for e, _ in frames]) / unit.gain[k]
        adu = np.array([np.median(image[part] / gray[part]) for _, image in frames]) / unit.gain[k]
        a, b = unit.nonlinearity[k]
        # The grey level bends with the pixels' own: the median pixel is near one.
        expected = 1 - a * true / 60000 - b * (true / 60000) ** 2
        np.testing.assert_allclose(adu[2:] / true[2:], expected[2:], atol=0.0015)
        assert abs(adu[-1] / true[-1] - 1) > 0.002


def lamp_rates(**changes):
    """Stated exposure times of a ramp, and the light of each over that without the changes."""
    plain = settings.tiny(tiles=0, n_bias=0, n_flat=0, ramp_band="rSDSS")
    spoilt = replace(plain, **changes)
    frames = schedule.plan(plain)
    light = [flats.dome_level_e(e, spoilt) / flats.dome_level_e(e, plain) for e in frames]
    return np.array([e.exptime_s for e in frames]), np.array(light)


def test_a_shutter_that_closes_late_adds_the_same_to_each_exposure():
    times, light = lamp_rates(shutter_offset_s=0.004)
    np.testing.assert_allclose((light - 1) * times, 0.004, rtol=1e-9)


def test_a_lamp_that_drifts_changes_slowly_and_by_little():
    _, light = lamp_rates(lamp_drift=0.003)
    assert np.abs(light - 1).max() <= 0.003
    assert 1e-4 < np.ptp(light) < 0.003
    assert np.abs(np.diff(light)).max() < 0.3 * np.ptp(light)


def test_the_level_of_a_flat_is_known_without_drawing_it(tmp_path):
    wanted = settings.tiny(tiles=0, n_bias=0, n_flat=2, n_dome=1)
    gray = detector.response(wanted, "rSDSS") * detector.stray_light(wanted, "rSDSS")
    for exposure, path in zip(schedule.plan(wanted), night.make(tmp_path, wanted)):
        level = np.median(electrons(path, wanted) / gray)
        crosstalk = 1 + detector.build(wanted).crosstalk.sum(axis=1).mean()
        assert level / crosstalk == pytest.approx(flats.level_e(exposure, wanted), rel=0.01)


def test_twilight_is_brighter_on_one_side_every_evening(monkeypatch):
    """The side is the sun's, in every frame and night; the amount is up to what is stated."""
    monkeypatch.setattr(flats, "RANDOM_GRADIENT", 0.0)
    monkeypatch.setattr(flats, "gauss", lambda expected, rng: expected)
    wanted = settings.tiny(tiles=0, n_bias=0, n_flat=3, twilight_gradient=0.04)
    slopes = []
    for evening in (wanted, replace(wanted, date="2017-07-09")):
        for exposure in schedule.plan(evening):
            lit = flats.sky_flat(exposure, evening, np.random.default_rng(1))
            even = replace(evening, twilight_gradient=0.0)
            ratio = lit / flats.sky_flat(exposure, even, np.random.default_rng(1))
            ny, nx = (n // 2 for n in ratio.shape)
            slopes.append((ratio[ny, -1] - ratio[ny, 0], ratio[-1, nx] - ratio[0, nx]))
    amounts = np.hypot(*np.transpose(slopes))
    assert 0.01 < amounts.max() <= 0.0401 and np.ptp(amounts) > 0.005
    angles = np.arctan2(*np.transpose(slopes))
    assert np.ptp(angles) < 0.02


def test_flats_of_the_dome_have_no_stars_and_the_lamp_s_own_light(tmp_path):
    wanted = settings.tiny(tiles=0, n_bias=0, n_flat=0, n_dome=1)
    (path,) = night.make(tmp_path, wanted)
    image = electrons(path, wanted)
    sky = detector.response(wanted, "rSDSS") * detector.stray_light(wanted, "rSDSS")
    ratio = image / (sky * detector.pixel_area(wanted))
    blocks = ratio[: 32 * 36, : 32 * 36].reshape(36, 32, 36, 32)
    levels = np.median(blocks, axis=(1, 3))
    assert 0.015 < np.ptp(levels / np.median(levels)) < 0.05
    lamp = detector.lamp(wanted)[: 32 * 36, : 32 * 36].reshape(36, 32, 36, 32).mean(axis=(1, 3))
    assert np.std(levels / lamp / np.median(levels / lamp)) < 0.004


def test_darks_hold_the_dark_current(tmp_path):
    wanted = settings.tiny(
        tiles=0, n_bias=0, n_flat=0, n_dark=1, dark_exptime_s=900.0, dark_e_per_s=0.02,
        cosmic_rays_per_cm2_s=0.0, crosstalk_max=0.0,
    )  # fmt: skip
    (path,) = night.make(tmp_path, wanted)
    unit = detector.build(wanted)
    gain = np.zeros(unit.camera.shape)
    for k, amp in enumerate(unit.camera.amplifiers):
        gain[amp.dest.slices] = unit.gain[k]
    charge = electrons(path, wanted) - structure.bias_image(wanted) * gain
    expected = structure.dark_current(wanted) * (900.0 + detector.HOT_READOUT_S)

    def blocks(image):
        return np.median(image[: 64 * 18, : 64 * 18].reshape(18, 64, 18, 64), axis=(1, 3))

    np.testing.assert_allclose(blocks(charge), blocks(expected), atol=1.0, rtol=0.05)
    hot = charge[unit.hot_y, unit.hot_x] > 0.7 * unit.hot_e_per_s * 900.0
    assert hot.mean() > 0.98


def test_the_structure_of_the_bias_is_what_biases_have_in_common(tmp_path):
    wanted = settings.tiny(tiles=0, n_bias=6, n_flat=0, cosmic_rays_per_cm2_s=0.0)
    unit = detector.build(wanted)
    images = [electrons(path, wanted) for path in night.make(tmp_path, wanted)]
    mean = np.median(images, axis=0)
    for k, amp in enumerate(unit.camera.amplifiers):
        part = (mean / unit.gain[k] - structure.bias_image(wanted))[amp.dest.slices]
        assert abs(np.median(part)) < 0.3
        columns = np.median(part, axis=0)
        # A hot column is no part of it: the scatter of the rest is what noise leaves.
        assert 1.4826 * np.median(np.abs(columns - np.median(columns))) < 0.15


def test_stars_do_not_see_stray_light_and_come_out_faint_where_it_is(tmp_path):
    """The sign of the illumination correction: m_inst - m_true = +2.5 log10 S after the flat."""
    wanted = settings.tiny(
        stars_per_field=900.0, star_limit_mag=17.5, galaxies_per_field=0.0, n_bias=0, n_flat=0,
        n_dither=2, stray_light=0.4, stray_by_epoch=True, trail_probability=0.0,
        distortion_corner_px=0.0, cosmic_rays_per_cm2_s=0.05,
    )  # fmt: skip
    light = detector.stray_light(wanted, "rSDSS")
    assert np.ptp(light) > 0.25
    fluxes, factors = [], []
    for path in night.make(tmp_path, wanted):
        truth = read_frame(tmp_path / "truth" / f"{path.stem}.npz")
        image = electrons(path, wanted) / (detector.response(wanted, "rSDSS") * light)
        spoilt = truth.mask("saturated") | truth.mask("cosmic")
        for x, y, flux in zip(truth.x, truth.y, truth.flux_e):
            if not (30 < x < 1120 and 30 < y < 1120) or flux < 5e4:
                continue
            near = np.hypot(truth.x - x, truth.y - y) < 25
            box = np.s_[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13]
            if not spoilt[box].any() and truth.flux_e[near].sum() < 1.01 * flux:
                fluxes.append(aperture(image, x, y, 10.0) / flux)
                factors.append(light[round(y), round(x)])
    assert len(fluxes) > 40
    magnitudes, truth = -2.5 * np.log10(fluxes), 2.5 * np.log10(factors)
    slope = np.polyfit(truth, magnitudes - np.median(magnitudes), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.1)


def test_the_sky_does_see_stray_light():
    bright = settings.tiny(stray_light=0.04)
    dull = replace(bright, stray_light=0.0)
    ratio = flats.sky(bright, "rSDSS", 100.0, np.zeros(2)) / flats.sky(
        dull, "rSDSS", 100.0, np.zeros(2)
    )
    np.testing.assert_allclose(ratio, detector.stray_light(bright, "rSDSS"), rtol=1e-6)
