from itertools import pairwise

import numpy as np
import pytest

from tesela.bands import extinction, filters


def test_anchors_of_the_published_table_for_r_v_3_1():
    # Fitzpatrick (1999), table 3: A(lambda) / E(B-V).
    wave = np.array([26500.0, 12200.0, 6000.0, 5470.0, 4670.0, 4110.0, 2700.0, 2600.0])
    table = np.array([0.265, 0.829, 2.688, 3.055, 3.806, 4.315, 6.265, 6.591])
    np.testing.assert_allclose(extinction.k_lambda(wave), table, atol=0.006)


def test_the_law_is_continuous_where_its_two_forms_meet():
    low, high = extinction.k_lambda(np.array([2699.9, 2700.1]))
    assert abs(low - high) < 0.01


def test_extinction_falls_with_wavelength_over_our_bands():
    k = [extinction.k_band(filters.load(name)) for name in filters.names()]
    assert all(a > b for a, b in pairwise(k))
    # Values that the survey publishes for its bands, rounded (Lopez-Sanjuan et al. 2019).
    assert k[0] == pytest.approx(4.92, abs=0.12)
    assert k[7] == pytest.approx(2.53, abs=0.12)


def test_larger_r_v_is_greyer():
    small, large = (extinction.k_lambda(np.array([4000.0, 8000.0]), r_v=r) for r in (3.0, 5.0))
    assert large[0] / large[1] < small[0] / small[1]


def test_a_red_spectrum_is_dimmed_less_in_a_broad_band():
    curve = filters.load("gSDSS")
    wave = np.linspace(3500.0, 6000.0, 50)
    blue = extinction.k_band(curve, spectrum=(wave, wave**-4.0))
    red = extinction.k_band(curve, spectrum=(wave, wave**4.0))
    assert red < blue
