"""The position in a Gaussian window, its error, and the width of the core.

The window's sigma is that of a Gaussian with the object's half-light radius as half width: the
position is then nearly as good as that of a fitted profile (SExtractor's XWIN_IMAGE,
ERRX2WIN_IMAGE).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.aperture_sums import OWN, pixel

REACH_SIGMA = 4.0
MAX_STEPS = 16
STILL_PX = 1e-4
SMALLEST_HALF_RADIUS_PX = 0.5
CORE_LEVEL = 0.4  # of the peak, from which pixels count for the width
PIXEL_VARIANCE = 1.0 / 12.0


@njit(cache=True, nogil=True)
def window_sigma(half_radius_px):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sigma of the window for a half-light radius."""
    return 2.0 * max(half_radius_px, SMALLEST_HALF_RADIUS_PX) / 2.35482


@njit(cache=True, nogil=True)
def _gaussian(start, n, centre, sigma, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(n):
        d = (start + k - centre) / sigma
        out[k] = np.exp(-0.5 * d * d)


@njit(cache=True, nogil=True)
def position(image, variance, bad, labels, label, x, y, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """x, y, their variances and covariance; (x, y) and NaN where the window wanders off."""
    reach = max(2.0, REACH_SIGMA * sigma)
    size = 2 * int(np.ceil(reach)) + 3
    along_x, along_y = np.empty(size), np.empty(size)
    xw, yw = x, y
    total = 0.0
    for _ in range(MAX_STEPS):
        x0, x1 = int(np.ceil(xw - reach)), int(np.floor(xw + reach)) + 1
        y0, y1 = int(np.ceil(yw - reach)), int(np.floor(yw + reach)) + 1
        _gaussian(x0, x1 - x0, xw, sigma, along_x)
        _gaussian(y0, y1 - y0, yw, sigma, along_y)
        sx = sy = total = 0.0
        for j in range(y0, y1):
            dy = j - yw
            for i in range(x0, x1):
                dx = i - xw
                if dx * dx + dy * dy >= reach * reach:
                    continue
                value, _, _ = pixel(image, variance, bad, labels, label, i, j, xw, yw)
                weighted = value * along_x[i - x0] * along_y[j - y0]
                sx += weighted * dx
                sy += weighted * dy
                total += weighted
        if total <= 0.0:
            return x, y, np.nan, np.nan, np.nan
        sx, sy = sx / total, sy / total
        xw += 2.0 * sx
        yw += 2.0 * sy
        if (xw - x) ** 2 + (yw - y) ** 2 > max(1.0, sigma * sigma):
            return x, y, np.nan, np.nan, np.nan
        if sx * sx + sy * sy < STILL_PX * STILL_PX:
            break
    xx, yy, xy = _errors(image, variance, bad, labels, label, xw, yw, sigma, along_x, along_y)
    scale = 4.0 / (total * total)
    return xw, yw, scale * xx, scale * yy, scale * xy


@njit(cache=True, nogil=True)
def _errors(image, variance, bad, labels, label, x, y, sigma, along_x, along_y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Moments of the noise in the window."""
    reach = max(2.0, REACH_SIGMA * sigma)
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
            _, var, _ = pixel(image, variance, bad, labels, label, i, j, x, y)
            var *= (along_x[i - x0] * along_y[j - y0]) ** 2
            xx += var * (dx * dx + PIXEL_VARIANCE)
            yy += var * (dy * dy + PIXEL_VARIANCE)
            xy += var * dx * dy
    return xx, yy, xy


@njit(cache=True, nogil=True)
def core_width(image, variance, bad, labels, label, x, y, r_half):  # type: ignore[no-untyped-def]  # pragma: no cover
    """FWHM of the Gaussian through the pixels above 0.4 of the peak."""
    reach = int(2.0 * r_half) + 2
    peak = 0.0
    for j in range(int(y + 0.5) - 1, int(y + 0.5) + 2):
        for i in range(int(x + 0.5) - 1, int(x + 0.5) + 2):
            value, _, _ = pixel(image, variance, bad, labels, label, i, j, x, y)
            peak = max(peak, value)
    s0 = s1 = s2 = t0 = t1 = 0.0
    n = 0
    for j in range(int(y) - reach, int(y) + reach + 2):
        for i in range(int(x) - reach, int(x) + reach + 2):
            r2 = (i - x) ** 2 + (j - y) ** 2
            if r2 < 4.0 * r_half * r_half:
                value, _, state = pixel(image, variance, bad, labels, label, i, j, x, y)
                if state == OWN and value > CORE_LEVEL * peak:
                    w, z = value * value, np.log(value)
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
