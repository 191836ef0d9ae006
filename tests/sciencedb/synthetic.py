"""A small, complete release without a pipeline: plausible numbers, some of them absent."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tesela.bands import filters
from tesela.products import columns as names
from tesela.products.images import Coadd, Psf
from tesela.sciencedb import arrow, hats, model, serving
from tesela.sciencedb.model import ReleaseModel, TableModel, TileModel
from tesela.sky import healpix

CENTRE = (210.0, 57.0)
SIDE_DEG = 0.2
PIXELS = 72
CREATED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Held:
    """Rows in memory in place of a tile's file."""

    data: pa.Table
    table: TableModel

    def cells(self) -> Any:
        return arrow.to_numpy(self.data.column(arrow.HEALPIX))

    def rows(self, first: int, stop: int) -> pa.Table:
        return arrow.conform(hats.in_cells(self.data, first, stop), self.table, "held rows")


def make_release(
    folder: Path,
    *,
    rows: int = 2000,
    bands: Sequence[str] = filters.names(),
    seed: int = 1,
    tiles: int = 2,
    name: str = "",
) -> Path:
    """Write a release with `rows` objects in `tiles` tiles beside each other; return its folder.

    Its name is the folder's. Tables, HATS, serving files, release.json and, under images/, coadds
    of 72 x 72 pixels of 10 arcsec. Every seventh object is not observed in the last band, every
    fifth not detected in the first; every ninth has no photo-z. Half as many detections a band as
    objects.
    """
    rng = np.random.default_rng(seed)
    bands, name = names.band_order(bands), name or folder.name
    tables = {table.name: table for table in model.published_tables(bands)}
    where = [
        (f"SYN-{n + 1:05d}", CENTRE[0] + (n - (tiles - 1) / 2) * _step(), CENTRE[1])
        for n in range(tiles)
    ]
    data = {
        "objects": objects(tables["objects"], rows, where, rng),
        "detections": detections(tables["detections"], rows // 2, where, bands, rng),
        "tiles": tile_rows(tables["tiles"], where, bands, rng),
        "filters": arrow.from_numpy(
            model.filters_table(model.band_models(bands)), tables["filters"]
        ),
    }
    folder.mkdir(parents=True)
    for key, table in tables.items():
        if table.on_sky:
            hats.write_hats(folder / "hats" / key, table, [Held(data[key], table)])
            serving.write_serving(folder / "serve", table, folder / "hats" / key)
        else:
            arrow.write_table(folder / "tables" / f"{key}.parquet", table, data[key])
    for tile, ra, dec in where:
        for band in bands:
            path = folder / "images" / tile / f"{tile}.{band}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            coadd(ra, dec, zlib.crc32(f"{tile} {band} {seed}".encode())).write(path)
    ReleaseModel(
        name=name,
        title=f"Synthetic release {name}",
        survey="synthetic",
        created=CREATED,
        code_version="0",
        detection_band="rSDSS" if "rSDSS" in bands else bands[0],
        bands=model.band_models(bands),
        tables=tuple(tables.values()),
        tiles=tuple(TileModel(t, ra, dec, _corners(ra, dec), bands, 1) for t, ra, dec in where),
        rows={key: len(table) for key, table in data.items()},
        facts={"area_deg2": round(tiles * SIDE_DEG**2, 6)},
    ).write(folder)
    return folder


def _step() -> float:
    return float(SIDE_DEG / np.cos(np.radians(CENTRE[1])))


def _corners(ra: float, dec: float) -> tuple[tuple[float, float], ...]:
    half, up = _step() / 2, SIDE_DEG / 2
    return tuple((ra + x * half, dec + y * up) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))


def _places(n: int, where: list[tuple[str, float, float]], rng: np.random.Generator) -> Any:
    tile = np.arange(n) % len(where)
    ra = np.array([w[1] for w in where])[tile] + _step() * (rng.random(n) - 0.5)
    dec = np.array([w[2] for w in where])[tile] + SIDE_DEG * (rng.random(n) - 0.5)
    return tile, np.array([w[0] for w in where])[tile], ra, dec


def objects(
    table: TableModel, rows: int, where: list[tuple[str, float, float]], rng: np.random.Generator
) -> Any:
    """Sources with smooth spectra: magnitudes, fluxes and errors that agree with each other."""
    tile, tile_name, ra, dec = _places(rows, where, rng)
    n_band = next(c.length for c in table.columns if c.per_band)
    number = np.arange(rows) // len(where) + 1
    values: dict[str, Any] = {
        "source_id": (tile + 1) * 1_000_000_000 + number,
        "_healpix_29": healpix.index(ra, dec),
        "tile": tile_name,
        "number": number,
        "ra": ra,
        "dec": dec,
        "is_primary": number % 20 != 0,
    }
    mag = 17 + 5 * rng.random((rows, 1)) - 1.5 * rng.random((rows, 1)) * np.linspace(0, 1, n_band)
    status = np.zeros((rows, n_band), dtype=np.int8)
    status[::5, 0], status[::7, -1] = names.NOT_DETECTED, names.NOT_OBSERVED
    values["status"] = status
    kinds = [c.name.removeprefix("mag_") for c in table.columns if c.name.startswith("mag_")]
    for kind in (k for k in kinds if not k.endswith("_err")):
        values |= _photometry(kind, mag + rng.normal(0, 0.02, mag.shape), status)
    values["photoz"] = np.where(number % 9, 0.02 + 0.6 * rng.random(rows), np.nan)
    if "photoz_quantiles" in {c.name for c in table.columns}:
        steps = np.linspace(-2, 2, names.QUANTILES)
        values["photoz_quantiles"] = np.maximum(values["photoz"][:, None] + 0.02 * steps, 0.001)
    return arrow.from_numpy(_filled(table, values, rows, rng, status), table)


def _photometry(kind: str, mag: Any, status: Any) -> dict[str, Any]:
    observed = status != names.NOT_OBSERVED
    flux = np.where(observed, 10 ** (0.4 * (23.9 - mag)), np.nan)
    flux = np.where(status == names.NOT_DETECTED, 0.2, flux)
    flux_err = np.where(observed, 0.3 + 0.02 * flux, np.nan)
    measured = status == names.MEASURED
    return {
        f"flux_{kind}": flux.astype(np.float32),
        f"flux_{kind}_err": flux_err.astype(np.float32),
        f"mag_{kind}": np.where(measured, mag, np.nan).astype(np.float32),
        f"mag_{kind}_err": np.where(measured, 1.086 * flux_err / flux, np.nan).astype(np.float32),
    }


def _filled(
    table: TableModel, values: dict[str, Any], rows: int, rng: np.random.Generator, status: Any
) -> dict[str, Any]:
    """Give the columns that have no values yet small positive numbers."""
    filled = {}
    for c in table.columns:
        shape = (rows, c.length) if c.is_vector else (rows,)
        if c.name in values:
            filled[c.name] = values[c.name]
        elif c.dtype.startswith("int"):
            drawn = rng.integers(0, 4, shape)
            absent = status == names.NOT_OBSERVED if c.per_band and status is not None else None
            filled[c.name] = drawn if absent is None else np.where(absent, np.nan, drawn)
        else:
            filled[c.name] = rng.random(shape).astype(np.float32)
    return filled


def detections(
    table: TableModel,
    rows: int,
    where: list[tuple[str, float, float]],
    bands: Sequence[str],
    rng: np.random.Generator,
) -> Any:
    """`rows` detections in each band."""
    n = rows * len(bands)
    tile, tile_name, ra, dec = _places(n, where, rng)
    band = np.arange(n) // max(rows, 1)
    number = np.arange(n) % max(rows, 1) + 1
    values = {
        "detection_id": ((tile + 1) * 100 + band) * 1_000_000_000 + number,
        "_healpix_29": healpix.index(ra, dec),
        "tile": tile_name,
        "band": np.array(bands)[band],
        "number": number,
        "ra": ra,
        "dec": dec,
    }
    return arrow.from_numpy(_filled(table, values, n, rng, None), table)


def tile_rows(
    table: TableModel,
    where: list[tuple[str, float, float]],
    bands: Sequence[str],
    rng: np.random.Generator,
) -> Any:
    """Zero points, depths and seeing."""
    each = [(t, band, ra, dec) for t, ra, dec in where for band in bands]
    n = len(each)
    values = {
        "tile": np.array([e[0] for e in each]),
        "band": np.array([e[1] for e in each]),
        "ra": np.array([e[2] for e in each]),
        "dec": np.array([e[3] for e in each]),
        "zeropoint_mag": 22 + rng.random(n),
        "origin": np.array(["reference"] * n),
        "depth_psf_mag": 21 + rng.random(n),
        "depth_3arcsec_mag": 20.5 + rng.random(n),
        "fwhm_arcsec": 0.9 + 0.4 * rng.random(n),
        "mjd_mean": 57937.1 + rng.random(n),
        "m50_mag": np.where(np.arange(n) % 3, 20.5, np.nan),
    }
    return arrow.from_numpy(_filled(table, values, n, rng, None), table)


def coadd(ra: float, dec: float, seed: int) -> Coadd:
    """A tile of noise with a few stars, north up, 10 arcsec a pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:PIXELS, :PIXELS]
    image = rng.normal(0, 1, (PIXELS, PIXELS))
    for _ in range(12):
        x0, y0 = PIXELS * rng.random(2)
        image += rng.uniform(20, 400) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 4)
    ones = np.ones_like(image)
    scale = SIDE_DEG / PIXELS
    cards = [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRVAL1", ra, ""),
        ("CRVAL2", dec, ""),
        ("CRPIX1", (PIXELS + 1) / 2, ""),
        ("CRPIX2", (PIXELS + 1) / 2, ""),
        ("CD1_1", -scale, ""),
        ("CD1_2", 0.0, ""),
        ("CD2_1", 0.0, ""),
        ("CD2_2", scale, ""),
        ("MAGZP", 22.5, "AB"),
    ]
    return Coadd(
        image=image.astype(np.float32),
        weight=ones.astype(np.float32),
        variance=(1 + 0.01 * np.maximum(image, 0)).astype(np.float32),
        mask=np.zeros(image.shape, dtype=np.uint8),
        count=(3 * ones).astype(np.uint8),
        psf=Psf({"model": np.ones((5, 5), dtype=np.float32) / 25}, {}),
        cards=cards,
    )
