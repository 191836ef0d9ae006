"""What amplifiers show in a reduced image: their noise, and the steps where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from numpy.typing import NDArray

from tesela.pixels.sections import Part, as_sections, borders

Floats = NDArray[np.float64]
STRIP_PX = 32
"""Width of the strips on both sides of a border whose levels are compared."""
BLOCK_PX = 64
EVERY = 4
"""Of the pixels that tell the noise, one in so many in each direction is looked at."""
_ENOUGH = 30


@dataclass(frozen=True)
class AmpStats:
    """Per amplifier, (n_amp,), NaN where too little of it is free; electrons."""

    level_e: Floats
    """Median of the free pixels."""
    noise_e: Floats
    """Robust standard deviation of a pixel."""


def measure(image: NDArray[np.float32], hidden: NDArray[np.bool_], dest: npt.ArrayLike) -> AmpStats:
    """Level and noise of each amplifier's free pixels.

    Parameters
    ----------
    image : (ny, nx) float32, electrons, sky-subtracted
    hidden : (ny, nx) bool
        True = defect or object.
    dest : (n_amp, 4) int
        Amplifier sections in the image, half-open [x0, x1, y0, y1].
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    level, noise = np.full(len(sections), np.nan), np.full(len(sections), np.nan)
    for k, (x0, x1, y0, y1) in enumerate(sections):
        part = image[y0:y1:EVERY, x0:x1:EVERY]
        free = part[~hidden[y0:y1:EVERY, x0:x1:EVERY] & np.isfinite(part)]
        if free.size >= _ENOUGH:
            level[k] = np.median(free)
            noise[k] = 1.4826 * np.median(np.abs(free - np.float32(level[k])))
    return AmpStats(level, noise)


def steps(
    image: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    dest: npt.ArrayLike,
    *,
    strip_px: int = STRIP_PX,
) -> NDArray[np.float64]:
    """Differences of level across the borders between amplifiers that meet.

    Along a border, means of the free pixels of both strips are compared block by block; the median
    over the blocks resists what objects leave. Parameters as `measure`. Returns (n_border,)
    electrons: the amplifier to the right (above) minus the one to the left (below).
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    found = [
        _step(image, hidden, first, second, axis=0 if first[0] == second[0] else 1)
        for _, _, first, second in borders(sections, strip_px)
    ]
    return np.array(found, np.float64)


def _step(
    image: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    first: Part,
    second: Part,
    *,
    axis: int,
) -> float:
    means = [_block_means(image[part], hidden[part], axis) for part in (first, second)]
    difference = means[1] - means[0]
    difference = difference[np.isfinite(difference)]
    return float(np.median(difference)) if difference.size else float("nan")


def _block_means(image: NDArray[np.float32], hidden: NDArray[np.bool_], axis: int) -> Floats:
    """Means of the free pixels of blocks along the border, NaN where less than half is free."""
    free = ~hidden & np.isfinite(image)
    edges = np.arange(0, image.shape[axis], BLOCK_PX)
    total = np.where(free, image, 0).sum(axis=1 - axis, dtype=np.float64)
    count = free.sum(axis=1 - axis)
    sums, counts = np.add.reduceat(total, edges), np.add.reduceat(count, edges)
    pixels = np.add.reduceat(np.full(len(count), image.shape[1 - axis]), edges)
    return np.where(2 * counts >= pixels, sums / np.maximum(counts, 1), np.nan)


def ghosts(
    image: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    dest: npt.ArrayLike,
    flip_x: npt.ArrayLike,
    flip_y: npt.ArrayLike,
    *,
    source_e: float = 5000.0,
    noise_e: float = 1.0,
) -> tuple[float, float]:
    """Light of bright pixels that is left in the other amplifiers: (coefficient, error).

    One number for the frame: the slope of free victims on all sources brighter than `source_e` at
    the same moment of the read-out. 0 +- error says that the crosstalk was removed.

    Parameters
    ----------
    image, hidden, dest
        As `measure`; `hidden` with the saturated pixels and all objects.
    flip_x, flip_y : (n_amp,) bool
        True where the amplifier reads its last column (row) first.
    source_e : float, electrons
    noise_e : float, electrons
        Of a victim; victims beyond 5 of it are objects and left out.
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    sizes = np.stack([sections[:, 1] - sections[:, 0], sections[:, 3] - sections[:, 2]], axis=1)
    if len(sections) < 2 or (sizes != sizes[0]).any():
        return float("nan"), float("nan")
    flips = [np.ascontiguousarray(flip, np.bool_) for flip in (flip_x, flip_y)]
    product, power = _ghosts(
        image, hidden, sections, flips[0], flips[1], np.float32(source_e), np.float32(5 * noise_e)
    )
    if power <= 0:
        return float("nan"), float("nan")
    return float(product / power), float(noise_e / np.sqrt(power))


@njit(cache=True, nogil=True)
def _ghosts(image, hidden, dest, flip_x, flip_y, source, beyond):  # type: ignore[no-untyped-def]  # pragma: no cover
    product = power = 0.0
    width, height = dest[0, 1] - dest[0, 0], dest[0, 3] - dest[0, 2]
    for amp in range(dest.shape[0]):
        for j in range(height):
            y = dest[amp, 3] - 1 - j if flip_y[amp] else dest[amp, 2] + j
            for i in range(width):
                x = dest[amp, 1] - 1 - i if flip_x[amp] else dest[amp, 0] + i
                light = image[y, x]
                if not light > source:
                    continue
                for victim in range(dest.shape[0]):
                    if victim == amp:
                        continue
                    v = dest[victim, 3] - 1 - j if flip_y[victim] else dest[victim, 2] + j
                    u = dest[victim, 1] - 1 - i if flip_x[victim] else dest[victim, 0] + i
                    if hidden[v, u] or not abs(image[v, u]) < beyond:
                        continue
                    product += light * image[v, u]
                    power += light * light
    return product, power
