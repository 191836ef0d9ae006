"""The position in a Gaussian window, its error, and the width of the core.

The window's sigma is that of a Gaussian with the object's half-light radius as half width: the
position is then nearly as good as that of a fitted profile (SExtractor's XWIN_IMAGE,
ERRX2WIN_IMAGE).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.stamps import OWN, replace

REACH_SIGMA = 4.0
MAX_STEPS = 16
STILL_PX = 1e-4
SMALLEST_HALF_RADIUS_PX = 0.5
CORE_LEVEL = 0.4  # of the peak, from which pixels count for the width
PIXEL_VARIANCE = 1.0 / 12.0
_SUMS = {"reassoc", "contract"}  # sums may be taken in vectors: always in the same ones


@njit(cache=True, nogil=True)
def window_sigma(half_radius_px):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sigma of the window for a half-light radius."""
    return 2.0 * max(half_radius_px, SMALLEST_HALF_RADIUS_PX) / 2.35482


@njit(cache=True, nogil=True)
def _gaussian(start, n, centre, sigma, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(n):
        d = (start + k - centre) / sigma
        out[k] = np.exp(-0.5 * d * d)


@njit(cache=True, nogil=True, fastmath=_SUMS)
def _row(values, weight, x0, centre, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Weighted sum of a row of pixels, and its first moment."""
    light = moment = 0.0
    for k in range(n):
        w = values[k] * weight[k]
        light += w
        moment += w * (x0 + k - centre)
    return light, moment


@njit(cache=True, nogil=True)
def _moments(value, x, y, reach, along_x, along_y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Light in the window, and its first moments about (x, y)."""
    sx = sy = total = 0.0
    y0, y1 = int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1
    first = int(np.ceil(x - reach))
    for j in range(y0, y1):
        dy = j - y
        half = np.sqrt(max(reach * reach - dy * dy, 0.0))
        x0, x1 = int(np.ceil(x - half)), int(np.floor(x + half)) + 1
        light, moment = _row(value[j, x0:x1], along_x[x0 - first :], x0, x, x1 - x0)
        sx += moment * along_y[j - y0]
        sy += light * along_y[j - y0] * dy
        total += light * along_y[j - y0]
    return total, sx, sy


@njit(cache=True, nogil=True)
def window_reach(sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radius of the window, and how far it may move before the position is given up."""
    return max(2.0, REACH_SIGMA * sigma), max(1.0, sigma)


@njit(cache=True, nogil=True)
def position(value, var, state, n_replaced, x, y, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """x, y, their variances and covariance; (x, y) and NaN where the window wanders off.

    Replaced pixels of the stamp follow the centre: the stamp is changed.
    """
    reach, far = window_reach(sigma)
    size = 2 * int(np.ceil(reach)) + 3
    along_x, along_y = np.empty(size), np.empty(size)
    xw, yw = x, y
    total = 0.0
    for step in range(MAX_STEPS):
        x0, x1 = int(np.ceil(xw - reach)), int(np.floor(xw + reach)) + 1
        y0, y1 = int(np.ceil(yw - reach)), int(np.floor(yw + reach)) + 1
        _gaussian(x0, x1 - x0, xw, sigma, along_x)
        _gaussian(y0, y1 - y0, yw, sigma, along_y)
        if n_replaced > 0 and step > 0:
            replace(value, var, state, xw, yw)
        total, sx, sy = _moments(value, xw, yw, reach, along_x, along_y)
        if total <= 0.0:
            return x, y, np.nan, np.nan, np.nan
        sx, sy = sx / total, sy / total
        xw += 2.0 * sx
        yw += 2.0 * sy
        if (xw - x) ** 2 + (yw - y) ** 2 > far * far:
            return x, y, np.nan, np.nan, np.nan
        if sx * sx + sy * sy < STILL_PX * STILL_PX:
            break
    xx, yy, xy = _errors(var, xw, yw, sigma, along_x, along_y)
    scale = 4.0 / (total * total)
    return xw, yw, scale * xx, scale * yy, scale * xy


@njit(cache=True, nogil=True)
def _errors(var, x, y, sigma, along_x, along_y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Moments of the noise in the window."""
    reach, _ = window_reach(sigma)
    x0, x1 = int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1
    y0, y1 = int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1
    _gaussian(x0, x1 - x0, x, sigma, along_x)
    _gaussian(y0, y1 - y0, y, sigma, along_y)
    xx = yy = xy = 0.0
    for j in range(y0, y1):
        dy = j - y
        for i in range(x0, x1):
            dx = i - x
            if dx * dx + dy * dy >= reach * reach:
                continue
            noise = var[j, i] * (along_x[i - x0] * along_y[j - y0]) ** 2
            xx += noise * (dx * dx + PIXEL_VARIANCE)
            yy += noise * (dy * dy + PIXEL_VARIANCE)
            xy += noise * dx * dy
    return xx, yy, xy


@njit(cache=True, nogil=True)
def core_width(value, state, x, y, r_half):  # type: ignore[no-untyped-def]  # pragma: no cover
    """FWHM of the Gaussian through the pixels above 0.4 of the peak."""
    size = len(value)
    peak = 0.0
    for j in range(int(y + 0.5) - 1, int(y + 0.5) + 2):
        for i in range(int(x + 0.5) - 1, int(x + 0.5) + 2):
            peak = max(peak, value[j, i])
    s0 = s1 = s2 = t0 = t1 = 0.0
    n = 0
    reach = 2.0 * r_half
    for j in range(max(0, int(np.ceil(y - reach))), min(size, int(np.floor(y + reach)) + 1)):
        for i in range(max(0, int(np.ceil(x - reach))), min(size, int(np.floor(x + reach)) + 1)):
            here = value[j, i]
            r2 = (i - x) ** 2 + (j - y) ** 2
            if r2 < reach * reach and state[j, i] == OWN and here > CORE_LEVEL * peak:
                w, z = here * here, np.log(here)
                s0, s1, s2 = s0 + w, s1 + w * r2, s2 + w * r2 * r2
                t0, t1 = t0 + w * z, t1 + w * r2 * z
                n += 1
    det = s0 * s2 - s1 * s1
    if n < 5 or det <= 0.0:
        return 2.0 * r_half
    slope = (s0 * t1 - s1 * t0) / det
    if slope >= 0.0:
        return 2.0 * r_half
    return 2.0 * np.sqrt(np.log(2.0) / -slope)
