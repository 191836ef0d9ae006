"""What is left of the fringes in reduced images.

Two questions. Is the pattern right? Images of a band are put on the scale of their true fringes and
averaged in two halves. What the halves have in common is a pattern of the camera, their noise is
not; its size is the root of their covariance. Is its scale right, image by image? Errors of either
sign average away there, so each image is compared with the true pattern: the slope is the part of
its fringes that is left. What is wider than the cells of a sky model is sky, and is taken out of
images and fringes alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tesela.products import files
from tesela.score.frames import read_truth
from tesela.score.rows import Row
from tesela.score.statistics import robust_width
from tesela.simulate import detector
from tesela.simulate.settings import NightSettings

BLOCK_PX, SKY_PX = 8, 100
PARTS = 8
"""An image is cut into so many parts along each axis to learn the error of its slope."""
CLIP_SIGMA = 5.0
OF_AMPLITUDE, OF_SKY = 0.10, 0.003
FEWEST = 4

Floats = NDArray[np.float64]


@dataclass
class Half:
    """Sums over images, in blocks."""

    total: Floats
    count: Floats

    @property
    def mean(self) -> Floats:
        """NaN where no image has free pixels."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1e-9), np.nan)


@dataclass
class Stack:
    """The images of a band."""

    halves: list[Half]
    pattern: Floats
    """The true fringes in blocks, where an image is as well, without what is sky."""
    amplitudes: list[float] = field(default_factory=list)
    """Of the fringes, relative to the sky."""
    slopes: list[tuple[float, float]] = field(default_factory=list)
    """Of each image: the part of its fringes that is left, and the error of that."""


def rows(
    frames: Mapping[str, Path],
    truth_dir: Path,
    settings: NightSettings,
    corrected: Collection[str],
) -> Iterable[Row]:
    """Look at the reduced images, by name, of every band with fringes. Memory: one image.

    Only bands that were corrected are judged; of the others it is said what is left.
    """
    stacks: dict[str, Stack] = {}
    for name, path in sorted(frames.items()):
        facts = read_truth(truth_dir, name)
        if facts.fringe <= 0:
            continue
        fits = files.read_fits(path, ["IMAGE", "MASK"])
        scaled = fits.data["IMAGE"] / np.float32(facts.sky_e * facts.fringe)
        total, count = _blocks(scaled, fits.data["MASK"] == 0)
        if facts.band not in stacks:
            pattern = detector.fringes(settings, facts.band)
            whole, of = _blocks(pattern, np.ones(pattern.shape, bool))
            stacks[facts.band] = Stack([_empty(total), _empty(total)], whole / of)
        stack = stacks[facts.band]
        half = stack.halves[len(stack.amplitudes) % 2]
        half.total += total
        half.count += count
        stack.amplitudes.append(facts.fringe)
        stack.slopes.append(slope(Half(total, count).mean, stack.pattern))
    for band, stack in stacks.items():
        if len(stack.amplitudes) >= FEWEST:
            yield from _of_band(band, stack, band in corrected)


def _empty(like: Floats) -> Half:
    return Half(np.zeros_like(like), np.zeros_like(like))


def _blocks(image: NDArray[np.floating[Any]], free: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Sum and number of the free pixels of each block."""
    my, mx = image.shape[0] // BLOCK_PX, image.shape[1] // BLOCK_PX
    cut = np.s_[: my * BLOCK_PX, : mx * BLOCK_PX]
    shape = (my, BLOCK_PX, mx, BLOCK_PX)
    values = np.where(free, image, 0)[cut].reshape(shape)
    return (
        values.sum(axis=(1, 3), dtype=np.float64),
        free[cut].reshape(shape).sum(axis=(1, 3)).astype(np.float64),
    )


def _without_sky(blocks: Floats) -> Floats:
    """Subtract the mean of the surroundings; NaN stays."""
    known = np.isfinite(blocks)
    sigma = SKY_PX / BLOCK_PX
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma)
    smooth = ndimage.gaussian_filter(np.where(known, blocks, 0.0), sigma)
    return np.where(known, blocks - smooth / np.maximum(weight, 1e-9), np.nan)


def slope(image: Floats, pattern: Floats) -> tuple[float, float]:
    """How much of a pattern is in an image, both in blocks, and the error of that by a jackknife.

    Parts of the image are left out in turn, since what is left of objects and sky is alike in
    neighbouring blocks. NaN in the image means no data; NaN is returned where there is no data at
    all.
    """
    image = _without_sky(image)
    known = np.isfinite(image)
    pattern = np.nan_to_num(_without_sky(np.where(known, pattern, np.nan)))
    image = np.nan_to_num(image)
    for _ in range(2):
        top, bottom = float(np.sum(pattern * image)), float(np.sum(pattern**2))
        if bottom <= 0:
            return float("nan"), float("nan")
        away = np.where(known, image - top / bottom * pattern, np.nan)
        far = np.abs(away - np.nanmedian(away)) > CLIP_SIGMA * robust_width(away[known])
        known &= ~far
        image, pattern = np.where(known, image, 0.0), np.where(known, pattern, 0.0)
    products = np.stack([_in_parts(pattern * image), _in_parts(pattern**2)])
    total = products.sum(axis=1)
    others = total[:, None] - products
    n = products.shape[1]
    without = others[0] / np.maximum(others[1], 1e-12)
    error = np.sqrt((n - 1) * np.mean((without - without.mean()) ** 2))
    return float(total[0] / max(total[1], 1e-12)), float(error)


def _in_parts(values: Floats) -> Floats:
    """Sums over the parts of an image."""
    strips = np.array_split(values, PARTS, axis=0)
    return np.array([part.sum() for s in strips for part in np.array_split(s, PARTS, axis=1)])


def _of_band(band: str, stack: Stack, is_judged: bool) -> Iterable[Row]:
    one, other = (_without_sky(half.mean) for half in stack.halves)
    both = np.isfinite(one) & np.isfinite(other)
    left = float(np.sqrt(max(float(np.mean(one[both] * other[both])), 0.0)))
    amplitude = float(np.std(_without_sky(stack.pattern)))
    mean_fringe = float(np.mean(stack.amplitudes))
    n = len(stack.amplitudes)
    note = "" if is_judged else "not corrected; "
    note += f"{n} images; fringes of {100 * amplitude * mean_fringe:.2f} % of the sky, rms"
    value = left / amplitude
    yield Row(
        "fringes left, of their amplitude", band, value, float("nan"), int(both.sum()), "",
        OF_AMPLITUDE if is_judged else None, "<=", note,
    )  # fmt: skip
    yield Row(
        "fringes left, of the sky", band, left * mean_fringe, float("nan"), int(both.sum()), "",
        OF_SKY if is_judged else None, "<=", f"{n} images",
    )  # fmt: skip
    slopes, errors = np.transpose(stack.slopes)
    scale = np.sqrt(max(float(np.mean(slopes**2 - errors**2)), 0.0))
    yield Row(
        "fringe scale left, image by image", band, float(scale), float("nan"), n, "",
        OF_AMPLITUDE if is_judged else None, "<=",
        f"rms; {slopes.min():+.3f} to {slopes.max():+.3f}, each to {np.median(errors):.3f}",
    )  # fmt: skip
