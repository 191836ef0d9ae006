"""Noise is what the nights show and what was stated; limits are as rare as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.quality.limits import difference, from_nominal, limit, noise


def nights(n: int, amps: int, sigma: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, sigma, (n, amps))


def test_noise_as_stated_leaves_nothing_extra() -> None:
    values = nights(60, 16, 0.1)
    found = noise(values, np.full_like(values, 0.1))
    assert np.all(found.stated == 0.1)
    assert np.median(found.extra) < 0.02


def test_noise_beyond_what_was_stated_is_extra() -> None:
    values = nights(60, 200, 0.5)
    found = noise(values, np.full_like(values, 0.3))
    assert np.median(found.extra) == pytest.approx(0.4, rel=0.05)


def test_without_stated_errors_all_scatter_is_extra() -> None:
    values = nights(60, 200, 0.5)
    found = noise(values, np.full_like(values, np.nan))
    assert np.median(found.extra) == pytest.approx(0.5, rel=0.05)
    assert np.all(found.stated == 0.0)


def test_a_drift_and_a_jump_are_no_noise() -> None:
    still = nights(60, 16, 0.1)
    errors = np.full_like(still, np.nan)
    drifting = still + np.linspace(0.0, 1.0, 60)[:, None]
    jumping = still + np.where(np.arange(60) > 30, 5.0, 0.0)[:, None]
    for values in (drifting, jumping):
        ratio = noise(values, errors).extra / noise(still, errors).extra
        assert np.all(np.abs(ratio - 1.0) < 0.15)


def test_a_noisy_amplifier_keeps_its_own_noise_and_spoils_no_other() -> None:
    values = nights(60, 16, 0.1)
    errors = np.full_like(values, 0.1)
    alone = noise(values, errors)
    values[:, 3] = nights(60, 1, 0.5, seed=2)[:, 0]
    found = noise(values, errors)
    assert found.extra[3] > 0.35
    others = np.arange(16) != 3
    np.testing.assert_allclose(found.extra[others], alone.extra[others], atol=0.03)


def test_nights_without_a_value_change_nothing() -> None:
    values = nights(40, 4, 0.1)
    errors = np.full_like(values, 0.05)
    gaps = np.full((80, 4), np.nan)
    gaps[::2] = values
    gap_errors = np.full((80, 4), 7.0)
    gap_errors[::2] = errors
    for one, other in zip(
        vars(noise(values, errors)).values(), vars(noise(gaps, gap_errors)).values()
    ):
        np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("n_nights", [0, 1, 2])
def test_few_nights_give_no_noise_and_no_complaint(n_nights: int) -> None:
    found = noise(nights(n_nights, 3, 0.1), np.full((n_nights, 3), np.nan))
    assert np.all(np.isfinite(found.extra))
    assert np.all(found.stated == 0.0)


@pytest.mark.parametrize(("stated", "n_nights"), [(True, 60), (False, 60), (False, 12)])
def test_chance_exceeds_a_limit_as_rarely_as_it_says(stated: bool, n_nights: int) -> None:
    """Beyond 3 sigma lies 0.27 % of a Gaussian, however well its width is known."""
    rng = np.random.default_rng(5)
    values = rng.normal(0.0, 1.0, (n_nights + 1, 60_000))
    errors = np.full_like(values, 1.0 if stated else np.nan)
    scatter = noise(values[:-1], errors[:-1])
    found = difference(values[-1:], errors[-1:], values[:-1], scatter, 5)
    share = np.mean(np.abs(found.value) > limit(3.0, found))
    assert 0.5 * 0.0027 < share < 1.5 * 0.0027


def test_a_run_of_nights_averages_stated_errors_but_not_the_extra_scatter() -> None:
    values = np.tile(np.array([[1.0], [-1.0]]), (50, 1))  # differences of 2: a scatter of 1.4
    run = np.zeros((4, 1))
    known = noise(values, np.full_like(values, 10.0))
    unknown = noise(values, np.full_like(values, np.nan))
    nan = np.full_like(run, np.nan)
    assert difference(run, nan, values, known, 5).stated[0] == pytest.approx(5.0, rel=0.05)
    one, four = (difference(run[:n], nan[:n], values, unknown, 5) for n in (1, 4))
    assert one.extra[0] == four.extra[0] > 1.0


def test_the_least_of_a_run_tells_one_wild_night_from_four() -> None:
    before = nights(20, 3, 0.0)
    scatter = noise(before, np.full_like(before, 0.1))
    run = 10.0 + np.array([[4.0, 1.0, -1.0], [0.0, 1.0, 2.0], [0.1, 1.5, 1.0]])
    found = difference(run, np.full_like(run, 0.1), before, scatter, 5)
    np.testing.assert_allclose(found.least, [0.0, 1.0, 0.0])
    assert found.value[0] > found.value[1]


def test_too_few_nights_give_no_level() -> None:
    before = nights(4, 2, 0.1)
    scatter = noise(before, np.full_like(before, 0.1))
    found = difference(before[-1:], before[-1:] * 0 + 0.1, before, scatter, 5)
    assert np.all(np.isnan(found.value))
    assert np.all(np.isnan(found.level))


def test_a_nominal_level_has_no_error() -> None:
    before = nights(30, 8, 0.1)
    scatter = noise(before, np.full_like(before, 0.1))
    found = from_nominal(before[-1:], np.full((1, 8), 0.1), 10.0, scatter)
    np.testing.assert_allclose(found.stated, 0.1)
    np.testing.assert_allclose(found.value, before[-1] - 10.0)


def test_a_known_width_makes_the_limit_so_many_sigma() -> None:
    before = np.full((200, 1), 10.0)
    scatter = noise(before, np.full_like(before, 0.1))
    found = from_nominal(before[-1:], np.full((1, 1), 0.1), 10.0, scatter)
    assert limit(4.0, found)[0] == pytest.approx(0.4, rel=1e-6)
