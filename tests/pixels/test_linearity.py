"""Linearity: a known response comes back from a ramp, whatever lamp and shutter do in reason."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels import linearity

PIVOT = 60000.0
N_AMP = 16
TIMES = np.repeat(np.geomspace(1.5, 58.0, 10), 2)
RATE = 1000.0


def response(true: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What is recorded of true counts, in another form than the one fitted."""
    u = true / PIVOT
    return true * (1 - a * u - b * u**2)


def ramp(
    rng: np.random.Generator,
    *,
    lamp: float = 1e-3,
    shutter_s: float = 0.0,
    common: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Levels, their errors, and a, b of each amplifier."""
    a, b = common + rng.uniform(-0.015, 0.015, N_AMP), rng.uniform(-0.004, 0.004, N_AMP)
    sensitivity = RATE * (1 + rng.normal(0, 0.02, N_AMP))
    light = (TIMES + shutter_s) * (1 + rng.normal(0, lamp, len(TIMES)))
    level = response(light[:, None] * sensitivity, a, b)
    sigma = np.hypot(1 / np.sqrt(level * 20000), 0.1 / level)
    return level * (1 + sigma * rng.standard_normal(level.shape)), sigma, a, b


def slopes(fit: linearity.Fit, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Slope left by a correction of levels that are known, mmag a magnitude."""
    true = np.repeat(np.geomspace(2000, 58000, 30)[:, None], N_AMP, axis=1)
    x = response(true, a, b)
    corrected = x * linearity.factor(x, fit.coefficients[None], PIVOT)
    left = np.log(corrected / true)
    return linearity.slope_mmag(true, left, 0, 1e6)


def test_the_slope_left_is_below_two_millimagnitudes_a_magnitude(rng) -> None:
    worst = []
    for _ in range(10):
        level, sigma, a, b = ramp(rng, common=0.01)
        fit = linearity.fit(level, TIMES, sigma)
        worst.append(np.abs(slopes(fit, a, b)).max())
        assert fit.lamp_sigma == pytest.approx(1e-3, rel=0.6)
    assert max(worst) < 1.0
    uncorrected = linearity.slope_mmag(level, np.log(level / TIMES[:, None]), 0, 1e6)
    assert np.abs(uncorrected).max() > 3  # so there was something to correct


def test_differences_of_amplifiers_do_not_feel_the_lamp(rng) -> None:
    level, sigma, a, b = ramp(rng, lamp=5e-3)
    fit = linearity.fit(level, TIMES, sigma, lamp_sigma=5e-3)
    left = slopes(fit, a, b)
    assert np.std(left) < 0.1
    assert np.abs(left).max() < 6


def test_errors_are_those_of_the_correction(rng) -> None:
    pull = []
    for _ in range(25):
        level, sigma, a, b = ramp(rng)
        fit = linearity.fit(level, TIMES, sigma)
        x = response(np.full(N_AMP, 30000.0), a, b)
        expected = 30000.0 / x
        value = linearity.factor(x, fit.coefficients, PIVOT)
        v = np.stack([x / PIVOT, (x / PIVOT) ** 2], axis=1)
        error = np.sqrt(np.einsum("ak,akl,al->a", v, fit.covariance, v))
        pull.append(np.mean((value - expected) / error))
    assert 0.6 < np.std(pull) < 1.6
    assert abs(np.mean(pull)) < 0.8


def test_a_shutter_that_opens_late_is_found_where_it_may_be(rng) -> None:
    level, sigma, a, b = ramp(rng, shutter_s=-0.02)
    fit = linearity.fit(level, TIMES, sigma, shutter_sigma_s=0.05)
    assert fit.shutter_s == pytest.approx(-0.02, abs=4 * fit.shutter_error_s)
    assert fit.shutter_error_s < 0.005
    assert np.abs(slopes(fit, a, b)).max() < 2
    trusting = linearity.fit(level, TIMES, sigma)
    assert np.abs(slopes(trusting, a, b)).max() > np.abs(slopes(fit, a, b)).max()


def test_a_frame_with_another_lamp_is_left_out(rng) -> None:
    level, sigma, a, b = ramp(rng)
    level[7] *= 1.05
    fit = linearity.fit(level, TIMES, sigma)
    assert np.flatnonzero(fit.rejected).tolist() == [7]
    assert fit.lamp[7] == pytest.approx(0.05, abs=0.004)
    assert np.abs(slopes(fit, a, b)).max() < 2


def test_missing_levels_are_no_levels(rng) -> None:
    level, sigma, a, b = ramp(rng)
    level[-2:, 3] = np.nan
    fit = linearity.fit(level, TIMES, sigma)
    assert not fit.used[-2:, 3].any()
    assert np.abs(slopes(fit, a, b)).max() < 2


def test_factor_is_one_at_zero_and_the_stated_polynomial() -> None:
    assert linearity.factor(0.0, [0.1, 0.2], PIVOT) == 1
    assert linearity.factor(PIVOT, [0.1, 0.2], PIVOT) == pytest.approx(1.3)
    both = linearity.factor([PIVOT / 2, PIVOT], np.array([[0.1, 0.2], [0.0, -0.1]]), PIVOT)
    assert both == pytest.approx([1 + 0.05 + 0.05, 0.9])


def test_too_few_levels_are_refused(rng) -> None:
    level, sigma, *_ = ramp(rng)
    with pytest.raises(QualityError, match="4 usable levels; expected at least 5"):
        linearity.fit(level[:4], TIMES[:4], sigma[:4])
