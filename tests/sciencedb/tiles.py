"""The products of a small tile, as the load takes them."""

from __future__ import annotations

import numpy as np

from tesela.products.catalogue import Catalogue, Table
from tesela.products.columns import DUAL, PER_BAND, SINGLE, VALUEADDED, Column
from tesela.sciencedb.load import TileLoad
from tesela.sky.tiles import TileGrid

BANDS = ("gSDSS", "rSDSS", "iSDSS")
COADD_ZERO_MAG = 22.0
GRID = TileGrid.listed(
    {"T-1": (150.0, 2.0), "T-2": (150.1, 2.0)}, pixel_scale_arcsec=0.5, size_px=1440
)


def drawn(columns: dict[str, Column], n: int, n_band: int, seed: int) -> Table:
    """Any numbers in the columns' types and shapes; numbers count from 1."""
    rng = np.random.default_rng(seed)
    table: Table = {}
    for name, column in columns.items():
        length = n_band if column.length == PER_BAND else column.length
        shape = (n,) if column.length == 1 else (n, length)
        if column.dtype.startswith("float"):
            table[name] = rng.uniform(1, 2, shape).astype(column.dtype)
        else:
            table[name] = np.zeros(shape, column.dtype)
    table["number"] = np.arange(1, n + 1, dtype=np.int32)
    return table


def place(table: Table, tile: str, seed: int) -> Table:
    """Positions inside a tile."""
    rng = np.random.default_rng(seed)
    ra, dec = GRID.centre(tile)
    n = len(table["number"])
    table["ra"] = ra + rng.uniform(-0.099, 0.099, n)
    table["dec"] = dec + rng.uniform(-0.099, 0.099, n)
    return table


def zeropoints(tile: str, bands: tuple[str, ...]) -> Catalogue:
    """Zero points 23.9, 24.9 ... and a frame's in between, which is not the tile's."""
    rows = [(band, frame) for band in bands for frame in ("a-frame", "")]
    columns: Table = {
        "tile": np.array([tile] * len(rows), dtype=object),
        "band": np.array([band for band, _ in rows], dtype=object),
        "frame": np.array([frame for _, frame in rows], dtype=object),
        "zeropoint_mag": np.array(
            [23.9 + i if not frame else 1.0 for i, band in enumerate(bands) for frame in ("f", "")]
        ),
        "zeropoint_err_mag": np.full(len(rows), 0.01, np.float32),
        "scatter_mag": np.full(len(rows), 0.02, np.float32),
        "n_stars": np.full(len(rows), 40, np.int32),
        "colour_coefficient": np.zeros(len(rows), np.float32),
        "colour_err": np.zeros(len(rows), np.float32),
        "colour_pivot": np.zeros(len(rows), np.float32),
        "origin": np.array(["reference"] * len(rows), dtype=object),
    }
    return Catalogue(columns, {"tile": tile, "bands": list(bands)}, "zeropoints")


def tile_load(
    tile: str = "T-1", n: int = 50, bands: tuple[str, ...] = BANDS, seed: int = 1
) -> TileLoad:
    """A tile whose last band was not observed: it has no catalogue and no coadd."""
    observed = bands[:-1] if len(bands) > 1 else bands
    dual = place(drawn(dict(DUAL), n, len(bands), seed), tile, seed)
    if len(bands) > 1:
        dual["status"][:, -1] = 2
        for name, column in DUAL.items():
            if name.startswith("flux_") and column.length == PER_BAND:
                dual[name][:, -1] = np.nan
    facts = {"tile": tile, "bands": list(bands), "detection_band": bands[0]}
    singles = {
        band: Catalogue(
            place(drawn(dict(SINGLE), n + 5 * i, 1, seed + i), tile, seed + i),
            {
                "tile": tile, "band": band, "zeropoint_mag": COADD_ZERO_MAG,
                "depth_psf_mag": 21.0, "depth_3arcsec_mag": 20.5, "completeness": {"m50": 20.8},
            },
        )
        for i, band in enumerate(observed)
    }  # fmt: skip
    cards = {
        "FWHM": 1.2, "ELLIPTIC": 0.03, "NCOMBINE": 6, "TEXPSUM": 300.0, "MJD-MEAN": 57000.25,
        "MAGZP": 22.25,
    }  # fmt: skip
    return TileLoad(
        tile,
        GRID,
        bands,
        Catalogue(dual, facts, "dual"),
        zeropoints(tile, observed),
        Catalogue(drawn(dict(VALUEADDED), n, len(bands), seed), dict(facts), "valueadded"),
        singles,
        {band: dict(cards) for band in observed},
    )
