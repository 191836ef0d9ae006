"""Parts of a frame that a solution leaves out."""

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.sky import coverage


def uniform(n, seed=0, low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, (n, 2))


@pytest.mark.parametrize("n", [10, 30, 300, 5000])
def test_stars_everywhere_are_accepted(n):
    for seed in range(30):
        stars = uniform(n, seed)
        coverage.require(stars, uniform(3 * n, seed + 99, -0.3, 1.3), stars[: max(n // 3, 8)])


def test_a_part_without_reference_is_named():
    reference = uniform(500)
    with pytest.raises(QualityError, match=r"upper quarter.*catalogue does not cover"):
        coverage.require(uniform(500, 1), reference[reference[:, 1] < 0.7], uniform(200, 2))


def test_a_few_strays_there_do_not_hide_it():
    reference = np.vstack([uniform(2000) * [0.6, 1.0], uniform(10, 3)])
    with pytest.raises(QualityError, match="right quarter"):
        coverage.require(uniform(2000, 1), reference, uniform(900, 2))


def test_a_part_without_matches_is_named():
    matched = uniform(400)
    matched = matched[(matched[:, 0] > 0.5) | (matched[:, 1] > 0.5)]
    with pytest.raises(QualityError, match=r"lower left quadrant.*does not hold there"):
        coverage.require(uniform(900, 1), uniform(900, 2), matched)


def test_a_part_without_sky_needs_no_stars():
    shaded = uniform(900, 1) * [0.6, 1.0]
    coverage.require(shaded, uniform(900, 2), shaded[:400])


def test_a_cluster_in_the_middle_is_no_hole_elsewhere():
    rng = np.random.default_rng(4)
    stars = np.clip(rng.normal(0.5, 0.12, (2000, 2)), 0, 1)
    coverage.require(stars, np.clip(rng.normal(0.5, 0.12, (3000, 2)), 0, 1), stars[::3])
