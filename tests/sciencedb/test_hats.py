"""HATS: partitions of bounded size that LSDB, DuckDB and pandas read alike."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.sciencedb.conftest import BANDS
from tests.sciencedb.synthetic import Held

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue
from tesela.sciencedb import arrow, hats
from tesela.sciencedb.model import ColumnModel, ReleaseModel, TableModel
from tesela.sky import healpix


@pytest.fixture
def lsdb() -> Iterator[Any]:
    """LSDB without processes of its own."""
    dask = pytest.importorskip("dask", reason="LSDB is not installed")
    package = pytest.importorskip("lsdb", reason="LSDB is not installed")
    with dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield package


@pytest.fixture(scope="module")
def objects(release_folder: Path) -> pa.Table:
    """All rows of the release's objects, from the partitions."""
    folder = release_folder / "hats" / "objects" / "dataset"
    return pa.concat_tables(
        pq.ParquetFile(path).read() for path in sorted(folder.glob("*/*/*.parquet"))
    )


def table_of(release_folder: Path) -> TableModel:
    return ReleaseModel.read(release_folder).table("objects")


def partitions(folder: Path) -> list[tuple[int, int, Path]]:
    found = []
    for path in (folder / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet"):
        order = int(path.parts[-3].removeprefix("Norder="))
        found.append((order, int(path.stem.removeprefix("Npix=")), path))
    return found


@pytest.fixture(scope="module")
def divided(release_folder: Path, objects: pa.Table, tmp_path_factory: Any) -> Path:
    """The same rows in partitions of at most 100."""
    folder = Path(tmp_path_factory.mktemp("hats")) / "objects"
    table = table_of(release_folder)
    shuffled = objects.take(np.random.default_rng(3).permutation(len(objects)))
    halves = [Held(shuffled.slice(0, 900), table), Held(shuffled.slice(900), table)]
    hats.write_hats(folder, table, halves, rows_per_partition=100)
    return folder


def test_partitions_hold_their_cells_and_no_more_rows_than_asked(
    divided: Path, objects: pa.Table
) -> None:
    rows = 0
    found = partitions(divided)
    assert len(found) > 10
    for order, cell, path in found:
        part = pq.ParquetFile(path)
        cells = arrow.to_numpy(part.read(["_healpix_29"]).column(0))
        assert part.num_row_groups == 1
        assert 0 < len(cells) <= 100
        assert (cells >> 2 * (29 - order) == cell).all()
        assert (np.diff(cells) >= 0).all()
        assert path.parent.name == f"Dir={cell // 10_000 * 10_000}"
        rows += len(cells)
    assert rows == len(objects)


def test_lists_of_partitions_agree_with_the_files(divided: Path, objects: pa.Table) -> None:
    listed = pd.read_csv(divided / "partition_info.csv")
    pairs = list(zip(listed["Norder"], listed["Npix"]))
    assert sorted(pairs) == sorted((order, cell) for order, cell, _ in partitions(divided))
    starts = [cell << 2 * (29 - order) for order, cell in pairs]
    assert starts == sorted(starts)
    footers = pq.read_metadata(divided / "dataset" / "_metadata")
    assert footers.num_rows == len(objects)
    assert footers.row_group(0).column(0).file_path == hats.partition_path(*pairs[0]).as_posix()
    text = (divided / "properties").read_text()
    assert text == (divided / "hats.properties").read_text()
    assert f"hats_nrows={len(objects)}\n" in text


def test_units_and_descriptions_are_in_every_file(divided: Path, release_folder: Path) -> None:
    schema = arrow.schema(table_of(release_folder).columns)
    for path in (partitions(divided)[0][2], *(divided / "dataset").glob("_*metadata")):
        found = pq.read_schema(path)
        assert found.equals(schema)
        assert [field.metadata for field in found] == [field.metadata for field in schema]


def test_same_rows_give_the_same_bytes(
    divided: Path, release_folder: Path, objects: pa.Table, tmp_path: Path
) -> None:
    again = tmp_path / "objects"
    table = table_of(release_folder)
    assert hats.write_hats(again, table, [Held(objects, table)], rows_per_partition=100) == len(
        objects
    )
    names = sorted(p.relative_to(divided) for p in divided.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for name in names:
        assert (divided / name).read_bytes() == (again / name).read_bytes()


def test_pandas_and_duckdb_read_the_same_rows(divided: Path, objects: pa.Table) -> None:
    ids = np.sort(arrow.to_numpy(objects.column("source_id")))
    frame = pd.read_parquet(divided / "dataset", columns=["source_id", "mag_auto"])
    assert np.array_equal(np.sort(frame["source_id"]), ids)
    query = "SELECT source_id, mag_auto[3] AS r FROM read_parquet($files) ORDER BY source_id"
    found = duckdb.execute(query, {"files": f"{divided}/dataset/*/*/*.parquet"}).to_arrow_table()
    assert np.array_equal(arrow.to_numpy(found.column(0)), ids)
    order = np.argsort(arrow.to_numpy(objects.column("source_id")))
    r_mag = arrow.to_numpy(objects.column("mag_auto"))[order, 2]
    np.testing.assert_array_equal(arrow.to_numpy(found.column(1)), r_mag)


def test_lsdb_opens_it_and_its_cones_are_those_of_brute_force(
    lsdb: Any, divided: Path, objects: pa.Table
) -> None:
    catalogue = lsdb.open_catalog(divided)
    assert len(catalogue) == len(objects)
    found = catalogue.cone_search(210.1, 57.02, 0.06 * 3600).compute()
    ra, dec = arrow.to_numpy(objects.column("ra")), arrow.to_numpy(objects.column("dec"))
    inside = healpix.separation_deg(ra, dec, 210.1, 57.02) <= 0.06
    expected = arrow.to_numpy(objects.column("source_id"))[inside]
    assert len(expected) > 20
    assert sorted(found["source_id"]) == sorted(expected)
    mags = np.array([list(row) for row in found.sort_values("source_id")["mag_auto"]], dtype=float)
    order = np.argsort(expected)
    np.testing.assert_array_equal(
        mags, arrow.to_numpy(objects.column("mag_auto"))[inside][order].astype(float)
    )


def test_lsdb_matches_two_catalogues(lsdb: Any, divided: Path, release_folder: Path) -> None:
    """Each object is its own nearest; the partitions of the two differ."""
    whole = lsdb.open_catalog(release_folder / "hats" / "objects", columns=["source_id"])
    parts = lsdb.open_catalog(divided, columns=["source_id", "ra", "dec"])
    pairs = parts.crossmatch(whole, n_neighbors=1, radius_arcsec=0.1).compute()
    assert len(pairs) == 1500
    left, right = (pairs[name] for name in pairs.columns if name.startswith("source_id"))
    assert (left == right).all()


def test_the_package_of_the_standard_finds_it_valid(divided: Path) -> None:
    validation = pytest.importorskip("hats.io.validation", reason="LSDB is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert validation.is_valid_catalog(divided, strict=True, verbose=False)


def test_a_catalogue_without_rows_is_one(release_folder: Path, tmp_path: Path) -> None:
    table = table_of(release_folder)
    empty = arrow.schema(table.columns).empty_table()
    hats.write_hats(tmp_path / "objects", table, [Held(empty, table)])
    assert partitions(tmp_path / "objects") == []
    assert (tmp_path / "objects" / "partition_info.csv").read_text() == "Norder,Npix\n"


def test_writing_refuses(release_folder: Path, objects: pa.Table, tmp_path: Path) -> None:
    table = table_of(release_folder)
    with pytest.raises(ProductError, match="nothing is overwritten"):
        hats.write_hats(tmp_path, table, [])
    tiles = ReleaseModel.read(release_folder).table("tiles")
    with pytest.raises(ProductError, match="table on the sky"):
        hats.write_hats(tmp_path / "tiles", tiles, [])
    with pytest.raises(ProductError, match="no source_id"):
        lacking = Held(objects.drop_columns(["source_id"]), table)
        hats.write_hats(tmp_path / "objects", table, [lacking])


def test_rows_that_change_while_they_are_frozen_are_noticed(
    release_folder: Path, objects: pa.Table, tmp_path: Path
) -> None:
    class Shrinking(Held):
        def rows(self, first: int, stop: int) -> pa.Table:
            return super().rows(first, stop).slice(1)

    table = table_of(release_folder)
    with pytest.raises(ProductError, match=r"1499 rows in cell .* the 1500 that were counted"):
        hats.write_hats(tmp_path / "objects", table, [Shrinking(objects, table)])


def test_rows_at_one_place_cannot_be_divided(tmp_path: Path) -> None:
    """More rows in a cell of order 29 than a partition should hold: they stay together."""
    columns = tuple(
        ColumnModel(name, kind, "", "", "", required=True)
        for name, kind in (("n", "int64"), ("_healpix_29", "int64"), ("ra", "float64"),
                           ("dec", "float64"))
    )  # fmt: skip
    table = TableModel("same", "", columns, "n", on_sky=True)
    values = {"n": np.arange(5), "_healpix_29": np.full(5, healpix.index(1.0, 2.0)),
              "ra": np.full(5, 1.0), "dec": np.full(5, 2.0)}  # fmt: skip
    same = Held(arrow.from_numpy(values, table), table)
    hats.write_hats(tmp_path / "same", table, [same], rows_per_partition=2)
    assert [
        (order, len(pq.read_table(path))) for order, _, path in partitions(tmp_path / "same")
    ] == [(29, 5)]


def test_working_files_become_one_sorted_table(release_folder: Path, tmp_path: Path) -> None:
    """Files as catalogues are written: NaN for NULL, columns in another order, some missing."""
    table = ReleaseModel.read(release_folder).table("objects")
    rng = np.random.default_rng(4)
    paths = []
    for part in range(3):
        n = 20
        ra, dec = 360 * rng.random(n), 60 * rng.random(n)
        columns = {
            "status": np.zeros((n, len(BANDS)), dtype=np.int8),
            "mag_auto": np.where(rng.random((n, len(BANDS))) < 0.3, np.nan, 20.0).astype("f4"),
            "source_id": np.arange(n) + 100 * part,
            "_healpix_29": healpix.index(ra, dec),
            "tile": np.array([f"T{part}"] * n),
            "number": np.arange(n, dtype=np.int32),
            "ra": ra,
            "dec": dec,
            "is_primary": np.ones(n, dtype=bool),
        }
        paths.append(tmp_path / f"{part}.parquet")
        Catalogue(columns, {"bands": list(BANDS)}, "objects").write(paths[-1])
    found = hats.read_tables(paths, table)
    assert found.schema.equals(arrow.schema(table.columns), check_metadata=True)
    assert len(found) == 60
    assert (np.diff(arrow.to_numpy(found.column("_healpix_29"))) >= 0).all()
    assert found.equals(hats.read_tables(paths[::-1], table))
    assert found.column("photoz").null_count == 60
    assert len(hats.read_tables([], table)) == 0
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(ProductError, match=r"1\.parquet"):
        hats.read_tables(paths, table)
