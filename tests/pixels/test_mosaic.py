"""Sampling of planes on another grid: exact for what is linear, no seams, no data stays so."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels.mosaic import Mosaic

STEP = 4


def grid(rows: int, columns: int, x0: float, y0: float, scale: float) -> tuple:
    """Pixels of an image at block corners of a mosaic whose pixel (0, 0) is at (x0, y0)."""
    y, x = np.meshgrid(
        np.arange(-(-rows // STEP) + 1) * STEP - 0.5,
        np.arange(-(-columns // STEP) + 1) * STEP - 0.5,
        indexing="ij",
    )
    return x0 + scale * x, y0 + scale * y


def ramp(ny: int, nx: int) -> np.ndarray:
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    return np.stack([x, y, x + 2 * y])


def test_linear_image_is_sampled_exactly() -> None:
    mosaic = Mosaic((9, 10))
    mosaic.add(ramp(30, 40), *grid(9, 10, 5.25, 3.5, 1.3), STEP)
    planes = mosaic.planes()
    j, i = np.mgrid[:9, :10]
    np.testing.assert_allclose(planes[0], 5.25 + 1.3 * i, atol=1e-4)
    np.testing.assert_allclose(planes[1], 3.5 + 1.3 * j, atol=1e-4)


def test_outside_of_an_image_there_is_nothing() -> None:
    mosaic = Mosaic((8, 8))
    mosaic.add(ramp(4, 3), *grid(8, 8, 0.0, 0.0, 1.0), STEP)
    found = np.isfinite(mosaic.planes()[0])
    assert found[:4, :3].all()
    assert found.sum() == 12


def test_overlapping_images_blend_by_the_distance_to_their_edges() -> None:
    mosaic = Mosaic((5, 20))
    one, two = np.full((3, 5, 12), 1, np.float32), np.full((3, 5, 12), 3, np.float32)
    mosaic.add(one, *grid(5, 20, 0.0, 0.0, 1.0), STEP)
    mosaic.add(two, *grid(5, 20, -8.0, 0.0, 1.0), STEP)
    row = mosaic.planes()[0, 2]
    np.testing.assert_array_equal(row[:8], 1)
    np.testing.assert_array_equal(row[12:], 3)
    assert (np.diff(row[7:13]) > 0).all()
    assert row[9] + row[10] == pytest.approx(4)


def test_missing_pixels_are_neither_used_nor_spread() -> None:
    planes = ramp(10, 10)
    planes[:, 4, 4] = np.nan
    mosaic = Mosaic((10, 10))
    mosaic.add(planes, *grid(10, 10, 0.0, 0.0, 1.0), STEP)
    found = mosaic.planes()
    assert np.isnan(found[0, 4, 4])
    assert np.isfinite(found[0]).sum() == 99
    np.testing.assert_allclose(found[0, 5, :], np.arange(10), atol=1e-5)


def test_positions_without_an_image_add_nothing() -> None:
    mosaic = Mosaic((4, 4))
    x, y = grid(4, 4, 0.0, 0.0, 1.0)
    mosaic.add(ramp(9, 9), np.full_like(x, np.nan), y, STEP)
    assert np.isnan(mosaic.planes()).all()


def test_grid_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="9 x 9 pixels"):
        Mosaic((9, 9)).add(ramp(9, 9), *grid(8, 8, 0.0, 0.0, 1.0), STEP)
