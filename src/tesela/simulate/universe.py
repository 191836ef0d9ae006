"""The simulated sky: every object with position, motion, shape and true magnitudes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from tesela.bands import filters
from tesela.simulate import galaxies as galaxies_of
from tesela.simulate import stars as stars_of
from tesela.simulate.light import true_curve
from tesela.simulate.schedule import RASTER_REACH
from tesela.simulate.settings import (
    NightSettings,
    blank_centres,
    campaign_of,
    raster_centre,
    tile_centres,
    tile_size_arcsec,
)
from tesela.simulate.streams import stream

MARGIN_ARCSEC = 90.0
FIELD_ARCMIN2 = 10.56**2
QUASARS_PER_FIELD = 15.0
WHITE_DWARFS_PER_FIELD = 12.0
METAL_GRADIENT_DEX_PER_DEG = 0.15
TRUTH_EPOCH = 2016.0


@dataclass(frozen=True)
class Universe:
    """Columns of all objects, (n,) unless stated; in each patch point sources come first.

    Positions are ICRS at `TRUTH_EPOCH`. `mag` is in the true (shifted) curves, `mag_published` in
    the published ones; both (n, 12), in order of wavelength, total.
    """

    id: np.ndarray
    kind: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    mag: np.ndarray
    mag_published: np.ndarray
    distance_pc: np.ndarray
    feh: np.ndarray
    ebv: np.ndarray
    redshift: np.ndarray
    amplitude_mag: np.ndarray
    period_d: np.ndarray
    disc_radius_arcsec: np.ndarray
    disc_axis_ratio: np.ndarray
    bulge_radius_arcsec: np.ndarray
    bulge_axis_ratio: np.ndarray
    angle_rad: np.ndarray
    bulge_fraction: np.ndarray
    """(n, 12)."""

    @property
    def is_galaxy(self) -> np.ndarray:
        """(n,) bool."""
        return self.kind == "galaxy"

    def position(self, year: float) -> tuple[np.ndarray, np.ndarray]:
        """RA and Dec in degrees at a Julian year, by proper motion."""
        dt = year - TRUTH_EPOCH
        dec = self.dec + self.pmdec * dt / 3.6e6
        return self.ra + self.pmra * dt / 3.6e6 / np.cos(np.radians(self.dec)), dec

    def table(self) -> pa.Table:
        """Flat table for the truth file."""
        columns: dict[str, np.ndarray] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value.ndim == 1:
                columns[field.name] = value
                continue
            for k, band in enumerate(filters.names()):
                columns[f"{field.name}_{band}"] = value[:, k].astype(np.float32)
        return pa.table(columns)


@dataclass(frozen=True)
class Patch:
    """A part of the sky that is filled with objects; degrees."""

    name: str
    ra0: float
    ra1: float
    """May go beyond 0 or 360."""
    dec0: float
    dec1: float

    @property
    def area_arcmin2(self) -> float:
        """Area on the sky."""
        middle = 0.5 * (self.dec0 + self.dec1)
        square = (self.ra1 - self.ra0) * (self.dec1 - self.dec0)
        return 3600.0 * square * math.cos(math.radians(middle))


def patches(nights: Sequence[NightSettings]) -> list[Patch]:
    """The tiles, the raster and the blank fields of all nights, each with a margin.

    Nights without any of them have the field of one tile, so that there is a reference catalogue.
    """
    settings = max(nights, key=lambda night: night.tiles)
    found = []
    if any(night.raster_bands and night.n_raster for night in nights):
        found.append(_patch("raster", settings, raster_centre(settings), 0.5 + RASTER_REACH))
    blanks = {name: (ra, dec) for night in nights for name, ra, dec in blank_centres(night)}
    found += [_patch(name, settings, at) for name, at in sorted(blanks.items())]
    if settings.tiles or not found:
        found.insert(0, _patch("", settings, (settings.ra_deg, settings.dec_deg)))
    return found


def _patch(
    name: str, settings: NightSettings, centre: tuple[float, float], half_width: float = 0.5
) -> Patch:
    """Around a field, or around all tiles; `half_width` is in widths of the field."""
    middle, dec = centre
    half_dec = (half_width * tile_size_arcsec(settings) + MARGIN_ARCSEC) / 3600.0
    half_ra = half_dec / math.cos(math.radians(abs(dec)) + math.radians(half_dec))
    offsets, rows = [0.0], [dec]
    if not name:
        tiles = tile_centres(settings)
        offsets += [(ra - middle + 180.0) % 360.0 - 180.0 for _, ra, _ in tiles]
        rows += [tile_dec for _, _, tile_dec in tiles]
    return Patch(
        name=name,
        ra0=middle + min(offsets) - half_ra,
        ra1=middle + max(offsets) + half_ra,
        dec0=min(rows) - half_dec,
        dec1=max(rows) + half_dec,
    )


def make(settings: NightSettings | Sequence[NightSettings]) -> Universe:
    """Draw the sky of all nights; a function of the settings alone."""
    nights = campaign_of(settings)
    parts = [_fill(nights[0], patch) for patch in patches(nights)]
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Universe)
    }
    columns["id"] = np.arange(columns["id"].size, dtype=np.int64)
    return Universe(**columns)


def _fill(settings: NightSettings, patch: Patch) -> Universe:
    """The objects of a patch, from a stream of its own."""
    labels = ("universe", patch.name) if patch.name else ("universe",)
    rng = stream(settings.seed, *labels)
    per_field = patch.area_arcmin2 / FIELD_ARCMIN2
    n_star = int(rng.poisson(settings.stars_per_field * per_field))
    n_galaxy = int(
        rng.poisson(settings.galaxies_per_field * per_field * galaxies_of.count_factor())
    )
    share = settings.stars_per_field / 1300.0  # rare kinds thin out with the stars
    n_qso = int(rng.poisson(QUASARS_PER_FIELD * share * per_field))
    n_wd = int(rng.poisson(WHITE_DWARFS_PER_FIELD * share * per_field))
    n = n_star + n_wd + n_qso + n_galaxy
    ra = rng.uniform(patch.ra0, patch.ra1, n)
    low, high = np.sin(np.radians(patch.dec0)), np.sin(np.radians(patch.dec1))
    dec = np.degrees(np.arcsin(rng.uniform(low, high, n)))
    gradient = METAL_GRADIENT_DEX_PER_DEG * (dec[:n_star] - settings.dec_deg)
    points = [
        stars_of.make_stars(rng, n_star, settings.star_limit_mag, gradient),
        stars_of.make_white_dwarfs(rng, n_wd),
        stars_of.make_quasars(rng, n_qso),
    ]
    extended = galaxies_of.make(rng, n_galaxy, settings.galaxy_limit_mag)
    return _assemble(settings, ra, dec, points, extended)


def _assemble(
    settings: NightSettings,
    ra: np.ndarray,
    dec: np.ndarray,
    points: list[stars_of.PointSources],
    extended: galaxies_of.Galaxies,
) -> Universe:
    n_galaxy = extended.r_mag.size
    n_point = ra.size - n_galaxy
    true = [true_curve(settings, name) for name in filters.names()]
    published = [filters.load(name) for name in filters.names()]
    galaxy_mag, bulge = galaxies_of.magnitudes(extended, true)
    galaxy_published, _ = galaxies_of.magnitudes(extended, published)

    def join(name: str, galaxy: np.ndarray | float) -> np.ndarray:
        stars = np.concatenate([getattr(p, name) for p in points])
        return np.concatenate([stars, np.broadcast_to(galaxy, (n_galaxy, *stars.shape[1:]))])

    def only_galaxy(value: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((n_point, *value.shape[1:])), value])

    motion = join("pm_mas_yr", 0.0)
    star_mag = np.concatenate([stars_of.magnitudes(p, true) for p in points])
    star_published = np.concatenate([stars_of.magnitudes(p, published) for p in points])
    return Universe(
        id=np.arange(ra.size, dtype=np.int64),
        kind=join("kind", np.full(n_galaxy, "galaxy", "U8")),
        ra=ra % 360.0,
        dec=dec,
        pmra=motion[:, 0],
        pmdec=motion[:, 1],
        mag=np.concatenate([star_mag, galaxy_mag]),
        mag_published=np.concatenate([star_published, galaxy_published]),
        distance_pc=join("distance_pc", np.inf),
        feh=join("feh", 0.0),
        ebv=join("ebv", extended.ebv),
        redshift=join("redshift", extended.redshift),
        amplitude_mag=join("amplitude_mag", 0.0),
        period_d=join("period_d", 0.0),
        disc_radius_arcsec=only_galaxy(extended.disc_radius_arcsec),
        disc_axis_ratio=only_galaxy(extended.disc_axis_ratio),
        bulge_radius_arcsec=only_galaxy(extended.bulge_radius_arcsec),
        bulge_axis_ratio=only_galaxy(extended.bulge_axis_ratio),
        angle_rad=only_galaxy(extended.angle_rad),
        bulge_fraction=only_galaxy(bulge),
    )
