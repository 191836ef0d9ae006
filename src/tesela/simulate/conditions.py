"""What the sky and the telescope really did during an exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tesela.bands import filters
from tesela.cameras import Camera
from tesela.simulate import ccds
from tesela.simulate.exposure import Exposure
from tesela.simulate.optics import Astrometry
from tesela.simulate.settings import BANDS, NightSettings
from tesela.simulate.streams import stream

MAX_POINTING_ARCSEC = 20.0
REFERENCE_AIRMASS = 1.2  # at which the published curves hold


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
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "conditions", exposure.read_with)
    facts = BANDS[exposure.band]
    mass = exposure.airmass(camera.longitude_deg)
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
        fringe=settings.fringe_factor * facts.fringe * rng.uniform(0.7, 1.3),
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
    matrix = rotation @ np.array(camera.cd_signs, dtype=float) * scale
    ra_deg = exposure.ra_deg + miss[0] / 3600 / math.cos(math.radians(exposure.dec_deg))
    dec_deg = exposure.dec_deg + miss[1] / 3600
    offset = np.array(camera.offset_arcmin) * 60
    if offset.any():  # the whole focal plane is turned and stretched about the pointing
        stretched = scale / camera.pixel_scale_arcsec * (rotation @ offset)
        ra_deg, dec_deg, there = ccds.look(ra_deg, dec_deg, *stretched)
        matrix = there @ matrix
    return Astrometry(
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        nx=camera.nx,
        ny=camera.ny,
        matrix=matrix,
        cubic=cubic * (1 + rng.normal(0, 0.05)),
        quadratic=rng.normal(0, 0.08, 6),
    )
