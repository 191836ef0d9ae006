"""The night's plan: which frame is taken when."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np

from tesela import cameras
from tesela.simulate import faults
from tesela.simulate.exposure import Exposure
from tesela.simulate.settings import (
    BANDS,
    NightSettings,
    blank_centres,
    pointings,
    raster_centre,
    tile_size_arcsec,
)

READOUT_S = 15
DARK_START = dt.timedelta(hours=12, minutes=30)
DOME_START = dt.timedelta(hours=16)
BIAS_START = dt.timedelta(hours=19, minutes=20)
FLAT_START = dt.timedelta(hours=19, minutes=45)
SCIENCE_START = dt.timedelta(hours=21, minutes=30)
DOME_EXPTIME_S = 10.0
RAMP_S = tuple(float(t) for t in np.round(np.geomspace(1.5, 58.0, 10), 1))
"""Exposure times of a ramp: at about 1000 ADU a second up to 58000 ADU."""
RASTER_REACH = 0.25
"""Largest offset of the raster along each axis, in widths of the field."""


class _Plan:
    """Frames in order of time; each call of `add` is the next one."""

    def __init__(self, settings: NightSettings) -> None:
        self.settings = settings
        self.camera = cameras.load(settings.camera)
        self.midnight = dt.datetime.fromisoformat(settings.date).replace(tzinfo=dt.UTC)
        self.clock = self.midnight
        self.frames: list[Exposure] = []
        self.dusk = (settings.ra_deg + 20.0) % 360.0, settings.dec_deg

    def not_before(self, start: dt.timedelta) -> None:
        self.clock = max(self.clock, self.midnight + start)

    def add(
        self, kind: str, band: str, exptime_s: float, name: str, at: tuple[float, float]
    ) -> None:
        stamp = self.clock.strftime("%Y%m%dT%H%M%S")
        shared = f"{self.camera.telescope_code}-{stamp}"
        ccd = self.settings.ccd or self.camera.ccds[0]
        frame = Exposure(
            f"{shared}-{ccd}", kind, band, self.clock, exptime_s, name, *at, ccd=ccd,
            shared=shared if len(self.camera.ccds) > 1 else "",
        )  # fmt: skip
        self.frames.append(frame)
        self.clock += dt.timedelta(seconds=math.ceil(exptime_s) + READOUT_S)

    def add_sky(
        self, band: str, name: str, at: tuple[float, float], east_deg: float, north_deg: float
    ) -> None:
        """One exposure of the sky, offset from a field's centre."""
        ra, dec = at
        exptime = BANDS[band].exptime_s * self.settings.exptime_factor
        east = east_deg / math.cos(math.radians(dec))
        self.add("science", band, exptime, name, ((ra + east) % 360, dec + north_deg))


def plan(settings: NightSettings) -> list[Exposure]:
    """Every frame of the night, of the CCD at hand, in order of time.

    Darks, dome flats and a ramp in the afternoon, biases, sky flats; then the tiles one by one and
    band by band, the raster, the blank fields.
    """
    night = _Plan(settings)
    _afternoon(night)
    night.not_before(BIAS_START)
    for _ in range(settings.n_bias):
        night.add("bias", "", 0.0, "BIAS", night.dusk)
    night.not_before(FLAT_START)
    dusk_ra, dec = night.dusk
    for band in settings.band_names:
        for i in range(settings.n_flat):
            night.add("flat", band, 3.0 + 1.5 * i, "SKYFLAT", (dusk_ra + 0.02 * i, dec))
    night.not_before(SCIENCE_START)
    _tiles(night)
    _calibration_fields(night)
    return faults.mark(settings, night.frames)


def _afternoon(night: _Plan) -> None:
    settings = night.settings
    night.not_before(DARK_START)
    for _ in range(settings.n_dark):
        night.add("dark", "", settings.dark_exptime_s, "DARK", night.dusk)
    night.not_before(DOME_START)
    for band in settings.band_names:
        for _ in range(settings.n_dome):
            night.add("dome", band, DOME_EXPTIME_S, "DOMEFLAT", night.dusk)
    if settings.ramp_band:
        # Up and down again: a lamp that drifts would show as two branches.
        for exptime_s in (*RAMP_S, *RAMP_S[::-1]):
            night.add("dome", settings.ramp_band, exptime_s, "RAMP", night.dusk)


def _tiles(night: _Plan) -> None:
    settings = night.settings
    for name, ra, dec in pointings(settings):
        for band in settings.band_names:
            for i in range(settings.n_dither):
                angle = 2 * math.pi * (i / settings.n_dither) + 0.3
                radius = settings.dither_arcsec / 3600.0 if settings.n_dither > 1 else 0.0
                east, north = radius * math.cos(angle), radius * math.sin(angle)
                night.add_sky(band, name, (ra, dec), east, north)


def _calibration_fields(night: _Plan) -> None:
    settings = night.settings
    width_deg = tile_size_arcsec(settings) / 3600.0
    for band in settings.raster_bands:
        for east, north in raster(settings.n_raster):
            at = raster_centre(settings)
            night.add_sky(band, "RASTER", at, east * width_deg, north * width_deg)
    for name, ra, dec in blank_centres(settings):
        for band in settings.fringe_bands:
            night.add_sky(band, name, (ra, dec), 0.0, 0.0)


def raster(n: int) -> list[tuple[float, float]]:
    """Offsets of a raster in widths of the field: a grid as square as n allows."""
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / max(columns, 1))
    offsets = []
    for i in range(n):
        column, row = i % columns, i // columns
        east = (2 * column / (columns - 1) - 1) if columns > 1 else 0.0
        north = (2 * row / (rows - 1) - 1) if rows > 1 else 0.0
        offsets.append((RASTER_REACH * east, RASTER_REACH * north))
    return offsets
