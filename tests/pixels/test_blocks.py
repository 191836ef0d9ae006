"""Means of blocks: the usable pixels of each, also at the edges."""

from __future__ import annotations

import numpy as np

from tesela.pixels.blocks import binned, factor_to


def test_a_block_is_the_mean_of_its_usable_pixels() -> None:
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    image[0, 0] = np.nan
    usable = np.ones(image.shape, bool)
    usable[2:4, 2:4] = False
    found = binned(image, usable, 2)
    assert found.shape == (3, 4)
    assert found[0, 0] == np.float32(16 / 3)
    assert np.isnan(found[1, 1])
    assert found[2, 3] == 34
    assert np.array_equal(binned(image, None, 1), image, equal_nan=True)


def test_no_side_is_larger_than_wanted() -> None:
    assert factor_to((9232, 9216), 2400) == 4
    assert factor_to((1154, 1152), 2400) == 1
