"""Sums in apertures that another image has set: forced photometry.

The ellipses and places come from a detection image; nothing is centred or sized anew. Definitions
of pixels' parts, of neighbours and of their replacement are those of `apertures`, so a band
measured on its own detection gives the same AUTO flux.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.aperture_sums import circles, ellipse, ellipse_form, ellipse_fraction
from tesela.pixels.apertures import (
    AFFECTED_FRACTION,
    FLAG_APERTURE_INCOMPLETE,
    FLAG_NEIGHBOUR,
    KRON_FACTOR,
    KRON_MINIMUM,
    KRON_WINDOW,
)
from tesela.pixels.stamps import LARGEST_PX, cut

Floats = NDArray[np.float64]
_GEOMETRY = ("x", "y", "a", "b", "theta")


def kron_reach(
    kron_radius: Floats, *, factor: float = KRON_FACTOR, minimum: float = KRON_MINIMUM
) -> Floats:
    """Isophotal radii that an ellipse reaches: (n,); by default AUTO's.

    `factor` times the Kron radius (at most the window it was measured in), at least `minimum`;
    `minimum` where there is no Kron radius (NaN).
    """
    kron = np.minimum(np.asarray(kron_radius, np.float64), KRON_WINDOW)
    return np.fmax(factor * kron, minimum)


def apertures(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_],
    segmentation: NDArray[np.int32],
    objects: Mapping[str, NDArray[Any]],
    *,
    reach: Floats,
    diameters_px: Sequence[float],
) -> dict[str, NDArray[Any]]:
    """AUTO in given ellipses and circles at given places.

    Parameters
    ----------
    image, variance : (ny, nx) float32
        Sky subtracted, and its variance with the objects' noise. NaN of the image counts as bad.
    mask : (ny, nx) bool
        True = bad; replaced by the opposite pixel, as pixels of neighbours are.
    segmentation : (ny, nx) int32
        Label k + 1 marks object k.
    objects : mapping of (n,)
        x, y, a, b, theta of the ellipses (px, radians); x_win, y_win, the centres of the circles.
    reach : (n,) float64
        Isophotal radii (a, b) the ellipse reaches.
    diameters_px : sequence of float

    Returns
    -------
    dict of arrays
        flux_auto, flux_auto_err (n,), flux_aper, flux_aper_err (n, n_apertures), flags (int16: 1
        neighbour or bad pixels over 10 % of AUTO, 16 AUTO leaves the image). NaN where a place or
        an ellipse is not finite.
    """
    shape, centres = _shape(objects, reach), _stack(objects, ("x_win", "y_win"))
    radii, place = np.unique(0.5 * np.asarray(diameters_px, np.float64), return_inverse=True)
    auto = np.full((len(shape), 4), np.nan)
    sums = np.full((len(shape), len(radii), 2), np.nan)
    image, variance, bad, labels = _planes(image, variance, mask, segmentation)
    _measure(image, variance, bad, labels, shape, centres, radii, auto, sums)
    flags = np.zeros(len(shape), np.int16)
    flags[auto[:, 2] > AFFECTED_FRACTION] |= FLAG_NEIGHBOUR
    flags[auto[:, 3] > 0] |= FLAG_APERTURE_INCOMPLETE
    return {
        "flux_auto": np.ascontiguousarray(auto[:, 0]),
        "flux_auto_err": np.ascontiguousarray(auto[:, 1]),
        "flux_aper": np.ascontiguousarray(sums[:, place, 0]),
        "flux_aper_err": np.ascontiguousarray(sums[:, place, 1]),
        "flags": flags,
    }


def region(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_],
    segmentation: NDArray[np.int32],
    objects: Mapping[str, NDArray[Any]],
    *,
    reach: Floats,
) -> dict[str, Floats]:
    """Sum over an ellipse without its bad pixels and those of neighbours: nothing stands in.

    Two images summed with one mask and one segmentation are summed over the same pixels, so their
    ratio needs no completion. Parameters as in `apertures`.

    Returns
    -------
    dict of (n,) float64
        flux; err, sqrt(sum f**2 v); n_pixels, sum f**2 (what noise feels); lost, the part of the
        ellipse's area that is bad or outside; taken, the part that belongs to neighbours. NaN where
        the ellipse is not finite; flux is 0, and so is n_pixels, where no pixel is left.
    """
    shape = _shape(objects, reach)
    sums = np.full((len(shape), 5), np.nan)
    image, variance, bad, labels = _planes(image, variance, mask, segmentation)
    _sum_regions(image, variance, bad, labels, shape, sums)
    names = ("flux", "err", "n_pixels", "lost", "taken")
    return {name: np.ascontiguousarray(sums[:, k]) for k, name in enumerate(names)}


def _stack(objects: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Floats:
    columns = [np.asarray(objects[name], np.float64) for name in names]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _shape(objects: Mapping[str, NDArray[Any]], reach: Floats) -> Floats:
    """x, y, a, b, theta, reach: (n, 6)."""
    return np.ascontiguousarray(np.column_stack([_stack(objects, _GEOMETRY), reach]))


def _planes(
    image: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.bool_],
    segmentation: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
    """What the compiled loops take, always of the same types."""
    return (
        np.ascontiguousarray(image, np.float32),
        np.ascontiguousarray(variance, np.float32),
        np.ascontiguousarray(mask | ~np.isfinite(image)),
        np.ascontiguousarray(segmentation, np.int32),
    )


@njit(cache=True, nogil=True)
def _region(image, variance, bad, labels, label, x, y, form, k2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flux, error, effective pixels, fraction lost, fraction taken."""
    ny, nx = image.shape
    cxx, cyy, cxy, a, _ = form
    reach = np.sqrt(k2) * a + 1.0
    flux = power = pixels = area = lost = taken = 0.0
    for j in range(int(np.floor(y - reach)), int(np.ceil(y + reach)) + 1):
        for i in range(int(np.floor(x - reach)), int(np.ceil(x + reach)) + 1):
            dx, dy = i - x, j - y
            if dx * dx + dy * dy > reach * reach:
                continue
            fraction = ellipse_fraction(dx, dy, cxx, cyy, cxy, k2)
            if fraction == 0.0:
                continue
            area += fraction
            if j < 0 or i < 0 or j >= ny or i >= nx or bad[j, i]:
                lost += fraction
            elif labels[j, i] != 0 and labels[j, i] != label:
                taken += fraction
            else:
                flux += fraction * image[j, i]
                power += fraction * fraction * variance[j, i]
                pixels += fraction * fraction
    return flux, np.sqrt(power), pixels, lost / area, taken / area


@njit(cache=True, nogil=True)
def _measure(image, variance, bad, labels, shape, centres, radii, auto, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    largest = radii[len(radii) - 1] if len(radii) > 0 else 0.0
    for k in range(shape.shape[0]):
        x, y, a, b, theta, reach = shape[k]
        xc, yc = centres[k]
        if not (np.isfinite(x + y + reach + xc + yc) and a > 0.0):
            continue
        form = ellipse_form(a, b, theta)
        reach = min(reach, LARGEST_PX / a)
        value, var, state, left, low, _ = cut(
            image, variance, bad, labels, k + 1, x, y, reach * a + 1.0
        )
        found = ellipse(value, var, state, x - left, y - low, form, reach)
        auto[k, 0], auto[k, 1], auto[k, 2], auto[k, 3] = found
        value, var, state, left, low, _ = cut(
            image, variance, bad, labels, k + 1, xc, yc, largest + 1.0
        )
        circles(value, var, xc - left, yc - low, radii, 0, sums[k])


@njit(cache=True, nogil=True)
def _sum_regions(image, variance, bad, labels, shape, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(shape.shape[0]):
        x, y, a, b, theta, reach = shape[k]
        if np.isfinite(x + y + reach) and a > 0.0:
            form = ellipse_form(a, b, theta)
            sums[k] = np.array(
                _region(image, variance, bad, labels, k + 1, x, y, form, reach * reach)
            )
