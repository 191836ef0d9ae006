"""Finding objects: connected pixels above a threshold, deblended (engine: sep).

The method and the meaning of the columns are those of Bertin & Arnouts 1996 (A&AS 117, 393) in
the implementation of Barbary 2016 (JOSS 1, 58). Flags carry SExtractor's values.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import sep
from numba import njit
from numpy.typing import NDArray

from tesela.errors import QualityError

FLAG_NEIGHBOUR: Final = 1
FLAG_BLENDED: Final = 2
FLAG_SATURATED: Final = 4
FLAG_TRUNCATED: Final = 8
FLAG_APERTURE_INCOMPLETE: Final = 16

PYRAMID = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / np.float32(16)
BAD_FRACTION = 0.1  # of an object's area, from which bad pixels at its side are flagged
_DEBLEND_LIMIT = 65536
_PIXEL_STACK = 3_000_000

Objects = dict[str, NDArray[np.generic]]


def extract(
    image: NDArray[np.float32],
    variance: NDArray[np.float32] | float,
    mask: NDArray[np.bool_] | None,
    *,
    threshold_sigma: float = 1.5,
    min_area_px: int = 5,
    deblend_nthresh: int = 32,
    deblend_contrast: float = 0.005,
    kernel: float | NDArray[np.float32] | None = None,
    saturated: NDArray[np.bool_] | None = None,
) -> tuple[Objects, NDArray[np.int32]]:
    """Detect the objects of a sky-subtracted image.

    Parameters
    ----------
    image : (ny, nx) float32
        Sky subtracted. NaN counts as masked.
    variance : (ny, nx) float32 or float
        Variance of the *sky* noise, units of the image squared: it sets the threshold.
    mask : (ny, nx) bool or None
        True = bad: such a pixel belongs to no object.
    threshold_sigma : float
        A filtered pixel is kept above this many sigma of an unfiltered one (SExtractor's sense).
    min_area_px, deblend_nthresh, deblend_contrast
        As DETECT_MINAREA, DEBLEND_NTHRESH and DEBLEND_MINCONT.
    kernel : float, 2-D array or None
        FWHM (px) of a Gaussian detection filter, the filter itself, or None for the 3 x 3 pyramid.
    saturated : (ny, nx) bool or None
        Saturated pixels (a subset of good or bad ones): objects holding or touching one get flag 4.

    Returns
    -------
    objects : dict of (n,) arrays
        x, y (0-based, float64), a, b, theta (radians counter-clockwise from +x), npix, flux_iso,
        peak, xmin, xmax, ymin, ymax, threshold, flags (int16). Sorted by nothing: row k is label
        k + 1.
    segmentation : (ny, nx) int32
        0 = sky, else the label.
    """
    data, bad = _clean(image, mask)
    noise = np.require(np.broadcast_to(variance, image.shape), np.float32, ["C", "W"])
    sep.set_extract_pixstack(max(_PIXEL_STACK, image.size // 4))
    sep.set_sub_object_limit(_DEBLEND_LIMIT)
    try:
        found, segmentation = sep.extract(
            data,
            threshold_sigma,
            var=noise,
            mask=bad,
            minarea=min_area_px,
            filter_kernel=_filter(kernel),
            filter_type="conv",
            deblend_nthresh=deblend_nthresh,
            deblend_cont=deblend_contrast,
            clean=True,
            clean_param=1.0,
            segmentation_map=True,
        )
    except Exception as error:  # the engine raises bare Exception for a full pixel stack
        if "pixel buffer" not in str(error) and "deblending" not in str(error):
            raise
        raise QualityError(
            f"detection in an image of {image.shape[0]} x {image.shape[1]} px",
            found=f"most of it is above {threshold_sigma} sigma ({error})",
            expected="a sky-subtracted image and its noise",
            do="look at the sky level and the variance",
        ) from error
    segmentation = np.ascontiguousarray(segmentation, np.int32)
    return _columns(found, segmentation, bad, saturated), segmentation


def object_mask(segmentation: NDArray[np.int32], *, grow_px: float) -> NDArray[np.bool_]:
    """All pixels within `grow_px` of an object.

    Parameters
    ----------
    segmentation : (ny, nx) int32 or bool
        Non-zero = object.
    grow_px : float
        Radius of the disc every object pixel is grown by; 0 grows nothing.

    Returns
    -------
    (ny, nx) bool
        True = object.
    """
    reach = int(np.floor(grow_px))
    half_width = np.floor(np.sqrt(np.maximum(grow_px**2 - np.arange(reach + 1) ** 2, 0.0)))
    return _dilate(np.ascontiguousarray(segmentation != 0), half_width.astype(np.int64))


def flag_holes(
    flags: NDArray[np.int16],
    bad: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    reach_px: float,
) -> NDArray[np.int16]:
    """Flags with 1 (neighbour or bad pixel) for sources that have a bad pixel in their core.

    A bad pixel there takes a large part of the light, however small its part of the area.

    Parameters
    ----------
    flags : (n,) int16
    bad : (ny, nx) bool, True = no data
    x, y : (n,) float64, 0-based
    reach_px : float
        Radius of the core.
    """
    cored = object_mask(bad.astype(np.int32), grow_px=reach_px)
    ny, nx = bad.shape
    ix = np.clip(np.rint(np.nan_to_num(x)), 0, nx - 1).astype(np.int64)
    iy = np.clip(np.rint(np.nan_to_num(y)), 0, ny - 1).astype(np.int64)
    return np.where(cored[iy, ix], flags | FLAG_NEIGHBOUR, flags).astype(np.int16)


def _clean(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Image without NaN, and the mask that knows where they were."""
    data = np.ascontiguousarray(image, np.float32)
    unknown = ~np.isfinite(data)
    if unknown.any():
        data = np.where(unknown, np.float32(0), data)
    bad = unknown if mask is None else unknown | np.asarray(mask, bool)
    return np.require(data, requirements="W"), np.require(bad, requirements=["C", "W"])


def _filter(kernel: float | NDArray[np.float32] | None) -> NDArray[np.float32]:
    if kernel is None:
        return PYRAMID
    if isinstance(kernel, np.ndarray):
        return np.ascontiguousarray(kernel, np.float32)
    sigma = float(kernel) / 2.35482
    half = max(1, round(2.0 * sigma))
    offset = np.arange(-half, half + 1)
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    gaussian = np.outer(profile, profile)
    return (gaussian / gaussian.sum()).astype(np.float32)


def _columns(
    found: NDArray[np.void],
    segmentation: NDArray[np.int32],
    bad: NDArray[np.bool_],
    saturated: NDArray[np.bool_] | None,
) -> Objects:
    """Our columns from the engine's, with SExtractor's flags."""
    flags = np.zeros(len(found), np.int16)
    flags[(found["flag"] & sep.OBJ_MERGED) != 0] |= FLAG_BLENDED
    flags[(found["flag"] & sep.OBJ_TRUNC) != 0] |= FLAG_TRUNCATED
    touched = count_touching(segmentation, bad, len(found))
    flags[touched > BAD_FRACTION * found["npix"]] |= FLAG_NEIGHBOUR
    if saturated is not None:
        flags[count_touching(segmentation, saturated, len(found)) > 0] |= FLAG_SATURATED
    objects: Objects = {
        name: np.ascontiguousarray(found[name], np.float64)
        for name in ("x", "y", "a", "b", "theta")
    }
    objects["npix"] = np.ascontiguousarray(found["npix"], np.int32)
    objects["flux_iso"] = np.ascontiguousarray(found["flux"], np.float64)
    objects["peak"] = np.ascontiguousarray(found["peak"], np.float64)
    objects["threshold"] = np.ascontiguousarray(found["thresh"], np.float64)
    for name in ("xmin", "xmax", "ymin", "ymax"):
        objects[name] = np.ascontiguousarray(found[name], np.int32)
    objects["flags"] = flags
    return objects


def count_touching(
    segmentation: NDArray[np.int32], pixels: NDArray[np.bool_], n: int
) -> NDArray[np.int64]:
    """How many of `pixels` lie in, or next to, each object."""
    ys, xs = np.nonzero(pixels)
    ny, nx = segmentation.shape
    labels = np.zeros((9, len(ys)), np.int32)
    for k in range(9):
        y, x = ys + k // 3 - 1, xs + k % 3 - 1
        inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
        labels[k, inside] = segmentation[y[inside], x[inside]]
    labels.sort(axis=0)
    labels[1:][labels[1:] == labels[:-1]] = 0  # one pixel counts once for one object
    return np.bincount(labels.ravel(), minlength=n + 1)[1 : n + 1]


@njit(cache=True)
def _dilate(seed, half_width):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Dilate by a disc: column distances first, then spans along the rows."""
    ny, nx = seed.shape
    reach = len(half_width) - 1
    far = reach + 1
    distance = np.full((ny, nx), far, np.int32)
    for y in range(ny):
        for x in range(nx):
            if seed[y, x]:
                distance[y, x] = 0
            elif y > 0:
                distance[y, x] = min(far, distance[y - 1, x] + 1)
    for y in range(ny - 2, -1, -1):
        for x in range(nx):
            distance[y, x] = min(distance[y, x], distance[y + 1, x] + 1)
    grown = np.zeros((ny, nx), np.bool_)
    for y in range(ny):
        end = -1
        for x in range(nx):
            if distance[y, x] <= reach:
                end = max(end, x + half_width[distance[y, x]])
            grown[y, x] = x <= end
        end = nx
        for x in range(nx - 1, -1, -1):
            if distance[y, x] <= reach:
                end = min(end, x - half_width[distance[y, x]])
            if x >= end:
                grown[y, x] = True
    return grown
