"""The night's plan: which frame is taken when, and in what conditions."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np

from tesela import cameras
from tesela.bands import filters
from tesela.cameras import Camera
from tesela.simulate.optics import Astrometry
from tesela.simulate.settings import BANDS, NightSettings, tile_centres
from tesela.simulate.streams import stream

READOUT_S = 15
BIAS_START = dt.timedelta(hours=19, minutes=20)
FLAT_START = dt.timedelta(hours=19, minutes=45)
SCIENCE_START = dt.timedelta(hours=21, minutes=30)
LATITUDE_DEG = 40.0420
MAX_POINTING_ARCSEC = 20.0
REFERENCE_AIRMASS = 1.2  # at which the published curves hold


@dataclass(frozen=True)
class Exposure:
    """One planned frame."""

    name: str
    kind: str
    """bias, flat or science."""
    band: str
    start: dt.datetime
    exptime_s: float
    object: str
    ra_deg: float
    dec_deg: float
    """Where the telescope is told to point."""

    @property
    def mjd(self) -> float:
        """MJD of the start, UTC."""
        return self.start.timestamp() / 86400 + 40587.0

    @property
    def mid_year(self) -> float:
        """Julian year of the middle."""
        return 2000.0 + (self.mjd + self.exptime_s / 172800 - 51544.5) / 365.25

    @property
    def night(self) -> str:
        """Date of the evening, YYYYMMDD."""
        return (self.start - dt.timedelta(hours=12)).strftime("%Y%m%d")


def plan(settings: NightSettings) -> list[Exposure]:
    """Every frame of the night in order: biases, sky flats, then tile by tile and band by band."""
    camera = cameras.load(settings.camera)
    midnight = dt.datetime.fromisoformat(settings.date).replace(tzinfo=dt.UTC)
    frames: list[Exposure] = []
    clock = midnight + BIAS_START
    dusk_ra = (settings.ra_deg + 20.0) % 360.0

    def add(kind: str, band: str, exptime_s: float, name: str, *, ra: float, dec: float) -> None:
        nonlocal clock
        stamp = clock.strftime("%Y%m%dT%H%M%S")
        frame = f"{camera.telescope_code}-{stamp}-{camera.ccds[0]}"
        frames.append(Exposure(frame, kind, band, clock, exptime_s, name, ra, dec))
        clock += dt.timedelta(seconds=math.ceil(exptime_s) + READOUT_S)

    for _ in range(settings.n_bias):
        add("bias", "", 0.0, "BIAS", ra=dusk_ra, dec=settings.dec_deg)
    clock = max(clock, midnight + FLAT_START)
    for band in settings.band_names:
        for i in range(settings.n_flat):
            ra = dusk_ra + 0.02 * i
            add("flat", band, 3.0 + 1.5 * i, "SKYFLAT", ra=ra, dec=settings.dec_deg)
    clock = max(clock, midnight + SCIENCE_START)
    for name, ra, dec in tile_centres(settings):
        for band in settings.band_names:
            for i in range(settings.n_dither):
                angle = 2 * math.pi * (i / settings.n_dither) + 0.3
                radius = settings.dither_arcsec / 3600.0 if settings.n_dither > 1 else 0.0
                east = radius * math.cos(angle) / math.cos(math.radians(dec))
                exptime = BANDS[band].exptime_s * settings.exptime_factor
                ra_i, dec_i = (ra + east) % 360, dec + radius * math.sin(angle)
                add("science", band, exptime, name, ra=ra_i, dec=dec_i)
    return frames


def airmass(exposure: Exposure, longitude_deg: float) -> float:
    """Airmass at the middle (Pickering 2002), from the mean sidereal time."""
    days = exposure.mjd + exposure.exptime_s / 172800 - 51544.5
    sidereal = 280.46061837 + 360.98564736629 * days + longitude_deg
    hour = math.radians(sidereal - exposure.ra_deg)
    lat, dec = math.radians(LATITUDE_DEG), math.radians(exposure.dec_deg)
    sine = math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * math.cos(hour)
    altitude = math.degrees(math.asin(max(sine, 0.17)))
    return 1.0 / math.sin(math.radians(altitude + 244.0 / (165.0 + 47.0 * altitude**1.1)))


@dataclass(frozen=True)
class Conditions:
    """What the sky and the telescope really did during an exposure."""

    airmass: float
    fwhm_px: float
    """In the centre of the field."""
    fwhm_terms: np.ndarray
    """(3,) relative change of the FWHM: along a, along b, along a^2 + b^2 (unit: half diagonal)."""
    ellipticity: np.ndarray
    """(2, 3) constant and gradients along a and b of (g1, g2)."""
    beta: float
    aureole: float
    transparency: float
    sky_e: float
    """Electrons a pixel in the centre."""
    sky_gradient: np.ndarray
    """(2,) relative change to the edge along x and y."""
    fringe: float
    astrometry: Astrometry


def conditions(settings: NightSettings, exposure: Exposure, zero_sky_e_per_s: float) -> Conditions:
    """Draw the conditions of one frame from its own stream of random numbers."""
    camera = cameras.load(settings.camera)
    rng = stream(settings.seed, "conditions", exposure.name)
    facts = BANDS[exposure.band]
    mass = airmass(exposure, camera.longitude_deg)
    seeing = rng.uniform(settings.seeing_min_arcsec, settings.seeing_max_arcsec)
    seeing *= (filters.load(exposure.band).pivot_A / 6250.0) ** -0.2
    fwhm_px = float(np.clip(seeing, 1.0, None)) / camera.pixel_scale_arcsec
    clear = 10 ** (-0.4 * facts.extinction_mag * (mass - REFERENCE_AIRMASS))
    clear *= 1.0 - abs(rng.normal(0, 0.01))
    if rng.uniform() < 0.1:
        clear *= rng.uniform(0.80, 0.95)  # thin cirrus
    angle = rng.uniform(0, np.pi)
    strength = rng.uniform(0.005, 0.02)  # g = (1 - q) / (1 + q): half of the ellipticity 1 - q
    ellipticity = np.zeros((2, 3))
    ellipticity[:, 0] = strength * np.cos(2 * angle), strength * np.sin(2 * angle)
    ellipticity[:, 1:] = rng.normal(0, 0.004, (2, 2))
    sky = zero_sky_e_per_s * exposure.exptime_s * np.exp(rng.normal(0, 0.08))
    return Conditions(
        airmass=mass,
        fwhm_px=fwhm_px,
        fwhm_terms=np.array([*rng.normal(0, 0.01, 2), rng.uniform(0.0, 0.04)]),
        ellipticity=ellipticity,
        beta=facts.moffat_beta,
        aureole=settings.aureole * rng.uniform(0.7, 1.2),
        transparency=float(clear),
        sky_e=float(sky),
        sky_gradient=rng.normal(0, 0.01, 2),
        fringe=facts.fringe * rng.uniform(0.7, 1.3),
        astrometry=_astrometry(settings, exposure, camera, rng),
    )


def _astrometry(
    settings: NightSettings, exposure: Exposure, camera: Camera, rng: np.random.Generator
) -> Astrometry:
    miss = rng.normal(0, settings.pointing_rms_arcsec / math.sqrt(2), 2)
    miss *= min(1.0, MAX_POINTING_ARCSEC / max(math.hypot(*miss), 1e-9))
    turn = math.radians(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
    scale = camera.pixel_scale_arcsec * (
        1 + rng.uniform(-settings.scale_error, settings.scale_error)
    )
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    half_diagonal = 0.5 * math.hypot(camera.nx, camera.ny)
    cubic = settings.distortion_corner_px / half_diagonal**3
    return Astrometry(
        ra_deg=exposure.ra_deg + miss[0] / 3600 / math.cos(math.radians(exposure.dec_deg)),
        dec_deg=exposure.dec_deg + miss[1] / 3600,
        nx=camera.nx,
        ny=camera.ny,
        matrix=rotation @ np.array(camera.cd_signs, dtype=float) * scale,
        cubic=cubic * (1 + rng.normal(0, 0.05)),
        quadratic=rng.normal(0, 0.08, 6),
    )
