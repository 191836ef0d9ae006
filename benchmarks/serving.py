"""How fast a release answers: cones and single rows among millions of synthetic sources.

    python benchmarks/serving.py --rows 5000000 --folder /somewhere/large

A table of 60 columns in four families of files, six of them arrays over 12 bands (126 numbers a
row), of random values that no compression shrinks, 21,000 sources a square degree as a survey of
r < 21 sees. Positions and seeds are fixed. With --folder the files stay, and are used again.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pages
import pyarrow as pa

from tesela.sciencedb import arrow, hats, serving
from tesela.sciencedb.model import ColumnModel, ReleaseModel, TableModel
from tesela.sciencedb.release import Release
from tesela.sky import healpix

DENSITY_DEG2 = 21_000
BANDS = 12
COLUMNS = 60
REPEATS = 200


def model() -> TableModel:
    """60 columns: 11 with a meaning in core, the others floats."""
    first = [
        ("source_id", "int64", 1, "core"),
        ("_healpix_29", "int64", 1, "core"),
        ("tile", "str", 1, "core"),
        ("number", "int32", 1, "core"),
        ("ra", "float64", 1, "core"),
        ("dec", "float64", 1, "core"),
        ("is_primary", "bool", 1, "core"),
        ("status", "int8", BANDS, "core"),
        ("mag_auto", "float32", BANDS, "core"),
        ("mag_auto_err", "float32", BANDS, "core"),
        ("flags", "int16", BANDS, "core"),
        ("mag_aper", "float32", BANDS, "aper"),
        ("mag_aper_err", "float32", BANDS, "aper"),
    ]
    others = COLUMNS - len(first)
    families = ("core", "psf", "aper", "shape")
    first += [(f"value_{n}", "float32", 1, families[n * 4 // others]) for n in range(others)]
    columns = tuple(
        ColumnModel(name, kind, "", "", "", length, family=family)
        for name, kind, length, family in first
    )
    return TableModel("objects", "synthetic", columns, "source_id", on_sky=True)


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
    if column.dtype.startswith("int"):
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
    ReleaseModel(
        "bench", "", "", "", "0", "rSDSS", (), (table,), (), {"objects": rows}
    ).write(folder)  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return [*results, pages.Result("peak memory of writing", f"{peak:.1f} GiB")]


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


def main() -> None:
    """Build if need be, then ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "release"
        results = [] if (folder / "release.json").exists() else build(folder, options.rows)
        print(pages.table([*results, *ask(folder)]))


if __name__ == "__main__":
    main()
