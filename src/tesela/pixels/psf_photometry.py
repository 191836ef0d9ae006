"""PSF photometry of crowded fields on a residual image.

All models are subtracted; each source in turn gets its own back, is fitted (flux, position and on
request a local sky) against an image free of its neighbours, and is subtracted again. This is
Gauss-Seidel on the joint normal equations, as in DAOPHOT's spirit (Stetson 1987, PASP 99, 191)
without its groups.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels import threads as threading
from tesela.pixels.psf_model import PsfModel, render

RECENTER_SNR = 5.0
MAX_SHIFT_PX = 1.0
MIN_COVERAGE = 0.3
WING_SIGMA = 0.1  # models are subtracted out to where they fall below this many sigma a pixel
MAX_RADIUS_PX = 25
STRIP_PX = 256  # of rows: far more than two sources of strips that are no neighbours can share


def photometry(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
    model: PsfModel,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    iterations: int = 3,
    fit_radius_px: float | None = None,
    recenter: bool = True,
    fit_sky: bool = False,
    threads: int = 1,
) -> dict[str, NDArray[np.float64]]:
    """Fit the PSF to sources at known positions.

    Parameters
    ----------
    image, variance : (ny, nx) float32
        Sky-subtracted image and its variance with the objects' noise. NaN counts as bad.
    mask : (ny, nx) bool or None
        True = bad: not used.
    model : PsfModel
    x, y : (n,) float64
        Positions, 0-based.
    iterations : int
        Rounds over all sources after the first.
    fit_radius_px : float or None
        Radius of the fit; default 1.25 FWHM, at least 2.5 px.
    recenter : bool
        Let sources above S/N 5 move, by at most one pixel in all.
    fit_sky : bool
        Fit a constant under every source.
    threads : int
        Share strips of rows; the result does not depend on their number.

    Returns
    -------
    dict of (n,) float64
        flux, err (units of the image; flux within the model's normalisation radius), x, y, chi2
        (reduced, inside the fit radius), coverage (part of the PSF's weight on good pixels).
        Where coverage is below 0.3 flux, err and chi2 are NaN and nothing is subtracted.

    Notes
    -----
    Weights are the inverse of a variance that is linear in the model (regressed on the given
    plane), never the plane itself: its noise follows the data's and would bias faint fluxes.
    """
    data = np.array(image, np.float32)
    noise = np.ascontiguousarray(np.broadcast_to(variance, data.shape), np.float32)
    bad = ~(np.isfinite(data) & np.isfinite(noise) & (noise > 0))
    if mask is not None:
        bad |= np.asarray(mask, bool)
    data[bad] = 0.0
    xs, ys = np.array(x, np.float64), np.array(y, np.float64)
    params, basis = model.local(xs, ys)
    if fit_radius_px is None:
        middle = model.fwhm_px(model.frame[0], model.frame[1])
        fit_radius_px = max(2.5, 1.25 * middle)
    wings = _wing_profile(model)
    result = np.zeros((len(xs), 6))
    result[:, 2], result[:, 3] = xs, ys
    options = np.array([fit_radius_px, float(recenter), float(fit_sky)])
    planes = (data, noise, bad)
    order = _first_order(planes, params, basis, model.residual, result, wings, options, threads)

    def fit(those: NDArray[np.int64]) -> None:
        _round(planes, params, basis, model.residual, xs, ys, result, wings, options, those, False)

    strips = _strips(ys, order, len(data))
    for _ in range(iterations):
        # Strips touch their neighbours, but not those beyond.
        threading.each(fit, strips[::2], threads)
        threading.each(fit, strips[1::2], threads)
    lost = result[:, 5] < MIN_COVERAGE
    result[lost, :2] = np.nan
    result[lost, 4] = np.nan
    names = ("flux", "err", "x", "y", "chi2", "coverage")
    return {name: np.ascontiguousarray(result[:, k]) for k, name in enumerate(names)}


def _wing_profile(model: PsfModel) -> NDArray[np.float64]:
    """PSF in the middle of the field against radius, from which stamps get their size."""
    stamp = model.stamp(model.frame[0], model.frame[1], MAX_RADIUS_PX)
    return stamp[MAX_RADIUS_PX, MAX_RADIUS_PX:].astype(np.float64)


def _strips(
    y: NDArray[np.float64], order: NDArray[np.int64], n_rows: int
) -> list[NDArray[np.int64]]:
    """The sources of each strip of rows, from below, each strip in the given order.

    What lies outside, or nowhere, sees no pixel and may be in any strip.
    """
    row = np.clip(np.nan_to_num(y[order]), 0, n_rows - 1)
    of_source = np.floor_divide(row, STRIP_PX).astype(np.int64)
    return [order[of_source == k] for k in range(of_source.max(initial=0) + 1)]


def _first_order(
    planes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]],
    params: NDArray[np.float64],
    basis: NDArray[np.float64],
    maps: NDArray[np.float32],
    result: NDArray[np.float64],
    wings: NDArray[np.float64],
    options: NDArray[np.float64],
    threads: int,
) -> NDArray[np.int64]:
    """Fluxes at fixed positions, each as if alone; then the order, brightest first.

    The first round subtracts in this order, so a faint source is never fitted together with a
    bright neighbour that is still there.
    """
    fixed = options.copy()
    fixed[1] = 0.0
    start_x, start_y = result[:, 2].copy(), result[:, 3].copy()
    scratch = result.copy()

    def measure(those: NDArray[np.int64]) -> None:
        _round(planes, params, basis, maps, start_x, start_y, scratch, wings, fixed, those, True)

    threading.each(measure, np.array_split(np.arange(len(result)), 4 * max(threads, 1)), threads)
    order = np.argsort(-scratch[:, 0], kind="stable")
    _round(planes, params, basis, maps, start_x, start_y, result, wings, fixed, order, False)
    return order


@njit(cache=True, nogil=True)
def _half_size(flux, sigma, wings, fit_radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Radius out to which a source of this flux still matters."""
    least = int(np.ceil(fit_radius)) + 1
    for r in range(least, len(wings)):
        if abs(flux) * wings[r] < WING_SIGMA * sigma:
            return r
    return max(least, len(wings) - 1)


@njit(cache=True, nogil=True)
def _add(data, stamp, x0, y0, factor):  # type: ignore[no-untyped-def]  # pragma: no cover
    ny, nx = data.shape
    for j in range(max(0, -y0), min(stamp.shape[0], ny - y0)):
        for i in range(max(0, -x0), min(stamp.shape[1], nx - x0)):
            data[y0 + j, x0 + i] += factor * stamp[j, i]


@njit(cache=True, nogil=True)
def _linear_variance(noise, bad, stamp, x0, y0, centre, radius):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Level and slope of the variance against the model within the fit radius."""
    ny, nx = noise.shape
    s1 = sp = spp = sv = spv = 0.0
    for j in range(stamp.shape[0]):
        for i in range(stamp.shape[1]):
            y, x = y0 + j, x0 + i
            if (i - centre[0]) ** 2 + (j - centre[1]) ** 2 > radius * radius:
                continue
            if y < 0 or x < 0 or y >= ny or x >= nx or bad[y, x]:
                continue
            p, v = stamp[j, i], noise[y, x]
            s1, sp, spp, sv, spv = s1 + 1.0, sp + p, spp + p * p, sv + v, spv + p * v
    det = s1 * spp - sp * sp
    if s1 == 0.0:
        return 1.0, 0.0
    if det <= 1e-12 * s1 * spp:
        return sv / s1, 0.0
    slope = max(0.0, (s1 * spv - sp * sv) / det)
    level = (sv - slope * sp) / s1
    if level <= 0.0:
        return sv / s1, 0.0
    return level, slope


@njit(cache=True, nogil=True)
def _fit_one(data, noise, bad, stamp, x0, y0, centre, flux, radius, moving, with_sky):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Linear fit of flux, flux-weighted shift and sky: (flux, err, dx, dy, chi2, coverage)."""
    ny, nx = data.shape
    level, slope = _linear_variance(noise, bad, stamp, x0, y0, centre, radius)
    matrix = np.zeros((4, 4))
    right = np.zeros(4)
    basis = np.zeros(4)
    n = 0
    total = seen = power = 0.0
    for j in range(1, stamp.shape[0] - 1):
        for i in range(1, stamp.shape[1] - 1):
            if (i - centre[0]) ** 2 + (j - centre[1]) ** 2 > radius * radius:
                continue
            p = stamp[j, i]
            total += p * p
            y, x = y0 + j, x0 + i
            if y < 0 or x < 0 or y >= ny or x >= nx or bad[y, x]:
                continue
            seen += p * p
            w = 1.0 / (level + slope * max(p, 0.0))
            value = data[y, x]
            basis[0] = p
            basis[1] = -0.5 * flux * (stamp[j, i + 1] - stamp[j, i - 1])
            basis[2] = -0.5 * flux * (stamp[j + 1, i] - stamp[j - 1, i])
            basis[3] = 1.0
            for a in range(4):
                right[a] += w * basis[a] * value
                for b in range(4):
                    matrix[a, b] += w * basis[a] * basis[b]
            power += w * value * value
            n += 1
    coverage = seen / total if total > 0.0 else 0.0
    if n < 4 or coverage < MIN_COVERAGE:
        return 0.0, np.inf, 0.0, 0.0, np.nan, coverage
    for a in range(1, 4):
        if (a < 3 and not moving) or (a == 3 and not with_sky):
            matrix[a, :] = 0.0
            matrix[:, a] = 0.0
            matrix[a, a] = 1.0
            right[a] = 0.0
        else:
            matrix[a, a] *= 1.0 + 1e-9
    inverse = np.linalg.inv(matrix)
    answer = inverse @ right
    chi2 = max(0.0, power - np.sum(answer * right)) / max(1, n - 1 - 2 * moving - with_sky)
    return answer[0], np.sqrt(inverse[0, 0]), answer[1], answer[2], chi2, coverage


@njit(cache=True, nogil=True)
def _round(planes, params, basis, maps, start_x, start_y, result, wings, options, order, keep):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fit every source once, in `order`; `planes[0]` is the residual image and is updated.

    With `keep` nothing is subtracted: every source is measured as if it were alone.
    """
    data, noise, bad = planes
    radius, recenter, with_sky = options[0], options[1] > 0.0, options[2] > 0.0
    ny, nx = data.shape
    for k in order:
        flux, err, x, y = result[k, 0], result[k, 1], result[k, 2], result[k, 3]
        ix, iy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        sigma = np.sqrt(noise[min(max(iy, 0), ny - 1), min(max(ix, 0), nx - 1)])
        half = _half_size(flux, sigma, wings, radius)
        stamp = np.empty((2 * half + 1, 2 * half + 1), np.float32)
        render(stamp, x - ix + half, y - iy + half, params[k], maps, basis[k])
        if flux != 0.0:
            _add(data, stamp, ix - half, iy - half, flux)
        moving = recenter and flux > RECENTER_SNR * err
        centre = (x - ix + half, y - iy + half)
        flux, err, dx, dy, chi2, coverage = _fit_one(
            data, noise, bad, stamp, ix - half, iy - half, centre, flux, radius, moving, with_sky
        )
        dx, dy = min(max(dx, -0.5), 0.5), min(max(dy, -0.5), 0.5)
        x = min(max(x + dx, start_x[k] - MAX_SHIFT_PX), start_x[k] + MAX_SHIFT_PX)
        y = min(max(y + dy, start_y[k] - MAX_SHIFT_PX), start_y[k] + MAX_SHIFT_PX)
        result[k] = np.array((flux, err, x, y, chi2, coverage))
        if keep:
            continue
        ix, iy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        sigma = np.sqrt(noise[min(max(iy, 0), ny - 1), min(max(ix, 0), nx - 1)])
        half = _half_size(flux, sigma, wings, radius)
        fresh = np.empty((2 * half + 1, 2 * half + 1), np.float32)
        render(fresh, x - ix + half, y - iy + half, params[k], maps, basis[k])
        _add(data, fresh, ix - half, iy - half, -flux)
