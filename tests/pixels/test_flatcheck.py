"""Even light passes; stars, half-open shutters and other light are seen."""

import numpy as np
import pytest

from tesela.pixels import flatcheck

SHAPE = (256, 320)
Y, X = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]


def lit(light=1.0, level=20000.0, seed=0, prnu=0.01):
    rng = np.random.default_rng(seed)
    pixel = 1 + prnu * rng.standard_normal(SHAPE)
    return rng.poisson(level * light * pixel).astype(np.float32)


def star(image, x, y, peak, fwhm=3.5):
    image += (peak * np.exp(-4 * np.log(2) * ((X - x) ** 2 + (Y - y) ** 2) / fwhm**2)).astype("f4")


def test_cells_are_medians_and_scatters():
    image = lit(1 + 0.2 * X / SHAPE[1])
    found = flatcheck.cells(image)
    assert found.level.shape == (8, 10)
    middle = 20000 * (1 + 0.2 * (found.edges_x[:-1] + 15.5) / SHAPE[1])
    assert np.allclose(found.level, middle, rtol=0.006)
    assert np.median(found.sigma) == pytest.approx(np.hypot(150, 220), rel=0.15)


def test_bad_pixels_are_left_out_of_cells():
    image = lit()
    bad = np.zeros(SHAPE, bool)
    bad[:32, :32] = True
    bad[40:60, 40:60] = True
    image[bad] = 0
    found = flatcheck.cells(image, bad)
    assert np.isnan(found.level[0, 0])
    assert found.level[1, 1] == pytest.approx(20000, rel=0.01)


def test_a_flat_with_dust_rays_and_bad_columns_has_no_sources():
    r = np.hypot(X - 100, Y - 100)
    ring = np.where((r > 12) & (r < 30), 0.98, 1.0)
    image = lit((1 - 0.1 * ((X - 160) ** 2 + (Y - 128) ** 2) / 41984) * ring)
    image[:, 50] *= 0.3
    image[:, 77] += 9000
    image[:2] *= 0.2
    image[2:4] *= 1.4
    rng = np.random.default_rng(3)
    image[rng.integers(0, 256, 50), rng.integers(0, 320, 50)] += 20000
    image[200, 100:109] += 15000
    assert flatcheck.count_sources(image, flatcheck.cells(image)) <= 1


def test_stars_are_counted():
    image = lit()
    places = [(x, y) for x in range(20, 300, 40) for y in range(20, 250, 40)]
    for x, y in places:
        star(image, x + 0.3, y - 0.2, 8000)
    found = flatcheck.count_sources(image, flatcheck.cells(image))
    assert len(places) * 0.9 <= found <= len(places)


def test_a_half_open_shutter_is_dim():
    assert flatcheck.dim_fraction(flatcheck.cells(lit(1 - 0.3 * X / SHAPE[1])).level) == 0
    half = flatcheck.cells(lit(np.where(X < 96, 0.02, 1.0))).level
    assert flatcheck.dim_fraction(half) == pytest.approx(0.3, abs=0.01)
    assert flatcheck.dim_fraction(np.full((3, 3), np.nan)) == 1.0


def test_departure_is_that_of_the_shape_not_of_the_level():
    even = flatcheck.cells(lit(seed=1)).level
    assert flatcheck.departure(flatcheck.cells(lit(seed=2, level=30000)).level, even) < 0.008
    tilted = flatcheck.cells(lit(1 + 0.05 * (X / SHAPE[1] - 0.5), seed=3)).level
    assert flatcheck.departure(tilted, even) == pytest.approx(0.0235, abs=0.005)
    assert flatcheck.departure(np.zeros((2, 2)), np.zeros((2, 2))) == np.inf
