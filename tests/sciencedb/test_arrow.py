"""Published tables as Arrow: exactly the model's columns, one form of absence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tesela.errors import ProductError
from tesela.products.catalogue import read_arrow
from tesela.sciencedb import arrow
from tesela.sciencedb.model import ColumnModel, TableModel
from tesela.sky import healpix

COLUMNS = (
    ColumnModel("source_id", "int64", "", "meta.id", "number", required=True),
    ColumnModel("_healpix_29", "int64", "", "", "", required=True),
    ColumnModel("ra", "float64", "deg", "pos.eq.ra", "right ascension", required=True),
    ColumnModel("dec", "float64", "deg", "", "", required=True),
    ColumnModel("tile", "str", "", "", ""),
    ColumnModel("good", "bool", "", "", ""),
    ColumnModel("flags", "int16", "", "", "", 3, per_band=True),
    ColumnModel("mag", "float32", "mag", "phot.mag", "magnitude", 3, per_band=True),
    ColumnModel("status", "int8", "", "", "", 3, per_band=True, required=True),
)
TABLE = TableModel("objects", "sources", COLUMNS, "source_id", on_sky=True)


def columns(**changes: Any) -> dict[str, Any]:
    ra, dec = np.array([30.0, 10.0, 20.0]), np.array([1.0, 2.0, 3.0])
    values = {
        "source_id": np.array([3, 1, 2]),
        "_healpix_29": healpix.index(ra, dec),
        "ra": ra,
        "dec": dec,
        "tile": np.array(["a", "b", "c"]),
        "good": np.array([True, False, True]),
        "flags": np.array([[1, 2, 3], [4, np.nan, 6], [7, 8, 9]]),
        "mag": np.array([[20.0, np.nan, 21.0], [np.nan, np.nan, np.nan], [18.0, 18.5, 19.0]]),
        "status": np.array([[0, 1, 0], [2, 2, 2], [0, 0, 0]]),
    }
    values |= changes
    return {name: value for name, value in values.items() if value is not None}


def test_columns_have_the_types_and_texts_of_the_model() -> None:
    table = arrow.from_numpy(columns(), TABLE)
    assert table.column_names == [c.name for c in COLUMNS]
    assert table.schema.field("mag").type == pa.list_(pa.float32(), 3)
    assert table.schema.field("ra").metadata == {
        b"unit": b"deg", b"ucd": b"pos.eq.ra", b"description": b"right ascension",
    }  # fmt: skip
    assert table.schema.equals(arrow.schema(COLUMNS), check_metadata=True)


def test_nan_becomes_null_and_comes_back_as_nan() -> None:
    table = arrow.from_numpy(columns(), TABLE)
    assert table.column("mag").to_pylist()[0] == [20.0, None, 21.0]
    assert table.column("flags").to_pylist()[1] == [4, None, 6]
    np.testing.assert_array_equal(arrow.to_numpy(table.column("mag")), columns()["mag"])
    np.testing.assert_array_equal(arrow.to_numpy(table.column("flags")), columns()["flags"])
    assert arrow.to_numpy(table.column("status")).dtype == np.int8


def test_a_vector_missing_as_a_whole_becomes_one_of_nulls() -> None:
    """Also where it stands between others, and in a slice."""
    kind = pa.list_(pa.float32(), 3)
    mag = pa.array([[9.0, 9.0, 9.0], None, [1.0, float("nan"), 3.0], None, [4.0, 5.0, 6.0]], kind)
    rows = pa.table({"mag": mag}).slice(1)
    model = TableModel("t", "", (COLUMNS[7],))
    none = [None] * 3
    expected = [none, [1.0, None, 3.0], none, [4.0, 5.0, 6.0]]
    found = arrow.conform(rows, model, "rows")
    assert found.column("mag").to_pylist() == expected
    assert found.column("mag").null_count == 0
    assert np.isnan(arrow.to_numpy(rows.column("mag"))).tolist() == [
        [v is None for v in row] for row in expected
    ]


def test_columns_that_need_not_be_there_are_null() -> None:
    table = arrow.from_numpy(columns(mag=None, tile=None), TABLE)
    assert table.column("mag").to_pylist() == [[None] * 3] * 3
    assert table.column("tile").to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ra": None}, "no ra"),
        ({"colour": np.zeros(3)}, "unknown colour"),
        ({"ra": np.array([1.0, np.nan, 2.0])}, "column ra: 1 values that are NULL or NaN"),
        ({"status": np.array([[0, 1, np.nan]] * 3)}, "column status: 3 values"),
        ({"mag": np.zeros((3, 4))}, "column mag"),
        ({"flags": np.full((3, 3), 70000)}, "column flags"),
        ({"flags": np.full((3, 3), 0.5)}, "column flags"),
        ({"ra": np.array(["x", "y", "z"])}, "column ra"),
    ],
)
def test_what_is_not_of_the_model_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ProductError, match=said):
        arrow.from_numpy(columns(**changes), TABLE)


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ProductError, match="complex64"):
        arrow.arrow_type(replace(COLUMNS[0], dtype="complex64"))


def test_rows_are_sorted_by_cell_then_number() -> None:
    ra = np.array([30.0, 10.0, 10.0])
    cells = healpix.index(ra, np.ones(3))
    table = arrow.from_numpy(
        columns(ra=ra, dec=np.ones(3), _healpix_29=cells, source_id=np.array([1, 9, 2])), TABLE
    )
    ordered = arrow.order(table, TABLE)
    expected = [1, 2, 9] if cells[0] < cells[1] else [2, 9, 1]
    assert ordered.column("source_id").to_pylist() == expected
    assert arrow.order(ordered, TABLE) is ordered
    plain = replace(TABLE, id_column="", on_sky=False)
    assert arrow.order(table, plain) is table


def test_cells_must_be_those_of_the_positions() -> None:
    cells = columns()["_healpix_29"]
    arrow.check_cells(arrow.from_numpy(columns(), TABLE), TABLE)
    with pytest.raises(ProductError, match="2 rows whose _healpix_29"):
        arrow.check_cells(arrow.from_numpy(columns(_healpix_29=cells[[0, 2, 1]]), TABLE), TABLE)
    with pytest.raises(ProductError, match="off the sphere"):
        arrow.check_cells(arrow.from_numpy(columns(dec=np.full(3, 91.0)), TABLE), TABLE)


def test_a_table_is_written_once_and_read_back(tmp_path: Path) -> None:
    table = arrow.from_numpy(columns(), TABLE)
    path = tmp_path / "tables" / "objects.parquet"
    arrow.write_table(path, TABLE, table)
    assert read_arrow(path).equals(table)
    with pytest.raises(ProductError, match="nothing is overwritten"):
        arrow.write_table(path, TABLE, table)


@pytest.mark.parametrize("where", [0.001, 0.3, 0.6, 0.999])
def test_a_damaged_file_is_refused(tmp_path: Path, where: float) -> None:
    """A changed byte: in a page's data its checksum tells."""
    path = tmp_path / "t.parquet"
    values = np.random.default_rng(1).random(20_000)
    model = TableModel("t", "", (ColumnModel("x", "float64", "", "", ""),))
    arrow.write_table(path, model, arrow.from_numpy({"x": values}, model))
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(ProductError, match=r"t\.parquet"):
        read_arrow(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"nothing\.parquet"):
        read_arrow(tmp_path / "nothing.parquet")
