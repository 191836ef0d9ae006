"""Reference catalogues: three formats, many names of columns, one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from tesela.errors import BadInput
from tesela.stages.ingest.refcat import read

RA, DEC = np.array([10.0, 11.0, 12.0]), np.array([-5.0, -6.0, -7.0])


def write(path: Path, table: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table(table), path)
    else:
        Table(table).write(path, format="ascii.csv" if path.suffix == ".csv" else "fits")
    return path


@pytest.mark.parametrize("suffix", [".fits", ".csv", ".parquet"])
def test_every_format_gives_the_same_table(tmp_path: Path, suffix: str) -> None:
    table = {
        "RAJ2000": RA,
        "DEJ2000": DEC,
        "pmRA": np.ones(3),
        "rmag": np.array([15.0, 99.0, 16.0]),
    }
    found = read(write(tmp_path / f"c{suffix}", table))
    assert list(found) == ["ra", "dec", "pmra", "rmag"]
    np.testing.assert_array_equal(found["ra"], RA)
    np.testing.assert_array_equal(found["dec"], DEC)
    np.testing.assert_array_equal(found["rmag"], [15.0, np.nan, 16.0])
    assert all(v.dtype == np.float64 for v in found.values())
    assert all(v.dtype.isnative and v.flags.c_contiguous for v in found.values())


@pytest.mark.parametrize("code", [99.0, 99.99, 99.999, -99.0, -999.0, -9999.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_for_no_measurement_become_nan_in_any_precision(
    tmp_path: Path, code: float, dtype: type
) -> None:
    table = {"ra": RA, "dec": DEC, "g": np.array([17.0, code, 18.0], dtype)}
    found = read(write(tmp_path / "c.fits", table))
    np.testing.assert_array_equal(np.isnan(found["g"]), [False, True, False])


def test_codes_in_columns_of_whole_numbers_make_them_magnitudes(tmp_path: Path) -> None:
    table = {"ra": RA, "dec": DEC, "g": np.array([17, 99, -999]), "r": np.array([17, 16, 15])}
    found = read(write(tmp_path / "c.fits", table))
    np.testing.assert_array_equal(found["g"], [17.0, np.nan, np.nan])
    np.testing.assert_array_equal(found["r"], [17, 16, 15])


def test_positions_identifiers_and_counts_keep_what_would_be_a_code(tmp_path: Path) -> None:
    table = {
        "ra": np.array([99.0, 99.99, 12.0]),
        "dec": np.array([10.0, 11.0, 12.0]),
        "source_id": np.array([1, 99, 999]),
        "DAOPHOTID": np.array([1.0, 99.0, 999.0]),
        "neighbours": np.array([50, 99, 60]),
    }
    found = read(write(tmp_path / "c.parquet", table))
    for name, values in table.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_codes_in_motions_and_errors_are_unknown_but_99_mas_are_a_motion(tmp_path: Path) -> None:
    table = {
        "ra": RA,
        "dec": DEC,
        "pmra": np.array([-999.0, 99.0, -99.0]),
        "pmdec": np.array([-9999, 99, 5]),
        "ref_epoch": np.array([2016.0, -999.0, 2015.5]),
        "ra_err_mas": np.array([-999.0, 99.0, 1.0]),
    }
    found = read(write(tmp_path / "c.csv", table))
    np.testing.assert_array_equal(found["pmra"], [np.nan, 99.0, -99.0])
    np.testing.assert_array_equal(found["pmdec"], [np.nan, 99.0, 5.0])
    np.testing.assert_array_equal(found["ref_epoch"], [2016.0, np.nan, 2015.5])
    np.testing.assert_array_equal(found["ra_err_mas"], [np.nan, 99.0, 1.0])


def test_words_in_a_column_that_nothing_needs_are_kept(tmp_path: Path) -> None:
    words = np.array(["J2000"] * 3)
    table = {"ra": RA, "dec": DEC, "pmra": RA, "pmdec": DEC, "epoch": words}
    assert list(read(write(tmp_path / "c.csv", table))["epoch"]) == list(words)
    table = {"ra": RA, "dec": DEC, "ref_epoch": words}
    assert list(read(write(tmp_path / "d.csv", table))["ref_epoch"]) == list(words)


@pytest.mark.parametrize(
    ("epoch", "sentence"),
    [
        (np.full(3, 57388.0), "'ref_epoch' with 57388; expected Julian years from 1900 to 2100"),
        (np.array(["J2016.0"] * 3), "expected decimal numbers"),
    ],
)
def test_motions_need_an_epoch_in_years(tmp_path: Path, epoch: np.ndarray, sentence: str) -> None:
    table = {"ra": RA, "dec": DEC, "pmra": RA, "pmdec": DEC, "ref_epoch": epoch}
    with pytest.raises(BadInput, match=sentence):
        read(write(tmp_path / "c.csv", table))


def test_rows_without_a_position_are_dropped_and_others_stay_aligned(tmp_path: Path) -> None:
    table = {
        "ra": np.array([10.0, np.nan, 400.0, 13.0]),
        "dec": np.array([1.0, 2.0, 3.0, 4.0]),
        "id": np.array([1, 2, 3, 4]),
    }
    found = read(write(tmp_path / "c.parquet", table))
    np.testing.assert_array_equal(found["id"], [1, 4])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"l": RA, "b": DEC}, "columns l, b; expected columns ra and dec in degrees"),
        ({"ra": -RA, "dec": DEC}, "3 rows and no valid position; expected ra in 0..360"),
        ({"ra": np.array(["10:00:00"] * 3), "dec": DEC}, "expected decimal numbers"),
    ],
)
def test_positions_are_needed_in_degrees(
    tmp_path: Path, table: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(write(tmp_path / "c.csv", table))
    assert str(caught.value).startswith("c.csv: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"c{suffix}", {"ra": np.arange(2000.0) / 10, "dec": np.ones(2000)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BadInput, match="unreadable table") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_other_files_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("ra dec")
    with pytest.raises(
        BadInput, match=r"a file ending in '.txt'; expected .fits, .csv or .parquet"
    ):
        read(tmp_path / "c.txt")
    with pytest.raises(BadInput, match="no such file"):
        read(tmp_path / "none.csv")
