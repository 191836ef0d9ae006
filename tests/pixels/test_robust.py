"""Scatter and means: those of a normal distribution, whatever a tenth of the values does."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import robust


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(1).normal(50, 3, 200_000)


def test_sigma_is_that_of_a_normal_distribution(values) -> None:
    assert robust.sigma(values) == pytest.approx(3, rel=0.01)
    assert robust.sigma(values + 7) == pytest.approx(robust.sigma(values), rel=1e-9)
    assert robust.sigma(-2 * values) == pytest.approx(2 * robust.sigma(values), rel=1e-9)
    assert robust.sigma(values.reshape(400, 500)) == robust.sigma(values)


def test_about_zero_an_offset_is_scatter_too(values) -> None:
    assert robust.sigma(values - 50, 0) == pytest.approx(3, rel=0.01)
    assert robust.sigma(values, 0) == pytest.approx(1.4826 * 50, rel=0.01)


def test_a_tenth_of_wild_values_matters_little(values) -> None:
    wild = values.copy()
    wild[::10] = 1e6
    assert robust.sigma(wild) == pytest.approx(3, rel=0.2)
    mean, n = robust.clipped_mean(wild, clip_sigma=5)
    assert mean == pytest.approx(50, abs=0.03)
    assert n == pytest.approx(0.9 * values.size, rel=1e-4)


def test_nothing_has_no_scatter_and_a_constant_has_its_value() -> None:
    assert np.isnan(robust.sigma(np.empty(0)))
    assert robust.clipped_mean(np.full(9, 7.0), clip_sigma=5) == (7.0, 9)
    few = np.array([7.0, 7.0, 7.0, 8.0])
    assert robust.clipped_mean(few, clip_sigma=5, least_sigma=1) == (7.25, 4)
