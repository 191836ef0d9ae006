"""What a simulated night contains; the physics of the bands that it uses."""
# ruff: noqa: N815 - A is the Angstrom

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace

from tesela import cameras
from tesela.bands import filters
from tesela.errors import ConfigError


@dataclass(frozen=True)
class BandFacts:
    """How the telescope sees one band.

    Parameters
    ----------
    exptime_s : float
        Exposure time of one frame (those of the twin survey S-PLUS, as published).
    sky_mag : float
        Sky surface brightness, AB mag per square arcsec (bright-ish: depths become J-PLUS like).
    extinction_mag : float
        Atmospheric extinction per airmass.
    moffat_beta : float
        Exponent of the Moffat profile: a multiple of 0.5, whose Fourier transform is quick.
    fringe : float
        Amplitude of the fringes as a fraction of the sky.
    """

    exptime_s: float
    sky_mag: float
    extinction_mag: float
    moffat_beta: float
    fringe: float = 0.0


BANDS = {
    "uJAVA": BandFacts(227.0, 21.4, 0.50, 2.5),
    "J0378": BandFacts(220.0, 21.4, 0.42, 2.5),
    "J0395": BandFacts(118.0, 21.4, 0.36, 2.5),
    "J0410": BandFacts(59.0, 21.4, 0.31, 3.0),
    "J0430": BandFacts(57.0, 21.4, 0.26, 3.0),
    "gSDSS": BandFacts(33.0, 21.4, 0.18, 3.0),
    "J0515": BandFacts(61.0, 21.2, 0.15, 3.0),
    "rSDSS": BandFacts(40.0, 20.6, 0.10, 3.5),
    "J0660": BandFacts(290.0, 20.5, 0.09, 3.5),
    "iSDSS": BandFacts(46.0, 19.8, 0.06, 3.5, 0.001),
    "J0861": BandFacts(80.0, 19.3, 0.05, 4.0, 0.004),
    "zSDSS": BandFacts(56.0, 18.9, 0.05, 4.0, 0.01),
}


@dataclass(frozen=True)
class NightSettings:
    """Everything that decides the content of a night.

    Parameters
    ----------
    seed : int
        The same seed and settings give the same bytes, whatever the number of workers.
    camera : str
        Name of a camera of ours.
    bands : tuple of str
        Observed bands; empty means all twelve.
    date : str
        Evening date.
    ra_deg, dec_deg : float
        Centre of the group of tiles, J2000.
    tiles, overlap, tile_size_arcsec
        Number of tiles in a row along RA, shared fraction of their width, and their width (0: the
        short side of the CCD).
    n_dither, dither_arcsec : int, float
        Exposures a tile and band, and the size of the offsets between them.
    n_bias, n_flat : int
        Biases, and sky flats a band.
    stars_per_field, galaxies_per_field : float
        Expected numbers down to r = `star_limit_mag`, `galaxy_limit_mag` in 10.56' x 10.56'.
    exptime_factor : float
        Multiplies every exposure time.
    curve_shift_A : float
        True curves are shifted from the published ones by up to this (narrow bands: 0.4 of it).
    seeing_min_arcsec, seeing_max_arcsec : float
        FWHM in r at the zenith of the worst and best moments.
    pointing_rms_arcsec, rotation_deg, scale_error : float
        Pointing error a frame (clipped at 20"), largest field rotation, largest scale error.
    distortion_corner_px : float
        Displacement at the corner of the field by the cubic distortion.
    aureole : float
        Fraction of the light in the aureole; four fifths of it fall beyond 15 arcsec.
    gain_scatter, header_gain_error : float
        Scatter of true gains, and error of those that the headers state.
    vignetting, sky_concentration : float
        Loss at the corner; light that the camera adds in the middle of flats and sky.
    crosstalk_max : float
        Coefficients are between a quarter of this and this.
    cosmic_rays_per_cm2_s, trail_probability : float
        Rate on the detector (10 micron pixels; denser than nature), and chance of a satellite.
    full_well_e : float
        Charge above this bleeds along the column.
    """

    seed: int = 20170703
    camera: str = "mini80"
    bands: tuple[str, ...] = ()
    date: str = "2017-07-03"
    ra_deg: float = 211.8
    dec_deg: float = 55.1
    tiles: int = 2
    overlap: float = 0.25
    tile_size_arcsec: float = 0.0
    n_dither: int = 3
    dither_arcsec: float = 25.0
    n_bias: int = 8
    n_flat: int = 5
    stars_per_field: float = 1300.0
    galaxies_per_field: float = 2500.0
    star_limit_mag: float = 23.0
    galaxy_limit_mag: float = 22.0
    exptime_factor: float = 1.0
    curve_shift_A: float = 10.0
    seeing_min_arcsec: float = 1.0
    seeing_max_arcsec: float = 1.6
    pointing_rms_arcsec: float = 8.0
    rotation_deg: float = 0.3
    scale_error: float = 0.001
    distortion_corner_px: float = 1.5
    aureole: float = 0.025
    gain_scatter: float = 0.02
    header_gain_error: float = 0.003
    vignetting: float = 0.10
    sky_concentration: float = 0.02
    crosstalk_max: float = 5e-4
    cosmic_rays_per_cm2_s: float = 0.3
    trail_probability: float = 0.2
    full_well_e: float = 123000.0

    def __post_init__(self) -> None:
        unknown = [band for band in self.bands if band not in BANDS]
        if unknown:
            raise ConfigError(
                "simulated night",
                found=f"bands {' '.join(unknown)}",
                expected=f"some of {' '.join(BANDS)}",
            )
        try:
            dt.date.fromisoformat(self.date)
        except ValueError:
            raise ConfigError(
                "simulated night", found=f"date {self.date!r}", expected="a date like 2017-07-03"
            ) from None
        if not 0 <= self.overlap < 1:
            raise ConfigError(
                "simulated night", found=f"overlap {self.overlap}", expected="0 <= overlap < 1"
            )
        if self.tiles < 1 or self.n_dither < 1:
            raise ConfigError(
                "simulated night",
                found=f"{self.tiles} tiles, {self.n_dither} dithers",
                expected="at least one of each",
            )

    @property
    def band_names(self) -> tuple[str, ...]:
        """Observed bands in order of wavelength."""
        return tuple(name for name in filters.names() if not self.bands or name in self.bands)


def demo() -> NightSettings:
    """The demonstration night: 2 tiles x 12 bands x 3 exposures, 60 flats, 8 biases."""
    return NightSettings()


def tiny(**changes: object) -> NightSettings:
    """A night for tests: one band, one tile, few objects, seconds to make."""
    small = NightSettings(
        bands=("rSDSS",), tiles=1, n_dither=1, n_bias=1, n_flat=1,
        stars_per_field=60.0, galaxies_per_field=30.0,
    )  # fmt: skip
    return replace(small, **changes)  # type: ignore[arg-type]


def tile_size_arcsec(settings: NightSettings) -> float:
    """Width and height of a tile."""
    camera = cameras.load(settings.camera)
    return settings.tile_size_arcsec or min(camera.nx, camera.ny) * camera.pixel_scale_arcsec


def tile_centres(settings: NightSettings) -> list[tuple[str, float, float]]:
    """(name, ra_deg, dec_deg) of each tile: a row along RA with the stated overlap."""
    step = tile_size_arcsec(settings) * (1 - settings.overlap) / 3600.0
    step /= math.cos(math.radians(settings.dec_deg))
    middle = 0.5 * (settings.tiles - 1)
    return [
        (f"SIM-{i + 1:05d}", (settings.ra_deg + (i - middle) * step) % 360.0, settings.dec_deg)
        for i in range(settings.tiles)
    ]
