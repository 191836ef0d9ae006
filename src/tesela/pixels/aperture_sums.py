"""Sums over circles and ellipses of a stamp (see `stamps`), in the stamp's coordinates.

Circles take exact parts of the pixels they cut, or parts counted in sub-pixels as SExtractor does;
ellipses take the pixels whose centres they hold, as SExtractor's AUTO and PETRO do.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.stamps import OUTSIDE, REPLACED

_CORNER = 0.7072  # half the diagonal of a pixel


@njit(cache=True, nogil=True)
def _arc(dx, dy, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of the pixel inside a circle, of a pixel that no axis crosses: dx, dy >= 1/2."""
    x0, x1, y0, y1 = dx - 0.5, dx + 0.5, dy - 0.5, dy + 0.5
    r2 = r * r
    if x0 * x0 + y0 * y0 >= r2:
        return 0.0
    if x1 * x1 + y1 * y1 <= r2:
        return 1.0
    # Below `full` the circle is right of the pixel, above `end` it is left of it.
    full = np.sqrt(max(r2 - x1 * x1, 0.0))
    end = np.sqrt(max(r2 - x0 * x0, 0.0))
    low, high = min(max(full, y0), y1), min(max(end, y0), y1)
    c_low, c_high = np.sqrt(max(r2 - low * low, 0.0)), np.sqrt(max(r2 - high * high, 0.0))
    angle = np.arcsin(min(1.0, max(0.0, (high * c_low - low * c_high) / r2)))
    under = 0.5 * (high * c_high - low * c_low + r2 * angle)
    return (low - y0) + under - x0 * (high - low)


@njit(cache=True, nogil=True)
def _quadrant(x, y, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Area of [0, x] x [0, y] inside a circle of radius r at the origin, odd in x and y."""
    sign = 1.0
    if x < 0.0:
        x, sign = -x, -sign
    if y < 0.0:
        y, sign = -y, -sign
    x, y = min(x, r), min(y, r)
    if x * x + y * y <= r * r:
        return sign * x * y
    c = np.sqrt(r * r - y * y)
    upper = x * np.sqrt(max(r * r - x * x, 0.0)) + r * r * np.arcsin(min(1.0, x / r))
    lower = c * y + r * r * np.arcsin(min(1.0, c / r))
    return sign * (c * y + 0.5 * (upper - lower))


@njit(cache=True, nogil=True)
def circle_fraction(dx, dy, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of the unit pixel centred at (dx, dy) that lies inside a circle of radius r."""
    dx, dy = abs(dx), abs(dy)
    if dx >= 0.5 and dy >= 0.5:
        return _arc(dx, dy, r)
    x0, x1, y0, y1 = dx - 0.5, dx + 0.5, dy - 0.5, dy + 0.5
    return _quadrant(x1, y1, r) - _quadrant(x0, y1, r) - _quadrant(x1, y0, r) + _quadrant(x0, y0, r)


@njit(cache=True, nogil=True)
def _counted_fraction(dx, dy, r, subpixels):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The same by the centres of subpixels x subpixels parts."""
    inside = 0
    first = 0.5 / subpixels - 0.5
    for sy in range(subpixels):
        v = dy + first + sy / subpixels
        for sx in range(subpixels):
            u = dx + first + sx / subpixels
            inside += u * u + v * v < r * r
    return inside / (subpixels * subpixels)


@njit(cache=True, nogil=True)
def circles(value, var, x, y, radii, subpixels, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux and its error in circles of ascending radii, (n, 2): one pass over the largest."""
    n = len(radii)
    sums[:, :] = 0.0
    if n == 0:
        return
    r = radii[n - 1]
    for j in range(int(np.floor(y - r + 0.5)), int(np.ceil(y + r + 0.5))):
        dy = j - y
        for i in range(int(np.floor(x - r + 0.5)), int(np.ceil(x + r + 0.5))):
            dx = i - x
            distance = np.sqrt(dx * dx + dy * dy)
            for k in range(n - 1, -1, -1):
                if distance > radii[k] + _CORNER:
                    break
                if distance < radii[k] - _CORNER:
                    # Inside this circle and all larger ones that are left: counted below.
                    continue
                if subpixels > 0:
                    fraction = _counted_fraction(dx, dy, radii[k], subpixels)
                else:
                    fraction = circle_fraction(dx, dy, radii[k])
                sums[k, 0] += fraction * value[j, i]
                sums[k, 1] += fraction * fraction * var[j, i]
    _add_whole(value, var, x, y, radii, sums)


@njit(cache=True, nogil=True)
def _add_whole(value, var, x, y, radii, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add the pixels that lie wholly inside, then take the root of the variances."""
    n = len(radii)
    light, power = np.zeros(n), np.zeros(n)
    r = radii[n - 1]
    for j in range(int(np.floor(y - r + 0.5)), int(np.ceil(y + r + 0.5))):
        for i in range(int(np.floor(x - r + 0.5)), int(np.ceil(x + r + 0.5))):
            distance = np.sqrt((i - x) ** 2 + (j - y) ** 2)
            k = 0
            while k < n and not distance < radii[k] - _CORNER:
                k += 1
            if k < n:
                light[k] += value[j, i]
                power[k] += var[j, i]
    for k in range(n):
        if k > 0:
            light[k] += light[k - 1]
            power[k] += power[k - 1]
        sums[k, 0] += light[k]
        sums[k, 1] = np.sqrt(sums[k, 1] + power[k])


@njit(cache=True, nogil=True)
def ellipse_form(a, b, theta):  # type: ignore[no-untyped-def]  # pragma: no cover
    """cxx, cyy, cxy of the ellipse with these axes, a, and how far it reaches in y."""
    b = max(b, 0.05 * a)
    c, s = np.cos(theta), np.sin(theta)
    cxx = (c / a) ** 2 + (s / b) ** 2
    cyy = (s / a) ** 2 + (c / b) ** 2
    cxy = 2.0 * c * s * (1.0 / (a * a) - 1.0 / (b * b))
    return cxx, cyy, cxy, a, np.sqrt((a * s) ** 2 + (b * c) ** 2)


@njit(cache=True, nogil=True)
def ellipse_rows(y, form, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """First row whose centre an ellipse of k isophotal radii reaches, and that after the last."""
    return int(np.ceil(y - k * form[4])), int(np.floor(y + k * form[4])) + 1


@njit(cache=True, nogil=True)
def ellipse_span(x, dy, form, k2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """First column whose centre the ellipse holds in a row, and that after the last."""
    cxx, cyy, cxy = form[0], form[1], form[2]
    half = 0.5 * cxy * dy
    inside = half * half - cxx * (cyy * dy * dy - k2)
    if inside < 0.0:
        return 0, 0
    root = np.sqrt(inside)
    return int(np.ceil(x + (-half - root) / cxx)), int(np.floor(x + (root - half) / cxx)) + 1


@njit(cache=True, nogil=True)
def ellipse(value, var, state, x, y, form, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux, error, fraction replaced and fraction outside of an ellipse of k isophotal radii."""
    flux = power = 0.0
    area = replaced = outside = 0
    first, last = ellipse_rows(y, form, k)
    for j in range(first, last):
        start, stop = ellipse_span(x, j - y, form, k * k)
        area += stop - start
        for i in range(start, stop):
            flux += value[j, i]
            power += var[j, i]
            replaced += state[j, i] == REPLACED
            outside += state[j, i] == OUTSIDE
    whole = max(area, 1)
    return flux, np.sqrt(power), replaced / whole, outside / whole


@njit(cache=True, nogil=True)
def ellipse_fraction(dx, dy, cxx, cyy, cxy, k2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of a pixel inside cxx dx^2 + cyy dy^2 + cxy dx dy <= k2, by 5 x 5 sub-pixels."""
    inside = 0
    for sy in range(-2, 3):
        for sx in range(-2, 3):
            u, v = dx + 0.2 * sx, dy + 0.2 * sy
            if cxx * u * u + cyy * v * v + cxy * u * v <= k2:
                inside += 1
    return inside / 25.0
