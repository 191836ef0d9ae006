"""Every place of a release belongs to one of its tiles, whatever the survey's grid holds beside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.stages.frozen import make_inputs

from tesela.sciencedb import hats, model
from tesela.sciencedb.model import TileModel
from tesela.sky import footprint, healpix
from tesela.sky.tiles import TileGrid
from tesela.stages.release import ReleaseInputs, ReleaseSettings, freeze
from tesela.stages.release.owners import Owners
from tesela.stages.release.settings import silent

GRID = TileGrid.rings(1.0, 4.0, 1000)
"""Tiles of 1.11 degrees every degree."""


def tile_models(names: list[str]) -> list[TileModel]:
    found = []
    for name in names:
        ra, dec = GRID.wcs(name).footprint()
        corners = tuple((float(a), float(b)) for a, b in zip(ra, dec))
        found.append(TileModel(name, *GRID.centre(name), corners, ("r",), 1))
    return found


def around(ra: float, dec: float, radius_deg: float) -> list[str]:
    return [
        name
        for name, a, d in zip(GRID.names, GRID.ra_deg, GRID.dec_deg)
        if healpix.separation_deg(a, d, ra, dec) < radius_deg
    ]


@pytest.mark.parametrize("centre", [(0.2, 0.3), (120.0, 60.0), (10.0, -88.5)])
def test_in_a_whole_grid_owners_are_those_of_the_grid(centre: tuple[float, float]) -> None:
    names = around(*centre, 3.5)
    owners = Owners(tile_models(names))
    mine = min(names, key=lambda n: healpix.separation_deg(*GRID.centre(n), *centre))
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 999, (2, 2000))
    ra, dec = GRID.wcs(mine).pix_to_sky(x, y)
    found = owners.of(names.index(mine), ra, dec)
    assert [names[i] for i in found] == [GRID.names[i] for i in GRID.owners(ra, dec)]
    assert len(set(found.tolist())) > 2


def test_without_a_tile_its_neighbours_own_what_they_see() -> None:
    names = around(120.0, 30.0, 3.0)
    ra, dec = GRID.wcs(names[0]).pix_to_sky(*np.random.default_rng(2).uniform(0, 999, (2, 500)))
    assert set(Owners(tile_models(names[:1])).of(0, ra, dec)) == {0}


def test_a_place_just_outside_of_its_tile_is_the_tiles_own() -> None:
    names = around(120.0, 30.0, 0.8)[:1]
    ra, dec = GRID.wcs(names[0]).pix_to_sky(np.array([-3.0, 500.0]), np.array([500.0, 1002.0]))
    assert Owners(tile_models(names)).of(0, ra, dec).tolist() == [0, 0]


def test_neighbours_are_the_tiles_that_overlap() -> None:
    names = around(40.0, 70.0, 4.0)
    tiles = tile_models(names)
    owners = Owners(tiles)
    shapes = [footprint.polygon(*np.array(tile.corners_deg).T) for tile in tiles]
    for one in range(len(tiles)):
        overlapping = [
            two
            for two in range(len(tiles))
            if two != one and len(footprint.intersection(shapes[one], shapes[two]))
        ]
        assert owners.neighbours(one) == overlapping
        assert overlapping


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReleaseInputs:
    return make_inputs(tmp_path_factory.mktemp("in"))


def frozen_objects(folder: Path, inputs: ReleaseInputs) -> pa.Table:
    tables = model.published_tables(inputs.bands)
    freeze.write_tables(folder, inputs, tables, ReleaseSettings(rows_per_partition=100), silent)
    return pa.concat_tables(
        pq.ParquetFile(path).read() for path in hats.partition_files(folder / "hats" / "objects")
    )


def test_a_tile_alone_has_primary_sources_only(inputs: ReleaseInputs, tmp_path: Path) -> None:
    """In the working table those nearer to the other tile are not."""
    working = pq.ParquetFile(inputs.tiles[0].objects).read(["is_primary"]).column(0).to_pylist()
    assert 0 < sum(working) < len(working)
    alone = frozen_objects(tmp_path, replace(inputs, tiles=inputs.tiles[:1]))
    assert alone.column("is_primary").to_pylist() == [True] * len(working)


def test_two_tiles_share_their_overlap(inputs: ReleaseInputs, tmp_path: Path) -> None:
    both = frozen_objects(tmp_path, inputs)
    ra, dec = (both.column(name).to_numpy() for name in ("ra", "dec"))
    apart = [healpix.separation_deg(ra, dec, tile.ra_deg, tile.dec_deg) for tile in inputs.tiles]
    nearer = np.where(apart[0] <= apart[1], "T-1", "T-2")
    primary = both.column("is_primary").to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(primary, np.array(both.column("tile").to_pylist()) == nearer)
    assert 0 < primary.sum() < len(primary)
