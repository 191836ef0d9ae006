"""Photon transfer: the gain that made the noise comes back, with its error."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import phototransfer

SHAPE = (128, 512)
SECTIONS = np.array([[0, 256, 0, 128], [256, 512, 0, 128]])
GAIN = np.array([0.95, 1.40])
NOISE_ADU = np.array([3.6, 4.0])
RNG_PRNU = np.random.default_rng(5)
RESPONSE = (1 + 0.01 * RNG_PRNU.standard_normal(SHAPE)) * np.linspace(0.95, 1.05, 512)


def flat(rng: np.random.Generator, electrons: float, gain: np.ndarray = GAIN, tilt: float = 0.0):
    """A flat in ADU above zero."""
    per_pixel = np.repeat(gain, 256)
    light = electrons * RESPONSE * (1 + np.linspace(-tilt, tilt, SHAPE[0]))[:, None]
    noise = np.repeat(NOISE_ADU, 256) * rng.standard_normal(SHAPE)
    return (rng.poisson(light) / per_pixel + noise).astype(np.float32)


def test_the_gain_comes_back_within_its_error(rng) -> None:
    for low, high in ((20000.0, 20000.0), (30000.0, 18000.0), (600.0, 500.0)):
        found = phototransfer.pair(flat(rng, low), flat(rng, high), SECTIONS, NOISE_ADU)
        error = found.gain * found.error / found.variance
        assert np.all(error < 0.02 * GAIN)
        assert np.all(np.abs(found.gain - GAIN) < 4 * error)


def test_errors_are_honest(rng) -> None:
    pull = []
    for _ in range(30):
        gain, error = phototransfer.gains(
            [flat(rng, 15000) for _ in range(4)], [15000] * 4, SECTIONS, NOISE_ADU
        )
        pull.extend((gain - GAIN) / error)
    assert 0.75 < np.std(pull) < 1.3
    assert abs(np.mean(pull)) < 0.5


def test_one_percent_of_one_amplifier_shows(rng) -> None:
    """Ten flats of an eighth of the columns of the real detector already tell it at 3 sigma."""
    drifted = GAIN * [1.0, 1.01]
    before = phototransfer.gains(
        [flat(rng, 22000) for _ in range(20)], [22000] * 20, SECTIONS, NOISE_ADU
    )
    after = phototransfer.gains(
        [flat(rng, 22000, drifted) for _ in range(20)], [22000] * 20, SECTIONS, NOISE_ADU
    )
    change = after[0] / before[0] - 1
    error = np.hypot(after[1] / after[0], before[1] / before[0])
    assert np.all(error < 0.0035)
    assert change[1] / error[1] > 2
    assert change == pytest.approx([0, 0.01], abs=3 * error.max())


def test_stars_gradients_and_zero_levels_are_no_noise(rng) -> None:
    first, second = flat(rng, 20000, tilt=0.01), flat(rng, 20000, tilt=-0.01)
    first[40:44, 100:104] += 3000
    clean = phototransfer.pair(first, second, SECTIONS, NOISE_ADU)
    assert clean.gain == pytest.approx(GAIN, rel=0.04)
    zero = np.array([[1000.0, 1200.0], [1005.0, 1190.0]])
    lifted = [
        (image + np.repeat(level, 256)).astype(np.float32)
        for image, level in zip((first, second), zero)
    ]
    moved = phototransfer.pair(*lifted, SECTIONS, NOISE_ADU, zero_adu=zero)
    assert moved.gain == pytest.approx(clean.gain, rel=2e-3)


def test_vignetting_does_not_bias_the_gain(rng) -> None:
    falling = 1 - 0.4 * np.linspace(0, 1, SHAPE[0])[:, None] ** 3
    frames = [
        (rng.poisson(20000 * falling * np.ones(SHAPE)) / np.repeat(GAIN, 256)).astype(np.float32)
        for _ in range(12)
    ]
    gain, error = phototransfer.gains(frames, [1] * 12, SECTIONS, 0.0)
    assert error.max() < 0.005 * GAIN.max()
    assert np.all(np.abs(gain - GAIN) < 3 * error)


def test_only_some_rows_are_read(rng) -> None:
    class Watched:
        """Counts the rows that are sliced."""

        def __init__(self, image: np.ndarray) -> None:
            self.image, self.shape, self.rows = image, image.shape, 0

        def __getitem__(self, rows: slice) -> np.ndarray:
            part = self.image[rows]
            self.rows += len(part)
            return part

    planes = [Watched(flat(rng, 20000)) for _ in range(2)]
    found = phototransfer.pair(planes[0], planes[1], SECTIONS, NOISE_ADU, rows=32)
    assert [plane.rows for plane in planes] == [32, 32]
    assert found.gain == pytest.approx(GAIN, rel=0.08)


def test_frames_of_other_levels_are_not_compared(rng) -> None:
    planes = [flat(rng, 20000), flat(rng, 5000)]
    gain, error = phototransfer.gains(planes, [20000, 5000], SECTIONS, NOISE_ADU)
    assert np.isnan(gain).all()
    assert np.isnan(error).all()


def test_a_variance_that_falls_short_is_put_right(rng) -> None:
    """Flats of any level give the gain of zero level, where the shortfall is known."""
    short = np.array([3e-6, 6e-6])
    per_pixel = np.repeat(GAIN, 256)
    for level in (8000.0, 40000.0):
        sigma = np.sqrt(level / per_pixel * (1 - np.repeat(short, 256) * level))
        planes = [
            (level + sigma * rng.standard_normal(SHAPE)).astype(np.float32) for _ in range(12)
        ]
        as_is, error = phototransfer.gains(planes, [level] * 12, SECTIONS, 0.0)
        gain, _ = phototransfer.gains(planes, [level] * 12, SECTIONS, 0.0, shortfall=short)
        assert np.all(np.abs(gain - GAIN) < 3.5 * error)
        assert as_is == pytest.approx(gain / (1 - short * level), rel=1e-4)
        _, wider = phototransfer.gains(
            planes, [level] * 12, SECTIONS, 0.0, shortfall=short, shortfall_error=1e-6
        )
        assert np.all(wider > 0.9 * GAIN * 1e-6 * level)


def test_the_curve_tells_gain_and_shortfall(rng) -> None:
    level = np.repeat(np.geomspace(1000, 60000, 12)[:, None], 2, axis=1)
    shortfall = np.array([0.0, 1e-6])
    variance = level / GAIN * (1 - shortfall * level)
    error = variance * 0.005
    found = phototransfer.curve(level, variance + error * rng.standard_normal(level.shape), error)
    assert np.all(np.abs(found.gain - GAIN) < 4 * found.gain_error)
    assert np.all(np.abs(found.shortfall - shortfall) < 4 * found.shortfall_error)
    assert found.shortfall[1] / found.shortfall_error[1] > 5
    assert found.gain_error.max() < 0.005 * GAIN.max()
