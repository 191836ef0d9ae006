"""Inputs of a release: two tiles that overlap, with tables and coadds in the files of a site."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tesela.products import columns as names
from tesela.products.catalogue import write_arrow
from tesela.products.images import Coadd, Psf
from tesela.sciencedb import arrow, model
from tesela.sky import healpix
from tesela.sky.wcs import Wcs
from tesela.stages.release import ReleaseInputs, TileInput

BANDS = ("gSDSS", "rSDSS", "iSDSS")
SCALE_ARCSEC = 6.0
PIXELS = (90, 100)
CENTRES = {"T-1": (210.0, 57.0), "T-2": (210.25, 57.0)}
"""A tile is 0.167 deg wide, the step 0.136: they overlap by 0.03 deg."""
ROWS = 120

Change = Callable[[str, str, dict[str, Any]], None]
"""Spoils the columns of a table: (table, tile, columns)."""


def make_inputs(
    folder: Path, *, bands: Sequence[str] = BANDS, change: Change | None = None, seed: int = 5
) -> ReleaseInputs:
    """Write tables and coadds under `folder` and say where they are."""
    rng = np.random.default_rng(seed)
    tables = {table.name: table for table in model.published_tables(bands)}
    stars = _sky(rng)
    tiles = []
    for place, tile in enumerate(CENTRES):
        wcs = tile_wcs(tile)
        columns = {
            "objects": _objects(place, tile, wcs, stars, len(bands), rng),
            "detections": _detections(place, tile, wcs, stars, bands, rng),
            "tiles": _tile_rows(tile, bands),
        }
        paths = {}
        for name, values in columns.items():
            if change is not None:
                change(name, tile, values)
            paths[name] = folder / "science" / f"{tile}.{name}.parquet"
            paths[name].parent.mkdir(parents=True, exist_ok=True)
            facts = {"tile": tile, "bands": list(bands), "detection_band": detection_band(bands)}
            written = _table(values, tables[name])
            write_arrow(paths[name], written.replace_schema_metadata({"tesela": json.dumps(facts)}))
        coadds = {}
        for band in bands:
            coadds[band] = folder / "coadd" / f"{tile}.{band}.v1.fits"
            coadds[band].parent.mkdir(parents=True, exist_ok=True)
            coadd(wcs, stars, rng).write(coadds[band])
        corners = tuple((float(a), float(b)) for a, b in zip(*wcs.footprint()))
        tiles.append(TileInput(tile, 1, *CENTRES[tile], corners, "0" * 8, coadds=coadds, **paths))
    return ReleaseInputs(
        name="dr1",
        title="A first release",
        survey="test",
        detection_band=detection_band(bands),
        bands=tuple(bands),
        created="2026-01-02T03:04:05Z",
        code_version="0",
        tiles=tuple(tiles),
    )


def detection_band(bands: Sequence[str]) -> str:
    """rSDSS, or the first band."""
    return "rSDSS" if "rSDSS" in bands else bands[0]


def tile_wcs(tile: str) -> Wcs:
    """North up, east left."""
    return Wcs.tangent_plane(*CENTRES[tile], SCALE_ARCSEC, PIXELS)


def _sky(rng: np.random.Generator) -> dict[str, Any]:
    """Sources over both tiles and beyond: positions and magnitudes."""
    n = 4 * ROWS
    return {
        "ra": rng.uniform(209.8, 210.45, n),
        "dec": rng.uniform(56.9, 57.1, n),
        "mag": rng.uniform(16.0, 20.0, n),
    }


def _inside(wcs: Wcs, sky: dict[str, Any]) -> Any:
    x, y = wcs.sky_to_pix(sky["ra"], sky["dec"])
    ny, nx = wcs.shape
    inside = np.flatnonzero((x > 0) & (x < nx - 1) & (y > 3) & (y < ny - 1))
    return inside, x[inside], y[inside]


def _objects(
    place: int, tile: str, wcs: Wcs, sky: dict[str, Any], n_band: int, rng: np.random.Generator
) -> dict[str, Any]:
    inside, x, y = _inside(wcs, sky)
    n = len(inside)
    ra = sky["ra"][inside] + rng.normal(0, 2e-5, n)
    dec = sky["dec"][inside]
    nearest = [
        min(CENTRES, key=lambda t: healpix.separation_deg(a, d, *CENTRES[t]))
        for a, d in zip(sky["ra"][inside], dec)
    ]
    status = np.zeros((n, n_band), np.int8)
    status[::7, -1] = names.NOT_OBSERVED
    mag = np.repeat(sky["mag"][inside][:, None], n_band, axis=1)
    return {
        "source_id": (place + 1) * 2**24 + np.arange(1, n + 1),
        "_healpix_29": healpix.index(ra, dec),
        "tile": np.array([tile] * n),
        "number": np.arange(1, n + 1),
        "ra": ra,
        "dec": dec,
        "is_primary": np.array([name == tile for name in nearest]),
        "status": status,
        "x": x,
        "y": y,
        "prob_star": np.full(n, 0.9),
        "photoz": np.where(np.arange(n) % 3, 0.2, np.nan),
        **_photometry("auto", mag, status == names.MEASURED),
        **_photometry("psfcor", mag + 0.1, status == names.MEASURED),
    }


def _photometry(kind: str, mag: Any, measured: Any) -> dict[str, Any]:
    flux = 10 ** (0.4 * (23.9 - mag))
    return {
        f"flux_{kind}": np.where(measured, flux, np.nan),
        f"flux_{kind}_err": np.where(measured, 0.01 * flux, np.nan),
        f"mag_{kind}": np.where(measured, mag, np.nan),
        f"mag_{kind}_err": np.where(measured, np.full_like(mag, 0.011), np.nan),
    }


def _detections(
    place: int,
    tile: str,
    wcs: Wcs,
    sky: dict[str, Any],
    bands: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    inside, _, _ = _inside(wcs, sky)
    n = len(inside)
    band = np.repeat(np.arange(len(bands)), n)
    number = np.tile(np.arange(1, n + 1), len(bands))
    ra = np.tile(sky["ra"][inside], len(bands)) + rng.normal(0, 2e-5, n * len(bands))
    dec = np.tile(sky["dec"][inside], len(bands))
    mag = np.tile(sky["mag"][inside], len(bands))
    return {
        "detection_id": ((place + 1) * 128 + band + 1) * 2**24 + number,
        "_healpix_29": healpix.index(ra, dec),
        "tile": np.array([tile] * len(ra)),
        "band": np.array(bands)[band],
        "number": number,
        "ra": ra,
        "dec": dec,
        **_photometry("auto", mag, np.ones(len(ra), bool)),
    }


def _tile_rows(tile: str, bands: Sequence[str]) -> dict[str, Any]:
    n = len(bands)
    return {
        "tile": np.array([tile] * n),
        "band": np.array(bands),
        "ra": np.full(n, CENTRES[tile][0]),
        "dec": np.full(n, CENTRES[tile][1]),
        "depth_psf_mag": 21.0 + 0.25 * np.arange(n),
        "mjd_mean": np.full(n, 57937.5),
    }


def _table(values: dict[str, Any], table: model.TableModel) -> pa.Table:
    """Arrow without a check, so that tests can write what must be refused; NaN becomes NULL."""
    kinds = {column.name: column for column in table.columns}
    arrays = {}
    for name, value in values.items():
        kind = arrow.arrow_type(replace(kinds[name], length=1, per_band=False))
        values_1d = np.asarray(value).reshape(-1)
        flat = pa.array(values_1d.tolist(), from_pandas=True).cast(kind)
        vector, length = kinds[name].is_vector, kinds[name].length
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, length) if vector else flat
    return pa.table(arrays)


def coadd(wcs: Wcs, sky: dict[str, Any], rng: np.random.Generator) -> Coadd:
    """Noise and sources; the first rows have no data."""
    inside, x0, y0 = _inside(wcs, sky)
    y, x = np.mgrid[: wcs.shape[0], : wcs.shape[1]]
    image = rng.normal(0, 1, wcs.shape)
    for mag, a, b in zip(sky["mag"][inside], x0, y0):
        image += 10 ** (0.4 * (22.0 - mag)) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2)
    weight = np.ones(wcs.shape, np.float32)
    weight[:3] = 0
    return Coadd(
        image=image.astype(np.float32),
        weight=weight,
        variance=np.ones(wcs.shape, np.float32),
        mask=np.zeros(wcs.shape, np.uint8),
        count=np.ones(wcs.shape, np.uint8),
        psf=Psf({"model": np.ones((3, 3), np.float32)}, {}),
        cards=[*((k, v, "") for k, v in wcs.to_cards().items()), ("MAGZP", 22.5, "")],
    )
