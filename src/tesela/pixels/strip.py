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


@dataclass(frozen=True)
class Chord:
    """A line from border to border of the image: start, direction, length."""

    start: tuple[float, float]
    direction: tuple[float, float]
    length: float

    @property
    def numbers(self) -> tuple[float, float, float, float, float]:
        """All five, for kernels."""
        return (*self.start, *self.direction, self.length)

    def along(self, x: float, y: float) -> float:
        """Distance from the start of the foot of a point."""
        (x0, y0), (ux, uy) = self.start, self.direction
        return (x - x0) * ux + (y - y0) * uy

    def point(self, t: float, u: float = 0.0) -> tuple[float, float]:
        """Where `t` along and `u` aside is."""
        (x0, y0), (ux, uy) = self.start, self.direction
        return x0 + t * ux - u * uy, y0 + t * uy + u * ux


def chord(ends: tuple[float, ...], shape: tuple[int, ...]) -> Chord | None:
    """The line through `ends` from border to border; None if it is too short."""
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
    return Chord((x0 + low * ux, y0 + low * uy), (ux, uy), high - low)


@dataclass(frozen=True)
class Hidden:
    """Pixels to leave out: those `bad`, and those `covered` that no band lays open.

    Attributes
    ----------
    bad, covered : (ny, nx) bool
    ends : (x0, y0, x1, y1), pixels
        Axis of the band.
    half_px : float
        What is covered within this distance of the axis is used all the same; none if negative.
    """

    bad: np.ndarray
    covered: np.ndarray
    ends: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    half_px: float = -1.0


def planes_of(
    image: np.ndarray, hidden: Hidden, noise: float | np.ndarray
) -> tuple[np.ndarray, ...]:
    """What kernels ask for: image, bad, covered, noise, and the band that lays open."""
    plane = np.ascontiguousarray(np.atleast_2d(np.asarray(noise, np.float32)))
    band = np.array([*hidden.ends, hidden.half_px], np.float64)
    return np.ascontiguousarray(image, np.float32), hidden.bad, hidden.covered, plane, band


def cut(
    image: np.ndarray,
    hidden: Hidden,
    noise: float | np.ndarray,
    line: Chord,
    reach: int,
    clip_sigma: float,
) -> Strip:
    """Nearest pixels on a grid of one pixel along and across the line."""
    planes = planes_of(image, hidden, noise)
    raw, light, good = _nearest(planes, line.numbers, int(line.length) + 1, reach)
    values = np.clip(light, -clip_sigma, clip_sigma)
    return Strip(line.start, line.direction, values, light, raw, good, reach)


@njit(cache=True, inline="always")
def is_open(x, y, band):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a pixel lies within the band."""
    dx, dy = band[2] - band[0], band[3] - band[1]
    share = ((x - band[0]) * dx + (y - band[1]) * dy) / max(dx * dx + dy * dy, 1e-12)
    share = min(max(share, 0.0), 1.0)
    away2 = (x - band[0] - share * dx) ** 2 + (y - band[1] - share * dy) ** 2
    return away2 <= band[4] * band[4]


@njit(cache=True, nogil=True)
def _nearest(planes, line, n_t, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Values, the same in noises, and whether they are good; 0 where they are not."""
    image, bad, covered, noise, band = planes
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
            if covered[y, x] and (band[4] < 0 or not is_open(x, y, band)):
                continue
            good[t, k] = True
            raw[t, k] = image[y, x]
            light[t, k] = image[y, x] / (noise[0, 0] if whole else noise[y, x])
    return raw, light, good
