"""The image along a straight line: one pixel along, one across."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

SHORTEST_CHORD_PX = 48


@dataclass(frozen=True)
class Strip:
    """The image along a line, (n_t, n_u): in noises, clipped and not, as it is, what is good."""

    start: tuple[float, float]
    direction: tuple[float, float]
    values: np.ndarray
    light: np.ndarray
    raw: np.ndarray
    good: np.ndarray
    reach: int


def chord(
    ends: tuple[float, ...], shape: tuple[int, ...]
) -> tuple[tuple[float, float], tuple[float, float], float] | None:
    """The line through `ends` from border to border: start, direction, length."""
    x0, y0, x1, y1 = ends
    length = math.hypot(x1 - x0, y1 - y0)
    if length == 0:
        return None
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    low, high = -math.inf, math.inf
    for origin, slope, size in ((x0, ux, shape[1]), (y0, uy, shape[0])):
        if abs(slope) < 1e-9:
            if not 0 <= origin <= size - 1:
                return None
            continue
        a, b = (0 - origin) / slope, (size - 1 - origin) / slope
        low, high = max(low, min(a, b)), min(high, max(a, b))
    if high - low < SHORTEST_CHORD_PX:
        return None
    return (x0 + low * ux, y0 + low * uy), (ux, uy), high - low


def cut(
    image: np.ndarray,
    bad: np.ndarray,
    noise: float | np.ndarray,
    line: tuple[float, float, float, float, float],
    reach: int,
    clip_sigma: float,
) -> Strip:
    """Nearest pixels on a grid of one pixel along and across the line."""
    x0, y0, ux, uy, length = line
    plane = np.ascontiguousarray(np.atleast_2d(np.asarray(noise, np.float32)))
    pixels = np.ascontiguousarray(image, np.float32)
    raw, light, good = _nearest(pixels, bad, plane, line, int(length) + 1, reach)
    values = np.clip(light, -clip_sigma, clip_sigma)
    return Strip((x0, y0), (ux, uy), values, light, raw, good, reach)


@njit(cache=True)
def _nearest(image, bad, noise, line, n_t, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Values, the same in noises, and whether they are good; 0 where they are not."""
    ny, nx = image.shape
    x0, y0, ux, uy, _ = line
    raw = np.zeros((n_t, 2 * reach + 1), np.float32)
    light = np.zeros(raw.shape, np.float32)
    good = np.zeros(raw.shape, np.bool_)
    whole = noise.size == 1
    for t in range(n_t):
        for k in range(2 * reach + 1):
            u = k - reach
            x = int(np.rint(x0 + t * ux - u * uy))
            y = int(np.rint(y0 + t * uy + u * ux))
            if x < 0 or y < 0 or x >= nx or y >= ny or bad[y, x]:
                continue
            good[t, k] = True
            raw[t, k] = image[y, x]
            light[t, k] = image[y, x] / (noise[0, 0] if whole else noise[y, x])
    return raw, light, good
