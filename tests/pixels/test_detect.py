"""Detection: what is found, what is flagged, what is grown."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from tesela.errors import QualityError
from tesela.pixels import detect

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


def test_an_image_all_above_the_threshold_is_refused_with_a_sentence(monkeypatch):
    def full(*_args, **_kwargs):
        raise Exception("internal pixel buffer full")  # noqa: TRY002

    monkeypatch.setattr(detect.sep, "extract", full)
    with pytest.raises(QualityError, match=r"most of it is above 3.0 sigma"):
        find(np.zeros((20, 20), np.float32))


def test_other_failures_of_the_engine_are_not_disguised(monkeypatch):
    def broken(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(detect.sep, "extract", broken)
    with pytest.raises(MemoryError):
        find(np.zeros((20, 20), np.float32))
