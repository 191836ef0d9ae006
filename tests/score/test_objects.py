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


@pytest.mark.parametrize(
    ("bulge", "one"), [(0.0, True), (1.0, True), (0.005, True), (0.3, False), (0.98, False)]
)
def test_a_disc_with_a_bulge_is_not_of_one_component(
    tmp_path: Path, rng: np.random.Generator, bulge: float, one: bool
) -> None:
    true = universe(Night(), rng)
    true.bulge_fraction[:, 3] = bulge
    true.bulge_fraction[:, :3] = true.bulge_fraction[:, 4:] = 1.0 if bulge > 0.5 else 0.0
    true.redshift[:] = 0.25
    true.kind[:] = "galaxy"
    pq.write_table(true.table(), tmp_path / "objects.parquet")
    found = objects.read(tmp_path / "objects.parquet")
    assert (found.one_component == one).all()
    assert found.is_galaxy.all()
    assert not found.is_point.any()
    np.testing.assert_allclose(found.redshift, 0.25)
