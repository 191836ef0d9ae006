"""Saturated pixels are found, with what they spilt, and nothing else."""

import numpy as np

from tesela.pixels import saturation

SHAPE = (60, 40)
DATA = np.array([[3, 43, 0, 30], [3, 43, 34, 64]])
DEST = np.array([[0, 40, 0, 30], [0, 40, 30, 60]])
LIMIT = np.array([60000.0, 50000.0])


def raw_of(image):
    raw = np.full((64, 46), 65535, np.uint16)  # what lies outside the sections must not matter
    for (x0, x1, y0, y1), (u0, u1, v0, v1) in zip(DATA, DEST):
        raw[y0:y1, x0:x1] = image[v0:v1, u0:u1]
    return raw


def find(image, **settings):
    return saturation.find(raw_of(image), DATA, DEST, LIMIT, SHAPE, **settings)


def test_dark_frame_has_none():
    mask = find(np.full(SHAPE, 1000, np.uint16))
    assert mask.dtype == bool
    assert mask.shape == SHAPE
    assert not mask.any()


def test_each_amplifier_has_its_own_level_and_the_level_itself_is_saturated():
    image = np.full(SHAPE, 1000, np.uint16)
    image[10, 10], image[20, 20] = 59999, 60000
    image[50, 10], image[50, 30] = 49999, 50000
    mask = find(image, grow=0)
    assert sorted(zip(*np.nonzero(mask))) == [(20, 20), (50, 30)]


def test_grown_in_eight_directions_and_cut_at_the_border():
    image = np.full(SHAPE, 1000, np.uint16)
    image[0, 0] = image[20, 20] = 65535
    expected = np.zeros(SHAPE, bool)
    expected[:2, :2] = expected[19:22, 19:22] = True
    assert np.array_equal(find(image, grow=1), expected)


def test_bleed_is_followed_across_amplifiers_and_one_pixel_further():
    image = np.full(SHAPE, 1000, np.uint16)
    image[15:25, 12] = 65535
    image[25:40, 12] = 40000  # above half the saturation level of both amplifiers
    image[40, 12] = 9000
    expected = np.zeros(SHAPE, bool)
    expected[14:41, 12] = True
    assert np.array_equal(find(image, grow=0), expected)


def test_a_bright_but_short_core_is_no_bleed():
    image = np.full(SHAPE, 1000, np.uint16)
    image[18:24, 12] = 40000
    image[20:22, 12] = 65535
    assert find(image, grow=0).sum() == 2
    assert find(image, grow=0, bleed_min_length=2).sum() == 8
