"""Colour pictures: fixed mixtures, hues that outlast brightness, means over what is covered."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import colour
from tesela.pixels.colour import Curve


def plane(value: float) -> np.ndarray:
    return np.full((4, 5), value, np.float32)


def three(red: float, green: float, blue: float) -> np.ndarray:
    return np.stack([plane(red), plane(green), plane(blue)])


def test_bands_of_equal_flux_give_that_flux_whatever_their_shares() -> None:
    totals, shares = np.zeros((3, 4, 5), np.float32), [plane(0) for _ in range(3)]
    for c in range(3):
        for share, gain in ((0.2, 2.0), (0.8, 0.5)):
            colour.add_band(
                totals[c], shares[c], plane(3.0 / gain), plane(1), gain=gain, share=share
            )
    colour.finish_planes(totals, shares, (1.0, 2.0, 0.5))
    np.testing.assert_allclose(totals[:, 0, 0], [3.0, 6.0, 1.5], rtol=1e-6)


def test_pixel_without_data_in_a_band_is_filled_by_the_others() -> None:
    totals, shares = np.zeros((3, 4, 5), np.float32), [plane(0) for _ in range(3)]
    weight = plane(1)
    weight[1, 2] = 0
    image = plane(7)
    image[2, 2] = np.nan
    for c in range(3):
        colour.add_band(totals[c], shares[c], plane(5), plane(1), gain=1, share=0.5)
        colour.add_band(totals[c], shares[c], image, weight, gain=1, share=0.5)
    colour.finish_planes(totals, shares, (1, 1, 1))
    assert totals[0, 0, 0] == 6
    assert totals[0, 1, 2] == 5
    assert totals[0, 2, 2] == 5


def test_no_data_in_one_colour_is_no_data_in_all() -> None:
    totals, shares = np.zeros((3, 4, 5), np.float32), [plane(0) for _ in range(3)]
    weight = plane(1)
    weight[3, 4] = 0
    for c in range(3):
        colour.add_band(
            totals[c], shares[c], plane(5), weight if c == 1 else plane(1), gain=1, share=1
        )
    colour.finish_planes(totals, shares, (1, 1, 1))
    assert np.isnan(totals[:, 3, 4]).all()
    assert np.isfinite(totals).sum() == 3 * 19


def test_hue_is_the_same_at_every_brightness() -> None:
    curve = Curve(1.0, black_sigma=0.0, grey_sigma=0.0)
    for factor in (10.0, 1000.0, 1e6):
        shown = colour.render(three(3 * factor, 2 * factor, factor), curve)[0, 0].astype(float)
        assert shown[0] > 20
        np.testing.assert_allclose(shown[1:] / shown[0], [2 / 3, 1 / 3], atol=0.03)


def test_brighter_is_never_darker_and_fills_the_range() -> None:
    curve = Curve(2.0)
    levels = [
        int(colour.render(three(v, v, v), curve)[0, 0, 0]) for v in np.geomspace(0.1, 1e6, 40)
    ]
    assert levels == sorted(levels)
    assert levels[0] < 40
    assert levels[-1] == 255


def test_noise_has_no_colour_and_what_is_below_black_is_black() -> None:
    curve = Curve(1.0, black_sigma=1.0)
    faint = colour.render(three(0.9, 0.0, -0.9), curve)[0, 0]
    assert len(set(faint.tolist())) == 1
    assert not colour.render(three(-2.0, -2.0, -2.0), curve).any()
    assert not colour.render(three(np.nan, np.nan, np.nan), curve).any()


def test_shrunk_pixel_is_the_mean_of_what_is_there() -> None:
    planes = np.arange(3 * 5 * 4, dtype=np.float32).reshape(3, 5, 4)
    planes[:, 0, 0] = np.nan
    planes[:, 2:4, 2:4] = np.nan
    small = colour.shrink(planes, 2)
    assert small.shape == (3, 3, 2)
    assert small[0, 0, 0] == pytest.approx(np.nanmean(planes[0, :2, :2]))
    assert small[1, 2, 1] == pytest.approx(planes[1, 4, 2:4].mean())
    assert np.isnan(small[:, 1, 1]).all()
    assert colour.shrink(planes, 1) is planes


def test_halved_picture_means_over_covered_pixels_only() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    covered = np.zeros((4, 4), bool)
    picture[0, 0], picture[0, 1] = (100, 0, 9), (200, 0, 10)
    covered[0, :2] = True
    small, found = colour.halve(picture, covered)
    assert small[0, 0].tolist() == [150, 0, 10]
    np.testing.assert_array_equal(found, [[True, False], [False, False]])
    assert not small[1, 1].any()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        colour.add_band(plane(0), plane(0), plane(1)[:2], plane(1), gain=1, share=1)
    with pytest.raises(ValueError, match="positive"):
        colour.render(three(1, 1, 1), Curve(0.0))
