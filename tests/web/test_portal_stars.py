"""The plot of sizes: stars are level, and the table says what the picture shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.images import Psf, ReducedImage
from tesela.web.portal import star_plots


def image(path: Path, n: int = 400) -> Path:
    rng = np.random.default_rng(21)
    mag = rng.uniform(14.0, 20.0, n)
    sources = {
        "flux_psf": (40.0 * 10 ** (-0.4 * (mag - 24.0))).astype(np.float32),
        "fwhm": rng.normal(2.4, 0.05, n).astype(np.float32),
        "flags": np.zeros(n, np.int16),
    }
    sources["flags"][:3] = 4
    plane = np.zeros((20, 20), np.float32)
    ReducedImage(
        plane, plane.astype(np.uint8), plane + 1, np.ones((2, 1, 1), np.float32),
        Psf({"c": np.arange(3.0)}, {"beta": 3.0}), sources,
        [("EXPTIME", 40.0, ""), ("MAGZP", 24.0, "")],
    ).write(path)  # fmt: skip
    return path


def test_sizes_by_magnitude(tmp_path: Path) -> None:
    made = star_plots.size_magnitude(image(tmp_path / "a.fits"), 0.55, 1.32)
    assert made is not None
    assert [row[0] for row in made.rows] == ["14.5", "15.5", "16.5", "17.5", "18.5", "19.5"]
    assert sum(int(row[1]) for row in made.rows) == 397
    for _, _, size in made.rows:
        assert float(size) == pytest.approx(2.4 * 0.55, abs=0.03)
    assert "the PSF has 1.32 arcsec" in made.svg


def test_few_sources_have_no_plot_and_a_missing_file_is_told(tmp_path: Path) -> None:
    assert star_plots.size_magnitude(image(tmp_path / "b.fits", 5), 0.55, None) is None
    with pytest.raises(ProductError):
        star_plots.size_magnitude(tmp_path / "none.fits", 0.55, None)
