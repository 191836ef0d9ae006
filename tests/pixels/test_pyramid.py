"""Binned images keep the mean of what they show, and their masks every code."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import pyramid


@pytest.mark.parametrize("shape", [(640, 512), (651, 530)])
def test_each_level_is_half_the_one_before_and_keeps_the_mean(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(50.0, 5.0, shape).astype(np.float32)
    mask = np.zeros(shape, np.uint8)
    found = pyramid.levels(image, mask, largest_px=300, smallest_px=40)
    assert list(found) == [4, 8, 16]
    for side, (mean, _) in found.items():
        assert mean.shape == (-(-shape[0] // side), -(-shape[1] // side))
    whole = found[4][0][: shape[0] // 4, : shape[1] // 4]
    expected = image[: 4 * whole.shape[0], : 4 * whole.shape[1]].reshape(
        whole.shape[0], 4, whole.shape[1], 4
    )
    np.testing.assert_allclose(whole, expected.mean(axis=(1, 3)), rtol=1e-5)


def test_one_bad_pixel_is_seen_in_every_level_and_nan_is_left_out() -> None:
    image = np.ones((256, 256), np.float32)
    mask = np.zeros(image.shape, np.uint8)
    image[17, 33], mask[17, 33], mask[16, 32] = np.nan, 1, 64
    image[64:128, 64:128] = np.nan
    found = pyramid.levels(image, mask, largest_px=64, smallest_px=8)
    for side, (mean, codes) in found.items():
        assert codes[17 // side, 33 // side] == 65
        assert np.count_nonzero(codes) == 1
        assert mean[17 // side, 33 // side] == 1.0
    assert np.isnan(found[4][0][16:32, 16:32]).all()
    assert np.count_nonzero(np.isnan(found[4][0])) == 256


def test_a_small_image_is_its_own_preview_and_threads_change_nothing() -> None:
    image = np.random.default_rng(1).normal(size=(100, 90)).astype(np.float32)
    mask = np.zeros(image.shape, np.uint8)
    one = pyramid.levels(image, mask)
    assert list(one) == [1]
    np.testing.assert_array_equal(one[1][0], image)
    many = pyramid.levels(image, mask, largest_px=30, smallest_px=10, threads=3)
    alone = pyramid.levels(image, mask, largest_px=30, smallest_px=10)
    for side in alone:
        np.testing.assert_array_equal(many[side][0], alone[side][0])
