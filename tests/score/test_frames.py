from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.errors import ProductError
from tesela.products.files import Hdu, write_fits
from tesela.score import frames, objects
from tesela.score.objects import Objects
from tesela.simulate.truth import FrameTruth

from .nights import Night, frame_truth, universe, write_frame_pair


@pytest.fixture
def true(tmp_path: Path, rng: np.random.Generator) -> Objects:
    table = universe(Night(), rng).table()
    pq.write_table(table, tmp_path / "objects.parquet")
    return objects.read(tmp_path / "objects.parquet")


def _stars() -> FrameTruth:
    x, y = (g.ravel() for g in np.meshgrid(np.arange(5.0, 78, 12), np.arange(5.0, 58, 12)))
    flux = np.geomspace(200, 1e5, x.size)  # errors are 10: S/N 50 is at 500
    return frame_truth(id=np.arange(x.size), x=x, y=y, flux_e=flux)


def test_zero_point_error_and_shift_are_found(tmp_path: Path, true: Objects) -> None:
    path = write_frame_pair(tmp_path, "f1", _stars(), zero_error_mag=0.012, shift_mas=25.0)
    one = frames.score("f1", path, tmp_path, true)
    assert one.zero.group == "rSDSS"
    assert one.zero.mmag == pytest.approx(12.0)
    assert one.true_zeropoint_mag == 23.98
    assert one.residuals.north_mas.size == np.count_nonzero(_stars().flux_e > 500)
    np.testing.assert_allclose(one.residuals.north_mas, 25.0, atol=1e-3)
    np.testing.assert_allclose(one.residuals.east_mas, 0.0, atol=1e-3)


def test_galaxies_are_no_point_sources(tmp_path: Path, true: Objects) -> None:
    path = write_frame_pair(tmp_path, "f1", _stars())
    true.is_point[:25] = False
    one = frames.score("f1", path, tmp_path, true)
    assert one.residuals.east_mas.size == _stars().x.size - 25


def test_a_frame_without_stars_is_no_error(tmp_path: Path, true: Objects) -> None:
    path = write_frame_pair(tmp_path, "f1", frame_truth())
    assert frames.score("f1", path, tmp_path, true).residuals.east_mas.size == 0


def test_missing_truth_and_foreign_files_are_named(tmp_path: Path, true: Objects) -> None:
    path = write_frame_pair(tmp_path, "f1", frame_truth())
    with pytest.raises(ProductError, match=r"f2\.npz: no such file.*frame f2"):
        frames.score("f2", path, tmp_path, true)
    plane = np.zeros((60, 80), np.float32)
    table = np.zeros(1, [("ra", "f8")])
    hdus = [Hdu("IMAGE", plane), Hdu("MASK", plane), Hdu("VARIANCE", plane), Hdu("SOURCES", table)]
    write_fits(tmp_path / "bare.fits", hdus)
    with pytest.raises(ProductError, match="no card MAGZP"):
        frames.score("f1", tmp_path / "bare.fits", tmp_path, true)
