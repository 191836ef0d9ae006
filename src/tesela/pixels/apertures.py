"""Photometry in apertures: windowed positions, Kron (AUTO), circles, radii and widths.

Definitions follow SExtractor (Bertin & Arnouts 1996, A&AS 117, 393): the Kron radius is the
flux-weighted mean elliptical radius inside six isophotal radii, AUTO is the ellipse of
``max(2.5 kron, 3.5)`` isophotal radii. Pixels of a neighbour, and bad ones, are replaced by the
pixel opposite the centre, which is right for symmetrical objects and costs no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

KRON_FACTOR = 2.5
KRON_MINIMUM = 3.5  # isophotal radii
KRON_WINDOW = 6.0  # isophotal radii within which the Kron radius is measured
FLAG_NEIGHBOUR = 1
FLAG_APERTURE_INCOMPLETE = 16
AFFECTED_FRACTION = 0.1  # of the AUTO area, from which flag 1 is set

_SCALARS = (
    "x_win",
    "y_win",
    "flux_auto",
    "flux_auto_err",
    "kron_radius",
    "flux_radius",
    "fwhm_px",
)


def measure(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    segmentation: NDArray[np.int32] | None,
    objects: Mapping[str, NDArray[Any]],
    *,
    diameters_px: Sequence[float],
) -> dict[str, NDArray[Any]]:
    """Measure detected objects.

    Parameters
    ----------
    image : (ny, nx) float32
        Sky subtracted, electrons or electrons per second (any linear unit). NaN counts as bad.
    variance : (ny, nx) float32
        Variance of every pixel with the objects' own photon noise, units of the image squared.
    mask : (ny, nx) bool or None
        True = bad; replaced by the opposite pixel, or by 0 if that one is no better.
    segmentation : (ny, nx) int32 or None
        Label k + 1 marks object k; None measures without knowledge of neighbours.
    objects : mapping
        At least x, y, a, b, theta as from `detect.extract`; flags if present are carried on.
    diameters_px : sequence of float
        Diameters of the circular apertures.

    Returns
    -------
    dict of arrays
        x_win, y_win (float64; Gaussian-windowed position), flux_auto, flux_auto_err, kron_radius
        (isophotal radii), flux_radius (px, half of AUTO inside), fwhm_px (core), elongation (a/b),
        ellipticity (1 - b/a), flux_aper, flux_aper_err (n, n_apertures), flags (int16; adds 1:
        neighbour or bad pixels over 10 % of AUTO, 16: AUTO leaves the image).

    Notes
    -----
    Errors are ``sqrt(sum f**2 v)`` with f the fraction of the pixel inside; a pixel that stands
    in for its opposite counts twice. Circles use exact overlaps, ellipses 5 x 5 sub-pixels.
    """
    n = len(objects["x"])
    shape = np.stack(
        [np.asarray(objects[name], np.float64) for name in ("x", "y", "a", "b", "theta")], axis=1
    ).reshape(n, 5)
    bad = ~np.isfinite(image)
    if mask is not None:
        bad |= np.asarray(mask, bool)
    labels = np.zeros((1, 1), np.int32) if segmentation is None else segmentation
    scalars = np.full((n, len(_SCALARS)), np.nan)
    radii = 0.5 * np.asarray(diameters_px, np.float64)
    circles = np.full((n, len(radii), 2), np.nan)
    new_flags = np.zeros(n, np.int16)
    _measure_all(
        np.ascontiguousarray(image, np.float32),
        np.ascontiguousarray(variance, np.float32),
        bad,
        np.ascontiguousarray(labels, np.int32),
        shape,
        radii,
        scalars,
        circles,
        new_flags,
    )
    a, b = shape[:, 2], np.maximum(shape[:, 3], 1e-6)
    columns: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(scalars[:, k]) for k, name in enumerate(_SCALARS)
    }
    columns["elongation"] = a / b
    columns["ellipticity"] = 1.0 - b / np.maximum(a, 1e-6)
    columns["flux_aper"] = np.ascontiguousarray(circles[:, :, 0])
    columns["flux_aper_err"] = np.ascontiguousarray(circles[:, :, 1])
    columns["flags"] = np.asarray(objects.get("flags", new_flags), np.int16) | new_flags
    return columns


@njit(cache=True)
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


@njit(cache=True)
def _circle_fraction(dx, dy, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of the unit pixel centred at (dx, dy) that lies inside a circle of radius r."""
    d2 = dx * dx + dy * dy
    if d2 > (r + 0.7072) ** 2:
        return 0.0
    if r > 0.7072 and d2 < (r - 0.7072) ** 2:
        return 1.0
    x0, x1, y0, y1 = dx - 0.5, dx + 0.5, dy - 0.5, dy + 0.5
    return _quadrant(x1, y1, r) - _quadrant(x0, y1, r) - _quadrant(x1, y0, r) + _quadrant(x0, y0, r)


@njit(cache=True)
def pixel(image, variance, bad, labels, label, x, y, xc, yc):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Value, variance and state (0 own, 1 replaced, 2 outside) of a pixel for one object."""
    ny, nx = image.shape
    if x < 0 or x >= nx or y < 0 or y >= ny:
        return 0.0, 0.0, 2
    seg = labels.shape[0] > 1
    if not bad[y, x] and not (seg and labels[y, x] != 0 and labels[y, x] != label):
        return image[y, x], variance[y, x], 0
    ox, oy = int(np.round(2.0 * xc - x)), int(np.round(2.0 * yc - y))
    if ox < 0 or ox >= nx or oy < 0 or oy >= ny or bad[oy, ox]:
        return 0.0, 0.0, 1
    if seg and labels[oy, ox] != 0 and labels[oy, ox] != label:
        return 0.0, 0.0, 1
    # Its value is used twice: (2 f)^2 v in all, of which f^2 v is already counted.
    return image[oy, ox], 3.0 * variance[oy, ox], 1


@njit(cache=True)
def circle(image, variance, bad, labels, label, x, y, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    flux = power = 0.0
    for j in range(int(np.floor(y - r + 0.5)), int(np.ceil(y + r + 0.5))):
        for i in range(int(np.floor(x - r + 0.5)), int(np.ceil(x + r + 0.5))):
            fraction = _circle_fraction(i - x, j - y, r)
            if fraction > 0.0:
                value, var, _ = pixel(image, variance, bad, labels, label, i, j, x, y)
                flux += fraction * value
                power += fraction * fraction * var
    return flux, np.sqrt(power)


@njit(cache=True)
def ellipse_form(a, b, theta):  # type: ignore[no-untyped-def]  # pragma: no cover
    """cxx, cyy, cxy of the ellipse with these axes, and a."""
    b = max(b, 0.05 * a)
    c, s = np.cos(theta), np.sin(theta)
    cxx = (c / a) ** 2 + (s / b) ** 2
    cyy = (s / a) ** 2 + (c / b) ** 2
    return cxx, cyy, 2.0 * c * s * (1.0 / (a * a) - 1.0 / (b * b)), a


@njit(cache=True)
def ellipse_fraction(dx, dy, cxx, cyy, cxy, k2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Part of a pixel inside cxx dx^2 + cyy dy^2 + cxy dx dy <= k2, by 5 x 5 sub-pixels."""
    inside = 0
    for sy in range(-2, 3):
        for sx in range(-2, 3):
            u, v = dx + 0.2 * sx, dy + 0.2 * sy
            if cxx * u * u + cyy * v * v + cxy * u * v <= k2:
                inside += 1
    return inside / 25.0


@njit(cache=True)
def _kron_radius(image, variance, bad, labels, label, x, y, form):  # type: ignore[no-untyped-def]  # pragma: no cover
    cxx, cyy, cxy, a = form
    reach = int(KRON_WINDOW * a) + 1
    weighted = total = 0.0
    for j in range(int(y) - reach, int(y) + reach + 2):
        for i in range(int(x) - reach, int(x) + reach + 2):
            dx, dy = i - x, j - y
            r2 = cxx * dx * dx + cyy * dy * dy + cxy * dx * dy
            if r2 <= KRON_WINDOW * KRON_WINDOW:
                value, _, _ = pixel(image, variance, bad, labels, label, i, j, x, y)
                weighted += np.sqrt(r2) * value
                total += value
    if total <= 0.0 or weighted <= 0.0:
        return np.nan
    return weighted / total


@njit(cache=True)
def _windowed(image, variance, bad, labels, label, x, y, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Gaussian-windowed centroid; falls back to the start if it wanders."""
    xw, yw = x, y
    reach = max(2.0, 4.0 * sigma)
    for _ in range(16):
        sx = sy = total = 0.0
        for j in range(int(np.floor(yw - reach)), int(np.ceil(yw + reach)) + 1):
            for i in range(int(np.floor(xw - reach)), int(np.ceil(xw + reach)) + 1):
                dx, dy = i - xw, j - yw
                r2 = dx * dx + dy * dy
                if r2 < reach * reach:
                    value, _, _ = pixel(image, variance, bad, labels, label, i, j, xw, yw)
                    value *= np.exp(-0.5 * r2 / (sigma * sigma))
                    sx += value * dx
                    sy += value * dy
                    total += value
        if total <= 0.0:
            return x, y
        step_x, step_y = 2.0 * sx / total, 2.0 * sy / total
        xw += step_x
        yw += step_y
        if (xw - x) ** 2 + (yw - y) ** 2 > max(1.0, sigma * sigma):
            return x, y
        if step_x * step_x + step_y * step_y < 1e-8:
            break
    return xw, yw


@njit(cache=True)
def _half_radius(profile, step, flux):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radius at which the growth curve first passes half of `flux`."""
    if flux <= 0.0:
        return np.nan
    below = 0.0
    for k in range(len(profile)):
        if below + profile[k] >= 0.5 * flux:
            return step * (k + (0.5 * flux - below) / profile[k])
        below += profile[k]
    return np.nan


@njit(cache=True)
def _core_width(image, variance, bad, labels, label, x, y, r_half):  # type: ignore[no-untyped-def]  # pragma: no cover
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
                if state == 0 and value > 0.4 * peak:
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


@njit(cache=True)
def _auto(image, variance, bad, labels, label, x, y, form, k2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux, error, fraction replaced, fraction outside, growth curve inside an ellipse."""
    cxx, cyy, cxy, a = form
    k = np.sqrt(k2)
    reach = k * a + 1.0
    step = 0.1
    profile = np.zeros(int((reach + 1.5) / step) + 2)
    flux = power = area = replaced = outside = 0.0
    for j in range(int(np.floor(y - reach)), int(np.ceil(y + reach)) + 1):
        for i in range(int(np.floor(x - reach)), int(np.ceil(x + reach)) + 1):
            dx, dy = i - x, j - y
            r2 = dx * dx + dy * dy
            if r2 > reach * reach:
                continue
            fraction = ellipse_fraction(dx, dy, cxx, cyy, cxy, k2)
            if fraction == 0.0:
                continue
            value, var, state = pixel(image, variance, bad, labels, label, i, j, x, y)
            flux += fraction * value
            power += fraction * fraction * var
            area += fraction
            replaced += fraction * (state == 1)
            outside += fraction * (state == 2)
            # A pixel near the centre spans several bins of the growth curve: spread it.
            half = 2 if r2 < 100.0 else 1
            share = fraction * value / (2 * half + 1) ** 2
            for sy in range(-half, half + 1):
                for sx in range(-half, half + 1):
                    u, v = dx + sx / (2.0 * half + 1.0), dy + sy / (2.0 * half + 1.0)
                    profile[min(int(np.sqrt(u * u + v * v) / step), len(profile) - 1)] += share
    return flux, np.sqrt(power), replaced / area, outside / area, _half_radius(profile, step, flux)


@njit(cache=True)
def _measure_all(image, variance, bad, labels, shape, radii, scalars, circles, flags):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(shape.shape[0]):
        x, y, a, b, theta = shape[k]
        if not (np.isfinite(x) and np.isfinite(y) and a > 0.0):
            continue
        form = ellipse_form(a, b, theta)
        label = k + 1
        kron = _kron_radius(image, variance, bad, labels, label, x, y, form)
        factor = KRON_MINIMUM
        if np.isfinite(kron):
            factor = max(KRON_MINIMUM, KRON_FACTOR * min(kron, KRON_WINDOW))
        flux, err, replaced, outside, r_half = _auto(
            image, variance, bad, labels, label, x, y, form, factor * factor
        )
        width = 2.0 * r_half
        x_win, y_win = x, y
        if np.isfinite(r_half):
            sigma = max(0.5, 2.0 * r_half / 2.35482)
            x_win, y_win = _windowed(image, variance, bad, labels, label, x, y, sigma)
            width = _core_width(image, variance, bad, labels, label, x_win, y_win, r_half)
        scalars[k] = np.array((x_win, y_win, flux, err, kron, r_half, width))
        for m in range(len(radii)):
            circles[k, m, 0], circles[k, m, 1] = circle(
                image, variance, bad, labels, label, x, y, radii[m]
            )
        if replaced > AFFECTED_FRACTION:
            flags[k] |= FLAG_NEIGHBOUR
        if outside > 0.0:
            flags[k] |= FLAG_APERTURE_INCOMPLETE
