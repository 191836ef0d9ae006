import numpy as np
import pytest

from tesela.bands import transform
from tesela.errors import BadInput, ConfigError


def test_coefficients_sum_to_one_so_that_dimming_is_kept():
    for name in transform.names():
        rule = transform.get(name)
        bright = transform.apply(name, dict.fromkeys("ugriz", np.array([15.0])))[0]
        faint = transform.apply(name, dict.fromkeys("ugriz", np.array([18.0])))[0]
        assert sum(rule.coefficients.values()) == pytest.approx(1.0)
        assert faint - bright == pytest.approx(3.0)


def test_lupton_v_of_a_sun_like_star():
    v, err = transform.apply("lupton2005_V", {"g": np.array([15.0]), "r": np.array([14.5])})
    assert v[0] == pytest.approx(15.0 - 0.5784 * 0.5 - 0.0038)
    assert err[0] == pytest.approx(0.0054)


def test_the_two_sources_agree_for_ordinary_stars():
    g, r = np.linspace(15, 16, 20), np.linspace(14.6, 14.9, 20)
    lupton = transform.apply("lupton2005_V", {"g": g, "r": r})[0]
    jester = transform.apply("jester2005_V", {"g": g, "r": r})[0]
    assert np.abs(lupton - jester).max() < 0.02


def test_errors_propagate():
    mags = {"g": np.zeros(2), "r": np.zeros(2)}
    errors = {"g": np.array([0.1, 0.0]), "r": np.array([0.0, 0.1])}
    err = transform.apply("lupton2005_V", mags, errors)[1]
    expected = np.hypot([0.1 * 0.4216, 0.1 * 0.5784], 0.0054)
    np.testing.assert_allclose(err, expected)


def test_a_missing_measurement_stays_missing():
    v, _ = transform.apply("lupton2005_V", {"g": np.array([np.nan]), "r": np.array([14.0])})
    assert np.isnan(v[0])


def test_what_is_not_there_is_named():
    with pytest.raises(BadInput, match="no magnitude in r"):
        transform.apply("lupton2005_V", {"g": np.zeros(1)})
    with pytest.raises(ConfigError, match="lupton2005_V"):
        transform.apply("nobody", {})
