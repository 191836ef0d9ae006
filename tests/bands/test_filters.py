import numpy as np
import pytest

from tesela.bands import filters
from tesela.errors import ConfigError

# Published pivots of the SVO curves, A.
PIVOTS = {
    "uJAVA": 3533.3, "J0378": 3782.4, "J0395": 3939.4, "J0410": 4108.1, "J0430": 4303.3,
    "gSDSS": 4789.9, "J0515": 5140.9, "rSDSS": 6256.6, "J0660": 6603.9, "iSDSS": 7656.2,
    "J0861": 8610.5, "zSDSS": 8964.7,
}  # fmt: skip


@pytest.mark.parametrize("name", list(PIVOTS))
def test_pivots_are_those_published(name):
    assert abs(filters.load(name).pivot_A - PIVOTS[name]) < 0.5


def test_names_are_in_order_of_wavelength():
    assert filters.names() == tuple(PIVOTS)
    assert filters.names("sdss") == ("u", "g", "r", "i", "z")
    pivots = [filters.load(name).pivot_A for name in filters.names()]
    assert pivots == sorted(pivots)


def test_widths_and_means_of_a_box():
    box = filters.FilterCurve("box", np.arange(4990.0, 5111.0, 10.0), np.r_[0, np.ones(11), 0])
    assert box.mean_A == pytest.approx(5050.0)
    assert box.fwhm_A == pytest.approx(110.0)


def test_a_shift_moves_the_mean_by_it():
    curve = filters.load("J0660")
    assert curve.shifted(7.0).mean_A == pytest.approx(curve.mean_A + 7.0)


def test_curves_end_at_zero_and_cannot_be_changed():
    curve = filters.load("gSDSS")
    assert curve.throughput[0] == curve.throughput[-1] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        curve.throughput[3] = 1.0


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="J0861"):
        filters.load("J9999")
    with pytest.raises(ConfigError, match="jplus"):
        filters.names("nothing")
