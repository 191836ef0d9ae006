"""Injected stars are what they were said to be."""

import numpy as np
import pytest

from tesela.pixels import inject
from tesela.pixels.psf import PsfModel, photometry


@pytest.fixture
def model():
    coefficients = np.zeros((3, 1))
    coefficients[0, 0] = np.log(2.8)
    frame = (100.0, 100.0, 100.0)
    return PsfModel(coefficients, 3.5, np.zeros((1, 33, 33), np.float32), frame, 0, 27.0, 9, 1.0)


def test_flux_and_position_are_recovered(model):
    x, y, flux = np.array([60.3, 140.8]), np.array([80.1, 120.5]), np.array([1e4, 500.0])
    image = inject.stars(np.zeros((200, 200), np.float32), model, x, y, flux)
    assert image.sum() == pytest.approx(10500, rel=5e-3)
    found = photometry(image, np.ones_like(image), None, model, np.round(x), np.round(y))
    np.testing.assert_allclose(found["flux"], flux, rtol=2e-3)
    np.testing.assert_allclose(found["x"], x, atol=5e-3)


def test_injection_is_additive_and_leaves_the_input_alone(model):
    base = np.random.default_rng(1).normal(0, 1, (120, 120)).astype(np.float32)
    before = base.tobytes()
    added = inject.stars(base, model, [50.0], [60.0], [1e3])
    assert base.tobytes() == before
    drawn = inject.model(base.shape, model, np.array([50.0]), np.array([60.0]), np.array([1e3]))
    np.testing.assert_array_equal(added, base + drawn)


def test_stars_at_and_beyond_the_border_are_cut(model):
    image = inject.stars(np.zeros((50, 50), np.float32), model, [0.0, 500.0], [25.0, 25.0], 1e3)
    assert 400 < image.sum() < 800
    assert np.isfinite(image).all()


def test_photon_noise_is_that_of_the_stars(model):
    n = 400
    x, y = np.full(n, 40.0), np.full(n, 40.0)
    zero, variance = np.zeros((81, 81), np.float32), np.full((81, 81), 7, np.float32)
    sums = [
        inject.stars(zero, model, x[:1], y[:1], [2500.0], variance=variance, seed=k)[0].sum()
        for k in range(n)
    ]
    assert np.std(sums) == pytest.approx(50, rel=0.12)
    noisy, raised = inject.stars(zero, model, x[:1], y[:1], [2500.0], variance=variance, seed=1)
    drawn = inject.model(zero.shape, model, x[:1], y[:1], np.array([2500.0]))
    np.testing.assert_allclose(raised, 7 + drawn, rtol=1e-6)
    again, _ = inject.stars(zero, model, x[:1], y[:1], [2500.0], variance=variance, seed=1)
    assert noisy.tobytes() == again.tobytes()


def test_grid_positions_keep_their_distance_and_stay_inside():
    x, y = inject.grid((300, 400), 25.0, seed=2)
    assert len(x) == 12 * 16
    assert x.min() > 0 and x.max() < 399
    assert y.min() > 0 and y.max() < 299
    near = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
    assert near.min() >= 12.5
    assert (inject.grid((300, 400), 25.0, seed=2)[0] == x).all()
    assert (inject.grid((300, 400), 25.0, seed=3)[0] != x).any()


def test_a_grid_wider_than_the_image_is_empty():
    x, y = inject.grid((10, 10), 25.0, seed=1)
    assert len(x) == len(y) == 0
