"""Seeing from the cores of stars, before anything is known of the point-spread function."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Below this, after the pixel, a bright spot is a cosmic ray, and above that no star.
SHARPEST_PX, BROADEST_PX = 1.2, 15.0
ROUND = 0.7
SHARE = 1 / 3
FEWEST = 5
# Variance of a pixel's own width, 1/12, as the square of a FWHM.
PIXEL_FWHM2 = 8 * math.log(2) / 12


def of_cores(
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    x: NDArray[np.number],
    y: NDArray[np.number],
    least: float | NDArray[np.floating],
    level: float | NDArray[np.floating] = 0.0,
) -> float | None:
    """FWHM of the sharp stars among objects, with the pixel taken out; rather low than high.

    Three pixels in a row tell the width of a Gaussian, wherever its centre: the logarithm is a
    parabola. They are those around the peak, which neither wings nor neighbours nor the limit of
    detection reach. Cosmic rays are sharper and galaxies broader, each in their own way; stars
    are alike, and make the narrowest interval that holds a third of all. Its lower end is given.

    Parameters
    ----------
    image : (ny, nx) float32
        Bad pixels may hold anything, NaN included.
    bad : (ny, nx) bool, True = bad or saturated
        Peaks that have one among their eight neighbours are left out.
    x, y : (n,) float64, pixels
        Centres of objects.
    least : float or (n,), units of the image
        Peaks so far above the sky are used.
    level : float or (n,), units of the image
        Of the sky that is still in the image at each object.

    Returns
    -------
    float, pixels; None where there are fewer than five such peaks. It is the FWHM along the
    sharper of the two axes.
    """
    peak_y, peak_x, inside = _peaks(image, x, y)
    limit, sky = (np.broadcast_to(v, len(x))[inside] for v in (least, level))
    near = np.arange(-1, 2)
    rows, columns = peak_y[:, None, None] + near[:, None], peak_x[:, None, None] + near
    stamps = image[rows, columns] - sky[:, None, None]
    good = ~bad[rows, columns].any(axis=(1, 2)) & (stamps[:, 1, 1] > limit)
    light = stamps[good].astype(np.float64)
    light = light[(light > 0).all(axis=(1, 2))]
    top = 2 * np.log(light[:, 1, 1])
    drops = np.array(
        [top - np.log(light[:, j, i] * light[:, 2 - j, 2 - i]) for j, i in ((1, 0), (0, 1))]
    )
    drops = drops[:, (drops > 0).all(axis=0)]
    fwhm = math.sqrt(8 * math.log(2)) / np.sqrt(drops)
    sharp = fwhm.min(axis=0)
    star = (sharp > ROUND * fwhm.max(axis=0)) & (sharp > SHARPEST_PX) & (sharp < BROADEST_PX)
    if np.count_nonzero(star) < FEWEST:
        return None
    return math.sqrt(_densest(np.sort(sharp[star])) ** 2 - PIXEL_FWHM2)


def _peaks(
    image: NDArray[np.float32], x: NDArray[np.number], y: NDArray[np.number]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The brightest of the nine pixels about each centre; those at the border are left out, as the
    third says."""
    row, column = np.rint(y).astype(np.int64), np.rint(x).astype(np.int64)
    ny, nx = image.shape
    inside = (row > 1) & (row < ny - 2) & (column > 1) & (column < nx - 2)
    row, column = row[inside], column[inside]
    j, i = (v.ravel() for v in np.mgrid[-1:2, -1:2])
    values = np.nan_to_num(image[row[:, None] + j, column[:, None] + i], nan=-np.inf)
    best = values.argmax(axis=1)
    return row + j[best], column + i[best], inside


def _densest(values: NDArray[np.float64]) -> float:
    """Lower end of the relatively narrowest interval that holds `SHARE` of the sorted values."""
    count = max(math.ceil(SHARE * values.size), FEWEST)
    ratio = values[count - 1 :] / values[: values.size - count + 1]
    return float(values[np.argmin(ratio)])
