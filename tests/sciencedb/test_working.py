"""Views over the files of the working database, and what they do not allow."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.errors import BadInput, ProductError
from tesela.sciencedb import working
from tesela.sciencedb.load import tile_tables, write_tile

from .tiles import tile_load

Files = dict[str, list[Path]]


def _path(folder: Path, tile: str, table: str) -> Path:
    return folder / f"{tile}.{table}.parquet"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The tables of two tiles."""
    found: Files = {"objects": [], "detections": [], "tiles": []}
    for tile in ("T-1", "T-2"):
        inputs = tile_load(tile)
        written = write_tile(tile_tables(inputs), inputs, partial(_path, tmp_path, tile))
        for name, path in written.items():
            found[name].append(path)
    return found


def test_views_hold_the_rows_of_all_tiles(files: Files) -> None:
    connection = working.connect(files)
    rows = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in files
    }
    assert rows == {"objects": 100, "detections": 210, "tiles": 4}
    query = "SELECT tile, count(DISTINCT source_id) FROM objects GROUP BY tile ORDER BY tile"
    assert connection.execute(query).fetchall() == [("T-1", 50), ("T-2", 50)]
    query = "SELECT mag_auto[1], mag_auto[3] FROM objects WHERE source_id = 16777217"
    first, last = connection.execute(query).fetchone()
    assert np.isfinite(first)
    assert last is None


def test_other_threads_see_the_views(files: Files) -> None:
    cursor = working.connect(files).cursor()
    assert cursor.execute("SELECT count(*) FROM objects").fetchone() == (100,)


def test_a_column_that_older_files_lack_is_null_there(files: Files, tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(files["objects"][0]).drop(["prob_star"]), old)
    connection = working.connect({"objects": [old, files["objects"][1]]})
    query = "SELECT tile, count(prob_star) FROM objects GROUP BY tile ORDER BY tile"
    assert connection.execute(query).fetchall() == [("T-1", 0), ("T-2", 50)]


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "COPY (SELECT 1 AS a) TO '{file}' (FORMAT parquet)",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "ATTACH '{folder}/new.db' AS other",
        "SET enable_external_access = true",
        "SET threads = 64",
        "INSTALL httpfs",
        "SELECT * FROM files",
    ],
)
def test_no_query_reaches_a_file_or_a_setting(files: Files, tmp_path: Path, query: str) -> None:
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    connection = working.connect(files)
    with pytest.raises(duckdb.Error):
        connection.execute(query.format(folder=tmp_path, file=files["objects"][0]))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert connection.execute("SELECT count(*) FROM objects").fetchone() == (100,)


def test_views_cannot_be_written_to(files: Files) -> None:
    with pytest.raises(duckdb.Error, match=r"[Cc]an only delete"):
        working.connect(files).execute("DELETE FROM objects")


def test_tables_without_files_have_no_view() -> None:
    connection = working.connect({"objects": []})
    with pytest.raises(duckdb.CatalogException, match="objects"):
        connection.execute("SELECT * FROM objects")


def test_missing_and_damaged_files_are_named(files: Files, tmp_path: Path) -> None:
    damaged = files["objects"][1]
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(ProductError, match=r"T-2.objects.parquet: .*expected a whole Parquet file"):
        working.connect(files)
    with pytest.raises(ProductError, match=r"none\.parquet"):
        working.connect({"objects": [tmp_path / "none.parquet"]})


def test_unknown_tables_are_refused(files: Files) -> None:
    with pytest.raises(BadInput, match=r"'stars'.*objects, detections or tiles"):
        working.connect({"stars": files["objects"]})
