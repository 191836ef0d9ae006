"""Whether the amplifiers of a frame see one sky: by their steps at common borders and their noise.

Light crosses a border, amplifiers do not: a nebula, a shadow or vignetting has the same level on
both sides, a broken output has its own. And photons make noise, so light that is no light, or was
scaled, is told by a noise that does not belong to its level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from tesela.pixels import robust
from tesela.pixels.sections import Part, as_sections, borders, per_amplifier

Floats = NDArray[np.float64]
_STRIP_PX = 32
_BLOCK_PX = 64
_BLOCKS = 20
"""Of a border, about so many are looked at."""
_ROWS = 64
_ENOUGH = 100
_CUT_SIGMA = 0.98658
"""Standard deviation of a unit Gaussian cut at three sigma."""
_SAME_NOISE = 1.25
_ROUNDS = 20


@dataclass(frozen=True)
class Limits:
    """What amplifiers may differ by; a step has to exceed all of the first three."""

    share: float = 0.1
    """Of the sky."""
    least_e: float = 10.0
    sigmas: float = 5.0
    """Errors of the step."""
    noise_ratio: float = 2.0
    """Of noise over expected noise, above or below what it is for the others."""


@dataclass(frozen=True)
class AmpSky:
    """Per amplifier, (n_amp,); NaN where too little of it is free. Electrons."""

    level_e: Floats
    """Median."""
    offset_e: Floats
    """Above the amplifiers that agree with each other, from the steps at borders."""
    noise_e: Floats
    """Of a pixel, from its neighbour in the row."""
    expected_e: Floats
    """Noise of photons of that level and of the read-out."""
    apart: NDArray[np.bool_]
    """True where the offset is beyond the limits."""
    noisy: NDArray[np.bool_]
    """True where the noise is."""

    @property
    def sky_e(self) -> float:
        """Typical level."""
        known = self.level_e[np.isfinite(self.level_e)]
        return float(np.median(known)) if known.size else float("nan")


def compare(
    image: NDArray[np.float32],
    hidden: NDArray[np.bool_],
    dest: npt.ArrayLike,
    readout_e: npt.ArrayLike,
    response: npt.ArrayLike = 1.0,
    limits: Limits | None = None,
) -> AmpSky:
    """Compare the amplifiers of a frame with its sky in it.

    Of two amplifiers that disagree, and nothing else to compare with, the one whose noise does not
    fit is apart, or else the darker one: broken outputs lose light. Samples are looked at, so that
    a frame of 85 million pixels takes some hundredths of a second.

    Parameters
    ----------
    image : (ny, nx) float32, electrons, on a flat response
    hidden : (ny, nx) bool
        True = defect. Objects need not be hidden.
    dest : (n_amp, 4) int
        Amplifier sections in the image, half-open [x0, x1, y0, y1].
    readout_e : (n_amp,) or float, electrons
        Noise without light, before the division by the response.
    response : (n_amp,) or float
        By which the image was divided, typically.
    limits : Limits, optional
    """
    limits = limits or Limits()
    boxes = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    divided = per_amplifier(response, len(boxes), "response").astype(np.float64)
    readout = per_amplifier(readout_e, len(boxes), "read noise") / divided
    level, noise = np.array([_sampled(image, hidden, box) for box in boxes]).reshape(-1, 2).T
    expected = np.sqrt(np.maximum(level, 0) / divided + readout**2)
    with np.errstate(divide="ignore"):
        excess = np.log(noise / expected)
    typical, noisy = _against_most(excess, np.log(limits.noise_ratio), -np.abs(excess))
    fits = np.abs(excess - typical) < np.log(_SAME_NOISE)
    sky = float(np.nanmedian(level)) if np.isfinite(level).any() else 0.0
    offset, apart = np.full(len(boxes), np.nan), np.zeros(len(boxes), np.bool_)
    for group, raised, error in _offsets(image, hidden, boxes):
        limit = np.maximum(limits.sigmas * error, max(limits.share * sky, limits.least_e))
        common, apart[group] = _against_most(raised, limit, raised, fits[group])
        offset[group] = raised - common
    return AmpSky(level, offset, noise, expected, apart, noisy)


def noises(image: NDArray[np.float32], hidden: NDArray[np.bool_], dest: npt.ArrayLike) -> Floats:
    """Noise of a free pixel of each amplifier from its neighbour in the row, (n_amp,) electrons.

    Fringes, gradients and whatever else is smooth do not count. Parameters as `compare`.
    """
    boxes = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    return np.array([_sampled(image, hidden, box)[1] for box in boxes])


def _against_most(
    values: Floats, limit: npt.ArrayLike, preference: Floats, fits: NDArray[np.bool_] | None = None
) -> tuple[float, NDArray[np.bool_]]:
    """The value that most others are within the limit of, and which are beyond it.

    Among equals those that fit come first, then the greatest preference.
    """
    limit = np.broadcast_to(np.asarray(limit, np.float64), values.shape)
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return float("nan"), np.zeros(values.shape, np.bool_)
    near = np.abs(values[known, None] - values[known]) <= limit[known, None]
    rank = (preference[known], np.zeros(known.size) if fits is None else fits[known])
    best = known[np.lexsort((*rank, near.sum(axis=1)))[-1]]
    with np.errstate(invalid="ignore"):
        return float(values[best]), np.abs(values - values[best]) > limit


def _sampled(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], box: NDArray[np.int64]
) -> tuple[float, float]:
    """Median, and noise from differences of neighbours, of the free pixels of some rows."""
    x0, x1, y0, y1 = box
    rows = slice(y0, y1, max(1, (y1 - y0) // _ROWS))
    part, free = image[rows, x0:x1], ~hidden[rows, x0:x1]
    free = free & np.isfinite(part)
    both = free[:, 1:] & free[:, :-1]
    steps = np.abs(part[:, 1:][both] - part[:, :-1][both])
    if steps.size < _ENOUGH:
        return float("nan"), float("nan")
    # Cut at three sigma, a mean is finer than the median, and blind to stars as well.
    first = robust.sigma(steps, 0.0)
    near = steps[steps <= 3 * first].astype(np.float64)
    noise = np.sqrt(np.mean(near**2) / 2) / _CUT_SIGMA
    return float(np.median(part[free])), float(noise)


def _offsets(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], boxes: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Floats, Floats]]:
    """Groups of amplifiers that hang together: their numbers, offsets (n,), errors (n,)."""
    n = len(boxes)
    met = [
        (i, j, *step)
        for i, j, first, second in borders(boxes, _STRIP_PX)
        if np.isfinite((step := _step(image, hidden, first, second))[0])
    ]
    pairs = np.array([one[:2] for one in met], np.int64).reshape(-1, 2)
    steps, errors = np.array([one[2:] for one in met], np.float64).reshape(-1, 2).T
    graph = np.zeros((n, n), np.bool_)
    graph[pairs[:, 0], pairs[:, 1]] = True
    labels = connected_components(graph, directed=False)[1]
    for label in np.unique(labels):
        group = np.flatnonzero(labels == label)
        if len(group) < 2:
            continue
        own = np.isin(pairs[:, 0], group)
        places = np.searchsorted(group, pairs[own])
        error = np.full(len(group), np.inf)
        for side in (0, 1):
            np.minimum.at(error, places[:, side], errors[own])
        yield group, _levelled(len(group), places, steps[own]), error


def _levelled(n: int, pairs: NDArray[np.int64], steps: Floats) -> Floats:
    """Offsets whose differences are the steps: least absolute residuals, by reweighting."""
    design = np.zeros((len(steps), n))
    design[np.arange(len(steps)), pairs[:, 1]] = 1
    design[np.arange(len(steps)), pairs[:, 0]] = -1
    weight = np.ones(len(steps))
    offset: Floats = np.zeros(n)
    for _ in range(_ROUNDS):
        fit = np.linalg.lstsq(design * weight[:, None], steps * weight, rcond=None)[0]
        offset = fit.astype(np.float64)
        weight = 1 / np.sqrt(np.maximum(np.abs(steps - design @ offset), 0.1))
    return offset


def _step(
    image: NDArray[np.float32], hidden: NDArray[np.bool_], first: Part, second: Part
) -> tuple[float, float]:
    """Level of the second strip above the first, and its error; NaN where little is free.

    Both are taken at the border itself, each from two halves of its strip: then neither a slope
    nor a curve of the light makes a step.
    """
    beside = first[0] == second[0]
    levels = []
    for part, towards in ((first, -1), (second, 1)):
        pixels, lost = image[part], hidden[part]
        if not beside:
            pixels, lost = pixels.T, lost.T
        pixels, lost = pixels[:, ::towards], lost[:, ::towards]
        half = pixels.shape[1] // 2
        near = _block_medians(pixels[:, :half], lost[:, :half])
        far = _block_medians(pixels[:, half : 2 * half], lost[:, half : 2 * half])
        levels.append(1.5 * near - 0.5 * far)
    steps = levels[1] - levels[0]
    steps = steps[np.isfinite(steps)]
    if not steps.size:
        return float("nan"), float("nan")
    error = robust.MEDIAN_ERROR * robust.sigma(steps) / np.sqrt(steps.size)
    return float(np.median(steps)), float(error)


def _block_medians(image: NDArray[np.float32], hidden: NDArray[np.bool_]) -> Floats:
    """Medians of some blocks of rows, NaN where less than half of a block is free."""
    found = []
    every = max(1, len(image) // (_BLOCK_PX * _BLOCKS))
    for y in range(0, len(image), every * _BLOCK_PX):
        part = image[y : y + _BLOCK_PX]
        free = part[~hidden[y : y + _BLOCK_PX] & np.isfinite(part)]
        found.append(np.median(free) if free.size and 2 * free.size >= part.size else np.nan)
    return np.array(found, np.float64)
