"""The stretch of a straight line on which a streak is most significant, in single pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from tesela.pixels.strip import Chord, Hidden, chord, is_open, planes_of

PARTS = 2  # of a pixel, across the line
WIDTHS = (2, 3, 4, 5, 6, 8, 10, 14, 18, 24, 30)  # in such parts
BROAD = (19, 24)  # px
CHUNKS = 48
MIN_SHARE = 0.25
VARYING = 0.3
MANY = 8
# How many parts either end may move aside, in which steps, and how near to the significance and
# evenness wanted it has to be by then.
# What is so many times as significant as wanted may flash or tumble, if it shines along this part
# of its length: a few blobs in line have a quarter.
SURE, SPREAD = 1.8, 0.4
LOOKS = ((24, 4, 0.8), (6, 1, 0.9), (2, 1, 1.0))


@dataclass(frozen=True)
class Stretch:
    """Part of a line from border to border.

    Attributes
    ----------
    line : Chord
    lit : (t0, t1), pixels from the start of the line
    width : float, pixels
        Of the box of highest significance.
    snr : float
        Its significance.
    unevenness : float
        Chi square, a chunk, of the light of its chunks around the same brightness for all, which
        may vary by `VARYING`. Of `MANY` or more the worst is not counted: a star's wings may lie
        there.
    """

    line: Chord
    lit: tuple[float, float]
    width: float
    snr: float
    unevenness: float


def follow(
    image: np.ndarray,
    hidden: Hidden,
    noise: float | np.ndarray,
    ends: tuple[float, ...],
    *,
    reach_px: int,
    clip_sigma: float,
    least_snr: float,
    least_px: float,
    most_uneven: float,
) -> Stretch | None:
    """Turn the line `ends` (x0, y0, x1, y1), and find width and stretch, to the highest S/N.

    All three are tried together: a line that is wrong in one shows little of a trail, and leads the
    others astray.

    Parameters
    ----------
    image, hidden, noise, ends, reach_px, clip_sigma
        As for `streak.refine`.
    least_snr : float
        Signal-to-noise ratio below which nobody wants it.
    least_px : float
        Length, in pixels, of the shortest stretch wanted.
    most_uneven : float
        Largest `Stretch.unevenness`, but for lights that flash or tumble.

    Returns
    -------
    Stretch, or None where there is none or too little data
    """
    line = chord(ends, image.shape)
    planes = planes_of(image, hidden, noise)
    for reach, step, share in LOOKS:
        if line is None:
            return None
        sums = _running(planes, line, reach_px, clip_sigma)
        if sums is None:
            return None
        t0, t1 = (line.along(*ends[i : i + 2]) for i in (0, 2))
        span = (max(t0, 0.0), min(t1, line.length))
        if span[1] - span[0] < least_px / 2:
            return None
        chunk = line.length / CHUNKS
        least = max(int(least_px / chunk) - 2, 2)  # what is short is to be seen to be short
        signal, weight = sums
        power, centre0, centre1, width, first, last = _best(
            signal, weight, span, chunk, reach, step, least
        )
        if power < (share * least_snr) ** 2:
            return None
        slope = (centre1 - centre0) / (span[1] - span[0])
        axis = centre0 + slope * ((np.arange(CHUNKS) + 0.5) * chunk - span[0])
        light, number = _boxes(signal, weight, axis, width)[:, first:last]
        unevenness = _unevenness(light, number)
        may_vary = power > (SURE * least_snr) ** 2 and _spread(light, number) > SPREAD
        if share * unevenness > most_uneven and not may_vary:
            return None
        ends = tuple(
            coordinate
            for t in (first * chunk, last * chunk)
            for coordinate in line.point(t, centre0 + slope * (t - span[0]))
        )
        line = chord(ends, image.shape)
    if line is None:
        return None
    t0, t1 = (line.along(*ends[i : i + 2]) for i in (0, 2))
    # What is broad has to be told, but must not lead astray: clumps would.
    boxes = {w: _boxes(signal, weight, axis, w)[:, first:last] for w in (width, *BROAD)}
    widest = max(boxes, key=lambda w: _significance(*boxes[w]))
    lit = (max(t0, 0.0), min(t1, line.length))
    return Stretch(line, lit, widest, math.sqrt(power), unevenness)


def _boxes(signal: np.ndarray, weight: np.ndarray, axis: np.ndarray, width: float) -> np.ndarray:
    """Signal and weight of the boxes of all chunks, (2, chunks), `axis` px aside."""
    n_u, parts = signal.shape[1] - 1, round(PARTS * width)
    low = np.rint(PARTS * axis + 0.5 * (n_u - parts)).astype(int).clip(0, n_u - parts)
    chunks = np.arange(CHUNKS)
    return np.stack([p[chunks, low + parts] - p[chunks, low] for p in (signal, weight)])


def _significance(light: np.ndarray, number: np.ndarray) -> float:
    return float(light.sum() / math.sqrt(max(number.sum(), 1.0)))


def _unevenness(light: np.ndarray, number: np.ndarray) -> float:
    seen = number > MIN_SHARE * number.max()
    light, number = light[seen], number[seen]
    mean = light.sum() / number.sum()
    for _ in range(3):
        # Where it varies much a long chunk tells no more than a short one.
        weights = 1 / (1 / number + (VARYING * mean) ** 2)
        mean = (weights * light / number).sum() / weights.sum()
    terms = np.sort(weights * (light / number - mean) ** 2)
    return float(terms[:-1].mean() if terms.size >= MANY else terms.mean())


def _spread(light: np.ndarray, number: np.ndarray) -> float:
    """Part of the length that shines: of n chunks as bright, m of which are dark, 1 - m / n."""
    seen = number > MIN_SHARE * number.max()
    light, number = light[seen], number[seen]
    square = (light**2 / number - 1).sum()  # without what the noise adds
    return float(light.sum() ** 2 / (number.sum() * square)) if square > 0 else 1.0


def _running(
    planes: tuple[np.ndarray, ...], line: Chord, reach: int, clip_sigma: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Running sums over u, (chunks, n_u + 1), of signal and weight; None of too few data."""
    signal, weight = _sums(planes, line.numbers, reach, CHUNKS, clip_sigma)
    if weight.sum() < MIN_SHARE * line.length * (2 * reach + 1):
        return None
    # The surroundings, taken over a few chunks each way so that they add little noise.
    outer = np.abs(np.arange(signal.shape[1]) + 0.5 - PARTS * (reach + 0.5)) > 0.6 * PARTS * reach
    kernel = np.ones(9)
    side_signal = np.convolve(signal[:, outer].sum(axis=1), kernel, mode="same")
    side_weight = np.convolve(weight[:, outer].sum(axis=1), kernel, mode="same")
    signal -= (side_signal / np.maximum(side_weight, 1))[:, None] * weight
    zero = np.zeros((CHUNKS, 1))
    return (
        np.hstack([zero, np.cumsum(signal, axis=1)]),
        np.hstack([zero, np.cumsum(weight, axis=1)]),
    )


@njit(cache=True, nogil=True)
def _best(signal, weight, span, chunk, reach, step, least):  # type: ignore[no-untyped-def]  # pragma: no cover
    """S/N squared, centres (px) at both ends of `span`, width (px), first and last chunk, of the
    highest S/N."""
    n, n_u = signal.shape[0], signal.shape[1] - 1
    best, answer = 1e-9, (0, 0, 1, 0, n)
    total, count = np.zeros(n + 1), np.zeros(n + 1)
    for width in WIDTHS:
        enough = MIN_SHARE * width / PARTS * chunk
        start = (n_u - width) // 2
        for at0 in range(-reach, reach + 1, step):
            for at1 in range(-reach, reach + 1, step):
                slope = (at1 - at0) / (span[1] - span[0])
                for c in range(n):
                    u = int(np.rint(at0 + slope * ((c + 0.5) * chunk - span[0])))
                    low = min(max(u + start, 0), n_u - width)
                    total[c + 1] = total[c] + signal[c, low + width] - signal[c, low]
                    count[c + 1] = count[c] + weight[c, low + width] - weight[c, low]
                for c in range(n - least + 1):
                    for d in range(c + least, n + 1):
                        light, number = total[d] - total[c], count[d] - count[c]
                        # One branch, almost never taken.
                        if light > 0 and light * light > best * number > best * enough * (d - c):
                            best, answer = light * light / number, (at0, at1, width, c, d)
    at0, at1, width, c, d = answer
    aside = (n_u - width) // 2 + 0.5 * width - 0.5 * n_u
    return best, (at0 + aside) / PARTS, (at1 + aside) / PARTS, width / PARTS, c, d


@njit(cache=True, nogil=True)
def _sums(planes, line, reach, n_chunks, clip):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums over the pixels of each chunk at each distance u: of the values, and their number.

    In the order of the image, not of the line: every pixel is taken once, and memory is read in
    rows.
    """
    image, bad, covered, noise, band = planes
    signal = np.zeros((n_chunks, PARTS * (2 * reach + 1)))
    weight = np.zeros(signal.shape)
    ny, nx = image.shape
    x0, y0, ux, uy, length = line
    whole = noise.size == 1
    away, per_px = reach + 0.5, n_chunks / length
    end_y = y0 + uy * length
    margin = away * abs(ux) + 1
    for y in range(max(int(min(y0, end_y) - margin), 0), min(int(max(y0, end_y) + margin) + 2, ny)):
        low, high = 0.0, nx - 1.0
        if abs(uy) > 1e-9:
            middle = x0 + (y - y0) * ux / uy
            low, high = max(low, middle - away / abs(uy)), min(high, middle + away / abs(uy))
        for x in range(int(low), int(high) + 1):
            t = (x - x0) * ux + (y - y0) * uy
            u = (y - y0) * ux - (x - x0) * uy
            if t < 0 or t >= length or u < -away or u >= away or bad[y, x]:
                continue
            if covered[y, x] and (band[4] < 0 or not is_open(x, y, band)):
                continue
            chunk, k = min(int(t * per_px), n_chunks - 1), int(PARTS * (u + away))
            value = image[y, x] / (noise[0, 0] if whole else noise[y, x])
            signal[chunk, k] += min(max(value, -clip), clip)
            weight[chunk, k] += 1
    return signal, weight
