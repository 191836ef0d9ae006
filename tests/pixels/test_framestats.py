"""Levels, noises and profiles of amplifiers are those that were drawn."""

import numpy as np
import pytest

from tesela.pixels import framestats

BOXES = np.array([[0, 60, 0, 80], [60, 120, 0, 80]])


def frame(noise=(4.0, 7.0), level=(10.0, -5.0), seed=0):
    rng = np.random.default_rng(seed)
    image = np.empty((80, 120), np.float32)
    for k, (x0, x1, y0, y1) in enumerate(BOXES):
        image[y0:y1, x0:x1] = rng.normal(level[k], noise[k], (y1 - y0, x1 - x0))
    return image


def test_medians_are_those_of_the_amplifiers_without_bad_pixels():
    image = frame()
    bad = np.zeros(image.shape, bool)
    bad[:, 60:100] = True
    image[bad] = 1e6
    found = framestats.medians(image, BOXES, bad)
    assert np.allclose(found, [10, -5], atol=0.6)
    assert np.isnan(framestats.medians(image, BOXES, np.ones_like(bad))).all()


@pytest.mark.parametrize("step", [0.0, 1.0])
def test_noise_does_not_see_gradients_rays_or_digits(step):
    image = frame()
    image += np.linspace(0, 60, 120, dtype=np.float32)[None, :]
    image[::9, ::11] += 3000
    if step:
        image = np.rint(image)
    assert np.allclose(framestats.noises(image, BOXES), [4, 7], rtol=0.06)


def test_profiles_are_the_structure_that_was_put_in():
    image = frame(noise=(1.0, 1.0), level=(100.0, 50.0))
    rows = np.float32(3) * np.sin(np.arange(80, dtype=np.float32))
    columns = np.float32(2) * np.cos(np.arange(60, dtype=np.float32))
    image[:, :60] += rows[:, None] + columns
    image[10, 10] = 60000
    found = framestats.profiles(image, BOXES, np.array([100.0, 50.0]), np.array([4.0, 1.0]))
    assert np.abs(found.rows[0] - rows - columns.mean()).max() < 5 / np.sqrt(60)
    assert np.abs(found.columns[0] - columns - rows.mean()).max() < 5 / np.sqrt(80)
    by_rows, by_columns = found.rms()
    assert by_rows[0] == pytest.approx(3 / np.sqrt(2), rel=0.1)
    assert by_columns[0] == pytest.approx(2 / np.sqrt(2), rel=0.1)
    assert by_rows[1] < 0.2


def test_a_sample_is_even_and_small_images_are_whole():
    image = np.arange(10000).reshape(100, 100)
    assert framestats.sample(image).shape == (100, 100)
    some = framestats.sample(image, 100)
    assert some.shape == (10, 10)
    assert np.array_equal(some, image[::10, ::10])
