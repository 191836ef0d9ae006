"""How fast a release answers: cones and single rows among millions of synthetic sources.

    python benchmarks/serving.py --rows 5000000 --folder /somewhere/large

A table of 60 columns in seven families of files, eleven of them arrays over 12 bands and one the
distribution of redshift (213 numbers a row), of random values that no compression shrinks, 21,000
sources a square degree as a survey of r < 21 sees. Positions and seeds are fixed. Questions are
put to the release itself, and through HTTP to the archive that serves it. With --folder the files
stay, and are used again; --releases asks the pages of releases that are there already.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pages
import pyarrow as pa
import uvicorn

from tesela.bands import filters
from tesela.cli import serve
from tesela.sciencedb import arrow, hats, serving
from tesela.sciencedb.model import (
    ColumnModel,
    ReleaseModel,
    TableModel,
    band_models,
    filters_table,
    table_model,
)
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import Shelf
from tesela.sky import healpix
from tesela.web.archive.app import create_app
from tesela.web.archive.settings import ArchiveSettings

DENSITY_DEG2 = 21_000
COLUMNS = 60
REPEATS = 200
NAME = "bench"
_FAMILIES = ("core", "photoz", "shape")
_ALSO = ("mag_aper_3_0", "mag_aper_3_0_err", "mag_psf", "mag_psf_err")


def model() -> TableModel:
    """The published table of objects without most apertures, and floats up to 60 columns."""
    published = table_model("objects", filters.names())
    kept = [c for c in published.columns if c.family in _FAMILIES or c.name in _ALSO]
    more = [
        ColumnModel(f"value_{n}", "float32", "", "", "", family="more")
        for n in range(COLUMNS - len(kept))
    ]
    return replace(published, columns=(*kept, *more))


def positions(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Uniform in a strip of 10 degrees around dec 40, sorted by cell."""
    low, high = np.sin(np.radians([35.0, 45.0]))
    width = rows / DENSITY_DEG2 / np.degrees(high - low)
    ra = (100.0 + width * rng.random(rows)) % 360.0
    dec = np.degrees(np.arcsin(low + (high - low) * rng.random(rows)))
    order = np.argsort(healpix.index(ra, dec))
    return ra[order], dec[order]


def data(table: TableModel, rows: int) -> pa.Table:
    """Random values of the table's columns."""
    rng = np.random.default_rng(5)
    ra, dec = positions(rows, rng)
    tile = pa.array([f"TILE-{n:05d}" for n in range(500)]).take(pa.array(np.arange(rows) % 500))
    known = {
        "source_id": pa.array(rng.permutation(rows).astype(np.int64) + 1),
        "_healpix_29": pa.array(healpix.index(ra, dec)),
        "tile": tile,
        "ra": pa.array(ra),
        "dec": pa.array(dec),
        "is_primary": pa.array(rng.random(rows) < 0.9),
    }
    arrays = [known[c.name] if c.name in known else _drawn(c, rows, rng) for c in table.columns]
    return pa.Table.from_arrays(arrays, schema=arrow.schema(table.columns))


def _drawn(column: ColumnModel, rows: int, rng: np.random.Generator) -> pa.Array:
    n = rows * column.length
    if column.name == "status":
        flat = pa.array(np.zeros(n, np.int8))
    elif column.name == "photoz_quantiles":
        flat = pa.array(np.sort(rng.random((rows, column.length), np.float32), axis=1).ravel())
    elif column.dtype.startswith("int"):
        flat = pa.array(rng.integers(0, 100, n).astype(column.dtype))
    else:
        flat = pa.array(15.0 + 8.0 * rng.random(n, dtype=np.float32))
    return pa.FixedSizeListArray.from_arrays(flat, column.length) if column.length > 1 else flat


def build(folder: Path, rows: int) -> list[pages.Result]:
    """Write the release; time and size of each part, and the most memory taken."""
    table = model()
    content = data(table, rows)
    folder.mkdir(parents=True, exist_ok=True)
    results = [pages.Result("table in memory", f"{content.nbytes / 1e9:.2f} GB")]
    for what, write, where in (
        ("HATS", hats.write_hats, folder / "hats" / "objects"),
        ("serving files", serving.write_serving, folder / "serve"),
    ):
        start = time.perf_counter()
        write(where, table, content)
        seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in where.rglob("*") if path.is_file())
        results.append(pages.Result(what, f"{seconds:.0f} s, {size / 1e9:.2f} GB"))
    counts = {"objects": rows, "tiles": 0, "filters": len(filters.names())}
    tables = (table, *_small_tables(folder))
    ReleaseModel(
        NAME, "Synthetic", "bench", "2000-01-01T00:00:00Z", "0", "rSDSS",
        band_models(filters.names()), tables, (), counts,
    ).write(folder)  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return [*results, pages.Result("peak memory of writing", f"{peak:.1f} GiB")]


def _small_tables(folder: Path) -> list[TableModel]:
    """The tables of tiles and bands, the first without a row."""
    names = filters.names()
    about = table_model("filters", names)
    columns = filters_table(band_models(names))
    (folder / "tables").mkdir(exist_ok=True)
    arrow.write_table(
        folder / "tables" / "filters.parquet", about,
        pa.table(dict(columns), schema=arrow.schema(about.columns)),
    )  # fmt: skip
    tiles = table_model("tiles", names)
    arrow.write_table(
        folder / "tables" / "tiles.parquet", tiles, arrow.schema(tiles.columns).empty_table()
    )
    return [tiles, about]


def asked(what: str, call: Callable[[int], int], repeats: int = REPEATS) -> pages.Result:
    """Median and 95th percentile of the time of a call, CPU time and rows on average."""
    times, rows = [], 0
    cpu = time.process_time()
    for n in range(repeats):
        start = time.perf_counter()
        rows += call(n)
        times.append(1e3 * (time.perf_counter() - start))
    median, p95 = np.percentile(times, [50, 95])
    cpu = 1e3 * (time.process_time() - cpu) / repeats
    note = f"p95 {p95:.1f} ms, CPU {cpu:.1f} ms, {rows / repeats:.1f} rows"
    return pages.Result(what, f"{median:.1f} ms", note)


def ask(folder: Path) -> list[pages.Result]:
    """Questions to the release, at positions of its own."""
    start = time.perf_counter()
    release = Release.open(folder)
    opened = pages.Result("open", f"{1e3 * (time.perf_counter() - start):.0f} ms")
    rows = release.model.rows["objects"]
    ra, dec = positions(rows, np.random.default_rng(5))
    rng = np.random.default_rng(6)
    chosen = rng.integers(0, rows, REPEATS)
    ids = rng.integers(1, rows + 1, REPEATS).tolist()
    few = ["source_id", "ra", "dec", "mag_auto"]
    core = [c.name for c in release.table("objects").columns if c.family == "core"]

    def cone(radius_deg: float, columns: list[str] | None, **options: bool) -> Callable[[int], int]:
        def call(n: int) -> int:
            at = float(ra[chosen[n]]), float(dec[chosen[n]])
            return len(release.cone("objects", *at, radius_deg, columns, **options).table())

        return call

    return [
        opened,
        asked("cone of 1', 4 columns, first 20 after opening", cone(1 / 60, few), 20),
        asked("cone of 1', 4 columns", cone(1 / 60, few)),
        asked("cone of 1', 4 columns, nearest first", cone(1 / 60, few, order_by_distance=True)),
        asked("cone of 1', the columns of core", cone(1 / 60, core)),
        asked("cone of 1', all 60 columns", cone(1 / 60, None)),
        asked("cone of 1 degree, 4 columns", cone(1.0, few), 20),
        asked("cone of 1 degree, all 60 columns", cone(1.0, None), 5),
        asked("one row by its number", lambda n: len([release.by_id("objects", ids[n])])),
        asked("whole sky, 4 columns", cone(180.0, few), 1),
    ]


def ask_pages(releases: Path, name: str) -> list[pages.Result]:
    """The same through HTTP: cone search and the object page, one client on loopback."""
    with contextlib.closing(Release.open(releases / name)) as release, served(releases) as address:
        rng = np.random.default_rng(7)
        found = release.scan("objects", ["source_id", "ra", "dec"], limit=100_000).table()
        rows = found.take(pa.array(rng.integers(0, found.num_rows, REPEATS))).to_pylist()
        with httpx.Client(base_url=f"{address}/{name}", timeout=60) as client:

            def get(path: str) -> int:
                answer = client.get(path)
                answer.raise_for_status()
                return 1

            def cone(n: int) -> int:
                row = rows[n]
                return get(f"/vo/cone?RA={row['ra']}&DEC={row['dec']}&SR={1 / 60}")

            return [
                asked(f"{name}: first object page", lambda n: get(_object(rows[n])), 1),
                asked(f"{name}: object page", lambda n: get(_object(rows[n]))),
                asked(f"{name}: cone search of 1', VOTable", cone),
            ]


def _object(row: dict[str, Any]) -> str:
    return f"/object/{row['source_id']}"


@contextlib.contextmanager
def served(releases: Path) -> Iterator[str]:
    """The archive of a folder of releases, on a port of its own in a thread."""
    listening = serve.listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(releases, ArchiveSettings(base_url=address))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Build if need be, then ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    parser.add_argument("--releases", type=Path, help="ask the latest of these too, by HTTP")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        shelf = options.folder or Path(temporary)
        folder = shelf / NAME
        results = [] if (folder / "release.json").exists() else build(folder, options.rows)
        Shelf(shelf).publish(NAME)
        results += [*ask(folder), *ask_pages(shelf, NAME)]
        if options.releases:
            latest = Shelf(options.releases).published()[0]
            results += ask_pages(options.releases, latest)
    text = pages.table(results)
    print(text)
    if options.write:
        pages.write("serving", text)


if __name__ == "__main__":
    main()
