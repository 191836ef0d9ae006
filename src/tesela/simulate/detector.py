"""The simulated detector: what does not change during a night.

Everything is a function of the seed and the camera (and of what is drifting or dusty that night),
so each worker makes its own copy. Memory: up to six float32 planes of the size of the image (2 GB
for a full T80Cam frame).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import ndimage

from tesela.bands import filters
from tesela.cameras import Camera
from tesela.errors import ConfigError
from tesela.simulate import ccds
from tesela.simulate.settings import NightSettings, of_camera
from tesela.simulate.streams import stream

HOT_FRACTION = 1.2e-4
BAD_COLUMNS_PER_1000 = 3.5
HOT_READOUT_S = 8.0
WARM_E_PER_S = (0.1, 10.0)
"""Rates of the pixels of `warm_fraction`, evenly spread in their logarithm."""
DONUTS = 6
STRAY_PEAK = (0.75, 1.5)
"""Peak to peak of the stray light, in `stray_light`."""
LAMP_PEAK = 0.03
"""Peak to peak of the dome lamp's own illumination."""
LINEAR_ADU = 60000.0
"""Level at which the coefficients of the non-linearity hold."""


@dataclass(frozen=True)
class BadColumn:
    """A defect along one column, from row y0 to y1 of the trimmed image."""

    x: int
    y0: int
    y1: int
    response: float
    charge_e: float


@dataclass(frozen=True)
class Detector:
    """Constants of a camera; (n_amp,) arrays in the order of its amplifiers."""

    camera: Camera
    gain: np.ndarray
    """True electrons per ADU."""
    header_gain: np.ndarray
    readnoise_e: np.ndarray
    header_readnoise_e: np.ndarray
    bias_adu: np.ndarray
    row_shape: np.ndarray
    """(n_amp, 3) ADU: start-up exponential, slope, wave of the bias along the rows."""
    overscan_adu: np.ndarray
    """(n_amp, 2) ADU: how far the overscan is off the data in the middle, and more to the last
    row."""
    glow_adu: np.ndarray
    """Bias structure: amplitude of the glow in the read-out corner."""
    column_seed: np.ndarray
    crosstalk: np.ndarray
    """(n_amp, n_amp), [victim, aggressor]."""
    hot_y: np.ndarray
    hot_x: np.ndarray
    hot_e_per_s: np.ndarray
    bad_columns: tuple[BadColumn, ...]
    nonlinearity: np.ndarray
    """(n_amp, 2) a, b: of x true ADU, x (1 - a (x/60000) - b (x/60000)^2) are recorded."""
    cold_y: np.ndarray
    cold_x: np.ndarray
    cold_response: np.ndarray


def build(settings: NightSettings) -> Detector:
    """The detector of a night; what drifts changes its true gain, not that of the headers."""
    constant = _build(of_camera(settings))
    amp_id, factor = settings.gain_drift
    if not amp_id:
        return constant
    ids = [amp.id for amp in constant.camera.amplifiers]
    if amp_id not in ids:
        raise ConfigError(
            "gain_drift", found=f"amplifier {amp_id}", expected=f"one of {ids}, or 0 for none"
        )
    gain = constant.gain.copy()
    gain[ids.index(amp_id)] *= factor
    return replace(constant, gain=gain)


@lru_cache(maxsize=2)
def _build(settings: NightSettings) -> Detector:
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "detector", settings.unit)
    n = len(camera.amplifiers)
    nominal = np.array([amp.gain_e_per_adu for amp in camera.amplifiers])
    noise = np.array([amp.readnoise_e for amp in camera.amplifiers])
    gain = nominal * (1 + rng.normal(0, settings.gain_scatter, n))
    readnoise = noise * (1 + rng.normal(0, 0.05, n))
    crosstalk = rng.uniform(0.25, 1.0, (n, n)) * settings.crosstalk_max
    np.fill_diagonal(crosstalk, 0.0)
    n_hot = round(HOT_FRACTION * camera.nx * camera.ny)
    warm = _warm_pixels(settings, camera)
    return Detector(
        camera=camera,
        gain=gain,
        header_gain=np.round(gain * (1 + rng.normal(0, settings.header_gain_error, n)), 4),
        readnoise_e=readnoise,
        header_readnoise_e=np.round(readnoise * (1 + rng.normal(0, 0.02, n)), 3),
        bias_adu=rng.uniform(1000.0, 1400.0, n),
        row_shape=np.stack([rng.normal(6, 3, n), rng.normal(0, 2, n), rng.normal(0, 1, n)], axis=1),
        overscan_adu=_overscan_offsets(settings, n),
        glow_adu=rng.uniform(2.0, 10.0, n),
        column_seed=rng.integers(0, 2**31, n),
        crosstalk=crosstalk,
        hot_y=np.append(rng.integers(0, camera.ny, n_hot), warm[0]),
        hot_x=np.append(rng.integers(0, camera.nx, n_hot), warm[1]),
        hot_e_per_s=np.append(np.exp(rng.normal(np.log(12.0), 1.0, n_hot)), warm[2]),
        bad_columns=_bad_columns(camera, rng),
        nonlinearity=_nonlinearity(settings, n),
        **_cold_pixels(settings, camera),
    )


def _nonlinearity(settings: NightSettings, n: int) -> np.ndarray:
    """(n, 2) coefficients: the straight part of either sign, the curved one a third of it."""
    rng = stream(settings.seed, "nonlinearity", settings.unit)
    sign = np.where(rng.uniform(size=n) < 0.7, 1.0, -1.0)  # most outputs lose at high levels
    first = sign * rng.uniform(0.3, 1.0, n)
    return settings.nonlinearity * np.stack([first, rng.uniform(-0.3, 0.3, n)], axis=1)


def _cold_pixels(settings: NightSettings, camera: Camera) -> dict[str, np.ndarray]:
    rng = stream(settings.seed, "cold", settings.unit)
    n = round(settings.cold_fraction * camera.nx * camera.ny)
    return {
        "cold_y": rng.integers(0, camera.ny, n),
        "cold_x": rng.integers(0, camera.nx, n),
        "cold_response": rng.uniform(0.1, settings.cold_brightest, n),
    }


def _warm_pixels(
    settings: NightSettings, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and rates of hot pixels that are hard to tell from others."""
    rng = stream(settings.seed, "warm", settings.unit)
    n = round(settings.warm_fraction * camera.nx * camera.ny)
    y, x = rng.integers(0, camera.ny, n), rng.integers(0, camera.nx, n)
    least, most = np.log(WARM_E_PER_S)
    return y, x, np.exp(rng.uniform(least, most, n))


def _overscan_offsets(settings: NightSettings, n: int) -> np.ndarray:
    """(n, 2) ADU: offset and slope of either sign."""
    rng = stream(settings.seed, "overscan", settings.unit)
    offset = rng.choice((-1.0, 1.0), n) * rng.uniform(0.5, 1.5, n)
    return settings.overscan_offset_adu * np.stack([offset, 0.5 * rng.uniform(-1, 1, n)], axis=1)


def _bad_columns(camera: Camera, rng: np.random.Generator) -> tuple[BadColumn, ...]:
    count = max(2, round(BAD_COLUMNS_PER_1000 * camera.nx / 1000))
    columns = []
    for i in range(count):
        half = camera.ny // 2
        # A defect spoils its column from its own row to the far end of the read-out: the middle.
        y = int(rng.integers(0, camera.ny))
        y0, y1 = (y, max(half, y + 1)) if y < half else (half, y + 1)
        dead = i % 2 == 0
        columns.append(
            BadColumn(
                x=int(rng.integers(1, camera.nx - 1)),
                y0=y0,
                y1=y1,
                response=float(rng.uniform(0.05, 0.6)) if dead else 1.0,
                charge_e=0.0 if dead else float(rng.uniform(80.0, 400.0)),
            )
        )
    return tuple(columns)


def radius2(camera: Camera) -> np.ndarray:
    """(ny, nx) float32: squared distance from the centre, 1 in the corners."""
    y = (np.arange(camera.ny, dtype=np.float32) - 0.5 * (camera.ny - 1)) ** 2
    x = (np.arange(camera.nx, dtype=np.float32) - 0.5 * (camera.nx - 1)) ** 2
    scale = np.float32(0.25 * ((camera.ny - 1) ** 2 + (camera.nx - 1) ** 2))
    return (y[:, None] + x[None, :]) / scale


def _axes(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the centre along x and y, float32, in half diagonals."""
    scale = np.float32(0.5 * np.hypot(camera.ny - 1, camera.nx - 1))
    x = np.arange(camera.nx, dtype=np.float32) - np.float32(0.5 * (camera.nx - 1))
    y = np.arange(camera.ny, dtype=np.float32) - np.float32(0.5 * (camera.ny - 1))
    return x / scale, y / scale


@lru_cache(maxsize=1)
def _pixel_noise(seed: int, unit: str) -> tuple[np.ndarray, np.ndarray]:
    rng, shape = stream(seed, "pixels", unit), ccds.load(unit).shape
    blue = rng.standard_normal(shape, dtype=np.float32)
    red = rng.standard_normal(shape, dtype=np.float32)
    return blue, red


def response(settings: NightSettings, band: str) -> np.ndarray:
    """(ny, nx) float32 relative response to light from the sky in a band, median 1.

    Pixel-to-pixel sensitivity (1 % in the blue to 0.3 % in the red, correlated between neighbouring
    bands), vignetting, dust rings of the filter, dead columns, cold pixels. Stars and sky both see
    it; it is read-only.
    """
    return _response(replace(of_camera(settings), dust=settings.dust), band)


@lru_cache(maxsize=1)
def _response(settings: NightSettings, band: str) -> np.ndarray:
    detector = build(settings)
    camera = detector.camera
    redness = float(np.clip((filters.load(band).pivot_A - 3500.0) / 5500.0, 0.0, 1.0))
    sigma = 0.010 + (0.003 - 0.010) * redness
    blue, red = _pixel_noise(settings.seed, settings.unit)
    mix = np.float32(redness)
    pattern = (blue * np.sqrt(1 - mix * mix) + red * mix) * np.float32(sigma)
    image = (1 + pattern) * (1 - np.float32(settings.vignetting) * radius2(camera))
    for donut in _donuts(settings, camera, band):
        _add_donut(image, *donut)
    image /= np.float32(np.median(image[::4, ::4]))
    for x, y, outer, depth in settings.dust:  # it fell after all this was made
        _add_donut(image, x * camera.nx, y * camera.ny, outer, depth)
    for column in detector.bad_columns:
        image[column.y0 : column.y1, column.x] *= np.float32(column.response)
    image[detector.cold_y, detector.cold_x] *= detector.cold_response.astype(np.float32)
    image = np.maximum(image, np.float32(0.01))
    image.flags.writeable = False
    return image


def _donuts(
    settings: NightSettings, camera: Camera, band: str
) -> list[tuple[float, float, float, float]]:
    """Rings of dust that are always there: x, y, outer radius in px, depth."""
    rng = stream(settings.seed, "dust", settings.unit, band)
    return [
        (
            rng.uniform(0, camera.nx), rng.uniform(0, camera.ny),
            rng.uniform(18, 45), rng.uniform(0.005, 0.02),
        )
        for _ in range(DONUTS)
    ]  # fmt: skip


def _add_donut(image: np.ndarray, cx: float, cy: float, outer: float, depth: float) -> None:
    ny, nx = image.shape
    y0, y1 = max(0, int(cy - outer - 6)), min(ny, int(cy + outer + 7))
    x0, x1 = max(0, int(cx - outer - 6)), min(nx, int(cx + outer + 7))
    y, x = np.mgrid[y0:y1, x0:x1]
    r = np.hypot(y - cy, x - cx)
    ring = 1 / (1 + np.exp((r - outer) / 1.5)) - 1 / (1 + np.exp((r - 0.4 * outer) / 1.5))
    image[y0:y1, x0:x1] *= (1 - depth * ring).astype(np.float32)


def stray_light(settings: NightSettings, band: str) -> np.ndarray:
    """(ny, nx) float32 factor S of flats and sky that stars do not see; the mean of ln S is 0.

    The camera adds light: a bump in the middle; with `stray_by_epoch` also a ring that is not
    centred (the ghost of the pupil) and a tilt to one side, all of them drawn for the epoch and
    the band. The flat holds S, so stars that are divided by it come out fainter where S > 1, by
    2.5 log10 S. It is read-only.
    """
    if not settings.stray_by_epoch:
        return _bump(settings.unit, settings.stray_light)
    amount = settings.stray_light
    return _stray_light(settings.seed, settings.unit, settings.epoch, amount, band)


@lru_cache(maxsize=1)
def _bump(unit: str, amount: float) -> np.ndarray:
    light = np.float32(amount) * np.exp(-radius2(ccds.load(unit)) / np.float32(0.3))
    factor = np.exp(light - light.mean())
    factor.flags.writeable = False
    return factor


@lru_cache(maxsize=1)
def _stray_light(seed: int, unit: str, epoch: int, amount: float, band: str) -> np.ndarray:
    rng = stream(seed, "stray light", unit, epoch, band)
    a, b = _axes(ccds.load(unit))

    def distance2(furthest: float) -> np.ndarray:
        u, v = rng.uniform(-furthest, furthest, 2).astype(np.float32)
        return (b - v)[:, None] ** 2 + (a - u)[None, :] ** 2

    light = np.exp(-distance2(0.1) / np.float32(rng.uniform(0.15, 0.35)))
    radius, width = rng.uniform(0.5, 0.7), rng.uniform(0.10, 0.15)
    ring = np.sqrt(distance2(0.15)) - np.float32(radius)
    light += np.float32(rng.uniform(0.3, 0.5)) * np.exp(-0.5 * (ring / np.float32(width)) ** 2)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.4)
    light += np.float32(slope * np.cos(angle)) * a[None, :]
    light += np.float32(slope * np.sin(angle)) * b[:, None]
    peak = np.float32(amount * rng.uniform(*STRAY_PEAK))
    light *= peak / (light.max() - light.min())
    light -= np.float32(light.mean(dtype=np.float64))
    factor = np.exp(light)
    factor.flags.writeable = False
    return factor


def illumination_mag(settings: NightSettings, band: str) -> np.ndarray:
    """(ny, nx) float32 truth of the illumination correction of sky flats: f, of mean 0.

    Instrumental minus true magnitude of a star divided by the flat: of the stray light, and of the
    pixels' areas on the sky, which flats see as well and stars do not.
    """
    ratio = stray_light(settings, band) * pixel_area(settings)
    magnitudes = np.float32(2.5) * np.log10(ratio)
    return magnitudes - np.float32(magnitudes.mean(dtype=np.float64))


def pixel_area(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 area of a pixel on the sky relative to one in the centre."""
    camera = ccds.load(settings.unit)
    half_px = 0.5 * np.hypot(camera.nx, camera.ny)
    u = np.arange(camera.nx, dtype=np.float32) - np.float32(0.5 * (camera.nx - 1))
    v = np.arange(camera.ny, dtype=np.float32) - np.float32(0.5 * (camera.ny - 1))
    cubic = np.float32(settings.distortion_corner_px / half_px**3)
    swell = cubic * (u[None, :] ** 2 + v[:, None] ** 2)
    return (1 + swell) * (1 + 3 * swell)


def lamp(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 illumination by the dome's lamp relative to the sky's, mean about 1."""
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "lamp", settings.unit)
    a, b = _axes(camera)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.float32(np.cos(angle)) * a[None, :] + np.float32(np.sin(angle)) * b[:, None]
    light -= np.float32(rng.uniform(0.3, 0.8)) * radius2(camera)
    light *= np.float32(LAMP_PEAK) / (light.max() - light.min())
    return 1 + light - light.mean()


@lru_cache(maxsize=1)
def _layer(seed: int, unit: str) -> np.ndarray:
    """(ny, nx) float32 phase of the interference in the uneven silicon, radians."""
    rng, camera = stream(seed, "fringes", unit), ccds.load(unit)
    coarse = rng.standard_normal((camera.ny // 32 + 4, camera.nx // 32 + 4))
    smooth = ndimage.gaussian_filter(coarse, 3.0)
    smooth *= 9.0 / smooth.std()  # radians: a few fringes over the chip
    rows = np.arange(camera.ny) / 32.0 + 1.0
    columns = np.arange(camera.nx) / 32.0 + 1.0
    return ndimage.map_coordinates(
        smooth, np.meshgrid(rows, columns, indexing="ij"), order=3, output=np.float32
    )


def fringes(settings: NightSettings, band: str) -> np.ndarray:
    """(ny, nx) float32 pattern of mean 0 and amplitude about 1, of one layer, seen in a band."""
    phase = _layer(settings.seed, settings.unit)
    phase = phase * np.float32(filters.load("zSDSS").pivot_A / filters.load(band).pivot_A)
    pattern = np.sin(phase) + np.float32(0.4) * np.sin(np.float32(1.7) * phase + 1)
    return pattern - pattern.mean()
