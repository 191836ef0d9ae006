"""Photometry of detected objects: AUTO, PETRO, isophotal, circles, positions, radii and widths.

Definitions follow SExtractor (Bertin & Arnouts 1996, A&AS 117, 393): the Kron radius is the
flux-weighted mean elliptical radius inside six isophotal radii, AUTO is the ellipse of
``max(2.5 kron, 3.5)`` isophotal radii, PETRO that of ``max(2 petro, 3.5)``, where the surface
brightness at the Petrosian radius is a fifth of the mean inside it. Pixels of a neighbour, and bad
ones, are replaced by the pixel opposite the centre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.aperture_sums import circles, ellipse, ellipse_form
from tesela.pixels.profiles import N_GROWTH, N_PROFILE, WINDOW, growth, kron_and_petro, radius_of
from tesela.pixels.stamps import LARGEST_PX, cut
from tesela.pixels.windowed import (
    PIXEL_VARIANCE,
    core_width,
    position,
    window_reach,
    window_sigma,
)

KRON_FACTOR: Final = 2.5
KRON_MINIMUM: Final = 3.5  # isophotal radii
KRON_WINDOW: Final = WINDOW
PETRO_FACTOR: Final = 2.0
PETRO_MINIMUM: Final = 3.5  # isophotal radii
FLAG_NEIGHBOUR: Final = 1
FLAG_APERTURE_INCOMPLETE: Final = 16
AFFECTED_FRACTION: Final = 0.1  # of the AUTO area, from which flag 1 is set
FRACTIONS: Final = (0.2, 0.5, 0.8)

_OBJECTS_A_TASK = 256
_SCALARS = (
    "flux_auto",
    "flux_auto_err",
    "kron_radius",
    "flux_petro",
    "flux_petro_err",
    "petro_radius",
    "flux_radius",
    "fwhm_px",
    "x_win",
    "y_win",
    "x_win_var",
    "y_win_var",
    "xy_win_cov",
    "flux_iso_err",
    "x_var",
    "y_var",
    "xy_cov",
)
_SHAPE = ("x", "y", "a", "b", "theta")
_BOX = ("xmin", "xmax", "ymin", "ymax")


def measure(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    segmentation: NDArray[np.int32] | None,
    objects: Mapping[str, NDArray[Any]],
    *,
    diameters_px: Sequence[float],
    fractions: Sequence[float] = FRACTIONS,
    subpixels: int = 0,
    threads: int = 1,
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
        Label k + 1 marks object k; None measures without knowledge of neighbours, and without
        isophotal errors.
    objects : mapping
        At least x, y, a, b, theta as from `detect.extract`; xmin, xmax, ymin, ymax and
        flux_filtered for isophotal errors; flags if present are carried on.
    diameters_px : sequence of float
        Diameters of the circular apertures.
    fractions : sequence of float
        Parts of AUTO for which `flux_radii` gives the radius.
    subpixels : int
        0 for exact parts of the pixels that a circle cuts; SExtractor counts in 5 x 5 parts, which
        leaves some 1 % of a small circle to chance.
    threads : int
        Objects are shared out among so many threads; the result does not depend on it.

    Returns
    -------
    dict of (n,) arrays, float64 unless said otherwise
        flux_auto, flux_auto_err, kron_radius (isophotal radii); flux_petro, flux_petro_err,
        petro_radius (isophotal radii); flux_iso_err, of the sum over the object's own pixels;
        flux_aper, flux_aper_err (n, n_apertures); flux_radius (px, half of AUTO inside),
        flux_radii (n, n_fractions); fwhm_px (core); elongation (a/b), ellipticity (1 - b/a);
        x_win, y_win (px, in a Gaussian window), x_win_err, y_win_err (px, from the noise of the
        pixels; isophotal where the window wandered off) and the axes err_a_win, err_b_win (px) and
        orientation err_theta_win (radians) of their error ellipse; x_iso_err, y_iso_err (px);
        flags (int16; adds 1: neighbour or bad pixels over 10 % of AUTO, 16: AUTO, PETRO or
        a circle leaves the image or would reach farther than `stamps.LARGEST_PX`).

    Notes
    -----
    Errors are ``sqrt(sum f**2 v)`` with f the fraction of the pixel inside; a pixel that stands in
    for its opposite counts twice. Circles use exact overlaps; ellipses the pixels whose centres
    they hold. Memory: nothing of the image's size, up to 270 MB a thread
    for an object that fills it.
    """
    n = len(objects["x"])
    shape = np.stack([np.asarray(objects[name], np.float64) for name in _SHAPE], axis=1)
    radii, place = np.unique(0.5 * np.asarray(diameters_px, np.float64), return_inverse=True)
    scalars = np.full((n, len(_SCALARS)), np.nan)
    sums = np.full((n, len(radii), 2), np.nan)
    partial = np.full((n, len(fractions)), np.nan)
    new_flags = np.zeros(n, np.int16)
    planes = _planes(image, variance, mask, segmentation)
    filtered = np.asarray(objects.get("flux_filtered", np.full(n, np.nan)), np.float64)
    given = (shape, _boxes(objects, segmentation is not None, n), filtered, radii, subpixels)
    wanted = np.asarray(fractions, np.float64)

    def part(first: int) -> None:
        last = min(first + _OBJECTS_A_TASK, n)
        _measure_some(planes, given, wanted, first, last, scalars, sums, partial, new_flags)

    starts = range(0, n, _OBJECTS_A_TASK)
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, starts))
    else:
        for first in starts:
            part(first)
    columns = _columns(scalars, shape)
    columns["flux_aper"] = np.ascontiguousarray(sums[:, place, 0])
    columns["flux_aper_err"] = np.ascontiguousarray(sums[:, place, 1])
    columns["flux_radii"] = partial
    columns["flags"] = np.asarray(objects.get("flags", new_flags), np.int16) | new_flags
    return columns


def _planes(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    segmentation: NDArray[np.int32] | None,
) -> tuple[NDArray[Any], ...]:
    """What the compiled loops take, always of the same types; one pixel stands for no plane."""
    bad = np.zeros((1, 1), bool) if mask is None else mask
    labels = np.zeros((1, 1), np.int32) if segmentation is None else segmentation
    return (
        np.ascontiguousarray(image, np.float32),
        np.ascontiguousarray(variance, np.float32),
        np.ascontiguousarray(bad, bool),
        np.ascontiguousarray(labels, np.int32),
    )


def _boxes(objects: Mapping[str, NDArray[Any]], known: bool, n: int) -> NDArray[np.int64]:
    """Where each object's own pixels are: (n, 4); (0, 0) by nothing where that is not known."""
    if not known or any(name not in objects for name in _BOX):
        return np.tile(np.array([0, -1, 0, -1], np.int64), (n, 1))
    return np.stack([np.asarray(objects[name], np.int64) for name in _BOX], axis=1)


def _columns(scalars: NDArray[np.float64], shape: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The published columns of the measured rows."""
    table: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(scalars[:, k]) for k, name in enumerate(_SCALARS)
    }
    xx, yy, xy = (table.pop(name) for name in ("x_win_var", "y_win_var", "xy_win_cov"))
    x_iso, y_iso, xy_iso = (table.pop(name) for name in ("x_var", "y_var", "xy_cov"))
    lost = np.isnan(xx)
    xx, yy, xy = (np.where(lost, iso, win) for iso, win in ((x_iso, xx), (y_iso, yy), (xy_iso, xy)))
    table["x_iso_err"], table["y_iso_err"] = np.sqrt(x_iso), np.sqrt(y_iso)
    table["x_win_err"], table["y_win_err"] = np.sqrt(xx), np.sqrt(yy)
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    table["err_a_win"] = np.sqrt(middle + half)
    table["err_b_win"] = np.sqrt(np.maximum(middle - half, 0.0))
    table["err_theta_win"] = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    a, b = shape[:, 2], np.maximum(shape[:, 3], 1e-6)
    table["elongation"] = a / b
    table["ellipticity"] = 1.0 - b / np.maximum(a, 1e-6)
    return table


@njit(cache=True, nogil=True)
def _isophotal(variance, labels, label, x, y, box, flux):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Error of the flux, and variances and covariance of the position, of an object's pixels.

    `flux` is what the barycentre was divided by: of the filtered pixels.
    """
    power = xx = yy = xy = 0.0
    for j in range(box[2], box[3] + 1):
        for i in range(box[0], box[1] + 1):
            if labels[j, i] == label:
                dx, dy, var = i - x, j - y, variance[j, i]
                power += var
                xx += var * dx * dx
                yy += var * dy * dy
                xy += var * dx * dy
    if not flux > 0.0:
        return np.sqrt(power), np.nan, np.nan, np.nan
    if xx * yy - xy * xy < (PIXEL_VARIANCE * power) ** 2:
        # Pixels in one line know nothing of the position across it but that it is theirs.
        xx += PIXEL_VARIANCE * power
        yy += PIXEL_VARIANCE * power
    total = flux * flux
    return np.sqrt(power), xx / total, yy / total, xy / total


@njit(cache=True, nogil=True)
def _leaves(image, x, y, r):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a circle reaches beyond the image."""
    ny, nx = image.shape
    return x - r < -0.5 or y - r < -0.5 or x + r > nx - 0.5 or y + r > ny - 0.5


@njit(cache=True, nogil=True)
def _reach(radius, factor, minimum):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Isophotal radii an ellipse reaches; the minimum where its radius is not known."""
    if np.isnan(radius):
        return minimum
    return max(minimum, factor * min(radius, WINDOW))


@njit(cache=True, nogil=True)
def _measure_some(planes, given, fractions, first, last, scalars, sums, partial, flags):  # type: ignore[no-untyped-def]  # pragma: no cover
    image, variance, bad, labels = planes
    shape, boxes, filtered, radii, subpixels = given
    curve = np.empty(N_GROWTH)
    light, count = np.empty(N_PROFILE), np.empty(N_PROFILE, np.int64)
    largest = radii[len(radii) - 1] if len(radii) > 0 else 0.0
    most = fractions.max() if len(fractions) > 0 else 0.0
    for n in range(first, last):
        x, y, a, b, theta = shape[n]
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(a) and a > 0.0):
            continue
        row, label = scalars[n], n + 1
        form = ellipse_form(a, b, theta)
        most_radii = LARGEST_PX / a
        inner = min(WINDOW, most_radii)
        reach = max(inner * a, largest) + 1.0
        stamp = cut(image, variance, bad, labels, label, x, y, reach)
        value, var, state, left, low, n_replaced = stamp
        kron, petro = kron_and_petro(value, state, x - left, y - low, form, inner, light, count)
        k_auto = min(_reach(kron, KRON_FACTOR, KRON_MINIMUM), most_radii)
        k_petro = min(_reach(petro, PETRO_FACTOR, PETRO_MINIMUM), most_radii)
        if max(k_auto, k_petro) * a > reach:
            reach = max(k_auto, k_petro) * a + 1.0
            stamp = cut(image, variance, bad, labels, label, x, y, reach)
            value, var, state, left, low, n_replaced = stamp
        xs, ys = x - left, y - low
        auto = ellipse(value, var, state, xs, ys, form, k_auto)
        total = ellipse(value, var, state, xs, ys, form, k_petro)
        row[0], row[1], row[2] = auto[0], auto[1], kron
        row[3], row[4], row[5] = total[0], total[1], petro
        circles(value, var, xs, ys, radii, subpixels, sums[n])
        step = inner * a / N_GROWTH
        growth(value, xs, ys, inner * a, max(most, 0.5) * auto[0], curve)
        for m in range(len(fractions)):
            partial[n, m] = radius_of(curve, step, fractions[m] * auto[0])
        r_half = radius_of(curve, step, 0.5 * auto[0])
        row[6], row[7], row[8], row[9] = r_half, 2.0 * r_half, x, y
        sigma = window_sigma(r_half)
        window, far = window_reach(sigma)
        if np.isfinite(r_half) and window + far <= LARGEST_PX:
            if window + far > reach:
                stamp = cut(image, variance, bad, labels, label, x, y, window + far + 1.0)
                value, var, state, left, low, n_replaced = stamp
            found = position(value, var, state, n_replaced, x - left, y - low, sigma)
            row[8], row[9] = found[0] + left, found[1] + low
            row[10], row[11], row[12] = found[2], found[3], found[4]
            row[7] = core_width(value, state, found[0], found[1], r_half)
        if boxes[n, 1] >= boxes[n, 0]:
            found = _isophotal(variance, labels, label, x, y, boxes[n], filtered[n])
            row[13], row[14], row[15], row[16] = found
        if auto[2] > AFFECTED_FRACTION:
            flags[n] |= FLAG_NEIGHBOUR
        cut_short = max(k_auto, k_petro) >= most_radii
        if cut_short or max(auto[3], total[3]) > 0.0 or _leaves(image, x, y, largest):
            flags[n] |= FLAG_APERTURE_INCOMPLETE
