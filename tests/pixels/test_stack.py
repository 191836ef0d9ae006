"""Stacking: weights, rejection, and what must not be rejected."""

import numpy as np
import pytest

from tesela.pixels import stack


def frames(n, shape=(40, 50), sigma=2.0, level=5.0, seed=1):
    rng = np.random.default_rng(seed)
    images = rng.normal(level, sigma, (n, *shape)).astype(np.float32)
    return images, np.full_like(images, 1 / sigma**2)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_noise_alone_gives_the_weighted_mean(n):
    images, weights = frames(n)
    weights *= np.arange(1, n + 1, dtype=np.float32)[:, None, None]
    found = stack.combine(images, weights, clip_sigma=50)
    expected = (images * weights).sum(axis=0) / weights.sum(axis=0)
    np.testing.assert_allclose(found.image, expected, rtol=1e-5)
    np.testing.assert_allclose(found.weight, weights.sum(axis=0), rtol=1e-5)
    assert (found.count == n).all()
    assert (found.rejected == 0).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10])
def test_a_cosmic_ray_leaves_no_trace(n):
    images, weights = frames(n)
    images[1, 20, 20:25] += 500
    found = stack.combine(images, weights)
    assert np.abs(found.image[20, 20:25] - 5).max() < 5 * 2 / np.sqrt(n - 1)
    assert (found.count[20, 20:25] == n - 1).all()
    assert found.rejected[1] >= 5


@pytest.mark.parametrize("n", [3, 5])
def test_a_hole_is_rejected_when_the_others_agree(n):
    images, weights = frames(n)
    images[2, 10, 10] = -300
    found = stack.combine(images, weights)
    assert found.count[10, 10] == n - 1
    assert abs(found.image[10, 10] - 5) < 8


def test_of_three_that_all_disagree_the_lowest_stays():
    images, weights = frames(3)
    images[0, 5, 5], images[1, 5, 5], images[2, 5, 5] = 4, 1000, 9000
    found = stack.combine(images, weights)
    assert found.image[5, 5] == 4
    assert found.count[5, 5] == 1


def test_clean_noise_is_hardly_ever_rejected():
    images, weights = frames(6, (200, 200))
    found = stack.combine(images, weights)
    assert found.rejected.sum() < 60  # 4 sigma: 15 of 240 000 for a perfect centre
    assert found.image.std() == pytest.approx(2 / np.sqrt(6), rel=0.02)


def test_star_cores_survive_different_seeing():
    y, x = np.mgrid[-20:21, -20:21]
    r2 = x**2 + y**2
    fwhm = np.array([0.8, 1.4, 2.0]) / 0.55
    sigma = fwhm / 2.3548
    profiles = [np.exp(-0.5 * r2 / s**2) / (2 * np.pi * s**2) for s in sigma]
    images = np.array([1e5 * p for p in profiles], np.float32)
    weights = np.full_like(images, 0.01)
    median = np.median(images, axis=0)
    ratio = np.abs(images / np.maximum(median, 1e-3) - 1)
    clipped = stack.combine(images, weights)
    kept = stack.combine(images, weights, psf_ratio=ratio)
    assert clipped.rejected.sum() > 0
    assert (kept.rejected == 0).all()
    assert kept.image.sum() == pytest.approx(1e5, rel=1e-3)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_one_ratio_an_image_allows_its_peak(n):
    images = np.full((n, 6, 6), 1000, np.float32)
    images[0] = 2650
    weights = np.full_like(images, 1.0)
    ratio = np.zeros(n, np.float32)
    ratio[0] = 1.7
    assert stack.combine(images, weights).rejected[0] == 36
    assert stack.combine(images, weights, psf_ratio=ratio).rejected[0] == 0


def test_pixels_without_weight_never_count():
    images, weights = frames(5)
    holes = np.random.default_rng(2).random(images.shape) < 0.3
    weights[holes] = 0
    one = stack.combine(np.where(holes, np.float32(np.nan), images), weights)
    two = stack.combine(np.where(holes, np.float32(1e9), images), weights)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.weight.tobytes() == two.weight.tobytes()
    assert (one.count <= (~holes).sum(axis=0)).all()


def test_nothing_anywhere_is_zero_with_weight_zero():
    images, weights = frames(3)
    weights[:, 7, 7] = 0
    weights[:, 8, 8] = np.nan
    images[:, 9, 9] = np.nan
    found = stack.combine(images, weights)
    for k in (7, 8, 9):
        assert (found.image[k, k], found.weight[k, k], found.count[k, k]) == (0, 0, 0)
    assert np.isfinite(found.image).all()


def test_the_order_of_the_images_does_not_matter():
    images, weights = frames(5)
    images[3, 5, 5] = 900
    one = stack.combine(images, weights)
    two = stack.combine(images[::-1], weights[::-1])
    np.testing.assert_allclose(one.image, two.image, rtol=1e-6)
    np.testing.assert_array_equal(one.rejected, two.rejected[::-1])


@pytest.mark.parametrize("maps", [False, True])
def test_bands_of_rows_and_lists_of_planes_change_nothing(monkeypatch, maps):
    images, weights = frames(4, (70, 30))
    ratio = np.random.default_rng(3).random(images.shape).astype(np.float32) if maps else None
    one = stack.combine(images, weights, psf_ratio=ratio)
    monkeypatch.setattr(stack, "BAND_ROWS", 16)
    two = stack.combine(list(images), list(weights), psf_ratio=ratio)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.count.tobytes() == two.count.tobytes()
    np.testing.assert_array_equal(one.rejected, two.rejected)


def test_planes_that_do_not_fit_are_refused():
    images, weights = frames(2)
    with pytest.raises(ValueError, match="2 images and 1 weights"):
        stack.combine(images, weights[:1])
    with pytest.raises(ValueError, match=r"image 1 of \(3, 3\)"):
        stack.combine([images[0], np.zeros((3, 3), np.float32)], list(weights))
