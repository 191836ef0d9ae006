"""Validation: a sound release passes, and each thing that can be wrong is a failed check."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.stages.frozen import Change, make_inputs

from tesela.sciencedb.model import ReleaseModel
from tesela.stages import release
from tesela.stages.release import Check, ReleaseSettings, Validation, coverage

SETTINGS = ReleaseSettings(preview_px=100, tile_px=50)
OBJECTS = "hats/objects/dataset/Norder=0/Dir=0/Npix=2.parquet"


def build(folder: Path, change: Change | None = None) -> Path:
    inputs = make_inputs(folder / "in", change=change)
    (folder / "release").mkdir()
    release.build(inputs, SETTINGS, folder / "release")
    return folder / "release"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    shutil.copytree(sound, tmp_path / "dr1")
    return tmp_path / "dr1"


def failed(folder: Path) -> dict[str, str]:
    return {c.name: c.found for c in release.validate(folder).checks if c.passed is False}


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a Parquet file and keep its schema."""
    table = change(pq.read_table(path, partitioning=None))
    pq.write_table(table, path)


def set_value(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value
    place = table.column_names.index(column)
    array = pa.array(values, type=table.schema.field(column).type)
    return table.set_column(place, table.schema.field(column), array)


def test_sound_release_passes_every_check(sound: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = release.validate(sound, lambda *step: told.append(step))
    assert [c.name for c in found.checks if c.passed is not True] == []
    assert found.passed
    assert len({c.name for c in found.checks}) == len(found.checks) > 20
    assert json.loads(json.dumps(found.as_dict()))["passed"] is True
    assert {what for what, _, _ in told} == {"checksums", "rows of objects", "rows of detections"}
    primary = next(c for c in found.checks if c.name == "primary sources")
    assert int(primary.found.split(" of ")[1].split()[0]) > 10


def test_what_cannot_be_judged_does_not_count() -> None:
    some = [Check("a", True, "", ""), Check("b", None, "", "")]
    assert Validation(tuple(some)).passed
    assert not Validation((*some, Check("c", False, "", ""))).passed


# -- files -------------------------------------------------------------------------------------


def test_folder_that_is_no_release(tmp_path: Path) -> None:
    assert set(failed(tmp_path)) == {"release.json"}
    (tmp_path / "release.json").write_text("{", encoding="utf-8")
    assert set(failed(tmp_path)) == {"release.json"}


def test_changed_byte_is_found(folder: Path) -> None:
    path = folder / "images/T-1/T-1.gSDSS.fits"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert failed(folder) == {"files unchanged": "images/T-1/T-1.gSDSS.fits has other content"}


def test_file_that_shrank_or_went_is_found(folder: Path) -> None:
    (folder / "images/T-1/T-1.gSDSS.fits").unlink()
    (folder / "preview.jpg").write_bytes(b"")
    found = failed(folder)
    assert "T-1.gSDSS.fits is missing; preview.jpg has 0 bytes" in found["files unchanged"]
    assert "images/T-1/T-1.gSDSS.fits is missing" in found["images"]


def test_file_too_many_is_found(folder: Path) -> None:
    (folder / "hats" / "notes.txt").write_text("mine")
    assert failed(folder) == {"no other files": "hats/notes.txt is not in the list"}


def test_damaged_parquet_is_a_reason_not_a_traceback(folder: Path) -> None:
    path = folder / OBJECTS
    path.write_bytes(path.read_bytes()[:-9])
    found = failed(folder)
    assert OBJECTS in found["files unchanged"]
    assert found["objects"]
    assert found["rows and columns"]


@pytest.mark.parametrize("name", ["serve/objects.psf.duckdb", "tables/tiles.parquet"])
def test_damaged_serving_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(b"\0" * path.stat().st_size)
    found = failed(folder)
    assert name in found["files unchanged"]
    assert Path(name).name in found["rows and columns"]


@pytest.mark.parametrize("name", ["Norder3/Allsky.jpg", "Moc.fits", "properties"])
def test_image_survey_lacks_something(folder: Path, name: str) -> None:
    (folder / "hips/colour" / name).unlink()
    assert "image survey (HiPS)" in failed(folder)


def test_image_survey_lacks_a_tile_or_has_a_changed_one(folder: Path) -> None:
    survey = folder / "hips/colour"
    first, second = sorted(survey.glob("Norder6/Dir*/Npix*.jpg"))[:2]
    first.unlink()
    second.write_bytes(first.name.encode())
    reason = failed(folder)["image survey (HiPS)"]
    assert f"{first.relative_to(survey)} is missing" in reason
    assert f"{second.relative_to(survey)} has other content" in reason


def test_property_that_hips_demands(folder: Path) -> None:
    path = folder / "hips/colour/properties"
    lines = [x for x in path.read_text().splitlines() if not x.startswith("hips_frame")]
    path.write_text("\n".join(lines))
    assert "properties without hips_frame" in failed(folder)["image survey (HiPS)"]


def test_map_that_is_none(folder: Path) -> None:
    (folder / "moc.fits").write_bytes(b"no map")
    assert "moc.fits" in failed(folder)["objects"]


# -- rows and columns ----------------------------------------------------------------------------


def test_hats_with_a_row_less(folder: Path) -> None:
    rewrite(folder / OBJECTS, lambda table: table.slice(1))
    assert "rows in HATS" in failed(folder)["rows and columns"]


def test_hats_with_another_column(folder: Path) -> None:
    rewrite(folder / OBJECTS, lambda table: table.drop_columns(["photoz"]))
    assert "other columns" in failed(folder)["rows and columns"]


def test_serving_file_with_another_row(folder: Path) -> None:
    name = "serve/objects.core.duckdb"
    with duckdb.connect(folder / name) as connection:
        connection.execute("UPDATE objects SET source_id = source_id + 1000000 WHERE number = 1")
    model = ReleaseModel.read(folder)
    size = (folder / name).stat().st_size  # another one is refused at the door
    listed = (replace(f, size=size) if f.path == name else f for f in model.files)
    replace(model, files=tuple(listed)).write(folder)
    assert "other numbers in HATS than in DuckDB" in failed(folder)["rows and columns"]


def test_model_with_other_counts(folder: Path) -> None:
    model = ReleaseModel.read(folder)
    replace(model, rows={**model.rows, "objects": 3}).write(folder)
    assert "3 rows" in failed(folder)["rows and columns"]


def test_partition_that_is_listed_but_gone(folder: Path) -> None:
    with (folder / "hats/objects/partition_info.csv").open("a") as handle:
        handle.write("0,3\n")
    assert "2 partitions listed, 1 there" in failed(folder)["rows and columns"]


# -- rows ----------------------------------------------------------------------------------------


def vector(n: int, value: float) -> list[float | None]:
    return [value, *[None] * (n - 1)]


@pytest.mark.parametrize(
    ("column", "value", "check", "reason"),
    [
        ("source_id", 2 * 2**24 + 1, "unique source_id", "1 numbers more than once"),
        ("tile", None, "required values", "1 NULL in tile"),
        ("status", [0, None, 0], "required values", "1 NULL in status"),
        ("photoz", float("nan"), "no NaN", "1 NaN in photoz"),
        ("flux_psf", [1.0, float("nan"), None], "no NaN", "1 NaN in flux_psf"),
        ("ra", 361.0, "positions", "1 illegal positions"),
        ("dec", 57.2, "positions", "outside of its corners"),
        ("ra", 210.02, "cells", "_healpix_29 is not that of ra, dec"),
        ("tile", "T-9", "tiles and bands", "1 rows with tile T-9"),
        ("status", [0, 4, 0], "status", "1 values of status beyond 0 to 3"),
        ("status", [1, 1, 1], "status", "of mag_auto where status is not 0"),
        ("mag_auto", [30.0, 17.0, 17.0], "magnitudes", "of mag_auto unlike flux_auto"),
        ("flux_psfcor", [-1.0, None, None], "magnitudes", "of mag_psfcor unlike flux_psfcor"),
    ],
)
def test_spoiled_value_is_found(
    folder: Path, column: str, value: Any, check: str, reason: str
) -> None:
    numbers = pq.read_table(folder / OBJECTS, columns=["tile", "number"], partitioning=None)
    rows = zip(numbers.column("tile").to_pylist(), numbers.column("number").to_pylist())
    row = list(rows).index(("T-1", 9))
    rewrite(folder / OBJECTS, lambda table: set_value(table, column, row, value))
    assert reason in failed(folder)[f"objects: {check}"]


def test_detection_in_an_unknown_band(folder: Path) -> None:
    path = next(folder.glob("hats/detections/dataset/*/*/*.parquet"))
    rewrite(path, lambda table: set_value(table, "band", 0, "white"))
    assert "1 rows with band white" in failed(folder)["detections: tiles and bands"]


# -- across tiles --------------------------------------------------------------------------------


def set_column(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    field = table.schema.field(column)
    return table.set_column(
        table.column_names.index(column), field, pa.array(values, type=field.type)
    )


def test_tile_without_rows_is_refused(tmp_path: Path) -> None:
    def empty(table: str, tile: str, columns: dict[str, Any]) -> None:
        if tile == "T-2" and table == "objects":
            for name in list(columns):
                columns[name] = columns[name][:0]

    found = failed(build(tmp_path, empty))
    assert found["tiles"] == "T-2 has no objects"
    assert found["measured sources"] == "none in T-2"


def test_tile_without_its_row_in_tiles_is_refused(folder: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        bands, tiles = table.column("band").to_pylist(), table.column("tile").to_pylist()
        bands[0], tiles[3] = bands[1], "T-7"
        return set_column(set_column(table, "band", bands), "tile", tiles)

    rewrite(folder / "tables/tiles.parquet", spoil)
    reason = failed(folder)["tiles"]
    for part in (
        "no row T-1 gSDSS in tiles",
        "no row T-2 gSDSS in tiles",
        "2 rows T-1 rSDSS in tiles",
        "row T-7 gSDSS of another release",
    ):
        assert part in reason


def test_nan_about_a_tile_is_found(folder: Path) -> None:
    path = folder / "tables/tiles.parquet"
    rewrite(path, lambda table: set_value(table, "m50_mag", 2, float("nan")))
    assert failed(folder)["tiles: values"] == "1 NaN in m50_mag"


@pytest.mark.parametrize("value", [True, False])
def test_source_with_two_or_no_primary_rows_is_refused(folder: Path, value: bool) -> None:
    rewrite(folder / OBJECTS, lambda t: set_column(t, "is_primary", [value] * len(t)))
    wrong, _, rest = failed(folder)["primary sources"].partition(" of ")
    assert wrong == rest.split()[0]


def test_sources_without_a_primary_row_are_counted(folder: Path) -> None:
    """The tile that owns the place has no sighting there: a note, for faint ones are lost so."""

    def move(table: pa.Table) -> pa.Table:
        tile, primary = (table.column(n).to_pylist() for n in ("tile", "is_primary"))
        dec = table.column("dec").to_pylist()
        gone = [d + 0.002 * (t == "T-2" and p) for d, t, p in zip(dec, tile, primary)]
        return set_column(table, "dec", gone)

    rewrite(folder / OBJECTS, move)
    note = next(
        c for c in release.validate(folder).checks if c.name == "sources without a primary row"
    )
    assert note.passed is None
    assert 5 < int(note.found.split()[0]) < 60


def test_tile_that_nothing_was_measured_in_is_refused(folder: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        status = [
            [0, 2, 0] if tile == "T-1" else [0, 0, 0] for tile in table.column("tile").to_pylist()
        ]
        table = set_column(table, "status", status)
        return set_column(table, "prob_star", [0.1] * len(table))

    rewrite(folder / OBJECTS, spoil)
    found = failed(folder)
    assert found["measured sources"] == "none in T-1"
    assert found["stars"].startswith("0 with prob_star")


def test_classes_that_were_not_made_are_not_judged(folder: Path) -> None:
    rewrite(folder / OBJECTS, lambda t: set_column(t, "prob_star", [None] * len(t)))
    stars = next(c for c in release.validate(folder).checks if c.name == "stars")
    assert stars.passed is None


def test_objects_outside_of_the_map_are_refused(folder: Path) -> None:
    moc = coverage.read_moc(folder / "moc.fits")
    (folder / "moc.fits").unlink()
    half = moc.flatten().astype(np.int64)[::2]
    coverage.write_moc(folder / "moc.fits", coverage.moc_of_cells(half, moc.max_order))
    assert int(failed(folder)["coverage map"].split()[0]) > 50


def test_model_that_promises_an_image(folder: Path) -> None:
    model = ReleaseModel.read(folder)
    tile = replace(model.tiles[0], bands=("gSDSS",))
    replace(model, tiles=(tile, model.tiles[1])).write(folder)
    assert "T-1 has none in rSDSS" in failed(folder)["images"]
