"""The noise law of white and of correlated noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tesela.errors import QualityError
from tesela.pixels import noise

RADII = (1.5, 2.5, 4.0, 6.0)


def white(shape=(400, 400), sigma=3.0, seed=1):
    return np.random.default_rng(seed).normal(0, sigma, shape).astype(np.float32)


def measure(image, weight=None, segmentation=None, radii=RADII, **options):
    weight = np.ones_like(image) if weight is None else weight
    segmentation = np.zeros(image.shape, np.int32) if segmentation is None else segmentation
    options = {"seed": 3} | options
    return noise.empty_apertures(image, weight, segmentation, radii, **options)


def test_white_noise_grows_as_the_root_of_the_area():
    law = measure(white())
    assert law.sigma1 == pytest.approx(3, rel=0.02)
    effective = np.array([noise.effective_pixels(radius) for radius in RADII])
    np.testing.assert_allclose(law.sigma(effective), 3 * np.sqrt(effective), rtol=0.03)
    assert law.a == pytest.approx(1, abs=0.04)
    assert abs(law.b) < 0.02


def test_effective_pixels_are_the_area_less_a_share_of_the_rim():
    for radius in (1.5, 4.0, 8.0):
        area, rim = np.pi * radius**2, 2 * np.pi * radius
        assert area - 0.25 * rim < noise.effective_pixels(radius) < area - 0.1 * rim


def test_correlated_noise_grows_faster():
    law = measure(gaussian_filter(white((600, 600)), 1.2))
    areas = np.pi * np.array(RADII) ** 2
    factor = law.sigma(areas) / (law.sigma1 * np.sqrt(areas))
    assert (np.diff(factor) > 0).all()
    assert law.b > 0.05
    np.testing.assert_allclose(law.sigma(law.n_pixels), law.measured, rtol=0.2)


def test_objects_never_count():
    image = white()
    spots = np.zeros(image.shape, np.int32)
    spots[::40, ::40] = 1
    bright = np.where(spots > 0, np.float32(1e6), image)
    one, two = measure(image, segmentation=spots), measure(bright, segmentation=spots)
    assert (one.sigma1, one.a, one.b) == (two.sigma1, two.a, two.b)


def test_empty_pixels_never_count():
    image = white()
    weight = np.ones_like(image)
    weight[100:140] = 0
    holes = np.where(weight > 0, image, np.float32(np.nan))
    one, two = measure(image, weight), measure(holes, weight)
    assert (one.sigma1, one.a) == (two.sigma1, two.a)


def test_depth_variations_do_not_pass_for_noise():
    image = white()
    weight = np.full_like(image, 1 / 9)
    image[:, :130] *= 3
    weight[:, :130] /= 9
    assert measure(image, weight).sigma1 == pytest.approx(3, rel=0.03)


def test_the_seed_decides_and_nothing_else():
    image = white()
    one, two, other = measure(image), measure(image), measure(image, seed=4)
    assert (one.a, one.b) == (two.a, two.b)
    assert one.a != other.a


def test_radii_without_room_are_left_out():
    law = measure(white((60, 60)), radii=(1.5, 2.5, 40.0))
    assert len(law.n_pixels) == 2


@pytest.mark.parametrize("covered", [0, 1])
def test_an_image_without_room_is_refused_with_a_sentence(covered):
    image = white((30, 30))
    segmentation = np.full(image.shape, covered, np.int32)
    with pytest.raises(QualityError, match="radii have 50 free places"):
        measure(image, segmentation=segmentation, radii=(20.0, 25.0))
