"""What a simulated night contains; the physics of the bands that it uses.

The nights of a campaign are a list of settings: they share the sky and the camera, and differ in
date, programme and faults (`OF_A_NIGHT`). Presets of several nights are in `campaign`.
"""
# ruff: noqa: N815 - A is the Angstrom

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tesela import cameras
from tesela.bands import filters
from tesela.errors import ConfigError
from tesela.simulate import ccds

BEHIND_DEG = 45.0
"""Fields of calibration culminate three hours after the tiles."""
BLANK_STEP = 1.5
"""Distance between blank fields, in widths of a field."""


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
class ReferenceFaults:
    """What is wrong with the reference catalogue beyond the errors that it states."""

    wave_mag: float = 0.0
    """Rms of an error that is the same over about a degree; four times this in u."""
    bright_trend_mag: float = 0.0
    """The brightest stars (r = 11.3) are listed too faint by this; nothing from r = 13 on."""
    blend_arcsec: float = 0.0
    """Sources closer than this are one entry with the light of all."""
    mismatched: float = 0.0
    """Fraction of entries that have the magnitudes of another star."""
    motionless: float = 0.0
    """Fraction of entries whose proper motion is not known and given as zero."""


REAL_REFERENCE = ReferenceFaults(0.005, 0.010, 2.0, 0.005, 0.01)
"""Faults of the size that real catalogues have."""


@dataclass(frozen=True)
class NightSettings:
    """Everything that decides the content of a night.

    What is off by default is what only calibration tests ask for; `campaign` turns it on.
    """

    seed: int = 20170703
    """The same seed and settings give the same bytes, whatever the number of workers."""
    camera: str = "mini80"
    """Name of a camera of ours."""
    ccds: tuple[str, ...] = ()
    """Of a camera of many CCDs those that are read; empty means all."""
    ccd: str = ""
    """The one of them whose frames are made, see `one_a_ccd`."""
    bands: tuple[str, ...] = ()
    """Bands of the flats and of the tiles; empty means all twelve."""
    date: str = "2017-07-03"
    """Evening date."""
    epoch: int = 0
    """Counts what was done to the baffles: each epoch has stray light of its own."""

    ra_deg: float = 211.8
    """Centre of the group of tiles, J2000."""
    dec_deg: float = 55.1
    """And its declination."""
    tiles: int = 2
    """Tiles in a row along RA, or pointings of a camera of many CCDs; with 0 the night is of
    calibration alone."""
    overlap: float = 0.25
    """Fraction of their width that neighbours share."""
    tile_size_arcsec: float = 0.0
    """Width of a tile; 0: the short side of the CCD."""
    n_dither: int = 3
    """Exposures a tile and band."""
    dither_arcsec: float = 25.0
    """Size of the offsets between them."""

    n_bias: int = 8
    """Biases."""
    n_flat: int = 5
    """Sky flats a band."""
    n_dome: int = 0
    """Dome flats a band."""
    n_dark: int = 0
    """Darks."""
    dark_exptime_s: float = 300.0
    """Exposure time of each."""
    ramp_band: str = ""
    """Band of an exposure ramp of dome flats (OBJECT RAMP); none if empty."""
    raster_bands: tuple[str, ...] = ()
    """Bands in which a field rich in stars is rastered over the CCD (OBJECT RASTER)."""
    n_raster: int = 0
    """Exposures a band of it, offset by up to a quarter of the field."""
    fringe_bands: tuple[str, ...] = ()
    """Bands of exposures of blank fields (OBJECT BLANK-01 ...)."""
    n_fringe_fields: int = 0
    """Number of those fields, one exposure a band of each."""

    stars_per_field: float = 1300.0
    """Expected number down to `star_limit_mag` in 10.56' x 10.56'."""
    galaxies_per_field: float = 2500.0
    """Expected number down to `galaxy_limit_mag`."""
    star_limit_mag: float = 23.0
    """In r."""
    galaxy_limit_mag: float = 22.0
    """In r."""
    exptime_factor: float = 1.0
    """Multiplies the exposure times of the sky's frames."""
    curve_shift_A: float = 10.0
    """True curves are shifted from the published ones by up to this (narrow bands: 0.4 of it)."""
    reference: ReferenceFaults = ReferenceFaults()
    """What the reference catalogue does not say of itself."""

    seeing_min_arcsec: float = 1.0
    """FWHM in r at the zenith of the best moments."""
    seeing_max_arcsec: float = 1.6
    """And of the worst."""
    pointing_rms_arcsec: float = 8.0
    """Pointing error a frame (clipped at 20 arcsec)."""
    rotation_deg: float = 0.3
    """Largest field rotation."""
    scale_error: float = 0.001
    """Largest relative error of the scale."""
    distortion_corner_px: float = 1.5
    """Displacement at the corner of the field by the cubic distortion."""
    refraction: bool = False
    """Positions depend on colour along the direction to the zenith."""
    aureole: float = 0.025
    """Fraction of the light in the aureole; four fifths of it fall beyond 15 arcsec."""
    cloud_gradient_mag: float = 0.0
    """Clouds dim by a gradient of about this from edge to edge, in every frame."""
    cloud_patch_probability: float = 0.0
    """Chance of a patch of cloud of 50 mmag in a frame."""
    stray_light: float = 0.02
    """Light that the camera adds to flats and sky but not to stars: about its peak to peak."""
    stray_by_epoch: bool = False
    """It has a ghost and a side, its own in each epoch and band; else a bump in the middle."""
    fringe_factor: float = 1.0
    """Multiplies the amplitude of the fringes."""
    twilight_gradient: float = 0.0
    """Sky flats are brighter on the side of the sun, always the same: edge to edge by up to this
    fraction, whatever the random gradient of each is."""
    lamp_drift: float = 0.0
    """The dome's lamp swings by this fraction within two hours."""
    shutter_offset_s: float = 0.0
    """The shutter is open longer than stated by this, in exposures of the lamp."""

    gain_scatter: float = 0.02
    """Relative scatter of the true gains."""
    header_gain_error: float = 0.003
    """Relative error of those that the headers state."""
    vignetting: float = 0.10
    """Loss at the corner."""
    crosstalk_max: float = 5e-4
    """Coefficients are between a quarter of this and this."""
    nonlinearity: float = 0.0
    """Relative loss (or gain) of an amplifier at 60000 ADU is up to about this."""
    dark_e_per_s: float = 0.0
    """Typical dark current, e-/s; a glow at an edge has 25 times this."""
    cold_fraction: float = 0.0
    """Fraction of single pixels that respond poorly."""
    cold_brightest: float = 0.8
    """The best of them respond like this."""
    warm_fraction: float = 0.0
    """Fraction of single pixels that are hotter than others by 0.1 to 10 e-/s, most of them by
    little."""
    overscan_offset_adu: float = 0.0
    """The overscan of an amplifier is off the level of its data by about this, and by half as much
    more or less from its first row to its last."""
    brighter_fatter: float = 0.0
    """Relative growth of the FWHM of a star whose peak has 60000 electrons."""
    full_well_e: float = 123000.0
    """Charge above this bleeds along the column."""
    cosmic_rays_per_cm2_s: float = 0.3
    """Rate on the detector (10 micron pixels); denser than nature."""
    trail_probability: float = 0.2
    """Chance of a satellite in a frame of the sky."""

    temperature_offset: float = 0.0
    """The CCD is so much warmer than -110 C."""
    gain_drift: tuple[int, float] = (0, 1.0)
    """Amplifier whose gain is not what it was, and the factor on its e-/ADU; 0: none."""
    dust: tuple[tuple[float, float, float, float], ...] = ()
    """More rings of dust: x and y as fractions of the image, outer radius in px, depth."""
    spoiled_wcs: int = 0
    """Frames of the sky in which a smooth bump of 0.5 px displaces the stars of one place."""
    spoiled_zeropoint: int = 0
    """Frames of the sky whose header states an exposure time that is wrong by 10 %."""
    injected_stars: int = 0
    """Extra stars in the frames of the first tile; all else stays as it would be."""
    injected_mag: tuple[float, float] = (19.0, 23.5)
    """Between these magnitudes (the same in every band) they are spread evenly."""

    def __post_init__(self) -> None:
        named = (*self.bands, *self.raster_bands, *self.fringe_bands, self.ramp_band or "rSDSS")
        if unknown := [band for band in named if band not in BANDS]:
            raise _senseless(f"bands {' '.join(unknown)}", f"some of {' '.join(BANDS)}")
        try:
            dt.date.fromisoformat(self.date)
        except ValueError:
            raise _senseless(f"date {self.date!r}", "a date like 2017-07-03") from None
        if not 0 <= self.overlap < 1:
            raise _senseless(f"overlap {self.overlap}", "0 <= overlap < 1")
        if self.tiles < 0 or self.n_dither < 1:
            raise _senseless(
                f"{self.tiles} tiles, {self.n_dither} dithers", "no negative number, one dither"
            )
        if (self.injected_stars or self.spoiled_wcs or self.spoiled_zeropoint) and not self.tiles:
            raise _senseless("stars to inject or frames to spoil, and no tile", "a tile")

        self._check_ccds()

    def _check_ccds(self) -> None:
        known = cameras.load(self.camera).ccds
        if unknown := [ccd for ccd in (*self.ccds, *filter(None, [self.ccd])) if ccd not in known]:
            raise _senseless(f"CCDs {' '.join(unknown)}", f"some of {' '.join(known)}")
        asked = self.raster_bands or self.fringe_bands or self.injected_stars
        if len(known) > 1 and asked:
            raise _senseless(
                f"a raster, blank fields or stars to inject with {self.camera}",
                "a camera of one CCD for these",
            )

    @property
    def unit(self) -> str:
        """The camera as the CCD at hand has it, see `ccds`."""
        return f"{self.camera}/{self.ccd}" if self.ccd else self.camera

    @property
    def band_names(self) -> tuple[str, ...]:
        """Observed bands in order of wavelength."""
        return tuple(name for name in filters.names() if not self.bands or name in self.bands)

    @property
    def observed(self) -> tuple[str, ...]:
        """Bands of any frame of the night, in order of wavelength."""
        bands = {*self.raster_bands, *self.fringe_bands, self.ramp_band}
        if self.tiles or self.n_flat or self.n_dome:
            bands.update(self.band_names)
        return tuple(name for name in filters.names() if name in bands)


OF_A_NIGHT = frozenset(
    {
        "date", "epoch", "bands", "tiles", "n_dither", "n_bias", "n_flat", "n_dome", "n_dark",
        "dark_exptime_s", "ramp_band", "raster_bands", "n_raster", "fringe_bands",
        "n_fringe_fields", "exptime_factor", "seeing_min_arcsec", "seeing_max_arcsec",
        "cloud_gradient_mag", "cloud_patch_probability", "trail_probability",
        "temperature_offset", "gain_drift", "dust", "spoiled_wcs", "spoiled_zeropoint",
        "injected_stars", "injected_mag",
    }
)  # fmt: skip
"""Settings in which the nights of a campaign may differ."""


def bands_of(nights: Sequence[NightSettings]) -> tuple[str, ...]:
    """Bands of any frame of any night, in order of wavelength."""
    return tuple(name for name in filters.names() if any(name in n.observed for n in nights))


def of_camera(settings: NightSettings) -> NightSettings:
    """The settings without what differs from night to night: what constants of the camera need."""
    return replace(settings, **{name: _PLAIN[name] for name in OF_A_NIGHT})


def _senseless(found: str, expected: str) -> ConfigError:
    return ConfigError("simulated night", found=found, expected=expected)


def campaign_of(settings: NightSettings | Sequence[NightSettings]) -> tuple[NightSettings, ...]:
    """The nights in order of time.

    Raises `ConfigError` if there is none, if two have one date, or if they do not share the sky
    and the camera.
    """
    nights = (settings,) if isinstance(settings, NightSettings) else tuple(settings)
    if not nights:
        raise _senseless("no night", "at least one")
    nights = tuple(sorted(nights, key=lambda night: night.date))
    for before, night in itertools.pairwise(nights):
        if before.date == night.date:
            raise _senseless(f"two nights of {night.date}", "one settings for each date")
        for field in fields(NightSettings):
            if field.name not in OF_A_NIGHT and getattr(before, field.name) != getattr(
                night, field.name
            ):
                raise _senseless(
                    f"another {field.name} on {night.date} than on {before.date}",
                    "nights of one sky and one camera",
                )
    if len(rows := {night.tiles for night in nights} - {0}) > 1:
        raise _senseless(f"nights of {sorted(rows)} tiles", "the same number, or none")
    return nights


_PLAIN: dict[str, Any] = {field.name: field.default for field in fields(NightSettings)}


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


def one_a_ccd(settings: NightSettings) -> tuple[NightSettings, ...]:
    """The night of each CCD that is read; the night itself for a camera of one."""
    known = cameras.load(settings.camera).ccds
    if len(known) == 1:
        return (settings,)
    return tuple(replace(settings, ccd=ccd) for ccd in known if ccd in (settings.ccds or known))


def tile_size_arcsec(settings: NightSettings) -> float:
    """Width and height of a tile."""
    camera = cameras.load(settings.camera)
    return settings.tile_size_arcsec or min(camera.nx, camera.ny) * camera.pixel_scale_arcsec


def tile_centres(settings: NightSettings) -> list[tuple[str, float, float]]:
    """(name, ra_deg, dec_deg) of each tile.

    They lie in a row along RA with the stated overlap; of a camera of many CCDs each CCD of each
    pointing has a tile around it.
    """
    if len(cameras.load(settings.camera).ccds) == 1:
        return pointings(settings)
    centres = []
    for _, ra, dec in pointings(settings):
        for one in one_a_ccd(settings):
            east, north = ccds.load(one.unit).offset_arcmin
            centres.append(ccds.look(ra, dec, east * 60, north * 60)[:2])
    return [(f"SIM-{i + 1:05d}", ra, dec) for i, (ra, dec) in enumerate(centres)]


def pointings(settings: NightSettings) -> list[tuple[str, float, float]]:
    """(name, ra_deg, dec_deg) of each place that the telescope points to, a row along RA."""
    step = _field_arcsec(settings) * (1 - settings.overlap) / 3600.0
    step /= math.cos(math.radians(settings.dec_deg))
    middle = 0.5 * (settings.tiles - 1)
    return [
        (f"SIM-{i + 1:05d}", (settings.ra_deg + (i - middle) * step) % 360.0, settings.dec_deg)
        for i in range(settings.tiles)
    ]


def _field_arcsec(settings: NightSettings) -> float:
    """Width of what the CCDs that are read see at once."""
    east = [60 * ccds.load(one.unit).offset_arcmin[0] for one in one_a_ccd(settings)]
    return max(east) - min(east) + tile_size_arcsec(settings)


def raster_centre(settings: NightSettings) -> tuple[float, float]:
    """RA and Dec of the field that is rastered: three hours behind the tiles."""
    return (settings.ra_deg + BEHIND_DEG) % 360.0, settings.dec_deg


def blank_centres(settings: NightSettings) -> list[tuple[str, float, float]]:
    """(name, ra_deg, dec_deg) of the fields of the fringes: rows of five, none touching another."""
    step = BLANK_STEP * tile_size_arcsec(settings) / 3600.0
    centres = []
    for i in range(settings.n_fringe_fields if settings.fringe_bands else 0):
        dec = settings.dec_deg + step * (1.5 + i // 5) * (1 if settings.dec_deg < 0 else -1)
        ra = settings.ra_deg + BEHIND_DEG + step * (i % 5 - 2) / math.cos(math.radians(dec))
        centres.append((f"BLANK-{i + 1:02d}", ra % 360.0, dec))
    return centres
