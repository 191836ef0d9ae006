"""Detection: what is found, what is flagged, what is grown."""

import numpy as np
import pytest
import sep
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from tesela.errors import QualityError
from tesela.pixels import detect
from tesela.pixels.background import Background

SIGMA = 5.0


def blob(image, x, y, flux, sigma=1.6):
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    g = np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)
    image += (flux * g).astype(np.float32)


@pytest.fixture
def two_stars():
    image = np.random.default_rng(1).normal(0, SIGMA, (120, 140)).astype(np.float32)
    blob(image, 40.3, 50.7, 5000)
    blob(image, 100.0, 60.0, 3000)
    return image


def find(image, mask=None, **options):
    return detect.extract(image, SIGMA**2, mask, threshold_sigma=3.0, **options)


def test_positions_fluxes_and_labels_are_those_of_the_stars(two_stars):
    objects, segmentation = find(two_stars)
    order = np.argsort(-objects["flux_iso"])
    np.testing.assert_allclose(objects["x"][order], [40.3, 100.0], atol=0.1)
    np.testing.assert_allclose(objects["y"][order], [50.7, 60.0], atol=0.1)
    np.testing.assert_allclose(objects["a"], 1.6, rtol=0.15)
    assert segmentation.dtype == np.int32
    for k in range(2):
        assert np.count_nonzero(segmentation == k + 1) == objects["npix"][k]
        assert segmentation[round(objects["y"][k]), round(objects["x"][k])] == k + 1
    assert (objects["flags"] == 0).all()


def test_a_variance_plane_and_its_number_find_the_same(two_stars):
    one, _ = find(two_stars)
    plane = np.full(two_stars.shape, SIGMA**2, np.float32)
    plane.flags.writeable = False
    two, _ = detect.extract(two_stars, plane, None, threshold_sigma=3.0)
    np.testing.assert_array_equal(one["flux_iso"], two["flux_iso"])


def test_noise_alone_gives_nothing():
    image = np.random.default_rng(2).normal(0, SIGMA, (200, 200)).astype(np.float32)
    objects, segmentation = find(image)
    assert len(objects["x"]) == 0
    assert not segmentation.any()


def test_masked_pixels_belong_to_nothing_and_their_values_do_not_matter(two_stars):
    mask = np.zeros(two_stars.shape, bool)
    mask[10:14, 10:14] = True
    mask[58:63, 98:103] = True
    hot = two_stars.copy()
    hot[mask] = 1e6
    nan = two_stars.copy()
    nan[mask] = np.nan
    one, seg1 = find(hot, mask)
    two, seg2 = find(nan, None)
    assert not seg1[mask].any()
    np.testing.assert_array_equal(seg1, seg2)
    np.testing.assert_array_equal(one["flux_iso"], two["flux_iso"])
    assert len(one["x"]) >= 1


def test_bad_pixels_beside_an_object_are_flagged(two_stars):
    mask = np.zeros(two_stars.shape, bool)
    mask[:, 41] = True
    objects, _ = find(two_stars, mask)
    near = np.abs(objects["x"] - 40) < 5
    assert (objects["flags"][near] & detect.FLAG_NEIGHBOUR).all()
    assert (objects["flags"][~near] == 0).all()


def test_saturation_blends_and_borders_are_flagged():
    image = np.random.default_rng(3).normal(0, SIGMA, (120, 140)).astype(np.float32)
    blob(image, 30, 30, 50000)
    blob(image, 80, 60, 9000)
    blob(image, 86.5, 60, 8000)
    blob(image, 139, 100, 9000)
    objects, _ = find(image, saturated=image > 2000)

    def flags_at(x, y):
        return int(objects["flags"][np.argmin(np.hypot(objects["x"] - x, objects["y"] - y))])

    assert flags_at(30, 30) == detect.FLAG_SATURATED
    assert flags_at(80, 60) & detect.FLAG_BLENDED
    assert flags_at(86, 60) & detect.FLAG_BLENDED
    assert flags_at(138, 100) & detect.FLAG_TRUNCATED


def test_a_matched_width_finds_what_the_pyramid_misses():
    image = np.random.default_rng(4).normal(0, SIGMA, (300, 300)).astype(np.float32)
    nodes = np.arange(25, 300, 50)
    for x in nodes:
        for y in nodes:
            blob(image, x, y, 330, sigma=2.0)
    matched, _ = detect.extract(image, SIGMA**2, None, kernel=4.7, threshold_sigma=1.1)
    sharp, _ = detect.extract(
        image, SIGMA**2, None, kernel=np.ones((1, 1), np.float32), threshold_sigma=3.0
    )
    assert len(matched["x"]) > 0.9 * len(nodes) ** 2
    assert len(sharp["x"]) < 0.3 * len(nodes) ** 2


def test_the_same_input_gives_the_same_bytes(two_stars):
    one, seg1 = find(two_stars)
    two, seg2 = find(two_stars.copy())
    assert seg1.tobytes() == seg2.tobytes()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


@pytest.mark.parametrize("grow_px", [0, 1, 2.5, 6])
def test_an_object_mask_is_the_disc_around_every_object_pixel(grow_px):
    seeds = np.random.default_rng(5).random((60, 70)) < 0.004
    grown = detect.object_mask(seeds.astype(np.int32), grow_px=grow_px)
    np.testing.assert_array_equal(grown, distance_transform_edt(~seeds) <= grow_px + 1e-9)


def test_an_image_mostly_above_the_threshold_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(detect, "_FEW", 100)
    with pytest.raises(QualityError, match=r"most of it is above 3.0 sigma \(100% of"):
        find(np.full((20, 20), np.float32(100)))


def test_nothing_to_see_gives_nothing():
    for image in (np.full((30, 40), np.nan, np.float32), np.zeros((30, 40), np.float32)):
        objects, segmentation = find(image)
        assert all(len(values) == 0 for values in objects.values())
        assert not segmentation.any()
    bright = np.full((30, 40), np.float32(100))
    objects, segmentation = find(bright, np.ones((30, 40), bool))
    assert len(objects["x"]) == 0
    assert not segmentation.any()


def crowd(seed=8, size=600, n=450):
    """Stars and their blends, a bright one among them, and some bad pixels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, SIGMA, (size, size)).astype(np.float32)
    for x, y, flux in zip(*rng.uniform(0, size, (2, n)), 10 ** rng.uniform(2.5, 4.5, n)):
        half = 12
        x0, y0 = max(0, round(x) - half), max(0, round(y) - half)
        blob(image[y0 : y0 + 2 * half, x0 : x0 + 2 * half], x - x0, y - y0, flux)
    image += 3e4 / (1 + (np.hypot(*(np.mgrid[:size, :size] - 300)) / 2.5) ** 2) ** 2.5
    mask = rng.random((size, size)) < 1e-3
    image[rng.random((size, size)) < 1e-4] = np.nan
    return image, mask


def test_objects_are_those_of_the_reference_implementation():
    image, mask = crowd()
    ours, labels = find(image, mask, clean_beta=0.0)
    clean = np.nan_to_num(image)
    theirs, segmentation = sep.extract(
        clean, 3.0, var=np.full(image.shape, SIGMA**2, np.float32), mask=mask | np.isnan(image),
        filter_kernel=detect.PYRAMID, filter_type="conv", clean=False, segmentation_map=True,
    )  # fmt: skip
    assert len(ours["x"]) == len(theirs)
    away, k = cKDTree(np.c_[theirs["x"], theirs["y"]]).query(np.c_[ours["x"], ours["y"]])
    assert away.max() < 1e-4
    blended = (theirs["flag"][k] & 1) > 0
    assert blended.sum() > 20
    np.testing.assert_array_equal((ours["flags"] & detect.FLAG_BLENDED) > 0, blended)
    alone = ~blended
    np.testing.assert_array_equal(ours["npix"][alone], theirs["npix"][k][alone])
    np.testing.assert_array_equal(ours["isoarea"][alone], theirs["tnpix"][k][alone])
    for name, other in (("flux_iso", "flux"), ("peak", "peak"), ("a", "a"), ("b", "b")):
        np.testing.assert_allclose(ours[name][alone], theirs[other][k][alone], rtol=1e-4)
    np.testing.assert_array_equal(labels > 0, segmentation > 0)


def test_the_number_of_threads_changes_nothing():
    image, mask = crowd()
    one, seg1 = find(image, mask)
    two, seg2 = find(image, mask, threads=3)
    assert seg1.tobytes() == seg2.tobytes()
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_what_cleaning_merges_belongs_to_the_brighter_object():
    image, mask = crowd()
    whole, _ = find(image, mask, clean_beta=0.0)
    objects, segmentation = find(image, mask)
    assert len(objects["x"]) < len(whole["x"])
    np.testing.assert_array_equal(np.bincount(segmentation.ravel())[1:], objects["npix"])
    assert objects["npix"].sum() == whole["npix"].sum()
    assert objects["flux_iso"].sum() == pytest.approx(whole["flux_iso"].sum())


def test_a_background_sets_the_threshold_as_its_plane_does():
    image, mask = crowd()
    mesh = np.array([[4.0, 5.0, 6.0], [5.0, 7.0, 5.0], [6.0, 5.0, 4.0]], np.float32)
    sky = Background(np.zeros((3, 3), np.float32), mesh, image.shape, 200)
    by_mesh, seg1 = detect.extract(image, sky, mask)
    by_plane, seg2 = detect.extract(image, sky.rms() ** 2, mask)
    assert np.mean(seg1 != seg2) < 1e-4
    assert abs(len(by_mesh["x"]) - len(by_plane["x"])) <= 1


def test_a_first_look_sees_the_pixels_of_the_final_one():
    image, mask = crowd()
    level = np.random.default_rng(3).uniform(80, 120, (3, 3)).astype(np.float32)
    sky = Background(level, np.full((3, 3), np.float32(SIGMA)), image.shape, 200)
    above, x, y = detect.rough(image + sky.level(), sky, mask, threshold_sigma=3.0)
    objects, segmentation = find(image, mask, clean_beta=0.0)
    assert np.mean(above != (segmentation > 0)) < 1e-4
    assert above[y, x].all()
    assert 0 < len(x) <= len(objects["x"])
    many, *_ = detect.rough(image + sky.level(), sky, mask, threshold_sigma=3.0, threads=2)
    assert many.tobytes() == above.tobytes()


def test_holes_in_a_core_are_flagged():
    flags = np.zeros(3, np.int16)
    bad = np.zeros((20, 20), bool)
    bad[10, 12] = True
    x, y = np.array([10.0, 10.0, np.nan]), np.array([10.0, 11.0, 5.0])
    np.testing.assert_array_equal(detect.flag_holes(flags, bad, x, y, 2.0), [1, 0, 0])


def test_a_filter_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="odd sides"):
        find(np.zeros((20, 20), np.float32), kernel=np.ones((2, 3), np.float32))


def test_images_without_noise_are_not_special():
    image = np.zeros((60, 60), np.float32)
    image[10:15, 10:15], image[30:40:2, 30:34] = 100, 7
    image[50:55, 50:55] = np.random.default_rng(1).uniform(1, 2, (5, 5))
    for variance in (0.0, 1e-12, np.zeros(image.shape, np.float32)):
        objects, _ = detect.extract(image, variance, None)
        assert 3 <= len(objects["x"]) < 10
        assert all(np.isfinite(values).all() for values in objects.values())
    at_the_threshold, _ = detect.extract(
        image, float(100 / 1.5) ** 2 * (1 - 1e-7), None, kernel=np.ones((1, 1), np.float32)
    )
    assert len(at_the_threshold["x"]) == 1
