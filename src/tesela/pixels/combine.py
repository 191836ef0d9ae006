"""Many frames into one: clipped means by bands of rows, and the mode that scales a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import gaussian_filter1d

from tesela.errors import BadInput, QualityError

SAMPLE_ROWS = 64
MODE_BINS_PER_SIGMA = 20
MODE_SMOOTHING_SIGMA = 0.4


class Plane(Protocol):
    """A 2-D image in memory, or anything that reads its rows when sliced."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


@dataclass(frozen=True)
class Combined:
    """A combination of planes.

    Attributes
    ----------
    image : (ny, nx) float32
        Mean of the values kept, 0 where there is none.
    count : (ny, nx) uint16
        Number of values kept.
    sigma : (ny, nx) float32
        Standard deviation among them (n - 1), 0 where fewer than two.
    """

    image: np.ndarray
    count: np.ndarray
    sigma: np.ndarray


def clipped_mean(
    planes: Sequence[Plane],
    *,
    clip_sigma: float = 3.0,
    scale: npt.ArrayLike | None = None,
    offset: npt.ArrayLike | None = None,
    variance: npt.ArrayLike | None = None,
    noise: npt.ArrayLike | None = None,
    gain: float | None = None,
    band_rows: int = 256,
) -> Combined:
    """Combine planes pixel by pixel, values far from the median left out.

    A value is scale * (plane - offset). It is left out when it differs from the pixel's median by
    more than `clip_sigma` times the larger of 1.4826 MAD of that pixel and the noise expected,
    sqrt(noise**2 + scale * max(median, 0) / gain): with few planes the MAD alone would clip at
    random. Two planes have no median to side with: when they differ by more than `clip_sigma`
    times the noise of a difference, or its typical scatter where that is larger, the higher goes (a
    cosmic ray adds). One plane passes through.

    Parameters
    ----------
    planes : sequence of (ny, nx), float32 or uint16
        Sliced as plane[y0:y1], once a band, in order. NaN means no data.
    scale, offset : (n,), optional
        Per plane; 1 and 0 by default.
    variance : (n,), optional
        Per plane, of a value after scaling: weights are its inverse. Equal weights by default.
    noise : (n,) or float, optional
        Read noise of a value after scaling. By default the typical scatter between the planes,
        from 64 rows spread over the frame: good for three planes and more.
    gain : float, optional
        Electrons per unit of the planes *before* scaling, to expect photon noise; None: none.
    band_rows : int
        Rows in memory at once: n * band_rows * nx * 4 bytes. The result does not depend on it.

    Returns
    -------
    Combined

    Raises
    ------
    BadInput
        No plane, planes of several shapes, or as many scales (...) as there are not planes.
    """
    ny, nx = _common_shape(planes)
    n = len(planes)
    scales = _per_plane(scale, n, 1.0, "scale")
    offsets = _per_plane(offset, n, 0.0, "offset")
    weights = 1.0 / _per_plane(variance, n, 1.0, "variance")
    shot = np.zeros(n, np.float32) if gain is None else np.abs(scales) / np.float32(gain)
    if noise is None:
        floor = np.full(n, _typical_scatter(planes, scales, offsets), np.float32)
    else:
        floor = _per_plane(noise, n, 0.0, "noise")
        if n == 2:  # too small a noise would keep the lower of every pair, and bias the mean
            scatter = np.float32(_typical_scatter(planes, scales, offsets))
            floor = np.maximum(floor, scatter)
    image = np.empty((ny, nx), np.float32)
    count = np.empty((ny, nx), np.uint16)
    sigma = np.empty((ny, nx), np.float32)
    band = np.empty((n, min(band_rows, ny), nx), np.float32)
    for y0 in range(0, ny, band_rows):
        y1 = min(y0 + band_rows, ny)
        rows = _fill(band[:, : y1 - y0], planes, y0, y1, scales, offsets)
        _clip(
            rows,
            np.float32(clip_sigma),
            np.stack([weights, floor, shot]),
            image[y0:y1],
            count[y0:y1],
            sigma[y0:y1],
        )
    return Combined(image=image, count=count, sigma=sigma)


def mode(values: np.ndarray, *, mask: np.ndarray | None = None) -> float:
    """Return the most frequent value: the level of a frame whatever stars or shadows it holds.

    The histogram of the values (20 bins a robust sigma) is smoothed by a Gaussian of 0.4 sigma
    and its highest point found with a parabola, so that neither the digitisation nor the choice of
    bins shows. A frame of n pixels gives it to about 3 sigma / sqrt(n).

    Parameters
    ----------
    values : array of any shape, real
        NaN is left out.
    mask : same shape, bool, optional
        True = leave out.

    Returns
    -------
    float, in the unit of the values

    Raises
    ------
    QualityError
        Nothing is left to measure.
    """
    sample = values[np.isfinite(values)] if mask is None else values[np.isfinite(values) & ~mask]
    if sample.size == 0:
        raise QualityError(
            "mode of a frame",
            found="no unmasked finite value",
            expected="at least one",
            do="look at the mask; leave the frame out",
        )
    sample = sample.astype(np.float64)
    low, middle, high = np.percentile(sample, [16, 50, 84])
    # The lower side is the cleaner one: stars and cosmic rays only add.
    spread = min(middle - low, high - middle) or (high - low) / 2
    if spread == 0:
        return float(middle)
    step = spread / MODE_BINS_PER_SIGMA
    start = middle - 6 * spread
    if np.issubdtype(values.dtype, np.integer):
        step = max(1.0, round(step))  # bins of whole units, or the digitisation beats with them
        start = np.floor(start) - 0.5
    edges = start + step * np.arange(int(12 * spread / step) + 3)
    histogram = np.histogram(sample, bins=edges)[0].astype(np.float64)
    smooth = gaussian_filter1d(histogram, MODE_SMOOTHING_SIGMA * spread / step, mode="constant")
    peak = int(np.clip(np.argmax(smooth), 1, len(smooth) - 2))
    before, at, after = smooth[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(edges[peak] + step * (0.5 + np.clip(shift, -1, 1)))


def _common_shape(planes: Sequence[Plane]) -> tuple[int, int]:
    shapes = {tuple(plane.shape) for plane in planes}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise BadInput(
            "planes to combine",
            found=f"{len(planes)} planes of shapes {sorted(shapes)}",
            expected="one or more 2-D planes of one shape",
            do="combine frames of one camera, read-out mode and binning",
        )
    ny, nx = next(iter(shapes))
    return ny, nx


def _per_plane(values: npt.ArrayLike | None, n: int, default: float, name: str) -> np.ndarray:
    array = np.asarray(default if values is None else values, dtype=np.float32)
    if array.ndim > 1 or array.size not in (1, n):
        raise BadInput(
            f"{name} of the planes to combine",
            found=f"{array.size} values",
            expected=f"one, or one for each of the {n} planes",
        )
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (n,)))


def _fill(
    band: np.ndarray,
    planes: Sequence[Plane],
    y0: int,
    y1: int,
    scales: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    for k, plane in enumerate(planes):
        band[k] = plane[y0:y1]
        band[k] -= offsets[k]
        band[k] *= scales[k]
    return band


def _typical_scatter(planes: Sequence[Plane], scales: np.ndarray, offsets: np.ndarray) -> float:
    """Noise of a single value, from the differences between successive planes."""
    ny, nx = _common_shape(planes)
    rows = np.unique(np.linspace(0, ny - 1, min(SAMPLE_ROWS, ny)).astype(int))
    sample = np.empty((len(planes), len(rows), nx), np.float32)
    for k, y in enumerate(rows):
        _fill(sample[:, k : k + 1], planes, int(y), int(y) + 1, scales, offsets)
    steps = np.abs(np.diff(sample, axis=0))
    steps = steps[np.isfinite(steps)]
    return float(1.4826 * np.median(steps) / np.sqrt(2)) if steps.size else 0.0


@njit(cache=True)
def _clip(band, clip_sigma, planes, image, count, sigma):  # type: ignore[no-untyped-def]  # pragma: no cover
    """`planes` holds weight, noise floor and photon-noise factor of each plane."""
    n_planes, ny, nx = band.shape
    weight, floor, shot = planes[0], planes[1], planes[2]
    value = np.empty(n_planes, np.float32)
    plane = np.empty(n_planes, np.int64)
    for y in range(ny):
        for x in range(nx):
            n = 0
            for k in range(n_planes):  # insertion sort while gathering: n is small
                new = band[k, y, x]
                if np.isnan(new):
                    continue
                i = n
                while i > 0 and value[i - 1] > new:
                    value[i] = value[i - 1]
                    plane[i] = plane[i - 1]
                    i -= 1
                value[i] = new
                plane[i] = k
                n += 1
            if n == 0:
                image[y, x] = 0
                count[y, x] = 0
                sigma[y, x] = 0
                continue
            first, last = 0, n
            if n == 2:
                a, b = plane[0], plane[1]
                light = max(value[0], np.float32(0)) * (shot[a] + shot[b])
                if value[1] - value[0] > clip_sigma * np.sqrt(
                    floor[a] ** 2 + floor[b] ** 2 + light
                ):
                    last = 1
            elif n > 2:
                middle = (
                    value[n // 2]
                    if n % 2
                    else np.float32(0.5) * (value[n // 2 - 1] + value[n // 2])
                )
                # The deviations of a sorted list, in order, are met by walking outwards.
                low, high = (n - 1) // 2, n // 2
                if n % 2:
                    low, high = low - 1, high + 1
                mad = np.float32(0)
                previous = np.float32(0)
                for _ in range(n % 2, n // 2 + 1):
                    previous = mad
                    if high >= n or (low >= 0 and middle - value[low] <= value[high] - middle):
                        mad = middle - value[low]
                        low -= 1
                    else:
                        mad = value[high] - middle
                        high += 1
                if n % 2 == 0:
                    mad = np.float32(0.5) * (mad + previous)
                own = np.float32(1.4826) * mad
                light = max(middle, np.float32(0))
                while first < last and middle - value[first] > clip_sigma * max(
                    own, np.sqrt(floor[plane[first]] ** 2 + light * shot[plane[first]])
                ):
                    first += 1
                while last > first and value[last - 1] - middle > clip_sigma * max(
                    own, np.sqrt(floor[plane[last - 1]] ** 2 + light * shot[plane[last - 1]])
                ):
                    last -= 1
            total = weights = 0.0
            for i in range(first, last):
                total += weight[plane[i]] * value[i]
                weights += weight[plane[i]]
            mean = total / weights
            squares = plain = 0.0
            for i in range(first, last):
                plain += value[i]
            plain /= last - first
            for i in range(first, last):
                squares += (value[i] - plain) ** 2
            image[y, x] = mean
            count[y, x] = last - first
            sigma[y, x] = np.sqrt(squares / (last - first - 1)) if last - first > 1 else 0.0
