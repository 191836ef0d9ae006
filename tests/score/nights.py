"""A night written by hand: a few hundred stars whose every error is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tesela.bands import filters
from tesela.products.catalogue import Catalogue
from tesela.products.images import Coadd, Psf, ReducedImage
from tesela.simulate.truth import FrameTruth, write_frame
from tesela.simulate.universe import Universe
from tesela.sky.wcs import Wcs

SIZE = 480
SCALE = 0.55
FWHM_PX = 2.5
ZERO = 25.0
DEPTH = 21.0
MJD = 57938.0
YEAR = 2000.0 + (MJD - 51544.5) / 365.25
SKY_SIGMA = 10 ** (-0.4 * (DEPTH - ZERO)) / 5
NO_PSF = Psf({"params": np.zeros(3, np.float32)}, {"beta": 3.0})
TILE_WCS = Wcs.tangent_plane(211.8, 55.1, SCALE, (SIZE, SIZE))


@dataclass
class Night:
    """Settings of a tile in one band and what was measured on it."""

    band: str = "rSDSS"
    tile: str = "SIM-00001"
    zero_offset_mag: float = 0.0
    """Catalogue minus truth in the telescope's curves."""
    colour_slope: float = 0.0
    """Published minus natural magnitude for each magnitude of g - i."""
    shift_mas: tuple[float, float] = (0.0, 0.0)
    error_factor: float = 1.0
    """True noise over the stated one."""
    noise: bool = True
    motion_masyr: float = 0.0
    injected: dict[str, float] = field(default_factory=dict)
    lost: float = 0.0
    """Fraction of the stars that the catalogue does not hold."""
    step_px: float = 16.0


def universe(night: Night, rng: np.random.Generator) -> Universe:
    """Stars on a grid without neighbours, r from 15 to 22.5, g - i from 0 to 2."""
    across = np.arange(10.0, SIZE - 10, night.step_px)
    x, y = (g.ravel() for g in np.meshgrid(across, across))
    n = x.size
    x, y = x + rng.uniform(-2, 2, n), y + rng.uniform(-2, 2, n)
    ra, dec = TILE_WCS.pix_to_sky(x, y)
    colour = rng.uniform(0, 2, n)
    r = rng.uniform(15, 22.5, n)
    names = filters.names()
    published = np.repeat(r[:, None], len(names), axis=1)
    published[:, names.index("gSDSS")] += 0.7 * colour
    published[:, names.index("iSDSS")] -= 0.3 * colour
    zeros = np.zeros(n)
    pm = np.full(n, night.motion_masyr)
    dec0 = dec - pm * (YEAR - 2016.0) / 3.6e6
    return Universe(
        id=np.arange(n), kind=np.full(n, "star", "U8"),
        ra=ra - pm * (YEAR - 2016.0) / 3.6e6 / np.cos(np.radians(dec)), dec=dec0,
        pmra=pm, pmdec=pm, mag=published - night.colour_slope * (colour[:, None] - 1.0),
        mag_published=published, distance_pc=zeros, feh=zeros, ebv=zeros, redshift=zeros,
        amplitude_mag=zeros, period_d=zeros, disc_radius_arcsec=zeros, disc_axis_ratio=zeros,
        bulge_radius_arcsec=zeros, bulge_axis_ratio=zeros, angle_rad=zeros,
        bulge_fraction=np.zeros((n, len(names))),
    )  # fmt: skip


def catalogue(night: Night, true: Universe, rng: np.random.Generator) -> Catalogue:
    """What a perfect measurement gives, spoiled as `night` says."""
    ra, dec = true.position(YEAR)
    mag = true.mag[:, filters.names().index(night.band)] + night.zero_offset_mag
    flux = 10 ** (-0.4 * (mag - ZERO))
    error = np.hypot(SKY_SIGMA, 0.002 * flux)
    measured = flux + night.noise * night.error_factor * error * rng.normal(0, 1, flux.size)
    kept = rng.uniform(0, 1, flux.size) >= night.lost
    east, north = night.shift_mas
    ra = ra + east / 3.6e6 / np.cos(np.radians(dec))
    dec = dec + north / 3.6e6
    x, y = TILE_WCS.sky_to_pix(ra, dec)
    columns = {
        "number": np.arange(flux.size, dtype=np.int32), "ra": ra, "dec": dec, "x": x, "y": y,
        "flux_psf": measured.astype(np.float32), "flux_psf_err": error.astype(np.float32),
        "norm_weight": np.ones(flux.size, np.float32),
        "flags": np.zeros(flux.size, np.int16), "mask_flags": np.zeros(flux.size, np.int16),
    }  # fmt: skip
    facts: dict[str, Any] = {
        "tile": night.tile, "band": night.band, "zeropoint_mag": ZERO, "depth_psf_mag": DEPTH,
        "pixel_scale_arcsec": SCALE, "completeness": night.injected,
    }  # fmt: skip
    return Catalogue({name: values[kept] for name, values in columns.items()}, facts)


def coadd(night: Night, inputs: dict[str, float] | None = None) -> Coadd:
    """A covered tile without light; `inputs` are zero points by frame."""
    shape = (SIZE, SIZE)
    cards = [
        ("TILE", night.tile, ""), ("FILTER", night.band, ""),
        *((key, value, "") for key, value in TILE_WCS.to_cards().items()),
        ("MAGZP", ZERO, ""), ("COLCOEF", night.colour_slope, ""), ("COLPIVOT", 1.0, ""),
        ("MJD-MEAN", MJD, ""), ("FWHM", FWHM_PX * SCALE, ""),
    ]  # fmt: skip
    for n, (name, zero) in enumerate((inputs or {}).items(), 1):
        cards += [(f"TSL IN{n} NAME", name, ""), (f"TSL IN{n} ZP", zero, "")]
    plane = np.ones(shape, np.float32)
    codes = np.zeros(shape, np.uint8)
    return Coadd(plane, plane, plane, codes, np.full(shape, 3, np.uint8), NO_PSF, cards)


def write_tile(folder: Path, night: Night, seed: int = 1, **spoil: Any) -> tuple[Path, Path, Path]:
    """Write truth, coadd and catalogue below a folder; returns their paths.

    `spoil` replaces columns of the catalogue by functions of them.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    true = universe(night, rng)
    found = catalogue(night, true, rng)
    for name, change in spoil.items():
        found.columns[name] = change(found.columns[name])
    stem = f"{night.tile}.{night.band}"
    paths = folder / "objects.parquet", folder / f"{stem}.fits", folder / f"{stem}.parquet"
    pq.write_table(true.table(), paths[0])
    coadd(night).write(paths[1])
    found.write(paths[2])
    return paths


def frame_truth(**changes: Any) -> FrameTruth:
    """Truth of a frame of 60 x 80 pixels with nothing on it."""
    none = np.zeros(0, np.int32)
    scale = SCALE * np.diag([-1.0, 1.0])
    empty = FrameTruth(
        band="rSDSS", tile="SIM-00001", shape=(60, 80), exptime_s=40.0, mjd=MJD, airmass=1.1,
        transparency=1.0, zeropoint_mag=24.0, zeropoint15_mag=23.98, sky_e=100.0,
        sky_gradient=np.zeros(2), fringe=0.0, fwhm_px=FWHM_PX, fwhm_terms=np.zeros(5),
        ellipticity=np.zeros(2), beta=3.0, aureole=0.0, pointing_deg=np.array([211.8, 55.1]),
        matrix=scale, cubic=0.0, quadratic=np.zeros(6), id=none, x=np.zeros(0), y=np.zeros(0),
        flux_e=np.zeros(0), cosmic_index=none, cosmic_e=np.zeros(0, np.float32), trail_index=none,
        trail=np.zeros(0), saturated_index=none, bleed_index=none,
    )  # fmt: skip
    return replace(empty, **changes)


def write_frame_pair(
    folder: Path,
    name: str,
    facts: FrameTruth,
    *,
    zero_error_mag: float = 0.0,
    shift_mas: float = 0.0,
    mask: np.ndarray | None = None,
) -> Path:
    """Write a frame's truth and a reduced image that found all its stars."""
    folder.mkdir(parents=True, exist_ok=True)
    write_frame(folder / f"{name}.npz", facts)
    ra, dec = facts.astrometry.to_sky(facts.x, facts.y)
    n = facts.x.size
    sources = {
        "ra": ra, "dec": dec + shift_mas / 3.6e6,
        "flux_psf": facts.flux_e.astype(np.float32), "flux_psf_err": np.full(n, 10.0, np.float32),
        "flags": np.zeros(n, np.int16),
    }  # fmt: skip
    plane = np.zeros(facts.shape, np.float32)
    codes = np.zeros(facts.shape, np.uint8) if mask is None else mask
    path = folder / f"{name}.fits"
    ReducedImage(
        plane, codes, plane + 100, np.zeros((2, 4, 4), np.float32), NO_PSF, sources,
        [("MAGZP", facts.zeropoint15_mag + zero_error_mag, "")],
    ).write(path)  # fmt: skip
    return path
