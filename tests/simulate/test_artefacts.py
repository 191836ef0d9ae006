import numpy as np
import pytest

from tesela.simulate import artefacts


def test_bleeding_conserves_charge_and_stays_in_its_column():
    image = np.full((60, 9), 100.0, np.float32)
    image[30, 4] = 1000.0 * 20
    before = image.sum()
    full = artefacts.bleed(image, 1000.0)
    assert image.sum() == pytest.approx(before, rel=1e-6)
    assert image.max() <= 1000.0
    assert full[:, 4].sum() >= 19
    assert not full[:, :4].any()
    rows = np.flatnonzero(full[:, 4])
    assert abs(rows.mean() - 30) <= 1


def test_nothing_bleeds_below_the_full_well():
    image = np.full((10, 10), 900.0, np.float32)
    assert not artefacts.bleed(image, 1000.0).any()
    assert (image == 900.0).all()


def test_charge_that_reaches_the_edge_leaves():
    image = np.zeros((10, 3), np.float32)
    image[2, 1] = 50000.0
    artefacts.bleed(image, 1000.0)
    assert image.sum() == pytest.approx(10000.0)


def test_cosmic_rays_are_sharp_and_inside():
    rng = np.random.default_rng(3)
    index, charge = artefacts.cosmic_rays(rng, (200, 300), 100)
    assert np.all(np.diff(index) > 0)
    assert index.min() >= 0
    assert index.max() < 200 * 300
    assert charge.min() >= 1
    assert 300 < np.median(charge[charge > 50]) < 5000
    none = artefacts.cosmic_rays(rng, (20, 20), 0)
    assert none[0].size == none[1].size == 0


def test_the_same_generator_state_gives_the_same_tracks():
    one = artefacts.cosmic_rays(np.random.default_rng(5), (100, 100), 20)
    two = artefacts.cosmic_rays(np.random.default_rng(5), (100, 100), 20)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_a_trail_has_its_brightness_along_its_line():
    image = np.zeros((100, 100), np.float32)
    trail = artefacts.Trail(-20.0, 50.0, 130.0, 50.0, 1.5, 40.0)
    touched = artefacts.add_trail(image, trail)
    np.testing.assert_allclose(image[50], 40.0, rtol=1e-3)
    assert image[50:53, 40].tolist() == sorted(image[50:53, 40], reverse=True)
    np.testing.assert_allclose(image.sum(axis=0), 40.0 * 1.5 * np.sqrt(2 * np.pi), rtol=0.01)
    assert touched.sum() == 7 * 100


def test_a_trail_can_begin_inside():
    image = np.zeros((100, 100), np.float32)
    touched = artefacts.add_trail(image, artefacts.Trail(50.0, 50.0, 150.0, 50.0, 1.5, 40.0))
    assert image[50, 10] == 0
    assert image[50, 90] == pytest.approx(40.0, rel=1e-3)
    assert not touched[:, :49].any()


def test_drawn_trails_cross_the_middle_of_the_image():
    rng = np.random.default_rng(2)
    for _ in range(20):
        image = np.zeros((120, 90), np.float32)
        artefacts.add_trail(image, artefacts.draw_trail(rng, image.shape, 10.0, 1.0))
        assert image.max() > 3.0
