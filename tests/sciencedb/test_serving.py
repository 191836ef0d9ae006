"""Serving files: one a family, the same rows in the same order, numbers unique."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.sciencedb.synthetic import Held

from tesela.errors import ProductError
from tesela.sciencedb import arrow, hats, serving
from tesela.sciencedb.model import ReleaseModel, TableModel
from tesela.sciencedb.release import Release


@pytest.fixture(scope="module")
def table(release_folder: Path) -> TableModel:
    return ReleaseModel.read(release_folder).table("objects")


@pytest.fixture(scope="module")
def objects(release: Release) -> pa.Table:
    return release.scan("objects").table()


def write(folder: Path, table: TableModel, data: pa.Table, most: int = 500) -> None:
    """Serving files of some rows, in several partitions."""
    with tempfile.TemporaryDirectory() as place:
        catalogue = Path(place) / table.name
        hats.write_hats(catalogue, table, [Held(data, table)], rows_per_partition=most)
        serving.write_serving(folder, table, catalogue)


def test_each_family_has_a_file_with_number_and_cell_first(
    release_folder: Path, table: TableModel
) -> None:
    found = {path.name for path in (release_folder / "serve").glob("objects.*")}
    assert found == {f"objects.{family}.duckdb" for family in table.families}
    assert len(table.families) > 5
    names = [c.name for family in table.families for c in serving.family_columns(table, family)]
    assert {c.name for c in table.columns} == set(names)
    for family in table.families:
        keys = [c.name for c in serving.family_columns(table, family)][:2]
        assert keys == ["source_id", "_healpix_29"]


def test_all_families_hold_the_same_rows_sorted_by_cell(
    release_folder: Path, table: TableModel
) -> None:
    numbers = []
    for family in table.families:
        path = serving.serving_path(release_folder / "serve", "objects", family)
        with duckdb.connect(path, read_only=True) as connection:
            rows = connection.execute("SELECT source_id, _healpix_29 FROM objects").fetchnumpy()
        assert (np.diff(rows["_healpix_29"]) >= 0).all()
        numbers.append(rows["source_id"])
    assert all(np.array_equal(n, numbers[0]) for n in numbers)


def test_the_number_is_indexed_in_core(release_folder: Path) -> None:
    path = serving.serving_path(release_folder / "serve", "objects", "core")
    with duckdb.connect(path, read_only=True) as connection:
        indexes = connection.execute("SELECT is_unique, expressions FROM duckdb_indexes()")
        assert indexes.fetchall() == [(True, "[source_id]")]


def test_rows_come_back_as_they_were_written(
    objects: pa.Table, table: TableModel, tmp_path: Path
) -> None:
    """Arrays with NULL inside, whatever the order in which rows are given."""
    mags = arrow.to_numpy(objects.column("mag_auto"))
    assert np.isnan(mags).any()
    assert objects.column("mag_auto").null_count == 0
    shuffled = objects.take(np.random.default_rng(2).permutation(len(objects)))
    write(tmp_path / "serve", table, shuffled)
    for family in table.families:
        columns = serving.family_columns(table, family)
        path = serving.serving_path(tmp_path / "serve", "objects", family)
        with duckdb.connect(path, read_only=True) as connection:
            found = connection.execute("SELECT * FROM objects").to_arrow_table()
        expected = objects.select([c.name for c in columns])
        assert found.cast(expected.schema).equals(expected)


def test_nothing_but_the_files_is_left(
    objects: pa.Table, table: TableModel, tmp_path: Path
) -> None:
    write(tmp_path, table, objects)
    assert {path.suffix for path in tmp_path.iterdir()} == {".duckdb"}
    with pytest.raises(ProductError, match="nothing is overwritten"):
        write(tmp_path, table, objects)


def test_repeated_numbers_and_wrong_cells_write_nothing(
    objects: pa.Table, table: TableModel, tmp_path: Path
) -> None:
    with pytest.raises(ProductError, match="more than once"):
        write(tmp_path, table, pa.concat_tables([objects, objects.slice(3, 1)]))
    moved = objects.set_column(
        objects.schema.get_field_index("ra"), objects.schema.field("ra"), objects.column("dec")
    )
    with pytest.raises(ProductError, match="not the cell of their position"):
        write(tmp_path, table, moved)
    assert not list(tmp_path.iterdir())


def test_tables_that_are_not_on_the_sky_are_refused(release_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="table tiles"):
        serving.write_serving(
            tmp_path, ReleaseModel.read(release_folder).table("tiles"), release_folder / "hats"
        )


def test_what_the_engine_cannot_write_is_told(
    objects: pa.Table, table: TableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of memory below all use stands for a full disk; nothing is left behind."""
    monkeypatch.setattr(serving, "MEMORY_LIMIT", "100KB")
    with pytest.raises(ProductError, match="disk is full"):
        write(tmp_path, table, objects)
    assert not list(tmp_path.iterdir())
