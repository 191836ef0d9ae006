from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.errors import ProductError
from tesela.score import objects

from .nights import MJD, YEAR, Night, universe


def test_what_the_simulation_writes_comes_back(tmp_path: Path, rng: np.random.Generator) -> None:
    true = universe(Night(colour_slope=0.1, motion_masyr=50.0), rng)
    pq.write_table(true.table(), tmp_path / "objects.parquet")
    found = objects.read(tmp_path / "objects.parquet")
    np.testing.assert_allclose(found.mag["rSDSS"], true.mag[:, 7], atol=1e-5)
    np.testing.assert_allclose(found.published["gSDSS"], true.mag_published[:, 5], atol=1e-5)
    assert set(found.mag) == set(found.published)
    assert len(found.mag) == 12
    assert 0 <= found.colour.min() < found.colour.max() <= 2.0001
    assert found.is_point.all()
    assert not found.is_variable.any()


def test_positions_move_with_their_proper_motion(tmp_path: Path, rng: np.random.Generator) -> None:
    true = universe(Night(motion_masyr=1000.0), rng)
    pq.write_table(true.table(), tmp_path / "objects.parquet")
    ra, dec = objects.read(tmp_path / "objects.parquet").at(MJD)
    expected = true.position(YEAR)
    np.testing.assert_allclose(ra, expected[0], atol=1e-8)
    np.testing.assert_allclose(dec, expected[1], atol=1e-8)
    assert np.abs(dec - true.dec).min() * 3600 > 1.0


def test_a_missing_truth_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"objects\.parquet.*no such file.*truth"):
        objects.read(tmp_path / "objects.parquet")
