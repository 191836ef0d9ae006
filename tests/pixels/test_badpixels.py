"""Filled pixels come from their good neighbours only."""

import numpy as np

from tesela.pixels import badpixels


def plane(ny=40, nx=50):
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    return 100 + 2 * x - 3 * y


def test_a_plane_is_restored_inside_and_good_pixels_keep_their_bytes():
    image = plane()
    mask = np.zeros(image.shape, bool)
    mask[10, 10] = mask[20, 5] = mask[30, 30:32] = True
    broken = np.where(mask, np.nan, image).astype(np.float32)
    result = badpixels.fill(broken, mask)
    assert result.dtype == np.float32
    assert np.abs(result - image)[10, 10] < 1e-4
    assert np.abs(result - image)[mask].max() < 2
    assert np.array_equal(result[~mask], image[~mask])
    assert np.isnan(broken[10, 10])


def test_masked_values_never_matter():
    mask = np.random.default_rng(1).random((40, 50)) < 0.3
    first, second = plane(), plane()
    second[mask] = 1e30
    assert badpixels.fill(first, mask).tobytes() == badpixels.fill(second, mask).tobytes()


def test_weights_are_inverse_distances():
    image = np.zeros((5, 5), np.float32)
    mask = np.ones((5, 5), bool)
    mask[2, 3] = mask[2, 0] = False
    image[2, 3], image[2, 0] = 6, 12
    assert np.isclose(badpixels.fill(image, mask)[2, 2], (6 / 1 + 12 / 2) / 1.5)


def test_deep_inside_a_hole_the_local_median_is_taken():
    image = np.full((200, 200), 7, np.float32)
    image[:, 150:] = 50
    mask = np.zeros(image.shape, bool)
    mask[40:61, 40:61] = True
    assert (badpixels.fill(np.where(mask, np.inf, image), mask) == image).all()


def test_beyond_reach_the_global_median_and_with_nothing_good_zero():
    image = np.full((150, 150), 7, np.float32)
    mask = np.ones(image.shape, bool)
    mask[0, 0] = False
    assert badpixels.fill(image, mask)[100, 100] == 7
    mask[0, 0] = True
    assert not badpixels.fill(image, mask).any()
    assert badpixels.fill(image, ~mask).tobytes() == image.tobytes()
