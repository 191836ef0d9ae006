"""The position in a Gaussian window, its error, and the width of the core.

The window's sigma is that of a Gaussian with the object's half-light radius as half width: the
position is then nearly as good as that of a fitted profile (SExtractor's XWIN_IMAGE,
ERRX2WIN_IMAGE).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.aperture_sums import OWN, is_taken, pixel

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


@njit(cache=True, nogil=True)
def _cut(image, bad, labels, label, x0, y0, stamp, taken):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Copy the pixels around an object; list those to be replaced. Returns how many they are."""
    ny, nx = image.shape
    n = 0
    for j in range(stamp.shape[0]):
        for i in range(stamp.shape[1]):
            x, y = x0 + i, y0 + j
            if x < 0 or x >= nx or y < 0 or y >= ny:
                stamp[j, i] = 0.0
            elif is_taken(image, bad, labels, label, x, y):
                stamp[j, i] = np.nan
                taken[n] = j * stamp.shape[1] + i
                n += 1
            else:
                stamp[j, i] = image[y, x]
    return n


@njit(cache=True, nogil=True)
def _replace(stamp, taken, x, y, value):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Give each pixel taken the value opposite (x, y), 0 if that is taken too."""
    height, width = stamp.shape
    n = len(value)
    for k in range(n):
        stamp[taken[k] // width, taken[k] % width] = np.nan
    for k in range(n):
        j, i = taken[k] // width, taken[k] % width
        oj, oi = int(np.floor(2.0 * y - j + 0.5)), int(np.floor(2.0 * x - i + 0.5))
        value[k] = 0.0
        if 0 <= oj < height and 0 <= oi < width and not np.isnan(stamp[oj, oi]):
            value[k] = stamp[oj, oi]
    for k in range(n):
        stamp[taken[k] // width, taken[k] % width] = value[k]


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
def _moments(stamp, x, y, reach, along_x, along_y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Light in the window, and its first moments about (x, y) of the stamp."""
    sx = sy = total = 0.0
    y0, y1 = int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1
    first = int(np.ceil(x - reach))
    for j in range(y0, y1):
        dy = j - y
        half = np.sqrt(max(reach * reach - dy * dy, 0.0))
        x0, x1 = int(np.ceil(x - half)), int(np.floor(x + half)) + 1
        light, moment = _row(stamp[j, x0:x1], along_x[x0 - first :], x0, x, x1 - x0)
        sx += moment * along_y[j - y0]
        sy += light * along_y[j - y0] * dy
        total += light * along_y[j - y0]
    return total, sx, sy


@njit(cache=True, nogil=True)
def position(image, variance, bad, labels, label, x, y, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """x, y, their variances and covariance; (x, y) and NaN where the window wanders off."""
    reach = max(2.0, REACH_SIGMA * sigma)
    far = max(1.0, sigma)
    margin = int(np.ceil(reach + far)) + 1
    left, low = int(np.floor(x)) - margin, int(np.floor(y)) - margin
    size = 2 * margin + 2
    stamp, taken = np.empty((size, size)), np.empty(size * size, np.int64)
    n_taken = _cut(image, bad, labels, label, left, low, stamp, taken)
    stand_in = np.empty(n_taken)
    along_x, along_y = np.empty(size), np.empty(size)
    xs, ys = x - left, y - low
    xw, yw = xs, ys
    total = 0.0
    for _ in range(MAX_STEPS):
        x0, x1 = int(np.ceil(xw - reach)), int(np.floor(xw + reach)) + 1
        y0, y1 = int(np.ceil(yw - reach)), int(np.floor(yw + reach)) + 1
        _gaussian(x0, x1 - x0, xw, sigma, along_x)
        _gaussian(y0, y1 - y0, yw, sigma, along_y)
        if n_taken > 0:
            _replace(stamp, taken, xw, yw, stand_in)
        total, sx, sy = _moments(stamp, xw, yw, reach, along_x, along_y)
        if total <= 0.0:
            return x, y, np.nan, np.nan, np.nan
        sx, sy = sx / total, sy / total
        xw += 2.0 * sx
        yw += 2.0 * sy
        if (xw - xs) ** 2 + (yw - ys) ** 2 > far * far:
            return x, y, np.nan, np.nan, np.nan
        if sx * sx + sy * sy < STILL_PX * STILL_PX:
            break
    xw, yw = xw + left, yw + low
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
