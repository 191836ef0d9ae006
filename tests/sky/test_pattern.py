"""Votes for a similarity between two point sets."""

import numpy as np
import pytest

from tesela.sky import pattern

WINDOW = pattern.Window(offset=60.0, rotation=np.radians(2.0), scale=0.02, radius=700.0)
TRUE_SHIFT, TRUE_FACTOR = 33.0 - 21.0j, 0.012 - 0.025j


def sets(n_common, n_false, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(-480, 480, (n_common + n_false, 2))
    z = p[:n_common] @ [1, 1j]
    q = z + TRUE_SHIFT + TRUE_FACTOR * z
    common = np.column_stack([q.real, q.imag]) + rng.normal(0, 0.1, (n_common, 2))
    targets = np.vstack([common, rng.uniform(-560, 560, (n_false, 2))])
    return p[rng.permutation(len(p))], targets[rng.permutation(len(targets))]


@pytest.mark.parametrize("seed", range(3))
def test_pairs_find_shift_rotation_and_scale_among_two_thirds_of_noise(seed):
    best = pattern.by_pairs(*sets(25, 50, seed), WINDOW)[0]
    assert abs(best.shift - TRUE_SHIFT) < 1.0
    assert abs(best.factor - TRUE_FACTOR) * WINDOW.radius < 1.5
    assert best.votes >= 22


def test_histograms_over_a_grid_find_it_too():
    window = pattern.Window(offset=60.0, rotation=np.radians(1.6), scale=0.014, radius=700.0)
    best = pattern.by_shift(*sets(60, 60), window, pattern.factor_grid(window))[0]
    assert abs(best.shift - TRUE_SHIFT) < 1.0
    assert abs(best.factor - TRUE_FACTOR) * WINDOW.radius < 1.5


def test_one_histogram_suffices_without_rotation():
    p, _ = sets(0, 80)
    moved = p + np.array([-17.0, 44.0])
    best = pattern.by_shift(p, moved, WINDOW)[0]
    assert abs(best.shift - (-17.0 + 44.0j)) < 1e-6
    assert np.allclose(best(p), moved)


def test_nothing_to_propose():
    far = np.array([[1e6, 1e6], [2e6, 1e6]])
    near = np.array([[0.0, 0.0], [5.0, 5.0]])
    assert pattern.by_shift(near, far, WINDOW) == []
    assert pattern.by_pairs(near, far, WINDOW) == []


def test_candidates_are_all_pairs_within_reach():
    p, q = sets(20, 20)
    i, k = pattern.candidates(p, q, 90.0)
    distance = np.hypot(*(p[:, None] - q[None]).transpose(2, 0, 1))
    assert set(zip(i, k)) == set(zip(*np.nonzero(distance <= 90.0)))


def test_grid_is_refused_where_it_would_be_long():
    wide = pattern.Window(offset=120.0, rotation=np.radians(3.0), scale=0.02, radius=3600.0)
    assert pattern.factor_grid(wide) == []
    small = pattern.Window(offset=120.0, rotation=np.radians(3.0), scale=0.02, radius=380.0)
    assert 0j in pattern.factor_grid(small)


def test_more_trials_at_a_smaller_radius():
    assert WINDOW.trials(0.5) > WINDOW.trials(5.0) >= 1.0
