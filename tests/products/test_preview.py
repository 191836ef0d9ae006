"""A preview gives the level that a picture needs, and is refused when it is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products import files, preview
from tesela.products.files import Hdu


def levels() -> dict[int, preview.Level]:
    rng = np.random.default_rng(2)
    return {
        side: (
            rng.normal(0.0, 10.0 / side, (800 // side, 600 // side)).astype(np.float32),
            rng.integers(0, 128, (800 // side, 600 // side)).astype(np.uint8),
        )
        for side in (4, 8)
    }


@pytest.mark.parametrize("size, side", [(50, 8), (100, 8), (101, 4), (200, 4), (5000, 4)])
def test_the_smallest_level_that_suffices_is_read(tmp_path: Path, size: int, side: int) -> None:
    made = levels()
    preview.write(tmp_path / "a.preview.fits", made, 10.0)
    image, mask = preview.read(tmp_path / "a.preview.fits", size)
    assert image.shape == made[side][0].shape
    np.testing.assert_allclose(image, made[side][0], atol=10.0 / side / 8 * 1.001)
    np.testing.assert_array_equal(mask, made[side][1])


def test_what_is_no_preview_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError):
        preview.read(tmp_path / "none.fits", 100)
    files.write_fits(tmp_path / "other.fits", [Hdu("IMAGE", np.ones((4, 4), np.float32))])
    with pytest.raises(ProductError, match="IMAGEn"):
        preview.read(tmp_path / "other.fits", 100)
