"""Sums in given apertures are those of the catalogue's own, or of exactly the pixels left."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import apertures, detect, forced

SIZE, SIGMA = 90, 1.0


def sky(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.random.default_rng(seed).normal(0, SIGMA, (SIZE, SIZE))
    for xs, ys, flux in ((30.3, 40.6, 4000.0), (42.0, 41.0, 2500.0), (70.0, 15.0, 1500.0)):
        image += flux / (2 * np.pi * 4) * np.exp(-((x - xs) ** 2 + (y - ys) ** 2) / 8)
    return image.astype(np.float32), np.full((SIZE, SIZE), SIGMA**2, np.float32)


@pytest.fixture(scope="module")
def found() -> dict:
    """Objects measured by the catalogue's own code."""
    image, variance = sky()
    objects, segmentation = detect.extract(image, variance, None, threshold_sigma=3.0)
    measured = apertures.measure(
        image, variance, None, segmentation, objects, diameters_px=[4.0, 8.0]
    )
    return {**objects, **measured, "image": image, "variance": variance, "labels": segmentation}


def one(x: float = 40.0, y: float = 40.0, a: float = 4.0) -> dict[str, np.ndarray]:
    names = {"x": x, "y": y, "x_win": x, "y_win": y, "a": a, "b": a, "theta": 0.0}
    return {name: np.array([value]) for name, value in names.items()}


NOTHING = np.zeros((SIZE, SIZE), bool)
SKY = np.zeros((SIZE, SIZE), np.int32)
ONES = np.ones((SIZE, SIZE), np.float32)


def test_auto_and_circles_are_those_of_the_detection(found: dict) -> None:
    reach = forced.kron_reach(found["kron_radius"])
    centred = {**found, "x_win": found["x"], "y_win": found["y"]}
    again = forced.apertures(
        found["image"], found["variance"], NOTHING, found["labels"], centred,
        reach=reach, diameters_px=[4.0, 8.0],
    )  # fmt: skip
    for name in ("flux_auto", "flux_auto_err", "flux_aper", "flux_aper_err"):
        np.testing.assert_allclose(again[name], found[name], rtol=1e-9)


def test_the_kron_ellipse_has_a_least_and_a_largest_size() -> None:
    kron = np.array([np.nan, 0.5, 2.0, 50.0])
    np.testing.assert_allclose(forced.kron_reach(kron), [3.5, 3.5, 5.0, 15.0])
    np.testing.assert_allclose(
        forced.kron_reach(kron, factor=1.0, minimum=1.75), [1.75, 1.75, 2.0, 6.0]
    )


def test_a_region_of_ones_is_its_area() -> None:
    sums = forced.region(ONES, ONES, NOTHING, SKY, one(), reach=np.array([2.0]))
    assert sums["flux"][0] == pytest.approx(np.pi * 64, rel=0.005)
    assert sums["err"][0] ** 2 == pytest.approx(sums["n_pixels"][0], rel=1e-6)
    assert sums["lost"][0] == 0
    assert sums["taken"][0] == 0


def test_what_is_left_out_is_told_and_changes_nothing_else() -> None:
    mask, labels = NOTHING.copy(), SKY.copy()
    mask[:, :40], labels[:40, 40:] = True, 7
    wild = ONES.copy()
    wild[mask | (labels == 7)] = 1e5
    sums = forced.region(wild, ONES, mask, labels, one(39.5, 39.5), reach=np.array([2.0]))
    assert sums["lost"][0] == pytest.approx(0.5, abs=0.001)
    assert sums["taken"][0] == pytest.approx(0.25, abs=0.001)
    assert sums["flux"][0] == pytest.approx(np.pi * 16, rel=0.005)


def test_two_images_are_summed_over_the_same_pixels() -> None:
    image, variance = sky()
    mask = np.random.default_rng(3).random(image.shape) < 0.2
    first = forced.region(image, variance, mask, SKY, one(), reach=np.array([2.0]))
    second = forced.region(3 * image, variance, mask, SKY, one(), reach=np.array([2.0]))
    assert second["flux"][0] == pytest.approx(3 * first["flux"][0], rel=1e-6)
    assert second["n_pixels"][0] == first["n_pixels"][0]


def test_nan_is_bad_and_the_edge_is_lost() -> None:
    image = ONES.copy()
    image[40, 40] = np.nan
    sums = forced.region(image, ONES, NOTHING, SKY, one(), reach=np.array([2.0]))
    assert sums["lost"][0] == pytest.approx(1 / (np.pi * 64), rel=0.02)
    edge = forced.region(ONES, ONES, NOTHING, SKY, one(x=-0.5), reach=np.array([2.0]))
    assert edge["lost"][0] == pytest.approx(0.5, abs=0.001)
    measured = forced.apertures(
        ONES, ONES, NOTHING, SKY, one(x=-0.5), reach=np.array([2.0]), diameters_px=[2.0]
    )
    assert measured["flags"][0] & 16


def test_neighbours_in_the_ellipse_are_replaced_and_flagged() -> None:
    labels = SKY.copy()
    labels[:, 44:] = 2
    wild = ONES.copy()
    wild[:, 44:] = 1e5
    measured = forced.apertures(
        wild, ONES, NOTHING, labels, one(), reach=np.array([2.0]), diameters_px=[4.0]
    )
    assert measured["flux_auto"][0] == pytest.approx(197.0)  # centres within 8 px
    assert measured["flags"][0] & 1


def test_places_that_are_not_finite_stay_nan() -> None:
    lost = one(x=np.nan)
    sums = forced.region(ONES, ONES, NOTHING, SKY, lost, reach=np.array([2.0]))
    assert np.isnan(sums["flux"][0])
    measured = forced.apertures(
        ONES, ONES, NOTHING, SKY, lost, reach=np.array([2.0]), diameters_px=[4.0]
    )
    assert np.isnan(measured["flux_auto"][0])
    assert np.isnan(measured["flux_aper"]).all()
