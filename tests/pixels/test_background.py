"""The sky: what it must not feel, and that it can be rebuilt from its mesh."""

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels import background


def sky(shape=(300, 260), level=100.0, sigma=10.0, seed=1):
    return np.random.default_rng(seed).normal(level, sigma, shape).astype(np.float32)


def test_flat_noise_gives_its_level_and_sigma():
    measured = background.measure(sky((512, 512)), None, mesh_px=64)
    error = 10.0 / 512
    assert abs(measured.level().mean() - 100) < 6 * error
    assert abs(measured.median_rms / 10 - 1) < 0.01


def test_adding_a_constant_moves_the_level_by_it_and_the_noise_not_at_all():
    image = sky()
    before = background.measure(image, None, mesh_px=64)
    after = background.measure(image + np.float32(512), None, mesh_px=64)
    np.testing.assert_allclose(after.mesh_level - before.mesh_level, 512, atol=5e-3)  # sigma is 10
    np.testing.assert_allclose(after.mesh_rms, before.mesh_rms, rtol=1e-3)


def test_scaling_the_image_scales_level_and_noise():
    image = sky()
    one, four = (background.measure(image * np.float32(k), None, mesh_px=64) for k in (1, 4))
    np.testing.assert_allclose(four.mesh_level, 4 * one.mesh_level, rtol=1e-5)
    np.testing.assert_allclose(four.mesh_rms, 4 * one.mesh_rms, rtol=1e-5)


@pytest.mark.parametrize("poison", [1e6, -1e6, np.nan, np.inf])
def test_masked_pixels_never_count(poison):
    image = sky()
    mask = np.random.default_rng(3).random(image.shape) < 0.2
    spoiled = image.copy()
    spoiled[mask] = poison
    one = background.measure(image, mask, mesh_px=64)
    two = background.measure(spoiled, mask, mesh_px=64)
    assert one.mesh_level.tobytes() == two.mesh_level.tobytes()
    assert one.mesh_rms.tobytes() == two.mesh_rms.tobytes()


def test_nan_counts_as_masked():
    image = sky()
    holes = np.zeros(image.shape, bool)
    holes[10:40, 20:60] = True
    spoiled = np.where(holes, np.float32(np.nan), image)
    one = background.measure(image, holes, mesh_px=64)
    two = background.measure(spoiled, None, mesh_px=64)
    assert one.mesh_level.tobytes() == two.mesh_level.tobytes()


@pytest.mark.parametrize(("shape", "mesh_px"), [((300, 260), 64), ((90, 400), 128), ((50, 50), 64)])
def test_the_stored_mesh_gives_back_exactly_the_plane(shape, mesh_px):
    image = sky(shape) + np.linspace(0, 50, shape[1], dtype=np.float32)
    measured = background.measure(image, None, mesh_px=mesh_px)
    again = background.from_mesh(measured.mesh_level.copy(), shape, mesh_px)
    assert again.dtype == np.float32
    assert again.shape == shape
    assert again.tobytes() == measured.level().tobytes()


def test_a_plane_is_followed_to_the_corners():
    yy, xx = np.mgrid[:512, :512]
    tilt = (0.05 * xx - 0.03 * yy + 50).astype(np.float32)
    noise = np.random.default_rng(4).normal(0, 0.5, tilt.shape).astype(np.float32)
    measured = background.measure(tilt + noise, None, mesh_px=64, filter_meshes=1)
    assert np.abs(measured.level() - tilt).max() < 0.3


def test_a_smooth_mesh_expands_to_the_function_it_samples():
    shape, mesh_px = (640, 640), 64
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    centres = np.arange(10) * 64 + 31.5
    wave = lambda y, x: np.sin(x / 150) * np.cos(y / 130)  # noqa: E731
    mesh = wave(centres[:, None], centres[None, :]).astype(np.float32)
    plane = background.from_mesh(mesh, shape, mesh_px)
    inner = np.s_[96:-96, 96:-96]
    assert np.abs(plane - wave(yy, xx))[inner].max() < 0.01


def test_stars_move_the_level_by_little():
    image = sky((512, 512))
    rng = np.random.default_rng(5)
    bump = 500 * np.exp(-0.5 * (np.hypot(*np.mgrid[-7:8, -7:8]) / 1.5) ** 2).astype(np.float32)
    for x, y in rng.integers(8, 503, (150, 2)):
        image[y - 7 : y + 8, x - 7 : x + 8] += bump
    measured = background.measure(image, None, mesh_px=128)
    assert abs(measured.median_level - 100) < 0.3


def test_a_fully_masked_cell_is_filled_from_its_neighbours():
    image = sky((320, 320))
    mask = np.zeros(image.shape, bool)
    mask[64:128, 64:128] = True
    image[mask] = 1e5
    measured = background.measure(image, mask, mesh_px=64, filter_meshes=1)
    assert abs(measured.mesh_level[1, 1] - 100) < 3


def test_a_constant_image_has_no_noise():
    measured = background.measure(np.full((128, 128), 7, np.float32), None, mesh_px=64)
    assert (measured.level() == 7).all()
    assert (measured.rms() == 0).all()


def test_digitised_sky_below_one_unit_of_noise_is_still_measured():
    image = np.round(sky((256, 256), 100.3, 0.7))
    measured = background.measure(image, None, mesh_px=128)
    assert abs(measured.median_level - 100.3) < 0.1
    assert 0.4 < measured.median_rms < 1.0


def test_mostly_one_value_with_rare_others_is_measured():
    image = np.zeros((128, 128), np.float32)
    image[::5, ::3] = 1
    measured = background.measure(image, None, mesh_px=64)
    assert 0 <= measured.median_level < 0.2


def test_noise_never_reaches_zero_between_cells():
    mesh = np.array([[1, 1, 1], [1, 100, 1], [1, 1, 1]], np.float32)
    measured = background.Background(mesh, mesh, (192, 192), 64)
    assert measured.rms().min() >= 0.5


def test_an_image_without_sky_is_refused_with_a_sentence():
    with pytest.raises(QualityError, match=r"cells are more than 80% masked.*larger mesh"):
        background.measure(sky((128, 128)), np.ones((128, 128), bool), mesh_px=64)


def test_a_mesh_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected \(2, 2\)"):
        background.from_mesh(np.zeros((3, 2), np.float32), (128, 128), 64)


def test_values_at_places_are_those_of_the_planes() -> None:
    rng = np.random.default_rng(12)
    mesh = rng.normal(100, 10, (4, 5)).astype(np.float32)
    sky = background.Background(mesh, np.abs(mesh) / 10, (300, 400), 80)
    x, y = rng.uniform(0, 399, 50), rng.uniform(0, 299, 50)
    near = np.rint(y).astype(int), np.rint(x).astype(int)
    np.testing.assert_allclose(sky.level_at(x, y), sky.level()[near], rtol=1e-6)
    np.testing.assert_allclose(sky.rms_at(x, y), sky.rms()[near], rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_sky_that_is_subtracted_can_be_put_back(threads: int) -> None:
    rng = np.random.default_rng(13)
    image = rng.normal(200, 10, (310, 420)).astype(np.float32)
    sky = background.measure(image, None, mesh_px=64, threads=threads)
    assert (
        sky.mesh_level.tobytes() == background.measure(image, None, mesh_px=64).mesh_level.tobytes()
    )
    left = image.copy()
    background.subtract(left, sky, threads=threads)
    np.testing.assert_array_equal(left, image - sky.level())
    background.add(left, sky)
    np.testing.assert_allclose(left, image, rtol=1e-6)
