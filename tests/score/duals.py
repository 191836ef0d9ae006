"""Dual catalogues by hand: sources of three bands whose every error is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tesela.bands import filters
from tesela.products.catalogue import Catalogue
from tesela.products.columns import MEASURED
from tesela.score.dual import DualTile

from .nights import FWHM_PX, SCALE, TILE_WCS, YEAR, Night, universe

BANDS = ("gSDSS", "rSDSS", "iSDSS")
R = 1
"""Place of the detection band."""


def tile(n: int = 400, **changes: Any) -> DualTile:
    """Bright stars and galaxies in turns, measured without error."""
    rng = np.random.default_rng(7)
    r = rng.uniform(17.0, 19.5, n)
    true = np.stack([r + rng.uniform(0, 1, n), r, r - rng.uniform(0, 0.5, n)], axis=1)
    is_star = np.arange(n) % 2 == 0
    redshift = rng.uniform(0.02, 0.5, n)
    made = DualTile(
        tile="SIM-00001",
        bands=BANDS,
        detection=R,
        mag=true.copy(),
        relative_flux=np.ones((n, 3)),
        snr=np.full((n, 3), 200.0),
        usable=np.ones((n, 3), bool),
        true_mag=true,
        is_star=is_star,
        is_galaxy=~is_star,
        one_component=np.ones(n, bool),
        stolen=np.zeros(n),
        redshift=redshift,
        valueadded={"prob_star": is_star.astype(np.float32), "photoz": redshift.copy()},
    )
    return replace(made, **changes)


def shifted(one: DualTile, band: int, mag: float, which: np.ndarray) -> DualTile:
    """The tile with the chosen sources fainter in one band."""
    wrong = one.mag.copy()
    wrong[which, band] += mag
    return replace(one, mag=wrong)


def write_dual(
    folder: Path,
    singles: dict[str, Night],
    *,
    zero_wrong_mag: dict[str, float] | None = None,
    spoil: dict[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Write a dual catalogue without noise, and its value-added columns; returns both paths.

    `zero_wrong_mag` are errors of the zero points by band, `spoil` columns that replace ours.
    """
    bands = tuple(singles)
    one = singles[bands[0]]
    true = universe(one, np.random.default_rng(1))
    names = filters.names()
    zero = {band: 25.0 + (zero_wrong_mag or {}).get(band, 0.0) for band in bands}
    ra, dec = true.position(YEAR)
    x, y = TILE_WCS.sky_to_pix(ra, dec)
    flux = np.stack(
        [10 ** (-0.4 * (true.mag[:, names.index(band)] - 25.0)) for band in bands], axis=1
    )
    n, shape = ra.size, flux.shape
    columns: dict[str, Any] = {
        "number": np.arange(n, dtype=np.int32), "ra": ra, "dec": dec, "x": x, "y": y,
        "status": np.full(shape, MEASURED, np.int8), "flux_psfcor": flux.astype(np.float32),
        "flux_psfcor_err": (0.01 * flux).astype(np.float32),
        "flags": np.zeros(shape, np.int16), "mask_flags": np.zeros(shape, np.int16),
        "norm_weight": np.ones(shape, np.float32),
        **(spoil or {}),
    }  # fmt: skip
    facts = {
        "tile": one.tile, "bands": list(bands), "detection_band": "rSDSS",
        "zeropoint_mag": zero, "pixel_scale_arcsec": SCALE, "fwhm_px": FWHM_PX,
    }  # fmt: skip
    paths = folder / f"{one.tile}.dual.parquet", folder / f"{one.tile}.valueadded.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    Catalogue(columns, facts, "dual").write(paths[0])
    extra = {
        "number": np.arange(n, dtype=np.int32), "prob_star": np.ones(n, np.float32),
        "photoz": np.full(n, 0.1, np.float32),
    }  # fmt: skip
    Catalogue(extra, {"tile": one.tile}, "valueadded").write(paths[1])
    return paths
