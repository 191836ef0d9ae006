"""Defects are found where they are, and what is wide or shared is none."""

import numpy as np
import pytest

from tesela.pixels import defects

SHAPE = (192, 240)
BOXES = np.array([[0, 120, 0, 192], [120, 240, 0, 192]])
Y, X = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]


def noise(sigma, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, SHAPE).astype(np.float32)


def test_hot_pixels_stand_out_of_a_glow_and_of_steps_between_amplifiers():
    image = noise(1.0) + np.float32(12) * np.exp(-X / 17 - Y / 58, dtype=np.float32)
    image[:, 120:] += 30
    places = [(5, 5), (100, 119), (100, 120), (191, 239)]
    for place in places:
        image[place] += 12
    image[50, 50] -= 12
    found, scatter = defects.outliers(image, BOXES, sigma=6.0)
    assert [tuple(p) for p in np.argwhere(found)] == sorted([*places, (50, 50)])
    assert np.allclose(scatter, 1, rtol=0.05)
    high, _ = defects.outliers(image, BOXES, sigma=6.0, both=False)
    assert not high[50, 50]
    none, _ = defects.outliers(image, BOXES, sigma=6.0, least=20.0)
    assert not none.any()


def flat(seed=0):
    r2 = ((X - 120) ** 2 + (Y - 96) ** 2) / 23616
    image = 1 - 0.1 * r2.astype(np.float32) + noise(0.01, seed)
    image[:, 120:] *= 1.03
    return image


def unlike(image, **more):
    settings = {"limits": (0.92, 1.08), "column": 0.02, "mesh_px": 21} | more
    return defects.unlike_neighbours(image, BOXES, np.zeros(SHAPE, bool), **settings)


def test_a_healthy_flat_has_neither_bad_pixels_nor_columns():
    pixels, columns = unlike(flat())
    assert not pixels.any()
    assert not columns.any()


def test_cold_and_hot_pixels_are_bad():
    image = flat()
    image[30, 40] *= 0.8
    image[60, 150] *= 1.2
    image[90, 10] = 0.01
    image[91, 11] = np.nan
    pixels, _ = unlike(image)
    assert [tuple(p) for p in np.argwhere(pixels)] == [(30, 40), (60, 150), (90, 10), (91, 11)]


@pytest.mark.parametrize("response", [0.05, 0.6, 0.95, 0.97])
def test_a_weak_column_is_bad_along_its_length(response):
    image = flat()
    image[40:150, 77] *= response
    _, columns = unlike(image)
    rows = np.flatnonzero(columns[:, 77])
    assert not columns[:, np.arange(240) != 77].any()
    assert abs(rows[0] - 40) < 20
    assert abs(rows[-1] - 149) < 20
    assert rows.size == rows[-1] - rows[0] + 1


def test_a_step_that_many_columns_share_is_no_bad_column():
    image = noise(0.005)
    image[:, 100:] += 0.05
    assert not defects.column_defects(image, 0.02).any()


def test_joining_closes_gaps_of_columns_only():
    mask = np.zeros((100, 5), bool)
    mask[10:60:3, 1] = True
    mask[[5, 30, 90], 2] = True
    mask[20, :] = True
    added = defects.join_columns(mask, gap_rows=4, min_pixels=6, min_fraction=0.3)
    assert not added[:, [0, 2, 3, 4]].any()
    whole = mask | added
    assert whole[10:59, 1].all()
    assert whole[:, 1].sum() == 49
    few = defects.join_columns(mask, gap_rows=4, min_pixels=30, min_fraction=0.3)
    thin = defects.join_columns(mask, gap_rows=4, min_pixels=6, min_fraction=0.9)
    assert not few.any()
    assert not thin.any()


def test_a_column_bad_to_the_end_is_closed_to_the_end():
    mask = np.zeros((50, 3), bool)
    mask[20:50:2, 1] = True
    mask[49, 1] = True
    whole = mask | defects.join_columns(mask, gap_rows=3, min_pixels=5, min_fraction=0.4)
    assert whole[20:, 1].all()
