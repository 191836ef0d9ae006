"""A tile's products joined to the published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela.errors import ProductError
from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import DETECTIONS, OBJECTS, PER_BAND, TILES, Column
from tesela.sciencedb import hats, model
from tesela.sciencedb.load import TileLoad, tile_tables, write_tile
from tesela.sky import healpix

from .tiles import BANDS, COADD_ZERO_MAG, GRID, tile_load


def has_the_columns(table: Table, columns: dict[str, Column], n: int, n_band: int) -> None:
    assert list(table) == list(columns)
    for name, column in columns.items():
        length = n_band if column.length == PER_BAND else column.length
        shape = (n,) if column.length == 1 else (n, length)
        kind = np.dtype(object if column.dtype == "str" else column.dtype)
        assert (table[name].shape, table[name].dtype) == (shape, kind), name


def test_tables_have_every_column_of_the_model_in_its_type() -> None:
    tables = tile_tables(tile_load())
    has_the_columns(tables["objects"], dict(OBJECTS), 50, 3)
    has_the_columns(tables["detections"], dict(DETECTIONS), 50 + 55, 1)
    has_the_columns(tables["tiles"], dict(TILES), 2, 1)


def test_magnitudes_are_on_the_scale_of_the_solution() -> None:
    inputs = tile_load()
    tables = tile_tables(inputs)
    objects = tables["objects"]
    flux = inputs.dual.columns["flux_psfcor"]
    np.testing.assert_allclose(
        objects["mag_psfcor"][:, 0], 23.9 - 2.5 * np.log10(flux[:, 0]), atol=1e-4
    )
    np.testing.assert_allclose(
        objects["flux_psfcor"][:, 1], flux[:, 1] * 10 ** (0.4 * (23.9 - 24.9)), rtol=1e-5
    )
    assert np.isnan(objects["mag_psfcor"][:, 2]).all()
    part = tables["detections"]["band"] == "rSDSS"
    single = inputs.singles["rSDSS"].columns["flux_aper"]
    np.testing.assert_allclose(
        tables["detections"]["mag_aper"][part], 24.9 - 2.5 * np.log10(single), atol=1e-4
    )


def test_sizes_are_in_arcsec_and_value_added_columns_follow_their_sources() -> None:
    inputs = tile_load()
    tables = tile_tables(inputs)
    for name in ("a", "b", "flux_radius", "fwhm"):
        expected = inputs.dual.columns[name] * GRID.pixel_scale_arcsec
        np.testing.assert_allclose(tables["objects"][name], expected, rtol=1e-6)
    np.testing.assert_array_equal(tables["objects"]["photoz"], inputs.valueadded.columns["photoz"])
    part = tables["detections"]["band"] == "gSDSS"
    np.testing.assert_allclose(
        tables["detections"]["fwhm"][part], inputs.singles["gSDSS"].columns["fwhm"] * 0.5, rtol=1e-6
    )


def test_numbers_are_promises() -> None:
    """They are in other people's tables: a change of them is a new release of everything."""
    tables = tile_tables(tile_load("T-2"))
    assert tables["objects"]["source_id"][:2].tolist() == [2 * 2**24 + 1, 2 * 2**24 + 2]
    first, last = tables["detections"]["detection_id"][[0, -1]]
    assert first == (2 * 128 + 1) * 2**24 + 1
    assert last == (2 * 128 + 2) * 2**24 + 55
    assert tables["objects"]["source_id"].max() < 2**53


def test_numbers_are_unique_over_tiles_bands_and_sources() -> None:
    tables = [tile_tables(tile_load(tile)) for tile in ("T-1", "T-2")]
    for name, column in (("objects", "source_id"), ("detections", "detection_id")):
        numbers = np.concatenate([table[name][column] for table in tables])
        assert np.unique(numbers).size == numbers.size


def test_cells_are_those_of_the_positions() -> None:
    objects = tile_tables(tile_load())["objects"]
    expected = healpix.index(objects["ra"], objects["dec"], 29)
    np.testing.assert_array_equal(objects["_healpix_29"], expected)


def test_a_source_that_two_tiles_see_is_primary_in_one() -> None:
    first, second = tile_load("T-1"), tile_load("T-2")
    for name in ("ra", "dec"):
        second.dual.columns[name] = first.dual.columns[name]
    in_first = tile_tables(first)["objects"]["is_primary"]
    in_second = tile_tables(second)["objects"]["is_primary"]
    ra = first.dual.columns["ra"]
    np.testing.assert_array_equal(in_first, ra < 150.05)
    # West of the second tile nobody owns what only the first sees, so that none is lost there.
    both = ra > 150.1 - 0.1
    np.testing.assert_array_equal(in_second[both], ~in_first[both])


def test_a_position_outside_every_tile_stays_with_the_tile_that_saw_it() -> None:
    inputs = tile_load()
    inputs.dual.columns["dec"][0] = 2.1001
    assert tile_tables(inputs)["objects"]["is_primary"][0]


def test_depths_move_with_the_zero_point() -> None:
    tiles = tile_tables(tile_load())["tiles"]
    assert list(tiles["band"]) == ["gSDSS", "rSDSS"]
    assert tiles["depth_psf_mag"] == pytest.approx([21.0 + 1.9, 21.0 + 2.9])
    assert tiles["m50_mag"] == pytest.approx([20.8 + 1.9, 20.8 + 2.9])
    assert tiles["zeropoint_mag"] == pytest.approx([COADD_ZERO_MAG + 1.9, COADD_ZERO_MAG + 2.9])
    assert tiles["n_frames"].tolist() == [6, 6]
    assert tiles["image_zeropoint_mag"].tolist() == [22.25, 22.25]
    assert tiles["zeropoint_mag"].tolist() == pytest.approx([23.9, 24.9])
    assert tiles["n_sources"].tolist() == [50, 55]
    assert tiles["mjd_mean"] == pytest.approx([57000.25] * 2)


def test_a_band_without_a_solution_has_no_magnitudes_and_no_depth() -> None:
    inputs = tile_load()
    keep = inputs.zeropoints.columns["band"] == "gSDSS"
    inputs.zeropoints.columns = {n: v[keep] for n, v in inputs.zeropoints.columns.items()}
    del inputs.coadds["rSDSS"]["FWHM"]
    tables = tile_tables(inputs)
    assert np.isnan(tables["objects"]["mag_auto"][:, 1]).all()
    assert np.isnan(tables["tiles"]["depth_psf_mag"][1])
    assert np.isnan(tables["tiles"]["fwhm_arcsec"][1])
    assert tables["tiles"]["origin"].tolist() == ["reference", None]


def written(inputs: TileLoad, folder: Path) -> dict[str, Path]:
    tables = tile_tables(inputs)
    return write_tile(
        tables, inputs, lambda name: folder / f"{name}.parquet", {"provenance": {"a": 1}}
    )


def test_no_file_holds_a_nan_and_absent_values_are_null(tmp_path: Path) -> None:
    inputs = tile_load()
    inputs.dual.columns["flux_psf"][0, 0] = np.inf
    files = written(inputs, tmp_path)
    for path in files.values():
        table = pq.read_table(path)
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            flat = column.flatten() if hasattr(column, "flatten") else column
            if str(flat.type) in ("float", "double"):
                known = flat.drop_null().to_numpy()
                assert np.isfinite(known).all(), name
    row = pq.read_table(files["objects"], columns=["flux_psf"]).column(0)[0].as_py()
    assert row[0] is None
    assert row[1] is not None


def test_files_tell_units_and_what_they_are_of(tmp_path: Path) -> None:
    files = written(tile_load(), tmp_path)
    assert list(files) == ["objects", "detections", "tiles"]
    field = pq.read_schema(files["objects"]).field("fwhm")
    assert field.metadata[b"unit"] == b"arcsec"
    back = Catalogue.read(files["objects"])
    assert back.kind == "objects"
    assert back.facts == {
        "tile": "T-1",
        "bands": list(BANDS),
        "detection_band": BANDS[0],
        "provenance": {"a": 1},
    }


def test_the_same_tile_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = written(tile_load(), tmp_path / "one"), written(tile_load(), tmp_path / "two")
    assert [p.read_bytes() for p in one.values()] == [p.read_bytes() for p in two.values()]


@pytest.mark.parametrize("bands", [BANDS, ("V",)])
def test_releases_can_be_frozen_from_the_files(tmp_path: Path, bands: tuple[str, ...]) -> None:
    files = written(tile_load(bands=bands), tmp_path)
    for table in model.published_tables(bands):
        if table.name in files:
            found = hats.read_tables([files[table.name]], table)
            assert found.column_names == [column.name for column in table.columns]


def test_a_tile_without_sources_has_empty_tables(tmp_path: Path) -> None:
    inputs = tile_load(n=0)
    inputs.singles = {}
    tables = tile_tables(inputs)
    assert [len(next(iter(table.values()))) for table in tables.values()] == [0, 0, 0]


def test_numbers_that_are_not_unique_are_refused() -> None:
    inputs = tile_load()
    inputs.dual.columns["number"][3] = inputs.valueadded.columns["number"][3] = 1
    with pytest.raises(ProductError, match="dual catalogue of tile T-1: number 1 2 times"):
        tile_tables(inputs)
    inputs = tile_load()
    inputs.singles["rSDSS"].columns["number"][1] = 1
    with pytest.raises(ProductError, match="single catalogue in rSDSS of tile T-1: number 1 2"):
        tile_tables(inputs)


@pytest.mark.parametrize("number", [0, -1, 2**24])
def test_numbers_that_do_not_fit_are_refused(number: int) -> None:
    inputs = tile_load()
    inputs.dual.columns["number"][3] = inputs.valueadded.columns["number"][3] = number
    with pytest.raises(ProductError, match="expected 1 to 16777215"):
        tile_tables(inputs)


def test_more_bands_than_numbers_allow_are_refused() -> None:
    bands = tuple(f"B{n:03d}" for n in range(128))
    with pytest.raises(ProductError, match="2 tiles and 128 bands; expected numbers below"):
        tile_tables(tile_load(n=1, bands=bands))


@pytest.mark.parametrize(("name", "value"), [("ra", np.nan), ("dec", np.nan), ("dec", 91.0)])
def test_positions_that_are_none_are_refused(name: str, value: float) -> None:
    inputs = tile_load()
    inputs.dual.columns[name][7] = value
    with pytest.raises(ProductError, match=r"number 8 at \(.*; expected a position in degrees"):
        tile_tables(inputs)


def test_products_of_different_tiles_bands_and_sources_are_refused() -> None:
    inputs = tile_load()
    inputs.zeropoints.facts["tile"] = "T-2"
    with pytest.raises(ProductError, match="load of tile T-1: zeropoints of tile T-2"):
        tile_tables(inputs)
    inputs = tile_load()
    inputs.dual.facts["bands"] = ["rSDSS", "gSDSS", "iSDSS"]
    with pytest.raises(ProductError, match="bands: rSDSS gSDSS iSDSS; expected gSDSS rSDSS iSDSS"):
        tile_tables(inputs)
    inputs = tile_load()
    inputs.valueadded.columns["number"][:2] = [2, 1]
    with pytest.raises(ProductError, match="value-added rows of other sources"):
        tile_tables(inputs)
    inputs = tile_load()
    inputs.valueadded.columns["photoz"] = np.zeros((50, 2), np.float32)
    with pytest.raises(ProductError, match=r"column photoz: shape \(50, 2\); expected \(50,\)"):
        tile_tables(inputs)
