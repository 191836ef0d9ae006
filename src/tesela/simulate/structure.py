"""What a detector gives without light: the structure of its bias, its dark current."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tesela.simulate import ccds
from tesela.simulate.detector import Detector, build
from tesela.simulate.settings import NightSettings, of_camera
from tesela.simulate.streams import stream

GLOW = 25.0
"""Dark current at the glowing edge, in that of most pixels."""
WARMER_K = 6.0
"""Dark current doubles over so many degrees."""


def warmth(settings: NightSettings) -> float:
    """Factor on the dark current by the temperature of the night."""
    return float(2.0 ** (settings.temperature_offset / WARMER_K))


def bias_structure(detector: Detector, k: int) -> np.ndarray:
    """(h, w) float32 ADU of an amplifier in the order of reading, the same in every frame.

    A glow in the corner of the output, and offsets of the columns.
    """
    h, w = detector.camera.amplifiers[k].data.shape
    y, x = np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32)[None, :]
    glow = np.float32(detector.glow_adu[k]) * np.exp(-x / (0.12 * w)) * np.exp(-y / (0.1 * h))
    offsets = np.random.Generator(np.random.PCG64(int(detector.column_seed[k]))).normal(0, 0.4, w)
    return glow + offsets.astype(np.float32)


def overscan_offset(detector: Detector, k: int) -> np.ndarray:
    """(h,) float32 ADU: overscan minus data of an amplifier in the order of reading."""
    offset, slope = detector.overscan_adu[k]
    h = detector.camera.amplifiers[k].data.shape[0]
    return (offset + slope * np.linspace(-0.5, 0.5, h)).astype(np.float32)


def bias_image(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 ADU: what a master bias holds once the overscan of each row is off."""
    detector = build(settings)
    image = np.zeros(detector.camera.shape, np.float32)
    for k, amp in enumerate(detector.camera.amplifiers):
        part = bias_structure(detector, k) - overscan_offset(detector, k)[:, None]
        image[amp.dest.slices] = part[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
    return image


def dark_current(settings: NightSettings) -> np.ndarray:
    """(ny, nx) float32 electrons a second at the temperature of the night, hot pixels left out.

    A glow along one edge, and pixels that differ by 30 %.
    """
    return np.float32(warmth(settings)) * _dark_current(of_camera(settings))


@lru_cache(maxsize=1)
def _dark_current(settings: NightSettings) -> np.ndarray:
    camera = ccds.load(settings.unit)
    rng = stream(settings.seed, "dark", settings.unit)
    side, middle = rng.integers(0, 2), rng.uniform(0.3, 0.7)
    across = np.arange(camera.nx, dtype=np.float32) / (camera.nx - 1)
    along = np.arange(camera.ny, dtype=np.float32) / (camera.ny - 1)
    from_edge = across if side else 1 - across
    glow = np.exp(-from_edge / 0.08)[None, :]
    glow = glow * np.exp(-0.5 * ((along - np.float32(middle)) / 0.2) ** 2)[:, None]
    uneven = np.exp(0.3 * rng.standard_normal(camera.shape, dtype=np.float32))
    rate = np.float32(settings.dark_e_per_s) * (uneven + np.float32(GLOW) * glow)
    return rate.astype(np.float32)
