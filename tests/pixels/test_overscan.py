"""The overscan gives back the level and the noise that were put in."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import overscan

ROWS, DATA, STRIP = 400, 60, 24
SECTIONS = np.array([[0, DATA, 0, ROWS], [DATA + 2 * STRIP, 2 * DATA + 2 * STRIP, 0, ROWS]])
# The second amplifier is mirrored: its overscan comes before its image.
STRIPS = np.array([[DATA, DATA + STRIP, 0, ROWS], [DATA + STRIP, DATA + 2 * STRIP, 0, ROWS]])


def frame(levels, noise=4.0, sky=2000.0, seed=1):
    rng = np.random.default_rng(seed)
    pixels = np.empty((ROWS, 2 * (DATA + STRIP)))
    for (x0, x1), level in zip(((0, DATA + STRIP), (DATA + STRIP, pixels.shape[1])), levels):
        pixels[:, x0:x1] = np.broadcast_to(level, (ROWS,))[:, None]
    pixels += rng.normal(0, noise, pixels.shape)
    for x0, x1, y0, y1 in SECTIONS:
        pixels[y0:y1, x0:x1] += sky
    return np.rint(pixels).astype(np.uint16)


def test_level_and_noise_of_each_amplifier():
    found = overscan.measure(frame((1000.0, 2050.0)), STRIPS, SECTIONS)
    assert found.level.shape == (2, ROWS)
    assert found.level.dtype == found.noise_adu.dtype == np.float32
    assert np.abs(found.level.mean(axis=1) - [1000, 2050]).max() < 0.1
    assert np.abs(found.noise_adu / 4.0 - 1).max() < 0.03


def test_noise_added_is_below_a_tenth_of_the_read_noise_at_every_row():
    errors = []
    for seed in range(20):
        found = overscan.measure(frame((1000.0, 1000.0), seed=seed), STRIPS, SECTIONS)
        errors.append(found.level - 1000)
    assert np.sqrt(np.mean(np.square(errors), axis=(0, 1))).max() < 0.12 * 4.0
    assert np.std(errors) < 0.06 * 4.0


def test_a_constant_moves_the_level_by_itself():
    raw = frame((1000.0, 1200.0))
    before = overscan.measure(raw, STRIPS, SECTIONS)
    after = overscan.measure(raw + np.uint16(137), STRIPS, SECTIONS)
    assert np.allclose(after.level - before.level, 137, atol=1e-3)
    assert np.allclose(after.noise_adu, before.noise_adu)


def test_a_drift_is_followed_to_both_ends():
    drift = 1000 + 30 * np.linspace(0, 1, ROWS) ** 2
    found = overscan.measure(frame((drift, drift)), STRIPS, SECTIONS)
    assert np.abs(found.level - drift).max() < 1.2  # 0.3 read noises, at the worst of 800 rows
    assert abs(np.mean(found.level[:, -5:] - drift[-5:])) < 0.5


def test_charge_trailing_into_the_first_column_is_left_out_on_either_side():
    raw = frame((1000.0, 1000.0))
    clean = overscan.measure(raw, STRIPS, SECTIONS)
    raw[:, DATA] += 500
    raw[:, DATA + 2 * STRIP - 1] += 500
    assert np.array_equal(overscan.measure(raw, STRIPS, SECTIONS).level, clean.level)


def test_bad_columns_bright_pixels_and_wild_rows_do_not_matter():
    raw = frame((1000.0, 1000.0))
    raw[:, DATA + 7] += 60
    raw[50:55, DATA + 12 : DATA + 15] = 60000
    raw[200, DATA : DATA + STRIP] += 300
    found = overscan.measure(raw, STRIPS, SECTIONS)
    assert np.abs(found.level[0] - 1000).max() < 1.5
    assert abs(found.noise_adu[0] / 4.0 - 1) < 0.05


def test_camera_without_overscan_has_level_zero_and_no_noise():
    none = np.zeros((2, 4), dtype=int)
    found = overscan.measure(frame((1000.0, 1000.0)), none, SECTIONS)
    assert not found.level.any()
    assert found.level.shape == (2, ROWS)
    assert np.isnan(found.noise_adu).all()


def test_noise_below_one_adu_is_measured_in_spite_of_the_digitisation():
    found = overscan.measure(frame((1000.3, 1000.3), noise=0.6), STRIPS, SECTIONS)
    expected = np.hypot(0.6, 12**-0.5)
    assert np.abs(found.noise_adu / expected - 1).max() < 0.05
    assert np.abs(found.level.mean(axis=1) - 1000.3).max() < 0.05


def test_rows_beyond_the_strip_take_the_nearest_level_and_short_strips_work():
    strips = STRIPS.copy()
    strips[:, 2:] = 10, 390
    found = overscan.measure(frame((1000.0, 1000.0)), strips, SECTIONS)
    assert np.all(found.level[:, :10] == found.level[:, 10:11])
    assert np.all(found.level[:, 390:] == found.level[:, 389:390])
    strips[:, 2:] = 0, 2
    assert np.isfinite(overscan.measure(frame((1000.0, 1000.0)), strips, SECTIONS).level).all()


def test_strip_of_one_column_still_gives_a_level():
    strips = STRIPS.copy()
    strips[0, 1] = strips[0, 0] + 1
    found = overscan.measure(frame((1000.0, 1000.0)), strips, SECTIONS)
    assert abs(found.level[0].mean() - 1000) < 1


def test_strip_over_the_image_or_missing_is_refused():
    with pytest.raises(BadInput, match="overlap"):
        overscan.measure(frame((1000.0, 1000.0)), SECTIONS, SECTIONS)
    with pytest.raises(BadInput, match="each amplifier"):
        overscan.measure(frame((1000.0, 1000.0)), STRIPS[:1], SECTIONS)


def test_a_strip_above_the_data_gives_one_level_where_there_is_no_other(rng):
    raw = np.rint(rng.normal(900, 3, (220, 100))).astype(np.uint16)
    raw[:200] += 400
    raw[200] += 30  # charge that the image left behind
    raw[:, 50:] += 25
    data = [[0, 50, 0, 200], [50, 100, 0, 200]]
    none, above = [[0, 0, 0, 200]] * 2, [[0, 50, 200, 220], [50, 100, 200, 220]]
    found = overscan.measure(raw, none, data, parallel=above)
    assert np.allclose(found.level[0], 900, atol=0.3)
    assert np.allclose(found.level[1], 925, atol=0.3)
    assert np.allclose(found.noise_adu, 3, rtol=0.1)
    assert np.ptp(found.level, axis=1).tolist() == [0, 0]
    # A strip below works as well, and one beside the data is preferred.
    below = overscan.measure(raw[::-1].copy(), none, [[0, 50, 20, 220]] * 2,
                             parallel=[[0, 50, 0, 20]] * 2)  # fmt: skip
    assert np.allclose(below.level, 900, atol=0.3)
    beside = overscan.measure(raw, [[50, 60, 0, 200]], [[0, 50, 0, 200]], parallel=above[:1])
    assert np.allclose(np.median(beside.level), 1325, atol=1)
