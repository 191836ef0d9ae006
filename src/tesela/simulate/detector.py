"""The simulated detector: what never changes during a night.

Everything is a function of the seed and the camera, so each worker makes its own copy.
Memory: up to four float32 planes of the size of the image (1.4 GB for a full T80Cam frame).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from tesela import cameras
from tesela.bands import filters
from tesela.cameras import Camera
from tesela.simulate.settings import NightSettings
from tesela.simulate.streams import stream

HOT_FRACTION = 1.2e-4
BAD_COLUMNS_PER_1000 = 3.5
DONUTS = 6
HOT_READOUT_S = 8.0


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
    glow_adu: np.ndarray
    """Bias structure: amplitude of the glow in the read-out corner."""
    column_seed: np.ndarray
    crosstalk: np.ndarray
    """(n_amp, n_amp), [victim, aggressor]."""
    hot_y: np.ndarray
    hot_x: np.ndarray
    hot_e_per_s: np.ndarray
    bad_columns: tuple[BadColumn, ...]


@lru_cache(maxsize=2)
def build(settings: NightSettings) -> Detector:
    """Draw the constants of the detector."""
    camera = cameras.load(settings.camera)
    rng = stream(settings.seed, "detector", settings.camera)
    n = len(camera.amplifiers)
    nominal = np.array([amp.gain_e_per_adu for amp in camera.amplifiers])
    noise = np.array([amp.readnoise_e for amp in camera.amplifiers])
    gain = nominal * (1 + rng.normal(0, settings.gain_scatter, n))
    readnoise = noise * (1 + rng.normal(0, 0.05, n))
    crosstalk = rng.uniform(0.25, 1.0, (n, n)) * settings.crosstalk_max
    np.fill_diagonal(crosstalk, 0.0)
    n_hot = round(HOT_FRACTION * camera.nx * camera.ny)
    return Detector(
        camera=camera,
        gain=gain,
        header_gain=np.round(gain * (1 + rng.normal(0, settings.header_gain_error, n)), 4),
        readnoise_e=readnoise,
        header_readnoise_e=np.round(readnoise * (1 + rng.normal(0, 0.02, n)), 3),
        bias_adu=rng.uniform(1000.0, 1400.0, n),
        row_shape=np.stack([rng.normal(6, 3, n), rng.normal(0, 2, n), rng.normal(0, 1, n)], axis=1),
        glow_adu=rng.uniform(2.0, 10.0, n),
        column_seed=rng.integers(0, 2**31, n),
        crosstalk=crosstalk,
        hot_y=rng.integers(0, camera.ny, n_hot),
        hot_x=rng.integers(0, camera.nx, n_hot),
        hot_e_per_s=np.exp(rng.normal(np.log(12.0), 1.0, n_hot)),
        bad_columns=_bad_columns(camera, rng),
    )


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


@lru_cache(maxsize=1)
def _pixel_noise(settings: NightSettings) -> tuple[np.ndarray, np.ndarray]:
    camera = cameras.load(settings.camera)
    rng = stream(settings.seed, "pixels", settings.camera)
    shape = (camera.ny, camera.nx)
    blue = rng.standard_normal(shape, dtype=np.float32)
    red = rng.standard_normal(shape, dtype=np.float32)
    return blue, red


@lru_cache(maxsize=1)
def response(settings: NightSettings, band: str) -> np.ndarray:
    """(ny, nx) float32 relative response to light from the sky in a band, median 1.

    Pixel-to-pixel sensitivity (1 % in the blue to 0.3 % in the red, correlated between neighbouring
    bands), vignetting, dust rings of the filter, dead columns. Stars and sky both see it.
    """
    detector = build(settings)
    camera = detector.camera
    redness = float(np.clip((filters.load(band).pivot_A - 3500.0) / 5500.0, 0.0, 1.0))
    sigma = 0.010 + (0.003 - 0.010) * redness
    blue, red = _pixel_noise(settings)
    mix = np.float32(redness)
    pattern = (blue * np.sqrt(1 - mix * mix) + red * mix) * np.float32(sigma)
    image = (1 + pattern) * (1 - np.float32(settings.vignetting) * radius2(camera))
    _add_donuts(image, settings, band)
    image /= np.float32(np.median(image[::4, ::4]))
    for column in detector.bad_columns:
        image[column.y0 : column.y1, column.x] *= np.float32(column.response)
    return np.maximum(image, np.float32(0.01))


def _add_donuts(image: np.ndarray, settings: NightSettings, band: str) -> None:
    rng = stream(settings.seed, "dust", settings.camera, band)
    ny, nx = image.shape
    for _ in range(DONUTS):
        cx, cy = rng.uniform(0, nx), rng.uniform(0, ny)
        outer, depth = rng.uniform(18, 45), rng.uniform(0.005, 0.02)
        y0, y1 = max(0, int(cy - outer - 6)), min(ny, int(cy + outer + 7))
        x0, x1 = max(0, int(cx - outer - 6)), min(nx, int(cx + outer + 7))
        y, x = np.mgrid[y0:y1, x0:x1]
        r = np.hypot(y - cy, x - cx)
        ring = 1 / (1 + np.exp((r - outer) / 1.5)) - 1 / (1 + np.exp((r - 0.4 * outer) / 1.5))
        image[y0:y1, x0:x1] *= (1 - depth * ring).astype(np.float32)


def concentration(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 factor of the sky, in flats too, that stars do not see; mean log is 0."""
    camera = cameras.load(settings.camera)
    bump = np.exp(-radius2(camera) / np.float32(0.3))
    log_light = np.float32(settings.sky_concentration) * bump
    return np.exp(log_light - log_light.mean())


@lru_cache(maxsize=1)
def fringes(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 pattern of mean 0 and amplitude about 1: interference in an uneven layer."""
    camera = cameras.load(settings.camera)
    rng = stream(settings.seed, "fringes", settings.camera)
    coarse = rng.standard_normal((camera.ny // 32 + 4, camera.nx // 32 + 4))
    smooth = ndimage.gaussian_filter(coarse, 3.0)
    smooth *= 9.0 / smooth.std()  # radians: a few fringes over the chip
    rows = np.arange(camera.ny) / 32.0 + 1.0
    columns = np.arange(camera.nx) / 32.0 + 1.0
    phase = ndimage.map_coordinates(
        smooth, np.meshgrid(rows, columns, indexing="ij"), order=3, output=np.float32
    )
    pattern = np.sin(phase) + np.float32(0.4) * np.sin(np.float32(1.7) * phase + 1)
    return pattern - pattern.mean()
