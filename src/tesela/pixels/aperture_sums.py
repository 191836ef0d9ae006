"""Sums over circles and ellipses around one object, without its neighbours and bad pixels.

A bad pixel, and one that belongs to a neighbour, is replaced by the pixel opposite the centre
(SExtractor's MASK_TYPE CORRECT): right for symmetrical objects, and it costs no model. Circles take
exact parts of the pixels they cut, ellipses the pixels whose centres they hold, as SExtractor's
AUTO and PETRO do.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OWN, REPLACED, OUTSIDE = 0, 1, 2


@njit(cache=True, nogil=True)
def is_taken(image, bad, labels, label, x, y):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a pixel of the image is of no use for this object. Planes of one row say nothing."""
    value = image[y, x]
    if value - value != 0.0 or (bad.shape[0] > 1 and bad[y, x]):
        return True
    return labels.shape[0] > 1 and labels[y, x] != 0 and labels[y, x] != label


@njit(cache=True, nogil=True)
def pixel(image, variance, bad, labels, label, x, y, xc, yc):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Value, variance and state (own, replaced, outside) of a pixel for one object."""
    ny, nx = image.shape
    if x < 0 or x >= nx or y < 0 or y >= ny:
        return 0.0, 0.0, OUTSIDE
    if not is_taken(image, bad, labels, label, x, y):
        return image[y, x], variance[y, x], OWN
    ox, oy = int(np.floor(2.0 * xc - x + 0.5)), int(np.floor(2.0 * yc - y + 0.5))
    if ox < 0 or ox >= nx or oy < 0 or oy >= ny or is_taken(image, bad, labels, label, ox, oy):
        return 0.0, 0.0, REPLACED
    # Its value is used twice: (2 f)^2 v in all, of which f^2 v is already counted.
    return image[oy, ox], 3.0 * variance[oy, ox], REPLACED


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
def circle_fraction(dx, dy, d2, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of the unit pixel centred at (dx, dy), d2 from the centre squared, inside a circle."""
    if d2 > (r + 0.7072) ** 2:
        return 0.0
    if r > 0.7072 and d2 < (r - 0.7072) ** 2:
        return 1.0
    x0, x1, y0, y1 = dx - 0.5, dx + 0.5, dy - 0.5, dy + 0.5
    return _quadrant(x1, y1, r) - _quadrant(x0, y1, r) - _quadrant(x1, y0, r) + _quadrant(x0, y0, r)


@njit(cache=True, nogil=True)
def circles(image, variance, bad, labels, label, x, y, radii, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux and its error in circles of ascending radii: one pass over the largest. Fills sums."""
    n = len(radii)
    sums[:, :] = 0.0
    if n == 0:
        return
    r = radii[n - 1]
    for j in range(int(np.floor(y - r + 0.5)), int(np.ceil(y + r + 0.5))):
        for i in range(int(np.floor(x - r + 0.5)), int(np.ceil(x + r + 0.5))):
            dx, dy = i - x, j - y
            d2 = dx * dx + dy * dy
            if d2 > (r + 0.7072) ** 2:
                continue
            value, var, _ = pixel(image, variance, bad, labels, label, i, j, x, y)
            for k in range(n - 1, -1, -1):
                fraction = circle_fraction(dx, dy, d2, radii[k])
                if fraction == 0.0:
                    break
                sums[k, 0] += fraction * value
                sums[k, 1] += fraction * fraction * var
    for k in range(n):
        sums[k, 1] = np.sqrt(sums[k, 1])


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
def ellipse(image, variance, bad, labels, label, x, y, form, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux, error, fraction replaced and fraction outside of an ellipse of k isophotal radii."""
    flux = power = 0.0
    area = replaced = outside = 0
    first, last = ellipse_rows(y, form, k)
    for j in range(first, last):
        start, stop = ellipse_span(x, j - y, form, k * k)
        for i in range(start, stop):
            value, var, state = pixel(image, variance, bad, labels, label, i, j, x, y)
            flux += value
            power += var
            area += 1
            replaced += state == REPLACED
            outside += state == OUTSIDE
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
