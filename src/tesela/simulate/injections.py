"""Extra stars in the raw frames of one tile, for counting what is found of them.

They are drawn from streams of their own and added to the electrons of a frame that is otherwise
what it would be without them: where no such star is, both frames are the same to the byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tesela.simulate import draw
from tesela.simulate.clouds import Clouds
from tesela.simulate.conditions import Conditions
from tesela.simulate.exposure import Exposure
from tesela.simulate.faults import Bump
from tesela.simulate.light import true_curve, zeropoint_mag
from tesela.simulate.noise import poisson
from tesela.simulate.psf import Psf
from tesela.simulate.settings import NightSettings, tile_centres, tile_size_arcsec
from tesela.simulate.streams import stream

INNER = 0.96
"""Part of the tile's width over which the stars are spread."""


@dataclass(frozen=True)
class Injected:
    """(n,) columns: positions at any epoch, and the AB magnitude in every band."""

    tile: str
    ra: np.ndarray
    dec: np.ndarray
    mag: np.ndarray

    def write(self, path: Path) -> None:
        """Write the truth of them."""
        columns = {
            "id": np.arange(self.ra.size),
            "tile": np.full(self.ra.size, self.tile),
            "ra": self.ra,
            "dec": self.dec,
            "mag": self.mag,
        }
        pq.write_table(pa.table(columns), path)


def stars(settings: NightSettings) -> Injected:
    """The stars of a night: one a cell of a grid over the tile, so that none hides another."""
    name, ra, dec = tile_centres(settings)[0]
    n = settings.injected_stars
    rng = stream(settings.seed, "injected")
    side = math.ceil(math.sqrt(n))
    cell = rng.permutation(side * side)[:n]
    u = (cell % side + rng.uniform(0.2, 0.8, n)) / side - 0.5
    v = (cell // side + rng.uniform(0.2, 0.8, n)) / side - 0.5
    width_deg = INNER * tile_size_arcsec(settings) / 3600.0
    dec_of = dec + v * width_deg
    ra_of = (ra + u * width_deg / np.cos(np.radians(dec_of))) % 360.0
    return Injected(name, ra_of, dec_of, rng.uniform(*settings.injected_mag, n))


def add(
    electrons: np.ndarray,
    exposure: Exposure,
    settings: NightSettings,
    now: Conditions,
    *,
    clouds: Clouds,
    bump: Bump,
    psf: Psf,
    response: np.ndarray,
) -> None:
    """Add the stars of the tile to the electrons of one of its frames (in place).

    Their cores are those of other stars; they have no aureole, which would change the whole frame
    by a photon here and there.
    """
    if not settings.injected_stars or exposure.object != tile_centres(settings)[0][0]:
        return
    rng = stream(settings.seed, "injected", exposure.name)
    wanted = stars(settings)
    x, y = now.astrometry.to_pixel(wanted.ra, wanted.dec)
    dx, dy = bump.at(x, y)
    x, y = x + dx, y + dy
    zero = zeropoint_mag(true_curve(settings, exposure.band)) + 2.5 * np.log10(now.transparency)
    flux = 10 ** (0.4 * (zero - wanted.mag - clouds.dimming_mag(x, y))) * exposure.exptime_s
    n = x.size
    sources = draw.Sources(
        x=x, y=y, flux=flux * (1 - now.aureole), bulge_fraction=np.zeros(n),
        is_point=np.ones(n, bool), disc=np.zeros((n, 4)), bulge=np.zeros((n, 4)),
    )  # fmt: skip
    core = replace(psf, conditions=replace(now, aureole=0.0))
    shape = (electrons.shape[0], electrons.shape[1])
    light = draw.draw(sources, core, shape, rng, float(response.max()))
    electrons += poisson(light.expected * response, rng)
    electrons += draw.detected(light.counts, response, rng)
