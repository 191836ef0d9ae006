"""Flats: electrons of the twilight sky and of the lamp in the dome."""

from __future__ import annotations

import numpy as np

from tesela.simulate import detector
from tesela.simulate.exposure import Exposure
from tesela.simulate.noise import gauss
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream

FLAT_LEVELS_ADU = (15000.0, 33000.0)
FLAT_STARS = 5
DOME_ADU_PER_S = 2500.0
RAMP_ADU_PER_S = 1000.0
LAMP_SCATTER = 0.001
"""Largest relative change of the lamp from frame to frame."""
LAMP_SWING_D = 1.0 / 12.0
"""Period of its slow drift."""
RANDOM_GRADIENT = 0.002
"""Of the twilight in a frame, along each axis, from the centre to an edge; rms."""
FRINGE_IN_FLATS = {"zSDSS": 0.0005}
"""Twilight is a continuum: its fringes are much weaker than those of the night's emission lines."""


def sky(settings: NightSettings, band: str, level_e: float, gradient: np.ndarray) -> np.ndarray:
    """(ny, nx) float32 sky with a gradient and the camera's own stray light."""
    stray = detector.stray_light(settings, band)
    ny, nx = stray.shape
    across = np.linspace(-1, 1, nx, dtype=np.float32) * np.float32(gradient[0])
    along = np.linspace(-1, 1, ny, dtype=np.float32) * np.float32(gradient[1])
    plane = 1 + along[:, None] + across[None, :]
    return np.float32(level_e) * plane * stray


def sky_flat(exposure: Exposure, settings: NightSettings, rng: np.random.Generator) -> np.ndarray:
    """Electrons of a twilight flat: bright sky with a slight gradient and a few stars."""
    level = _sky_level_e(settings, rng)
    gradient = rng.normal(0, RANDOM_GRADIENT, 2) + _towards_the_sun(exposure, settings)
    expected = sky(settings, exposure.band, level, gradient)
    expected *= detector.pixel_area(settings)
    if fringe := settings.fringe_factor * FRINGE_IN_FLATS.get(exposure.band, 0.0):
        expected *= 1 + np.float32(fringe) * detector.fringes(settings, exposure.band)
    _add_stars(expected, rng)
    return gauss(expected * detector.response(settings, exposure.band), rng)


def level_e(exposure: Exposure, settings: NightSettings) -> float:
    """Electrons a typical pixel is expected to get in a flat of the sky or of the dome."""
    if exposure.kind == "dome":
        return dome_level_e(exposure, settings)
    # What is drawn first of the frame's random numbers.
    return _sky_level_e(settings, stream(settings.seed, "frame", exposure.name))


def _sky_level_e(settings: NightSettings, rng: np.random.Generator) -> float:
    return rng.uniform(*FLAT_LEVELS_ADU) * float(np.mean(detector.build(settings).gain))


def _towards_the_sun(exposure: Exposure, settings: NightSettings) -> np.ndarray:
    """(2,) gradient from the centre to the edges: to one side every evening, more or less."""
    if not settings.twilight_gradient:
        return np.zeros(2)
    angle = stream(settings.seed, "sun", settings.unit).uniform(0, 2 * np.pi)
    amount = stream(settings.seed, "sun", exposure.name).uniform(0, 0.5)
    direction = np.array([np.cos(angle), np.sin(angle)])
    return settings.twilight_gradient * amount * direction


def _add_stars(expected: np.ndarray, rng: np.random.Generator) -> None:
    ny, nx = expected.shape
    for _ in range(FLAT_STARS):
        cx, cy = rng.uniform(30, nx - 30), rng.uniform(30, ny - 30)
        flux, beta, rd = np.exp(rng.uniform(np.log(2e4), np.log(3e5))), 3.2, 2.5
        x0, y0 = int(cx) - 25, int(cy) - 25
        ys, xs = np.mgrid[max(y0, 0) : y0 + 51, max(x0, 0) : x0 + 51]
        star = (1 + ((xs - cx) ** 2 + (ys - cy) ** 2) / rd**2) ** -beta
        star *= flux * (beta - 1) / (np.pi * rd**2)
        part = expected[max(y0, 0) : y0 + 51, max(x0, 0) : x0 + 51]
        part += star[: part.shape[0], : part.shape[1]].astype(np.float32)


def dome_level_e(exposure: Exposure, settings: NightSettings) -> float:
    """Electrons a typical pixel is expected to get from the lamp in a dome flat or a ramp."""
    rate = RAMP_ADU_PER_S if exposure.object == "RAMP" else DOME_ADU_PER_S
    rng = stream(settings.seed, "lamp", exposure.name)
    steady = 1 + LAMP_SCATTER * rng.uniform(-1.0, 1.0)
    if settings.lamp_drift:
        phase = stream(settings.seed, "lamp drift", settings.date).uniform(0, 2 * np.pi)
        middle = exposure.mjd + 0.5 * exposure.exptime_s / 86400
        steady *= 1 + settings.lamp_drift * np.sin(2 * np.pi * middle / LAMP_SWING_D + phase)
    unit = detector.build(settings)
    nominal = float(np.mean([amp.gain_e_per_adu for amp in unit.camera.amplifiers]))
    return float(rate * nominal * steady * (exposure.exptime_s + settings.shutter_offset_s))


def dome_flat(exposure: Exposure, settings: NightSettings, rng: np.random.Generator) -> np.ndarray:
    """Electrons of a flat of the dome: no star, the lamp's own illumination."""
    level = dome_level_e(exposure, settings)
    expected = sky(settings, exposure.band, level, np.zeros(2))
    expected *= detector.pixel_area(settings) * detector.lamp(settings)
    return gauss(expected * detector.response(settings, exposure.band), rng)
