"""Radial profiles of one object: Kron and Petrosian radii, and the growth curve.

Kron 1980 (ApJS 43, 305), Petrosian 1976 (ApJ 209, L1), both in the sampling of SExtractor
(Bertin & Arnouts 1996, A&AS 117, 393). Radii are in isophotal radii, along the object's ellipse,
except those of the growth curve, which is round and in pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.aperture_sums import ellipse_rows, ellipse_span
from tesela.pixels.stamps import OWN

WINDOW = 6.0
"""Isophotal radii within which Kron and Petrosian radii and the growth curve are measured."""
PETRO_RATIO = 0.2
"""Surface brightness at the Petrosian radius over the mean inside."""
PETRO_STEPS = 20
_PETRO_PARTS = 10  # bins a step: an annulus reaches from 10 to 12 bins of its step
N_PROFILE = PETRO_STEPS * _PETRO_PARTS
N_GROWTH = 64


@njit(cache=True, nogil=True)
def kron_and_petro(value, state, x, y, form, window, light, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Kron and Petrosian radii inside `window`, NaN where there is none.

    light and count are (N_PROFILE,) room.
    """
    weighted = total = 0.0
    light[:] = 0.0
    count[:] = 0
    cxx, cyy, cxy = form[0], form[1], form[2]
    first, last = ellipse_rows(y, form, window)
    for j in range(first, last):
        dy = j - y
        start, stop = ellipse_span(x, dy, form, window * window)
        for i in range(start, stop):
            if state[j, i] != OWN:
                continue
            dx, here = i - x, value[j, i]
            r = np.sqrt(max(cxx * dx * dx + cyy * dy * dy + cxy * dx * dy, 0.0))
            weighted += r * here
            total += here
            k = min(int(r * (N_PROFILE / WINDOW)), N_PROFILE - 1)
            light[k] += here
            count[k] += 1
    kron = np.nan
    if total > 0.0 and weighted > 0.0:
        kron = weighted / total
    return kron, _petrosian(light, count)


@njit(cache=True, nogil=True)
def _petrosian(light, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Middle of the first annulus fainter than a fifth of the mean inside it."""
    for k in range(1, N_PROFILE):
        light[k] += light[k - 1]
        count[k] += count[k - 1]
    for step in range(1, PETRO_STEPS):
        inner, middle, outer = 10 * step - 1, 11 * step - 1, 12 * step - 1
        if outer >= N_PROFILE:
            break
        annulus = count[outer] - count[inner]
        if annulus == 0 or count[middle] == 0:
            continue
        around = (light[outer] - light[inner]) / annulus
        if around < PETRO_RATIO * light[middle] / count[middle]:
            return 11 * step * (WINDOW / N_PROFILE)
    return np.nan


@njit(cache=True, nogil=True)
def growth(value, x, y, reach, flux, curve):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux inside N_GROWTH equal steps of radius up to `reach` pixels; fills curve.

    It is right up to where it first reaches `flux`; beyond, pixels may be left out.
    """
    curve[:] = 0.0
    n = len(curve)
    density, step = n / reach, reach / n
    edge = min(reach, _enough(value, x, y, reach, flux)) + 0.7072
    for j in range(int(np.floor(y - edge)), int(np.ceil(y + edge)) + 1):
        for i in range(int(np.floor(x - edge)), int(np.ceil(x + edge)) + 1):
            dx, dy, here = i - x, j - y, value[j, i]
            r2 = dx * dx + dy * dy
            if r2 > edge * edge or here == 0.0:
                continue
            r = np.sqrt(r2)
            k = int(r * density)
            past = r - k * step
            if past > 0.7072 and past < step - 0.7072:
                if k < n:
                    curve[k] += here
                continue
            # A pixel near the centre spans several directions: it is cut finer.
            half = 2 if r2 < 9.0 else 1
            width = 1.0 / (2 * half + 1)
            part = here * width * width
            for sy in range(-half, half + 1):
                v = dy + width * sy
                for sx in range(-half, half + 1):
                    u = dx + width * sx
                    k = int(np.sqrt(u * u + v * v) * density)
                    if k < n:
                        curve[k] += part
    for k in range(1, n):
        curve[k] += curve[k - 1]


@njit(cache=True, nogil=True)
def _enough(value, x, y, reach, flux):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A radius by which the growth curve has surely passed `flux`, by whole pixels."""
    size = int(reach) + 2
    ring = np.zeros(size)
    for j in range(int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1):
        for i in range(int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1):
            k = int(np.sqrt((i - x) ** 2 + (j - y) ** 2))
            if k < size:
                ring[k] += value[j, i]
    total = 0.0
    for k in range(size):
        total += ring[k]
        if total >= flux:
            return k + 3.0
    return reach


@njit(cache=True, nogil=True)
def radius_of(curve, step, flux):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radius at which a growth curve first reaches `flux`; NaN for none, `reach` for never."""
    if not flux > 0.0:
        return np.nan
    below = 0.0
    for k in range(len(curve)):
        if curve[k] >= flux:
            return step * (k + (flux - below) / (curve[k] - below))
        below = curve[k]
    return step * len(curve)
