"""Amplifiers in a reduced image: noise, steps and ghosts come back as they were put in."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import ampstats

DEST = [[0, 200, 0, 300], [200, 400, 0, 300], [0, 200, 300, 600], [200, 400, 300, 600]]
FLIP_X = [False, True, False, True]
FLIP_Y = [False, False, True, True]


def image(sigma: tuple[float, ...] = (3.0, 4.0, 5.0, 6.0)) -> np.ndarray:
    rng = np.random.default_rng(8)
    made = np.empty((600, 400), np.float32)
    for (x0, x1, y0, y1), noise in zip(DEST, sigma):
        made[y0:y1, x0:x1] = rng.normal(0.0, noise, (y1 - y0, x1 - x0))
    return made


def free() -> np.ndarray:
    return np.zeros((600, 400), bool)


def test_noise_of_each_amplifier_whatever_its_objects() -> None:
    made, hidden = image(), free()
    made[50:90, 50:90], hidden[50:90, 50:90] = 5000.0, True
    made[120, ::4] = np.nan
    stats = ampstats.measure(made, hidden, DEST)
    np.testing.assert_allclose(stats.noise_e, [3, 4, 5, 6], rtol=0.04)
    np.testing.assert_allclose(stats.level_e, 0.0, atol=0.3)
    hidden[:300, :200] = True
    assert np.isnan(ampstats.measure(made, hidden, DEST).noise_e[0])


def test_a_step_between_amplifiers_is_measured_and_a_gradient_is_none() -> None:
    made = image((1.0, 1.0, 1.0, 1.0))
    flat = ampstats.steps(made, free(), DEST)
    assert flat.shape == (4,)
    np.testing.assert_allclose(flat, 0.0, atol=0.1)
    made[:300, 200:] += 0.8
    found = ampstats.steps(made, free(), DEST)
    assert np.sort(np.abs(found))[-2:] == pytest.approx([0.8, 0.8], abs=0.1)
    assert np.sort(np.abs(found))[:2] == pytest.approx([0.0, 0.0], abs=0.1)


def test_stars_on_a_border_make_no_step() -> None:
    made, hidden = image((1.0, 1.0, 1.0, 1.0)), free()
    made[10:60, 200:230] += 300.0
    np.testing.assert_allclose(ampstats.steps(made, hidden, DEST), 0.0, atol=0.1)
    hidden[:, 150:250] = True
    assert np.isnan(ampstats.steps(made, hidden, DEST)).any()


def test_ghosts_that_are_left_are_told_with_their_error() -> None:
    made, hidden = image((2.0, 2.0, 2.0, 2.0)), free()
    source = (slice(40, 50), slice(30, 40))
    clean = ampstats.ghosts(made, hidden, DEST, FLIP_X, FLIP_Y, noise_e=2.0)
    assert np.isnan(clean[0])
    made[source], hidden[source] = 50000.0, True
    quiet, error = ampstats.ghosts(made, hidden, DEST, FLIP_X, FLIP_Y, noise_e=2.0)
    assert abs(quiet) < 4 * error and error < 1e-5
    made[40:50, 400 - 40 : 400 - 30] += 1e-4 * 50000.0  # only one of the three victims
    found, _ = ampstats.ghosts(made, hidden, DEST, FLIP_X, FLIP_Y, noise_e=2.0)
    assert found == pytest.approx(1e-4 / 3, abs=4 * error)
