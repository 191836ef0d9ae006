"""The mode of a frame is the level of its sky or lamp, not of its stars or shadows."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels import mode


def test_mode_of_a_gaussian_is_its_centre_and_moves_with_a_constant():
    values = np.random.default_rng(1).normal(500, 20, 200_000)
    level = mode.mode(values)
    assert abs(level - 500) < 0.6
    assert np.isclose(mode.mode(values + 1000), level + 1000, atol=0.1)
    assert np.isclose(mode.mode(values * 3), 3 * level, atol=0.3)


def test_mode_ignores_stars_shadows_mask_and_nan():
    rng = np.random.default_rng(2)
    values = rng.normal(500, 20, 200_000)
    values[:40_000] += rng.exponential(150, 40_000)
    values[40_000:50_000] *= 0.5
    assert abs(mode.mode(values) - 500) < 3
    values[60_000:120_000] = 530
    mask = values == 530
    values[0] = np.nan
    assert abs(mode.mode(values, mask=mask) - 500) < 3


def test_mode_of_whole_numbers_is_not_drawn_to_one_of_them():
    rng = np.random.default_rng(3)
    for centre in (1000.0, 1000.3, 1000.5):
        values = np.rint(rng.normal(centre, 6, 200_000)).astype(np.uint16)
        assert abs(mode.mode(values) - centre) < 0.25


def test_mode_of_a_constant_and_of_nothing():
    assert mode.mode(np.full(10, 7.0)) == 7
    with pytest.raises(QualityError, match="mask"):
        mode.mode(np.ones(3), mask=np.ones(3, bool))
