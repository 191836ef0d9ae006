"""A release answers as brute force does, streams, is locked, and says what is damaged."""

from __future__ import annotations

import gc
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.sciencedb.synthetic import Held

from tesela.errors import BadInput, ProductError
from tesela.sciencedb import answer, arrow, hats, model, serving, sql
from tesela.sciencedb.model import ColumnModel, FileModel, ReleaseModel, TableModel
from tesela.sciencedb.release import Release
from tesela.sky import healpix

FEW = ["mag_psf", "source_id", "photoz", "ra", "flux_radius"]


@pytest.fixture(scope="module")
def objects(release: Release) -> pa.Table:
    return release.scan("objects").table()


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Sources all over the sky, on the poles, around RA 0 and in tight pairs, in two families."""
    rng = np.random.default_rng(11)
    ra = 360 * rng.random(4000)
    dec = np.degrees(np.arcsin(2 * rng.random(4000) - 1))
    ra[:600], dec[:600] = 360 * rng.random(600), 90 - 10 ** rng.uniform(-6, 0, 600)
    ra[600:900], dec[600:900] = 360 * rng.random(300), -90 + 10 ** rng.uniform(-6, 0, 300)
    ra[900:1500] = (10 ** rng.uniform(-6, 0, 600) * rng.choice([-1, 1], 600)) % 360
    ra[1500:2000] = ra[2000:2500]
    dec[1500:2000] = np.clip(dec[2000:2500] + 10 ** rng.uniform(-6, -2, 500), -90, 90)
    ra[3998:], dec[3998:] = 0.0, (90.0, -90.0)
    columns = (
        ColumnModel("n", "int64", "", "", "", required=True),
        ColumnModel("_healpix_29", "int64", "", "", "", required=True),
        ColumnModel("ra", "float64", "", "", "", required=True),
        ColumnModel("dec", "float64", "", "", "", required=True),
        ColumnModel("twice", "int64", "", "", "", family="other"),
    )
    table = TableModel("stars", "", columns, "n", on_sky=True)
    n = np.arange(4000)
    values = {"n": n, "_healpix_29": healpix.index(ra, dec), "ra": ra, "dec": dec, "twice": 2 * n}
    folder = tmp_path_factory.mktemp("globe") / "dr1"
    hats.write_hats(folder / "hats", table, [Held(arrow.from_numpy(values, table), table)])
    serving.write_serving(folder / "serve", table, folder / "hats")
    ReleaseModel(
        "dr1", "", "", "", "0", "r", (), (table,), (), {"stars": 4000}
    ).write(folder)  # fmt: skip
    return Release.open(folder)


@pytest.mark.parametrize(
    "radius",
    [0.0, 1e-6, 0.1 / 3600, 1 / 3600, 1 / 60, 0.5, 4.0, 30.0, 89.99, 90.0, 91.0, 170.0, 179.99,
     180.0],
)  # fmt: skip
def test_cones_are_those_of_brute_force(
    globe: Release, radius: float, rng: np.random.Generator
) -> None:
    """At sources, poles, RA 0/360 and anywhere, except where rounding decides."""
    everything = globe.scan("stars").table()
    ra, dec = (arrow.to_numpy(everything.column(name)) for name in ("ra", "dec"))
    n = arrow.to_numpy(everything.column("n"))
    centres = [(0.0, 90.0), (0.0, -90.0), (123.0, 90.0), (0.0, 0.0), (360 - 1e-9, 12.0)]
    centres += [(float(ra[i]), float(dec[i])) for i in rng.integers(0, 4000, 8)]
    for centre in centres:
        apart = healpix.separation_deg(ra, dec, *centre)
        sure = np.abs(apart - radius) > 1e-9 * max(radius, 1e-4)
        found = globe.cone("stars", *centre, radius, ["n", "twice"]).table()
        numbers = arrow.to_numpy(found.column("n"))
        assert np.array_equal(arrow.to_numpy(found.column("twice")), 2 * numbers)
        inside = np.isin(n, numbers)
        assert (inside == (apart <= radius))[sure].all()
        if 0 < radius < 1:
            assert inside[apart < 1e-3 * radius].all()


def test_a_source_on_the_rim_is_inside(globe: Release) -> None:
    assert len(globe.cone("stars", 77.0, 0.0, 90.0, ["n", "dec"]).table()) > 1000
    poles = globe.cone("stars", 0.0, 90.0, 0.0).table()
    assert poles.column("dec").to_pylist() == [90.0]


def test_nearest_first(globe: Release) -> None:
    for centre, radius in (((0.0, 90.0), 1.0), ((0.5, 0.0), 90.0), ((10.0, 10.0), 180.0)):
        found = globe.cone("stars", *centre, radius, ["twice", "ra", "dec"], order_by_distance=True)
        rows = found.table()
        ra, dec = (arrow.to_numpy(rows.column(name)) for name in ("ra", "dec"))
        apart = healpix.separation_deg(ra, dec, *centre)
        assert len(apart) > 100
        assert np.diff(apart).min() > -1e-6  # cells by angle: rounding near the opposite point
        first = globe.cone("stars", *centre, radius, ["ra"], limit=7, order_by_distance=True)
        assert arrow.to_numpy(first.table().column("ra")).tolist() == ra[:7].tolist()


def test_rows_without_order_come_by_cell(globe: Release) -> None:
    cells = globe.cone("stars", 0.0, 0.0, 120.0, ["_healpix_29", "twice"]).table().column(0)
    assert (np.diff(arrow.to_numpy(cells)) >= 0).all()


def test_columns_of_all_families_belong_to_their_row(release: Release, objects: pa.Table) -> None:
    found = release.cone("objects", 210.0, 57.0, 0.05, FEW, order_by_distance=True)
    assert [column.name for column in found.columns] == FEW
    rows = found.table()
    assert rows.column_names == FEW
    assert 10 < len(rows) < 500
    place = {number: i for i, number in enumerate(objects.column("source_id").to_pylist())}
    expected = objects.take([place[n] for n in rows.column("source_id").to_pylist()]).select(FEW)
    assert rows.equals(expected)


def test_answers_carry_units(release: Release) -> None:
    result = release.cone("objects", 210.0, 57.0, 0.02, ["mag_auto"])
    batch = next(iter(result))
    assert batch.schema.field("mag_auto").metadata[b"unit"] == b"mag"
    assert batch.schema.field("mag_auto").type == pa.list_(pa.float32(), 3)


def test_answers_stream(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """In many batches the same rows come as in one, whatever their families."""
    whole = release.scan("objects", FEW).table()
    monkeypatch.setattr(answer, "BATCH_ROWS", 64)
    batches = list(release.scan("objects", FEW))
    assert len(batches) > 10
    assert pa.Table.from_batches(batches).equals(whole)
    cone = release.cone("objects", 210.0, 57.0, 10.0, FEW, order_by_distance=True).table()
    assert len(cone) == len(whole)
    assert release.scan("objects", FEW, limit=100).table().equals(whole.slice(0, 100))
    result = release.scan("objects", FEW)
    next(iter(result))
    result.close()
    assert len(result.table()) == 0


def test_limits(release: Release) -> None:
    assert len(release.scan("objects", limit=0).table()) == 0
    assert len(release.cone("objects", 210.0, 57.0, 180.0, ["ra"], limit=5).table()) == 5
    with pytest.raises(BadInput, match="limit"):
        release.scan("objects", limit=-1)


def test_a_row_by_its_number(release: Release, objects: pa.Table) -> None:
    for i in (0, 700, 1499):
        number = objects.column("source_id")[i].as_py()
        row = release.by_id("objects", number)
        assert row is not None
        assert list(row) == objects.column_names
        for name in ("ra", "tile", "is_primary", "photoz"):
            assert row[name] == objects.column(name)[i].as_py()
        for name in ("mag_psf", "flags", "photoz_quantiles", "status"):
            np.testing.assert_array_equal(row[name], arrow.to_numpy(objects.column(name))[i])
    assert release.by_id("objects", 1) is None
    assert release.by_id("objects", 2**70) is None


def test_absence_in_a_row(release: Release, objects: pa.Table) -> None:
    """None for a number, NaN in a vector, which then holds floats."""
    status = arrow.to_numpy(objects.column("status"))
    i = int(np.flatnonzero((status[:, -1] == 2) & ~np.isfinite(
        arrow.to_numpy(objects.column("photoz"))))[0])  # fmt: skip
    row = release.by_id("objects", objects.column("source_id")[i].as_py())
    assert row is not None
    assert row["photoz"] is None
    assert np.isnan(row["photoz_quantiles"]).all()
    assert np.isnan(row["flags"][-1])
    assert np.isfinite(row["flags"][:-1]).all()
    assert row["status"].dtype == np.int8


def test_tables_that_are_not_on_the_sky(release: Release) -> None:
    assert release.scan("filters").table().column("band").to_pylist() == ["uJAVA", "gSDSS", "rSDSS"]
    assert len(release.scan("tiles", ["tile", "m50_mag"]).table()) == 6
    assert release.scan("tiles", ["m50_mag"]).table().column(0).null_count == 2
    with pytest.raises(BadInput, match="detections"):
        release.cone("tiles", 0.0, 0.0, 1.0)
    with pytest.raises(BadInput, match="rows without number"):
        release.by_id("tiles", 3)


@pytest.mark.parametrize(
    ("cone", "said"),
    [
        ((np.nan, 0, 1), "finite"),
        ((0, np.inf, 1), "finite"),
        ((0, 0, np.nan), "finite"),
        ((-10, 0, 1), "did you mean ra 350"),
        ((360, 0, 1), "did you mean ra 0"),
        ((1e6, 0, 1), "0 <= ra < 360"),
        ((0, 90.01, 1), "-90 to 90"),
        ((0, 0, -1), "0 to 180"),
        ((0, 0, 200), "0 to 180"),
    ],
)
def test_what_is_no_cone_is_refused(
    release: Release, cone: tuple[float, float, float], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        release.cone("objects", *cone)


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ("object", None, "objects"),
        ("objects; DROP TABLE objects", None, "no such name"),
        ("objects", ["mag_atuo"], "mag_auto"),
        ("objects", ['ra" FROM x --'], "no such name"),
        ("objects", [], "none"),
        ("objects", ["ra", "ra"], "each one once"),
    ],
)
def test_unknown_names_are_refused_with_the_near_ones(
    release: Release, table: str, columns: list[str] | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        release.scan(table, columns)


def test_numpy_numbers_are_numbers(release: Release, objects: pa.Table) -> None:
    """A position from an array asks the same as one from a text."""
    ra, dec = np.float64(210.0), np.float32(57.0)
    assert len(release.cone("objects", ra, dec, np.float64(0.1)).table()) > 50
    assert release.by_id("objects", arrow.to_numpy(objects.column("source_id"))[0]) is not None


def test_threads_share_a_release(release: Release, objects: pa.Table) -> None:
    numbers = objects.column("source_id").to_pylist()[:40]

    def ask(number: int) -> tuple[Any, int]:
        row = release.by_id("objects", number, ["source_id", "mag_psf"])
        assert row is not None
        return row["source_id"], len(release.cone("objects", 210.0, 57.0, 0.1, FEW).table())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, numbers))
    assert [a[0] for a in answers] == numbers
    assert len({a[1] for a in answers}) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "ATTACH '/tmp/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 64",
        "SET enable_external_access = true",
        'DELETE FROM "objects.core".main.objects',
        'CREATE TABLE "objects.core".main.more (i INTEGER)',
    ],
)
def test_the_engine_reaches_nothing_else(release: Release, statement: str) -> None:
    with pytest.raises(duckdb.Error, match=r"disabled|locked|read-only|not exist|Cannot"):
        release._connection.cursor().execute(statement)


def test_an_answer_outlives_the_release_that_gave_it(own_folder: Path) -> None:
    opened = Release.open(own_folder)
    result = opened.scan("objects", ["source_id"])
    del opened
    gc.collect()
    assert len(result.table()) == 1500


def test_a_closed_release_says_so(own_folder: Path) -> None:
    opened = Release.open(own_folder)
    opened.close()
    with pytest.raises(ProductError, match="closed"):
        opened.scan("objects")


def test_two_programs_may_open_a_release(release_folder: Path, release: Release) -> None:
    again = Release.open(release_folder)
    assert len(again.scan("filters").table()) == 3
    again.close()


@pytest.mark.parametrize(
    ("name", "said"),
    [("serve/objects.psf.duckdb", "no such file"), ("tables/tiles.parquet", r"tiles\.parquet"),
     ("release.json", r"release\.json")],
)  # fmt: skip
def test_a_missing_file_is_named(own_folder: Path, name: str, said: str) -> None:
    (own_folder / name).unlink()
    with pytest.raises(ProductError, match=said):
        Release.open(own_folder)


def test_other_numbers_of_rows_are_refused(own_folder: Path) -> None:
    whole = ReleaseModel.read(own_folder)
    for table in ("objects", "tiles"):
        replace(whole, rows={**whole.rows, table: 7}).write(own_folder)
        with pytest.raises(ProductError, match="expected 7 rows"):
            Release.open(own_folder)


def test_other_columns_are_refused(own_folder: Path) -> None:
    whole = ReleaseModel.read(own_folder)
    table = whole.table("objects")
    columns = tuple(replace(c, dtype="float64") if c.name == "odds" else c for c in table.columns)
    tables = tuple(replace(t, columns=columns) if t is table else t for t in whole.tables)
    replace(whole, tables=tables).write(own_folder)
    with pytest.raises(ProductError, match=r"objects\.core\.duckdb: other columns or types: odds"):
        Release.open(own_folder)


def test_files_of_another_release_are_refused(own_folder: Path, globe: Release) -> None:
    path = own_folder / "serve" / "objects.psf.duckdb"
    path.unlink()
    shutil.copy(globe.folder / "serve" / "stars.core.duckdb", path)
    with pytest.raises(ProductError, match=r"objects\.psf\.duckdb"):
        Release.open(own_folder)


def test_rows_of_one_family_alone_are_refused(own_folder: Path) -> None:
    """As many rows in both files, yet not the same: no answer mixes them."""
    path = own_folder / "serve" / "objects.psf.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE objects SET _healpix_29 = 5")
    opened = Release.open(own_folder)
    assert len(opened.cone("objects", 210.0, 57.0, 0.1, ["ra"]).table()) > 0
    with pytest.raises(ProductError, match="another has not"):
        opened.cone("objects", 210.0, 57.0, 0.1, ["mag_psf"]).table()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.9])
def test_a_truncated_file_gives_no_wrong_answer(
    own_folder: Path, objects: pa.Table, kept: float
) -> None:
    """Its size tells at once; without a list of sizes the blocks that are gone tell."""
    path = own_folder / "serve" / "objects.aper.duckdb"
    whole = ReleaseModel.read(own_folder)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: int(kept * size)])
    columns = [c.name for c in serving.family_columns(whole.table("objects"), "aper")]
    try:
        found = Release.open(own_folder).scan("objects", columns).table()
    except ProductError as error:
        assert str(own_folder) in str(error)
    else:
        assert kept == 0.9  # the end of the file holds no rows
        assert found.equals(objects.select(columns))
    listed = FileModel("serve/objects.aper.duckdb", "", size)
    replace(whole, files=(listed,)).write(own_folder)
    with pytest.raises(ProductError, match=f"expected {size} bytes"):
        Release.open(own_folder)


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_byte_gives_no_wrong_answer(
    own_folder: Path, objects: pa.Table, seed: int
) -> None:
    """Either the answer is right, for no file uses all its bytes, or the damage is told."""
    path = own_folder / "serve" / "objects.core.duckdb"
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(seed).integers(0, len(content), 5):
        content[place] ^= 0xFF
    path.write_bytes(content)
    columns = ["source_id", "mag_auto", "ra"]
    try:
        found = Release.open(own_folder).scan("objects", columns).table()
    except ProductError as error:
        assert str(own_folder) in str(error)
    else:
        assert found.equals(objects.select(columns))


def test_sorting_more_than_memory_holds_is_refused() -> None:
    with pytest.raises(BadInput, match="give a limit"), answer.Told("release"):
        raise duckdb.OutOfMemoryException("too much")


def test_clusters_join_ranges_but_no_long_gaps() -> None:
    near = np.array([[0, 10], [12, 20], [30, 41]])
    assert sql.clusters(near) == [(0, 41)]
    far = np.array([[0, 10], [12, 20], [10**6, 10**6 + 5]])
    assert sql.clusters(far) == [(0, 20), (10**6, 10**6 + 5)]
    many = np.array([[i * 10**6, i * 10**6 + 1] for i in range(30)])
    parts = sql.clusters(many)
    assert len(parts) == sql.MOST_CLUSTERS
    assert (parts[0][0], parts[-1][1]) == (0, 29 * 10**6 + 1)


def test_names_and_texts_are_quoted() -> None:
    assert sql.quoted('a"b') == '"a""b"'
    assert sql.text("it's") == "'it''s'"


def test_a_folder_with_a_quote_in_its_name_opens(own_folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's a [test]; --"
    own_folder.rename(odd)
    assert len(Release.open(odd).scan("objects", ["ra"]).table()) == 1500


def test_the_published_tables_have_every_family_of_the_files(release: Release) -> None:
    """What the model says is what is served."""
    assert release.model.tables == model.published_tables(("uJAVA", "gSDSS", "rSDSS"))
