"""Positions, shapes and fluxes of sets of pixels above an isophote.

Moments are weighted with the filtered image, fluxes and areas are of the unfiltered one, as in
Bertin & Arnouts 1996 (A&AS 117, 393).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

OBJECT: Final = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("xx", np.float64),
        ("yy", np.float64),
        ("xy", np.float64),
        ("a", np.float64),
        ("b", np.float64),
        ("theta", np.float64),
        ("cxx", np.float64),
        ("cyy", np.float64),
        ("cxy", np.float64),
        ("correction", np.float64),  # of the area a b for what is below the isophote
        ("flux", np.float64),
        ("filtered_flux", np.float64),
        ("peak", np.float64),
        ("filtered_peak", np.float64),
        ("margin", np.float64),  # of the min_area-th brightest pixel above the threshold
        ("threshold", np.float64),
        ("n_pixels", np.int64),
        ("n_raw", np.int64),  # of them also above the threshold before filtering
        ("xmin", np.int64),
        ("xmax", np.int64),
        ("ymin", np.int64),
        ("ymax", np.int64),
        ("blended", np.bool_),
    ],
    align=True,
)
_FLAT = 0.00694  # determinant of moments below which pixels lie in one line
_PIXEL = 1.0 / 12.0


@njit(cache=True, nogil=True)
def measure_parts(c, owner, parts, thresholds, min_area, cores):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One record of `OBJECT` for each part; owner tells each pixel's part, or -1.

    c is (x, y, filtered, raw, map, threshold) of a component. Parts that have cores (records, or
    none of them) are placed where these are.
    """
    x, y, light, raw = c[0], c[1], c[2], c[3]
    found = np.zeros(parts, OBJECT)
    brightest = np.full((parts, min_area), -np.inf)
    for k in range(parts):
        found[k].peak = found[k].filtered_peak = -np.inf
        found[k].xmin = found[k].ymin = 1 << 40
        found[k].xmax = found[k].ymax = -1
        found[k].threshold = thresholds[k]
    for p in range(len(x)):
        k = owner[p]
        if k < 0:
            continue
        o = found[k]
        v, px, py = np.float64(light[p]), np.float64(x[p]), np.float64(y[p])
        o.n_pixels += 1
        o.filtered_flux += v
        o.flux += raw[p]
        o.n_raw += raw[p] > thresholds[k]
        o.peak = max(o.peak, np.float64(raw[p]))
        o.filtered_peak = max(o.filtered_peak, v)
        o.x += v * px
        o.y += v * py
        o.xx += v * px * px
        o.yy += v * py * py
        o.xy += v * px * py
        o.xmin, o.xmax = min(o.xmin, np.int64(x[p])), max(o.xmax, np.int64(x[p]))
        o.ymin, o.ymax = min(o.ymin, np.int64(y[p])), max(o.ymax, np.int64(y[p]))
        _insert(brightest[k], v - thresholds[k])
    for k in range(parts):
        _centre(found[k])
        if len(cores) > 0:
            _keep_centre(found[k], cores[k])
        _set_shape(found[k])
        found[k].margin = max(brightest[k, 0], 0.0)
    _correct(c, owner, found)
    return found


@njit(cache=True, nogil=True)
def _insert(sorted_values, value):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Keep the largest values seen, in ascending order."""
    if value <= sorted_values[0]:
        return
    k = 0
    while k + 1 < len(sorted_values) and sorted_values[k + 1] < value:
        sorted_values[k] = sorted_values[k + 1]
        k += 1
    sorted_values[k] = value


@njit(cache=True, nogil=True)
def _centre(o):  # type: ignore[no-untyped-def]  # pragma: no cover
    """From sums to moments about the barycentre."""
    total = o.filtered_flux
    if o.n_pixels == 0 or not total > 0.0:
        o.x, o.y = 0.5 * (o.xmin + o.xmax), 0.5 * (o.ymin + o.ymax)
        o.xx = o.yy = o.xy = 0.0
    else:
        o.x, o.y = o.x / total, o.y / total
        o.xx = o.xx / total - o.x * o.x
        o.yy = o.yy / total - o.y * o.y
        o.xy = o.xy / total - o.x * o.y


@njit(cache=True, nogil=True)
def _keep_centre(o, core):  # type: ignore[no-untyped-def]  # pragma: no cover
    """An object that was divided stays where its core is; its moments are about there."""
    dx, dy = core.x - o.x, core.y - o.y
    o.x, o.y = core.x, core.y
    o.xx += dx * dx
    o.yy += dy * dy
    o.xy += dx * dy
    o.blended = True


@njit(cache=True, nogil=True)
def _set_shape(o):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Axes and ellipse of the second moments."""
    det = o.xx * o.yy - o.xy * o.xy
    if det < _FLAT:
        o.xx += _PIXEL
        o.yy += _PIXEL
        det = o.xx * o.yy - o.xy * o.xy
    middle, difference = 0.5 * (o.xx + o.yy), o.xx - o.yy
    half = np.sqrt(0.25 * difference * difference + o.xy * o.xy)
    o.theta = 0.25 * np.pi
    if difference != 0.0:
        o.theta = 0.5 * np.arctan2(2.0 * o.xy, difference)
    o.a, o.b = np.sqrt(middle + half), np.sqrt(max(middle - half, 0.0))
    o.cxx, o.cyy, o.cxy = o.yy / det, o.xx / det, -2.0 * o.xy / det


@njit(cache=True, nogil=True)
def _correct(c, owner, found):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Compare the area between isophote and half height with that of a Gaussian."""
    raw = c[3]
    above = np.zeros(len(found), np.int64)
    for p in range(len(raw)):
        k = owner[p]
        if k >= 0 and raw[p] > 0.5 * (found[k].threshold + found[k].peak):
            above[k] += 1
    for k in range(len(found)):
        o = found[k]
        o.correction = 1.0
        middle = 0.5 * (o.threshold + o.peak)
        if middle > 0.0:
            ratio = o.threshold / middle
            lost = above[k] - o.n_raw
            if lost >= 0:
                lost = -1
            ratio = min(ratio, 0.99)
            o.correction = min(1.0, lost / (2.0 * np.pi * np.log(ratio) * o.a * o.b))
