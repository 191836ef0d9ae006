"""Pictures: size, orientation, colours of the mask, hue of the stars."""

import numpy as np
import pytest

from tesela.pixels import thumbnail


def sky(shape=(300, 200), seed=1):
    return np.random.default_rng(seed).normal(500, 10, shape).astype(np.float32)


def test_size_shape_and_type():
    picture = thumbnail.render(sky((1030, 700)), max_px=512)
    assert picture.shape == (344, 234, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert thumbnail.render(sky((40, 30)), max_px=512).shape == (40, 30, 3)


def test_the_first_row_is_the_top_of_the_image():
    image = sky()
    image[-20:] += 1000
    picture = thumbnail.render(image)
    assert picture[:20].mean() > picture[20:].mean() + 50


@pytest.mark.parametrize("stretch", ["asinh", "linear"])
def test_brighter_is_never_darker(stretch):
    image = sky((64, 64))
    ramp = 500 + np.geomspace(1, 1e5, 40)
    image[10, :40] = ramp
    row = thumbnail.render(image, stretch=stretch)[64 - 1 - 10, :40, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row[-1] == 255


def test_a_constant_added_or_a_factor_changes_little():
    image = sky()
    one = thumbnail.render(image).astype(int)
    two = thumbnail.render(image * 3 + 4000).astype(int)
    assert np.abs(one - two).max() <= 1


def test_every_code_has_its_own_colour():
    colours = np.array(list(thumbnail.MASK_COLOURS.values()), float)
    assert sorted(thumbnail.MASK_COLOURS) == [1, 2, 4, 8, 16, 32, 64]
    distance = np.linalg.norm(colours[:, None] - colours, axis=2) + 1e3 * np.eye(7)
    assert distance.min() > 50


@pytest.mark.parametrize("code", sorted(thumbnail.MASK_COLOURS))
def test_a_masked_patch_takes_the_colour_of_its_code(code):
    image = sky((100, 100))
    mask = np.zeros(image.shape, np.uint8)
    mask[30:50, 30:50] = code
    tinted = thumbnail.render(image, mask).astype(float)
    plain = thumbnail.render(image).astype(float)
    patch = np.s_[50:70, 30:50]
    alpha = 0.35 if code == 64 else 0.85
    expected = (1 - alpha) * plain[patch] + alpha * np.array(thumbnail.MASK_COLOURS[code])
    np.testing.assert_allclose(tinted[patch], expected, atol=1.0)
    outside = np.ones((100, 100), bool)
    outside[patch] = False
    np.testing.assert_array_equal(tinted[outside], plain[outside])


def test_a_single_bad_column_stays_visible_when_reduced():
    image = sky((1000, 1000))
    mask = np.zeros(image.shape, np.uint8)
    mask[:, 500] = 1
    picture = thumbnail.render(image, mask, max_px=100).astype(int)
    assert picture[:, 50, 0].mean() > picture[:, 49, 0].mean() + 20


def test_unknown_pixels_are_dark_and_do_not_spoil_their_block():
    image = sky((100, 100))
    image[:50] = np.nan
    image[60, 60] = np.inf
    picture = thumbnail.render(image, max_px=50)
    assert (picture[26:] == thumbnail.NO_DATA).all()
    assert not (picture[:25] == thumbnail.NO_DATA).all(axis=2).any()


@pytest.mark.parametrize("image", [np.zeros((20, 20), "f4"), np.full((20, 20), np.nan, "f4")])
def test_images_without_contrast_or_data_are_drawn_all_the_same(image):
    assert thumbnail.render(image).shape == (20, 20, 3)


def flat(dead=0):
    """Bright, 5 % darker in the corners, with a dust ring of 2 %; `dead` columns give nothing."""
    y, x = np.mgrid[:200, :200] - 100.0
    image = 20000 * (1 - 0.05 * (x**2 + y**2) / 2e4)
    image[40:44, 90:110] *= 0.98
    image += np.random.default_rng(3).normal(0, 20, image.shape)
    image[:, :dead] = 0
    return image.astype(np.float32)


@pytest.mark.parametrize("dead", [0, 12])
def test_shades_of_a_flat_go_over_its_own_structure(dead):
    picture = thumbnail.render(flat(dead), stretch="range")[::-1, :, 0].astype(int)
    low, high = np.percentile(picture[:, dead:], [2, 98])
    assert high - low > 100, "asinh leaves it 40 shades"
    ring, beside = picture[40:44, 90:110].mean(), picture[48:52, 90:110].mean()
    assert beside - ring > 50
    assert (picture[:, :dead] == 0).all()


def test_nothing_to_show_is_of_one_shade():
    for image in (np.full((20, 20), 7, "f4"), np.zeros((20, 20), "f4")):
        assert np.ptp(thumbnail.render(image, stretch="range")) == 0
    empty = thumbnail.render(np.full((20, 20), np.nan, "f4"), stretch="range")
    assert (empty == thumbnail.NO_DATA).all()


def test_an_unknown_stretch_is_refused():
    with pytest.raises(ValueError, match="expected 'asinh' or 'linear'"):
        thumbnail.render(sky((20, 20)), stretch="log")


def bands(scale=1.0):
    rng = np.random.default_rng(4)
    planes = [rng.normal(0, 1, (60, 60)).astype(np.float32) for _ in range(3)]
    for plane, flux in zip(planes, (400.0, 200.0, 100.0)):
        plane[20:30, 20:30] += scale * flux
    return planes


def test_hue_does_not_depend_on_brightness():
    ratios = []
    for scale in (1.0, 100.0):
        picture = thumbnail.colour(*bands(scale)).astype(float)
        patch = picture[30:40, 20:30].mean(axis=(0, 1))
        ratios.append(patch / patch[0])
    np.testing.assert_allclose(ratios[0], ratios[1], atol=0.02)
    np.testing.assert_allclose(ratios[1], [1, 0.5, 0.25], atol=0.02)


def test_a_scale_balances_the_colours():
    picture = thumbnail.colour(*bands(50.0), scales=(1.0, 2.0, 4.0), stretch=3.0).astype(float)
    patch = picture[30:40, 20:30].mean(axis=(0, 1))
    np.testing.assert_allclose(patch / patch[0], 1.0, atol=0.02)


def test_colour_pictures_mark_unknown_pixels_and_are_reduced():
    red, green, blue = bands()
    green[:10] = np.nan
    picture = thumbnail.colour(red, green, blue, max_px=30)
    assert picture.shape == (30, 30, 3)
    assert (picture[25:] == thumbnail.NO_DATA).all()


def test_bands_of_different_shape_are_refused():
    red, green, _ = bands()
    with pytest.raises(ValueError, match="expected one shape"):
        thumbnail.colour(red, green, np.zeros((3, 3), np.float32))
