"""Resampling: flux, positions, bad pixels and masks."""

import numpy as np
import pytest

from tesela.pixels import resample


def star(shape, x, y, flux=1e4, sigma=1.6):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    g = np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / sigma**2)
    return (flux * g / g.sum()).astype(np.float32)


def grid(shape_out, step, transform):
    """Input positions of every `step`-th output pixel."""
    ys, xs = (step * np.arange(-(-(size - 1) // step) + 2.0) for size in shape_out)
    return transform(*np.meshgrid(xs, ys))


def rotated(angle, scale=1.0, x0=0.0, y0=0.0):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return lambda x, y: (c * x - s * y + x0, s * x + c * y + y0)


def apply(image, transform, shape_out=None, weight=None, step=16):
    shape_out = shape_out or image.shape
    weight = np.ones(image.shape, np.float32) if weight is None else weight
    return resample.lanczos3(image, weight, *grid(shape_out, step, transform), step, shape_out)


def test_the_identity_changes_nothing():
    image = np.random.default_rng(1).normal(0, 1, (60, 70)).astype(np.float32)
    out, weight = apply(image, rotated(0.0))
    inner = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(out[inner], image[inner], atol=1e-5)
    np.testing.assert_allclose(weight[inner], 1.0, rtol=1e-6)


def test_a_whole_shift_is_a_copy():
    image = np.random.default_rng(2).normal(0, 1, (60, 70)).astype(np.float32)
    out, _ = apply(image, lambda x, y: (x + 3.0, y - 2.0))
    np.testing.assert_allclose(out[5:55, 5:60], image[3:53, 8:63], atol=1e-5)


@pytest.mark.parametrize("scale", [0.8, 0.97, 1.0, 1.01, 1.15])
@pytest.mark.parametrize("angle", [0.0, 0.01, 0.6])
def test_flux_is_conserved_through_scale_and_rotation(scale, angle):
    image = star((121, 121), 60.3, 59.6)
    corner = rotated(angle, scale)(60.0, 60.0)
    transform = rotated(angle, scale, 60.0 - corner[0], 60.0 - corner[1])
    out, _ = apply(image, transform)
    allowed = 1e-4 if abs(scale - 1) < 0.02 else 1e-3 if abs(scale - 1) < 0.05 else 3e-3
    assert out.sum() == pytest.approx(1e4, rel=allowed)


def test_planes_and_parabolas_are_reproduced():
    y, x = np.mgrid[:60, :60] / 30.0 - 1.0
    surface = lambda u, v: 3 + 2 * u - v + 4 * u * u - 3 * u * v + v * v  # noqa: E731
    transform = rotated(0.1, 1.0, 3.0, 2.0)
    out, _ = apply(surface(x, y).astype(np.float32), transform, (50, 50))
    u, v = transform(*np.meshgrid(np.arange(50.0), np.arange(50.0)))
    inner = (u > 3) & (v > 3) & (u < 56) & (v < 56)
    assert np.count_nonzero(inner) > 1500
    np.testing.assert_allclose(out[inner], surface(u / 30 - 1, v / 30 - 1)[inner], atol=2e-3)


def test_a_star_lands_where_the_grid_says():
    image = star((101, 101), 50.3, 47.6)
    angle, x0, y0 = 0.02, 1.7, -0.4
    out, _ = apply(image, rotated(angle, 1.0, x0, y0))
    c, s = np.cos(angle), np.sin(angle)
    truth = c * (50.3 - x0) + s * (47.6 - y0), -s * (50.3 - x0) + c * (47.6 - y0)
    yy, xx = np.mgrid[:101, :101]
    near = np.hypot(xx - truth[0], yy - truth[1]) < 8
    flux = out[near].sum()
    assert (out * xx)[near].sum() / flux == pytest.approx(truth[0], abs=2e-3)
    assert (out * yy)[near].sum() / flux == pytest.approx(truth[1], abs=2e-3)


def test_the_weight_gives_the_right_error_for_sums_over_many_pixels():
    rng = np.random.default_rng(3)
    scale = 0.85
    sums, expected = [], None
    for _ in range(60):
        image = rng.normal(0, 2.0, (70, 70)).astype(np.float32)
        out, weight = apply(
            image, rotated(0.3, scale, 20, 5), (50, 50), np.full((70, 70), 0.25, "f4")
        )
        inner = np.s_[10:36, 10:36]
        sums.append(out[inner].sum())
        expected = np.sqrt((1 / weight[inner]).sum())
    assert np.std(sums) == pytest.approx(expected, rel=0.3)
    assert expected == pytest.approx(2.0 * scale * 26, rel=1e-3)


def test_pixels_without_data_never_change_the_result():
    rng = np.random.default_rng(4)
    image = rng.normal(0, 1, (80, 80)).astype(np.float32)
    weight = (rng.random(image.shape) > 0.01).astype(np.float32)
    transform = rotated(0.01, 1.0, 0.3, 0.4)
    one = apply(np.where(weight > 0, image, np.float32(np.nan)), transform, weight=weight)
    two = apply(np.where(weight > 0, image, np.float32(1e9)), transform, weight=weight)
    assert one[0].tobytes() == two[0].tobytes()
    assert one[1].tobytes() == two[1].tobytes()
    assert np.isfinite(one[0]).all()
    assert (one[0][one[1] == 0] == 0).all()


def test_a_bad_pixel_empties_its_four_corners_and_little_else():
    image = np.ones((40, 40), np.float32)
    weight = np.ones_like(image)
    weight[20, 20] = 0
    image[20, 20] = 1e6
    out, out_weight = apply(image, lambda x, y: (x + 0.5, y + 0.5), weight=weight)
    hole = out_weight == 0
    assert hole[19:21, 19:21].all()
    assert np.count_nonzero(hole[2:-3, 2:-3]) <= 12
    np.testing.assert_allclose(out[~hole], 1.0, rtol=1e-5)


def test_outside_there_is_nothing():
    image = np.ones((40, 40), np.float32)
    out, weight = apply(image, lambda x, y: (x - 20.0, y), (40, 80))
    assert (weight[:, :20] == 0).all()
    assert (weight[:, 60:] == 0).all()
    assert (weight[5:35, 25:55] > 0).all()
    np.testing.assert_allclose(out[5:35, 25:55], 1.0, rtol=1e-5)


def test_unknown_positions_give_nothing():
    image = np.ones((40, 40), np.float32)
    gx, gy = grid((40, 40), 16, rotated(0.0))
    gx[0, 0] = np.nan
    out, weight = resample.lanczos3(image, np.ones_like(image), gx, gy, 16, (40, 40))
    assert (weight[:16, :16] == 0).all()
    assert np.isfinite(out).all()
    mask = resample.nearest_mask(np.zeros((40, 40), np.uint8), gx, gy, 16, (40, 40), outside=32)
    assert (mask[:16, :16] == 32).all()


def test_images_smaller_than_the_kernel_are_handled():
    out, weight = apply(np.ones((4, 4), np.float32), rotated(0.0), step=4)
    good = weight > 0
    np.testing.assert_allclose(out[good], 1.0, rtol=1e-5)


def test_a_grid_too_small_is_refused():
    image = np.ones((40, 40), np.float32)
    gx = gy = np.zeros((2, 2))
    with pytest.raises(ValueError, match=r"expected two grids of at least \(4, 4\)"):
        resample.lanczos3(image, image, gx, gy, 16, (40, 40))


def test_a_mask_is_the_or_of_the_four_neighbours():
    mask = np.zeros((30, 30), np.uint8)
    mask[10, 10], mask[10, 11] = 1, 4
    gx, gy = grid((30, 30), 16, lambda x, y: (x + 0.5, y + 0.5))
    out = resample.nearest_mask(mask, gx, gy, 16, (30, 30), outside=128)
    assert out[9, 9] == out[10, 9] == 1
    assert out[9, 10] == out[10, 10] == 5
    assert out[9, 11] == 4
    assert out[9, 8] == 0
    assert (out[29] == 128).all()


def test_wherever_a_mask_is_clean_all_four_pixels_were():
    mask = (np.random.default_rng(5).random((50, 50)) < 0.05).astype(np.uint8)
    transform = rotated(0.05, 1.0, 3, 3)
    gx, gy = grid((40, 40), 8, transform)
    out = resample.nearest_mask(mask, gx, gy, 8, (40, 40), outside=1)
    yy, xx = np.mgrid[:40, :40]
    x, y = transform(xx, yy)
    near = [
        mask[np.floor(y + b).astype(int).clip(0, 49), np.floor(x + a).astype(int).clip(0, 49)]
        for a in (0, 1)
        for b in (0, 1)
    ]
    expected = np.bitwise_or.reduce(near) | (x < 0) | (y < 0) | (x > 49) | (y > 49)
    np.testing.assert_array_equal(out, expected)
