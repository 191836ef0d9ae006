import numpy as np
import pytest

from tesela.bands import colourterm
from tesela.errors import BadInput, QualityError


def stars(n=200, zp=24.3, slope=0.0, seed=1):
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.2, 2.0, n)
    ref = rng.uniform(14, 18, n)
    inst_err, ref_err = np.full(n, 0.01), np.full(n, 0.005)
    inst = ref - zp - slope * (colour - 0.8)
    inst = inst + rng.normal(0, np.hypot(inst_err, ref_err))
    return inst, inst_err, ref, ref_err, colour


def test_a_known_zero_point_is_found_within_its_error():
    pulls = []
    for seed in range(60):
        inst, inst_err, ref, ref_err, _ = stars(seed=seed, n=50)
        found = colourterm.fit_zero_point(inst, inst_err, ref, ref_err, floor=0.0)
        pulls.append((found.zeropoint_mag - 24.3) / found.error_mag)
    assert abs(np.mean(pulls)) < 0.45
    assert 0.7 < np.std(pulls) < 1.3


def test_adding_a_constant_moves_the_zero_point_by_it():
    inst, inst_err, ref, ref_err, _ = stars()
    one = colourterm.fit_zero_point(inst, inst_err, ref, ref_err)
    two = colourterm.fit_zero_point(inst, inst_err, ref + 0.7, ref_err)
    assert two.zeropoint_mag - one.zeropoint_mag == pytest.approx(0.7, abs=1e-9)
    np.testing.assert_array_equal(one.used, two.used)


def test_a_third_of_outliers_on_one_side_does_not_matter():
    inst, inst_err, ref, ref_err, _ = stars()
    ref[:66] += np.linspace(0.1, 3.0, 66)
    found = colourterm.fit_zero_point(inst, inst_err, ref, ref_err)
    assert abs(found.zeropoint_mag - 24.3) < 0.005
    assert not found.used[10:66].any()
    assert found.n == found.used.sum()


def test_a_colour_term_is_fitted_at_the_pivot():
    inst, inst_err, ref, ref_err, colour = stars(slope=0.12)
    ref[:30] += 1.0
    found = colourterm.fit_zero_point(
        inst, inst_err, ref, ref_err, colour, colour_pivot=0.8, colour_coefficient="fit"
    )
    assert found.colour_coefficient == pytest.approx(0.12, abs=4 * found.colour_error)
    assert 0 < found.colour_error < 0.01
    assert found.zeropoint_mag == pytest.approx(24.3, abs=0.004)


def test_a_known_colour_term_is_taken_off():
    inst, inst_err, ref, ref_err, colour = stars(slope=0.12)
    found = colourterm.fit_zero_point(
        inst, inst_err, ref, ref_err, colour, colour_pivot=0.8, colour_coefficient=0.12
    )
    assert found.zeropoint_mag == pytest.approx(24.3, abs=0.004)
    assert (found.colour_coefficient, found.colour_error) == (0.12, 0.0)
    assert found.scatter_mag < 0.015


def test_stars_without_numbers_are_left_out():
    inst, inst_err, ref, ref_err, _ = stars(n=20)
    inst[0], ref_err[1], inst_err[2] = np.nan, np.inf, np.nan
    found = colourterm.fit_zero_point(inst, inst_err, ref, ref_err)
    assert not found.used[:3].any()
    assert np.isfinite(found.zeropoint_mag)


def test_too_few_stars_are_no_zero_point():
    inst, inst_err, ref, ref_err, _ = stars(n=2)
    with pytest.raises(QualityError, match="2 usable stars"):
        colourterm.fit_zero_point(inst, inst_err, ref, ref_err)


def test_a_colour_term_needs_colours():
    inst, inst_err, ref, ref_err, _ = stars(n=9)
    with pytest.raises(BadInput, match="colours"):
        colourterm.fit_zero_point(inst, inst_err, ref, ref_err, colour_coefficient="fit")


def test_the_weighted_median_ignores_what_weighs_nothing():
    value = np.array([1.0, 2.0, 3.0, 100.0])
    assert colourterm.weighted_median(value, np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(2.0)
    assert colourterm.weighted_median(np.array([5.0]), np.array([2.0])) == 5.0
