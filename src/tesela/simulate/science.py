"""Electrons of a frame of the sky, and what is true of it."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np

from tesela.bands import filters
from tesela.cameras import Camera
from tesela.simulate import artefacts, clouds, detector, draw, faults, injections, refraction
from tesela.simulate.clouds import Clouds
from tesela.simulate.conditions import Conditions, conditions
from tesela.simulate.exposure import Exposure
from tesela.simulate.faults import Bump
from tesela.simulate.flats import sky
from tesela.simulate.light import sky_e_per_s_px, true_curve, zeropoint_mag
from tesela.simulate.noise import poisson
from tesela.simulate.optics import Astrometry
from tesela.simulate.psf import Psf
from tesela.simulate.settings import NightSettings
from tesela.simulate.universe import Universe

MARGIN_PX = 250.0


def science(
    exposure: Exposure, settings: NightSettings, universe: Universe, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """Electrons of a frame before the detector's own charge, and its truth so far."""
    camera = detector.build(settings).camera
    zero_sky = sky_e_per_s_px(settings, exposure.band, camera.pixel_scale_arcsec)
    now = conditions(settings, exposure, zero_sky)
    psf = Psf(now, camera.pixel_scale_arcsec, settings.brighter_fatter)
    veil, bump = clouds.draw(settings, exposure), faults.bump(settings, exposure)
    sources, chosen = _sources(exposure, settings, universe, now, veil, bump)
    response = detector.response(settings, exposure.band)
    light = draw.draw(sources, psf, camera.shape, rng, float(response.max()))
    expected = sky(settings, exposure.band, now.sky_e, now.sky_gradient)
    y, x = np.ogrid[: camera.ny, : camera.nx]
    expected *= now.astrometry.relative_area(x.astype(np.float32), y.astype(np.float32))
    if now.fringe:
        expected *= 1 + np.float32(now.fringe) * detector.fringes(settings, exposure.band)
    expected += light.expected
    trail, touched = _maybe_trail(rng, settings, expected, now)
    electrons = poisson(expected * response, rng)
    electrons += draw.detected(light.counts, response, rng)
    del expected, light  # a gigabyte of a full T80Cam frame
    injections.add(
        electrons, exposure, settings, now, clouds=veil, bump=bump, psf=psf, response=response
    )
    facts = _facts(exposure, settings, now, psf)
    on = (np.abs(sources.x - 0.5 * (camera.nx - 1)) <= 0.5 * camera.nx) & (
        np.abs(sources.y - 0.5 * (camera.ny - 1)) <= 0.5 * camera.ny
    )
    facts |= {
        "shape": camera.shape,
        "id": universe.id[chosen[on]],
        "x": sources.x[on],
        "y": sources.y[on],
        "flux_e": sources.flux[on],
        "trail": trail,
        "trail_index": touched.astype(np.int32),
        "epoch": settings.epoch,
        "stated_exptime_s": exposure.stated_exptime_s,
        "clouds": np.array(astuple(veil)),
        "bump": np.array(astuple(bump)),
    }
    return electrons, facts


def _sources(
    exposure: Exposure,
    settings: NightSettings,
    universe: Universe,
    now: Conditions,
    veil: Clouds,
    bump: Bump,
) -> tuple[draw.Sources, np.ndarray]:
    """The objects near the frame, in its pixels and electrons; and their rows in the universe."""
    ny, nx = now.astrometry.ny, now.astrometry.nx
    band = filters.names().index(exposure.band)
    ra, dec = universe.position(exposure.mid_year)
    around = _around(ra, dec, now.astrometry)
    x, y = now.astrometry.to_pixel(ra[around], dec[around])
    near = (x > -MARGIN_PX) & (x < nx + MARGIN_PX)
    near &= (y > -MARGIN_PX) & (y < ny + MARGIN_PX)
    chosen = around[near]
    x, y = _apparent(x[near], y[near], exposure, settings, universe.mag[chosen], now)
    dx, dy = bump.at(x, y)
    x, y = x + dx, y + dy
    zero = zeropoint_mag(true_curve(settings, exposure.band)) + 2.5 * np.log10(now.transparency)
    mag = universe.mag[chosen, band].copy()
    varies = universe.amplitude_mag[chosen] > 0
    phase = exposure.mjd / universe.period_d[chosen][varies] + universe.id[chosen][varies] * 0.37
    mag[varies] += universe.amplitude_mag[chosen][varies] * np.sin(2 * np.pi * phase)
    mag += veil.dimming_mag(x, y)
    to_pixel = np.linalg.inv(now.astrometry.matrix)
    angle = universe.angle_rad[chosen]
    return (
        draw.Sources(
            x=x,
            y=y,
            flux=10 ** (0.4 * (zero - mag)) * exposure.exptime_s,
            bulge_fraction=universe.bulge_fraction[chosen, band],
            is_point=~universe.is_galaxy[chosen],
            disc=_shape(
                universe.disc_radius_arcsec[chosen],
                universe.disc_axis_ratio[chosen],
                angle,
                to_pixel,
            ),
            bulge=_shape(
                universe.bulge_radius_arcsec[chosen],
                universe.bulge_axis_ratio[chosen],
                angle,
                to_pixel,
            ),
        ),
        chosen,
    )


def _around(ra: np.ndarray, dec: np.ndarray, astrometry: Astrometry) -> np.ndarray:
    """Rows of what lies in a circle that holds the frame and its margin."""
    scale = np.sqrt(abs(np.linalg.det(astrometry.matrix)))
    radius = np.radians(1.1 * scale * (astrometry.half_diagonal_px + 1.5 * MARGIN_PX) / 3600.0)
    dec0, away = np.radians(astrometry.dec_deg), np.radians(ra - astrometry.ra_deg)
    dec = np.radians(dec)
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(away)
    return np.flatnonzero(cosine > np.cos(radius))


def _apparent(
    x: np.ndarray,
    y: np.ndarray,
    exposure: Exposure,
    settings: NightSettings,
    mag: np.ndarray,
    now: Conditions,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels at which the air shows sources of stated (n, 12) magnitudes."""
    if not settings.refraction:
        return x, y
    camera: Camera = detector.build(settings).camera
    east, north, tangent = exposure.zenith(camera.longitude_deg)
    up = refraction.towards_zenith_arcsec(mag, filters.names().index(exposure.band), tangent)
    to_pixel = np.linalg.inv(now.astrometry.matrix)
    u, v = to_pixel @ np.array([east, north])
    return x + u * up, y + v * up


def _shape(
    radius: np.ndarray, ratio: np.ndarray, angle: np.ndarray, to_pixel: np.ndarray
) -> np.ndarray:
    """(n, 4) matrices from a unit circle to ellipses in pixels; `angle` is from north to east."""
    # Columns: the major axis, then the minor axis, as (east, north) in arcsec.
    east = np.stack([radius * np.sin(angle), radius * ratio * np.cos(angle)])
    north = np.stack([radius * np.cos(angle), -radius * ratio * np.sin(angle)])
    xs = to_pixel[0, 0] * east + to_pixel[0, 1] * north
    ys = to_pixel[1, 0] * east + to_pixel[1, 1] * north
    return np.stack([xs[0], xs[1], ys[0], ys[1]], axis=1)


def _maybe_trail(
    rng: np.random.Generator,
    settings: NightSettings,
    expected: np.ndarray,
    now: Conditions,
) -> tuple[np.ndarray, np.ndarray]:
    """Add a satellite to some frames: its parameters and the flat indices of its pixels."""
    if rng.uniform() >= settings.trail_probability:
        return np.zeros(0), np.zeros(0, np.int64)
    sigma = np.sqrt(now.sky_e + 12.0)
    shape = (expected.shape[0], expected.shape[1])
    trail = artefacts.draw_trail(rng, shape, sigma, now.fwhm_px / 2.355)
    touched = artefacts.add_trail(expected, trail)
    return np.array(astuple(trail)), np.flatnonzero(touched)


def _facts(
    exposure: Exposure, settings: NightSettings, now: Conditions, psf: Psf
) -> dict[str, Any]:
    zero = zeropoint_mag(true_curve(settings, exposure.band)) + 2.5 * np.log10(now.transparency)
    astrometry = now.astrometry
    return {
        "band": exposure.band,
        "tile": exposure.object,
        "exptime_s": exposure.exptime_s,
        "mjd": exposure.mjd,
        "airmass": now.airmass,
        "transparency": now.transparency,
        "zeropoint_mag": float(zero),
        "zeropoint15_mag": float(zero + 2.5 * np.log10(psf.fraction_within(15.0))),
        "sky_e": now.sky_e,
        "sky_gradient": now.sky_gradient,
        "fringe": now.fringe,
        "fwhm_px": now.fwhm_px,
        "fwhm_terms": now.fwhm_terms,
        "ellipticity": now.ellipticity,
        "beta": now.beta,
        "aureole": now.aureole,
        "pointing_deg": np.array([astrometry.ra_deg, astrometry.dec_deg]),
        "matrix": astrometry.matrix,
        "cubic": astrometry.cubic,
        "quadratic": astrometry.quadratic,
    }
