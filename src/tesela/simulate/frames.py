"""One raw frame from its plan: sky and sources, detector, header, truth."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from tesela.bands import filters
from tesela.simulate import artefacts, detector, draw, header, truth
from tesela.simulate.detector import Detector
from tesela.simulate.light import sky_e_per_s_px, true_curve, zeropoint_mag
from tesela.simulate.psf import Psf
from tesela.simulate.readout import read_out
from tesela.simulate.schedule import Conditions, Exposure, airmass, conditions
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream
from tesela.simulate.universe import Universe

CCD_CM_PER_PX = 1e-3
MARGIN_PX = 250.0
FLAT_LEVELS_ADU = (15000.0, 33000.0)
FLAT_STARS = 5
ROWS_AT_ONCE = 512


def make(exposure: Exposure, settings: NightSettings, universe: Universe, folder: Path) -> Path:
    """Simulate one frame and write it below `folder` (raw/ and, for science, truth/)."""
    unit = detector.build(settings)
    camera = unit.camera
    rng = stream(settings.seed, "frame", exposure.name)
    if exposure.kind == "science":
        electrons, facts = _science(exposure, settings, universe, unit, rng)
    elif exposure.kind == "flat":
        electrons, facts = _flat(exposure, settings, unit, rng), {}
    else:
        electrons, facts = np.zeros(camera.shape, np.float32), {}
    cosmic_index, cosmic_e = _detector_charge(electrons, exposure, settings, unit, rng)
    full = artefacts.bleed(electrons, settings.full_well_e)
    raw = read_out(electrons, unit, rng)
    mass = airmass(exposure, camera.longitude_deg)
    temperature = -110.0 + rng.normal(0, 0.1)
    path = folder / "raw" / f"{exposure.name}.fits"
    top = header.cards(exposure, unit, airmass=mass, ccd_temp_c=temperature)
    header.write(path, raw, top)
    if facts:
        saturated = full.copy()
        for amp in camera.amplifiers:
            saturated[amp.dest.slices] |= raw[amp.data.slices] >= min(amp.saturation_adu, 65535)
        facts |= {
            "cosmic_index": cosmic_index.astype(np.int32),
            "cosmic_e": cosmic_e,
            "saturated_index": np.flatnonzero(saturated).astype(np.int32),
            "bleed_index": np.flatnonzero(full).astype(np.int32),
        }
        record = truth.FrameTruth(**facts)
        truth.write_frame(folder / "truth" / f"{exposure.name}.npz", record)
    return path


def _poisson(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson counts as float32, by bands of rows to bound the memory."""
    counts = np.empty(expected.shape, np.float32)
    for y in range(0, expected.shape[0], ROWS_AT_ONCE):
        rows = slice(y, y + ROWS_AT_ONCE)
        counts[rows] = rng.poisson(expected[rows])
    return counts


def _gauss(expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counting noise of bright light (over a few hundred electrons), as float32."""
    noise = rng.standard_normal(expected.shape, dtype=np.float32)
    return np.maximum(expected + noise * np.sqrt(expected), 0.0)


def _sky(
    settings: NightSettings, shape: tuple[int, int], level_e: float, gradient: np.ndarray
) -> np.ndarray:
    """(ny, nx) float32 sky with gradient and the camera's own concentration of light."""
    ny, nx = shape
    across = np.linspace(-1, 1, nx, dtype=np.float32) * np.float32(gradient[0])
    along = np.linspace(-1, 1, ny, dtype=np.float32) * np.float32(gradient[1])
    plane = 1 + along[:, None] + across[None, :]
    return np.float32(level_e) * plane * detector.concentration(settings)


def _science(
    exposure: Exposure,
    settings: NightSettings,
    universe: Universe,
    unit: Detector,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Electrons of a science frame before the detector's own charge, and its truth so far."""
    camera = unit.camera
    zero_sky = sky_e_per_s_px(settings, exposure.band, camera.pixel_scale_arcsec)
    now = conditions(settings, exposure, zero_sky)
    psf = Psf(now, camera.pixel_scale_arcsec)
    sources, chosen = _sources(exposure, settings, universe, now, camera.shape)
    response = detector.response(settings, exposure.band)
    oversend = float(response.max())
    light = draw.draw(sources, psf, camera.shape, rng, oversend)
    expected = _sky(settings, camera.shape, now.sky_e, now.sky_gradient)
    y, x = np.ogrid[: camera.ny, : camera.nx]
    expected *= now.astrometry.relative_area(x.astype(np.float32), y.astype(np.float32))
    if now.fringe:
        expected *= 1 + np.float32(now.fringe) * detector.fringes(settings)
    expected += light.expected
    trail, touched = _maybe_trail(rng, settings, exposure, expected, now)
    electrons = _poisson(expected * response, rng)
    hit = np.flatnonzero(light.counts)
    kept = rng.binomial(light.counts.ravel()[hit], response.ravel()[hit] / oversend)
    electrons.ravel()[hit] += kept.astype(np.float32)
    facts = _facts(exposure, settings, universe, now, psf)
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
    }
    return electrons, facts


def _sources(
    exposure: Exposure,
    settings: NightSettings,
    universe: Universe,
    now: Conditions,
    shape: tuple[int, int],
) -> tuple[draw.Sources, np.ndarray]:
    """The objects near the frame, in its pixels and electrons; and their rows in the universe."""
    band = filters.names().index(exposure.band)
    x, y = now.astrometry.to_pixel(*universe.position(exposure.mid_year))
    near = (x > -MARGIN_PX) & (x < shape[1] + MARGIN_PX)
    near &= (y > -MARGIN_PX) & (y < shape[0] + MARGIN_PX)
    chosen = np.flatnonzero(near)
    zero = zeropoint_mag(true_curve(settings, exposure.band)) + 2.5 * np.log10(now.transparency)
    mag = universe.mag[chosen, band].copy()
    varies = universe.amplitude_mag[chosen] > 0
    phase = exposure.mjd / universe.period_d[chosen][varies] + universe.id[chosen][varies] * 0.37
    mag[varies] += universe.amplitude_mag[chosen][varies] * np.sin(2 * np.pi * phase)
    to_pixel = np.linalg.inv(now.astrometry.matrix)
    angle = universe.angle_rad[chosen]
    return (
        draw.Sources(
            x=x[chosen],
            y=y[chosen],
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
    exposure: Exposure,
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
    exposure: Exposure, settings: NightSettings, universe: Universe, now: Conditions, psf: Psf
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


def _flat(
    exposure: Exposure, settings: NightSettings, unit: Detector, rng: np.random.Generator
) -> np.ndarray:
    """Electrons of a twilight flat: bright sky with a slight gradient and a few stars."""
    camera = unit.camera
    level = rng.uniform(*FLAT_LEVELS_ADU) * float(np.mean(unit.gain))
    sky = _sky(settings, camera.shape, level, rng.normal(0, 0.002, 2))
    y, x = np.ogrid[: camera.ny, : camera.nx]
    half = 0.5 * np.hypot(camera.nx, camera.ny)
    u = (x - 0.5 * (camera.nx - 1)).astype(np.float32)
    v = (y - 0.5 * (camera.ny - 1)).astype(np.float32)
    swell = np.float32(settings.distortion_corner_px / half**3) * (u * u + v * v)
    expected = sky * (1 + swell) * (1 + 3 * swell)
    if fringe := BAND_FRINGE_IN_FLATS.get(exposure.band, 0.0):
        expected *= 1 + np.float32(fringe) * detector.fringes(settings)
    for _ in range(FLAT_STARS):
        cx, cy = rng.uniform(30, camera.nx - 30), rng.uniform(30, camera.ny - 30)
        flux, beta, rd = np.exp(rng.uniform(np.log(2e4), np.log(3e5))), 3.2, 2.5
        x0, y0 = int(cx) - 25, int(cy) - 25
        ys, xs = np.mgrid[max(y0, 0) : y0 + 51, max(x0, 0) : x0 + 51]
        star = (1 + ((xs - cx) ** 2 + (ys - cy) ** 2) / rd**2) ** -beta
        star *= flux * (beta - 1) / (np.pi * rd**2)
        part = expected[max(y0, 0) : y0 + 51, max(x0, 0) : x0 + 51]
        part += star[: part.shape[0], : part.shape[1]].astype(np.float32)
    return _gauss(expected * detector.response(settings, exposure.band), rng)


# Twilight is a continuum: its fringes are much weaker than those of the night's emission lines.
BAND_FRINGE_IN_FLATS = {"zSDSS": 0.0005}


def _detector_charge(
    electrons: np.ndarray,
    exposure: Exposure,
    settings: NightSettings,
    unit: Detector,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Add cosmic rays, hot pixels and hot columns (in place); returns the cosmic rays."""
    area = electrons.size * CCD_CM_PER_PX**2
    seconds = exposure.exptime_s + detector.HOT_READOUT_S
    count = int(rng.poisson(settings.cosmic_rays_per_cm2_s * area * seconds))
    shape = (electrons.shape[0], electrons.shape[1])
    index, charge = artefacts.cosmic_rays(rng, shape, count)
    electrons.ravel()[index] += charge
    hot = rng.poisson(unit.hot_e_per_s * seconds).astype(np.float32)
    np.add.at(electrons, (unit.hot_y, unit.hot_x), hot)
    for column in unit.bad_columns:
        if column.charge_e:
            extra = rng.poisson(column.charge_e, column.y1 - column.y0)
            electrons[column.y0 : column.y1, column.x] += extra.astype(np.float32)
    return index, charge
