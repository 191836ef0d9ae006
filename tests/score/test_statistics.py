from __future__ import annotations

import math

import numpy as np
import pytest

from tesela.score import statistics as st


def test_robust_widths_of_a_gaussian_are_its_sigma(rng: np.random.Generator) -> None:
    values = rng.normal(5.0, 2.0, 20000)
    assert st.robust_width(values) == pytest.approx(2.0, rel=0.03)
    assert st.robust_rms(values - 5.0) == pytest.approx(2.0, rel=0.03)
    assert st.rms(values) == pytest.approx(math.hypot(5, 2), rel=0.01)


def test_outliers_move_the_rms_but_not_the_robust_rms(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, 5000)
    spoiled = values.copy()
    spoiled[:50] = 1000.0
    assert st.robust_rms(spoiled) == pytest.approx(st.robust_rms(values), rel=0.03)
    assert st.rms(spoiled) > 90
    assert np.count_nonzero(~st.within(spoiled, 5.0)) == 50


def test_bootstrap_error_of_a_mean_is_sigma_over_root_n(rng: np.random.Generator) -> None:
    values = rng.normal(0, 3, 900)
    assert st.bootstrap(values, st.mean) == pytest.approx(0.1, rel=0.2)


def test_bootstrap_is_a_function_of_its_seed(rng: np.random.Generator) -> None:
    values = rng.normal(0, 1, 50)
    assert st.bootstrap(values, st.median) == st.bootstrap(values, st.median)
    assert st.bootstrap(values, st.median) != st.bootstrap(values, st.median, seed=2)


def test_statistics_of_nothing_are_nan() -> None:
    none = np.zeros(0)
    for statistic in (st.median, st.mean, st.rms, st.robust_rms, st.robust_width):
        assert math.isnan(statistic(none))
    assert math.isnan(st.bootstrap(none, st.mean))
    assert math.isnan(st.bootstrap(np.ones(1), st.mean))
    assert math.isnan(st.ratio(np.zeros((0, 2))))
    assert st.within(none, 5.0).size == 0


def test_bootstrap_leaves_out_resamplings_without_a_value() -> None:
    sample = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert st.bootstrap(sample, st.ratio) == 0.0
