"""What the camera adds to light, and what it gives without any."""

from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import ConfigError
from tesela.simulate import detector, readout, settings, structure
from tesela.simulate.streams import stream

NIGHT = settings.tiny(stray_light=0.04, stray_by_epoch=True)


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("band", ["rSDSS", "zSDSS"])
def test_stray_light_is_a_few_percent_around_nothing(epoch, band):
    light = detector.stray_light(replace(NIGHT, epoch=epoch), band)
    logs = np.log(light, dtype=np.float64)
    assert light.dtype == np.float32
    assert abs(logs.mean()) < 1e-6
    assert 0.03 <= np.ptp(logs) <= 0.0601


def test_stray_light_is_of_its_epoch_and_band_not_of_the_night():
    one = detector.stray_light(NIGHT, "rSDSS")
    np.testing.assert_array_equal(
        one, detector.stray_light(replace(NIGHT, date="2017-08-01", n_bias=7), "rSDSS")
    )
    for other in (
        detector.stray_light(replace(NIGHT, epoch=1), "rSDSS"),
        detector.stray_light(NIGHT, "zSDSS"),
        detector.stray_light(replace(NIGHT, seed=3), "rSDSS"),
    ):
        assert np.std(other / one) > 0.003


def test_stray_light_has_a_side():
    """Left and right, or below and above, differ: a fit without a plane cannot follow it."""
    image = np.log(detector.stray_light(NIGHT, "rSDSS"))
    ny, nx = image.shape
    across = image[:, nx // 2 :].mean() - image[:, : nx // 2].mean()
    along = image[ny // 2 :].mean() - image[: ny // 2].mean()
    assert np.hypot(across, along) > 0.002


def test_the_default_is_a_bump_in_the_middle_in_every_epoch():
    demo = settings.tiny()
    light = detector.stray_light(demo, "rSDSS")
    np.testing.assert_allclose(light, light[::-1, ::-1], atol=1e-6)
    assert np.ptp(light) == pytest.approx(0.02, rel=0.05)
    assert abs(np.log(light, dtype=np.float64).mean()) < 1e-6
    np.testing.assert_array_equal(light, detector.stray_light(replace(demo, epoch=1), "zSDSS"))


def test_without_stray_light_only_the_areas_of_pixels_are_left():
    none = replace(NIGHT, stray_light=0.0)
    assert (detector.stray_light(none, "rSDSS") == 1).all()
    truth = detector.illumination_mag(none, "rSDSS")
    assert abs(truth.mean()) < 1e-6
    # The corner's pixels are larger on the sky by four times the relative swelling there.
    swelling = none.distortion_corner_px / (0.5 * np.hypot(*truth.shape))
    corner = truth[0, 0] - truth[truth.shape[0] // 2, truth.shape[1] // 2]
    assert corner == pytest.approx(2.5 * np.log10(1 + 4 * swelling), rel=0.02)


def test_a_drifting_gain_is_not_in_the_header():
    drifted = detector.build(replace(NIGHT, gain_drift=(5, 1.01)))
    sound = detector.build(NIGHT)
    np.testing.assert_allclose(
        drifted.gain / sound.gain, np.where(np.arange(16) == 4, 1.01, 1.0), rtol=1e-12
    )
    np.testing.assert_array_equal(drifted.header_gain, sound.header_gain)


def test_an_amplifier_that_is_not_there_cannot_drift():
    with pytest.raises(ConfigError, match="amplifier 17"):
        detector.build(replace(NIGHT, gain_drift=(17, 1.01)))


def test_new_dust_changes_nothing_elsewhere():
    clean = detector.response(NIGHT, "rSDSS")
    dusty = detector.response(replace(NIGHT, dust=((0.5, 0.25, 40.0, 0.03),)), "rSDSS")
    y, x = np.ogrid[: clean.shape[0], : clean.shape[1]]
    r = np.hypot(x - 0.5 * clean.shape[1], y - 0.25 * clean.shape[0])
    ratio = dusty / clean
    np.testing.assert_allclose(ratio[r > 55], 1.0, atol=1e-4)
    assert np.median(ratio[(r > 22) & (r < 34)]) == pytest.approx(0.97, abs=0.002)


def test_cold_pixels_are_cold_and_singular():
    cold = replace(NIGHT, cold_fraction=5e-5)
    unit = detector.build(cold)
    ratio = detector.response(cold, "rSDSS") / detector.response(NIGHT, "rSDSS")
    assert unit.cold_y.size == round(5e-5 * ratio.size)
    assert (ratio[unit.cold_y, unit.cold_x] < 0.81).all()
    assert np.count_nonzero(ratio < 0.99) == unit.cold_y.size


def test_cold_pixels_may_be_nearly_as_good_as_others():
    hard = replace(NIGHT, cold_fraction=2e-4, cold_brightest=0.95)
    cold = detector.build(hard).cold_response
    assert cold.min() < 0.2 and 0.93 < cold.max() <= 0.95
    assert 0.02 < np.mean(cold > 0.9) < 0.12


def test_warm_pixels_join_the_hot_ones():
    warm, plain = detector.build(replace(NIGHT, warm_fraction=2e-4)), detector.build(NIGHT)
    n = plain.hot_y.size
    np.testing.assert_array_equal(warm.hot_e_per_s[:n], plain.hot_e_per_s)
    added = warm.hot_e_per_s[n:]
    assert added.size == warm.hot_x.size - n == round(2e-4 * np.prod(plain.camera.shape))
    assert added.min() >= 0.1 and added.max() <= 10.0
    assert np.median(added) == pytest.approx(1.0, rel=0.4)


def test_the_overscan_is_off_its_data_and_the_bias_holds_that():
    """Data less its overscan is the structure of the bias, in every amplifier and row."""
    night = replace(NIGHT, overscan_offset_adu=20.0, crosstalk_max=0.0)
    unit = detector.build(night)
    true = structure.bias_image(night)
    raw = readout.read_out(np.zeros(unit.camera.shape, np.float32), unit, stream(1, "x"))
    offsets = []
    for amp in unit.camera.amplifiers:
        level = np.median(raw[amp.overscan.slices].astype(float), axis=1)
        away = np.median(raw[amp.data.slices] - level[:, None] - true[amp.dest.slices], axis=1)
        assert abs(away.mean()) < 0.2
        assert abs(np.polyfit(np.linspace(0, 1, away.size), away, 1)[0]) < 0.5
        part = true[amp.dest.slices]
        offsets.append((np.median(part), np.median(part[-20:]) - np.median(part[:20])))
    sizes = np.abs(offsets)
    assert (sizes[:, 0] > 5).all() and (sizes[:, 0] < 32).all()
    assert sizes[:, 1].max() > 5


def test_dark_current_glows_at_an_edge_and_doubles_when_warm():
    dark = structure.dark_current(replace(NIGHT, dark_e_per_s=0.0008))
    assert np.median(dark) == pytest.approx(0.0008, rel=0.2)
    edge = max(dark[:, :20].mean(), dark[:, -20:].mean())
    assert edge > 8 * np.median(dark)
    warm = structure.dark_current(replace(NIGHT, dark_e_per_s=0.0008, temperature_offset=6.0))
    np.testing.assert_allclose(warm, 2 * dark, rtol=1e-6)


def test_fringes_have_no_level_and_are_alike_in_all_bands():
    z, i = detector.fringes(NIGHT, "zSDSS"), detector.fringes(NIGHT, "J0861")
    for pattern in (z, i):
        assert abs(pattern.mean()) < 1e-4
        assert 0.5 < pattern.std() < 1.2
    assert 0.1 < np.corrcoef(z.ravel(), i.ravel())[0, 1] < 0.99


def test_the_lamp_is_not_the_sky():
    light = detector.lamp(NIGHT)
    assert light.mean() == pytest.approx(1.0, abs=1e-5)
    assert 0.02 < np.ptp(light) < 0.04


def test_amplifiers_that_are_not_linear_lose_what_is_stated():
    night = replace(NIGHT, nonlinearity=0.015, crosstalk_max=0.0)
    unit = detector.build(night)
    assert (np.abs(unit.nonlinearity[:, 0]) <= 0.015).all()
    assert (np.abs(unit.nonlinearity[:, 0]) >= 0.004).all()
    straight = replace(unit, nonlinearity=np.zeros((16, 2)))
    level = np.full(unit.camera.shape, 45000.0, np.float32)
    bent = readout.read_out(level, unit, stream(1, "x")).astype(float)
    true = readout.read_out(level, straight, stream(1, "x")).astype(float)
    for k, amp in enumerate(unit.camera.amplifiers):
        adu = 45000.0 / unit.gain[k]
        a, b = unit.nonlinearity[k]
        lost = adu * (a * adu / 60000 + b * (adu / 60000) ** 2)
        assert np.median((true - bent)[amp.data.slices]) == pytest.approx(lost, abs=1.0)


def test_all_is_off_by_default():
    assert not detector.build(settings.demo()).nonlinearity.any()
    assert not detector.build(settings.demo()).cold_y.size
    assert not structure.dark_current(settings.demo()).any()
    assert not detector.build(settings.demo()).overscan_adu.any()
    assert settings.demo().warm_fraction == settings.demo().twilight_gradient == 0
    assert settings.demo().lamp_drift == settings.demo().shutter_offset_s == 0
