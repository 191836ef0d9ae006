"""Finding objects: connected pixels above a threshold, deblended and labelled.

The method and the meaning of the columns are those of Bertin & Arnouts 1996 (A&AS 117, 393). Flags
carry SExtractor's values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tesela.errors import QualityError
from tesela.pixels import isophotes, objects, touching
from tesela.pixels.background import Background
from tesela.pixels.isophotes import Noise
from tesela.pixels.meshrows import NOTHING, expand

FLAG_NEIGHBOUR: Final = 1
FLAG_BLENDED: Final = 2
FLAG_SATURATED: Final = 4
FLAG_TRUNCATED: Final = 8
FLAG_APERTURE_INCOMPLETE: Final = 16

PYRAMID: Final = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / np.float32(16)
BAD_FRACTION: Final = 0.1  # of an object's area, from which bad pixels at its side are flagged
MOST_ABOVE: Final = 0.25  # of the image above the threshold, from which it is no image of a sky
CLEAN_BETA: Final = 1.0

_FEW = 3_000_000  # pixels above the threshold that are never too many
_LEAST_SIGMA = 0.5  # of the least cell of a mesh: a spline may undershoot between steep cells

_PUBLISHED: Final[dict[type, dict[str, str]]] = {
    np.float64: {
        "x": "x",
        "y": "y",
        "a": "a",
        "b": "b",
        "theta": "theta",
        "flux_iso": "flux",
        "flux_filtered": "filtered_flux",
        "peak": "peak",
        "threshold": "threshold",
    },
    np.int32: {
        "npix": "n_pixels",
        "isoarea": "n_raw",
        "xmin": "xmin",
        "xmax": "xmax",
        "ymin": "ymin",
        "ymax": "ymax",
    },
}

Objects = dict[str, NDArray[Any]]


def extract(
    image: NDArray[np.float32],
    variance: NDArray[np.float32] | Background | float,
    mask: NDArray[np.bool_] | None,
    *,
    threshold_sigma: float = 1.5,
    min_area_px: int = 5,
    deblend_nthresh: int = 32,
    deblend_contrast: float = 0.005,
    kernel: float | NDArray[np.float32] | None = None,
    saturated: NDArray[np.bool_] | None = None,
    clean_beta: float = CLEAN_BETA,
    threads: int = 1,
) -> tuple[Objects, NDArray[np.int32]]:
    """Detect the objects of a sky-subtracted image.

    Parameters
    ----------
    image : (ny, nx) float32
        Sky subtracted. NaN counts as masked.
    variance : (ny, nx) float32, Background or float
        Variance of the *sky* noise, units of the image squared: it sets the threshold. Of a
        background only the noise is used, without ever being expanded into a plane.
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
    clean_beta : float
        As CLEAN_PARAM; 0 cleans nothing.
    threads : int
        Bands of rows and components are shared out among so many; the result does not depend on it.

    Returns
    -------
    objects : dict of (n,) arrays
        x, y (0-based, float64; barycentre of the filtered pixels, of the core's where objects were
        divided), a, b, theta (radians counter-clockwise from +x), npix (above the threshold after
        filtering), isoarea (of them, before filtering too), flux_iso, flux_filtered (after), peak,
        xmin, xmax, ymin, ymax,
        threshold, flags (int16). Ordered by the first pixels of their components: row k is label
        k + 1.
    segmentation : (ny, nx) int32
        0 = sky, else the label.

    Raises
    ------
    QualityError
        If a quarter of the image is above the threshold.

    Notes
    -----
    Memory beyond the segmentation follows the pixels above the threshold (some 40 bytes each).
    """
    data, bad, weights = _plain(image), _known(mask), _filter(kernel)
    noise = _noise(variance, threshold_sigma)
    components, above = isophotes.find(
        data, bad, weights, noise, min_area_px=min_area_px, threads=threads
    )
    _refuse_bright(above, image.shape, threshold_sigma)
    found, segmentation = objects.objects_of(
        data,
        bad,
        weights,
        noise,
        components,
        min_area_px=min_area_px,
        n_levels=deblend_nthresh,
        contrast=deblend_contrast,
        clean_beta=clean_beta,
        threads=threads,
    )
    flags = _flags(found, segmentation, data, bad, saturated)
    return _columns(found, flags), segmentation


def rough(
    image: NDArray[np.float32],
    sky: Background,
    mask: NDArray[np.bool_] | None,
    *,
    threshold_sigma: float = 1.5,
    min_area_px: int = 5,
    threads: int = 1,
) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int32]]:
    """A cheap first look: what stands above a sky that is still in the image.

    Parameters
    ----------
    image : (ny, nx) float32
        With its sky. NaN counts as masked.
    sky : Background
        Level and noise, expanded a row at a time.
    mask, threshold_sigma, min_area_px, threads
        As in `extract`; the filter is the 3 x 3 pyramid.

    Returns
    -------
    above : (ny, nx) bool
        Pixels of connected groups of at least `min_area_px`; nothing is deblended.
    x, y : (n,) int32
        The pixel at which each group is highest after filtering.
    """
    noise = _noise(sky, threshold_sigma)
    level = expand(sky.mesh_level, image.shape)
    components, _ = isophotes.find(
        _plain(image),
        _known(mask),
        PYRAMID,
        noise,
        min_area_px=min_area_px,
        level=level,
        threads=threads,
    )
    return isophotes.paint(components, image.shape), components.peak_x, components.peak_y


def object_mask(
    segmentation: NDArray[np.int32] | NDArray[np.bool_], *, grow_px: float
) -> NDArray[np.bool_]:
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
    return touching.grown(segmentation, grow_px)


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
    ny, nx = bad.shape
    ix = np.clip(np.rint(np.nan_to_num(x)), 0, nx - 1).astype(np.int64)
    iy = np.clip(np.rint(np.nan_to_num(y)), 0, ny - 1).astype(np.int64)
    cored = touching.near(bad, ix, iy, reach_px)
    return np.where(cored, flags | FLAG_NEIGHBOUR, flags).astype(np.int16)


def _plain(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image, np.float32)


def _known(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """The mask, or one pixel that stands for none."""
    return np.zeros((1, 1), bool) if mask is None else np.ascontiguousarray(mask, bool)


def _noise(variance: NDArray[np.float32] | Background | float, threshold_sigma: float) -> Noise:
    """The threshold in the form that was given."""
    nothing = np.zeros((1, 1), np.float32)
    if isinstance(variance, Background):
        rows = expand(variance.mesh_rms, variance.shape)
        least = _LEAST_SIGMA * float(variance.mesh_rms.min())
        return Noise(float(threshold_sigma), 0.0, nothing, rows, least)
    if np.ndim(variance) == 0:
        return Noise(float(threshold_sigma), float(np.sqrt(variance)), nothing, NOTHING, 0.0)
    plane = np.ascontiguousarray(variance, np.float32)
    return Noise(float(threshold_sigma), 0.0, plane, NOTHING, 0.0)


def _refuse_bright(above: int, shape: tuple[int, ...], threshold_sigma: float) -> None:
    """Refuse an image of which too much stands above the threshold to be objects."""
    pixels = shape[0] * shape[1]
    if above <= max(_FEW, MOST_ABOVE * pixels):
        return
    raise QualityError(
        f"detection in an image of {shape[0]} x {shape[1]} px",
        found=f"most of it is above {threshold_sigma} sigma ({above / pixels:.0%} of the pixels)",
        expected="a sky-subtracted image and its noise",
        do="look at the sky level and the variance",
    )


def _filter(kernel: float | NDArray[np.float32] | None) -> NDArray[np.float32]:
    if kernel is None:
        return PYRAMID
    if isinstance(kernel, np.ndarray):
        if any(side % 2 == 0 for side in kernel.shape):
            raise ValueError(f"detection filter of {kernel.shape} px: expected odd sides")
        return np.ascontiguousarray(kernel / np.abs(kernel).sum(), np.float32)
    sigma = float(kernel) / 2.35482
    half = max(1, round(2.0 * sigma))
    offset = np.arange(-half, half + 1)
    profile = np.exp(-0.5 * (offset / sigma) ** 2)
    gaussian = np.outer(profile, profile)
    return (gaussian / gaussian.sum()).astype(np.float32)


def _flags(
    found: NDArray[np.void],
    segmentation: NDArray[np.int32],
    image: NDArray[np.float32],
    bad: NDArray[np.bool_],
    saturated: NDArray[np.bool_] | None,
) -> NDArray[np.int16]:
    """SExtractor's flags of detection."""
    ny, nx = segmentation.shape
    flags = np.zeros(len(found), np.int16)
    flags[found["blended"]] |= FLAG_BLENDED
    low = (found["xmin"] == 0) | (found["ymin"] == 0)
    flags[low | (found["xmax"] == nx - 1) | (found["ymax"] == ny - 1)] |= FLAG_TRUNCATED
    touched = touching.count(segmentation, bad, len(found), image)
    flags[touched > BAD_FRACTION * found["n_pixels"]] |= FLAG_NEIGHBOUR
    if saturated is not None:
        full = touching.count(segmentation, np.ascontiguousarray(saturated, bool), len(found))
        flags[full > 0] |= FLAG_SATURATED
    return flags


def _columns(found: NDArray[np.void], flags: NDArray[np.int16]) -> Objects:
    """The published columns."""
    columns: Objects = {
        ours: np.ascontiguousarray(found[name], kind)
        for kind, names in _PUBLISHED.items()
        for ours, name in names.items()
    }
    columns["flags"] = flags
    return columns
