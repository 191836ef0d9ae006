from __future__ import annotations

import itertools

import numpy as np
import pytest

from tesela.score.isolation import contamination


def _pair(distance: float, size: float = 0.0) -> np.ndarray:
    x = np.array([100.0, 100.0 + distance])
    return contamination(x, np.zeros(2), np.array([1.0, 10.0]), np.array([0.0, size]), 3.0)


def test_a_neighbour_at_no_distance_gives_all_its_light_and_a_far_one_none() -> None:
    np.testing.assert_allclose(_pair(0.0), [10.0, 1.0])
    np.testing.assert_array_equal(_pair(100.0), [0.0, 0.0])


def test_foreign_light_falls_with_distance() -> None:
    stolen = [_pair(d)[0] for d in (1.0, 2.0, 4.0, 8.0, 16.0)]
    assert all(a > b > 0 for a, b in itertools.pairwise(stolen))


def test_an_extended_neighbour_counts_as_if_nearer_by_its_radius() -> None:
    assert _pair(8.0, size=3.0)[0] == pytest.approx(_pair(5.0)[0])
    assert _pair(8.0, size=3.0)[1] == pytest.approx(_pair(8.0)[1])


def test_neighbours_add_up() -> None:
    x = np.array([0.0, 3.0, -3.0])
    stolen = contamination(x, np.zeros(3), np.ones(3), np.zeros(3), 3.0)
    assert stolen[0] == pytest.approx(2 * _pair(3.0)[1])
