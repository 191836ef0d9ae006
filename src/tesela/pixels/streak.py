"""A straight streak followed at full resolution: direction, width, ends, evenness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tesela.pixels.steadiness import Steadiness, steadiness
from tesela.pixels.strip import Hidden, Strip, chord, chunk_sums, cut

WIDTHS_PX = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24)
CHUNKS = 48
PIECES = 12
QUARTERS = 4
MIN_SHARE = 0.25
MIN_GAP_PX = 24
FAINTEST_SHARE = 0.05
BRIGHT_SIGMA = 4.0
DARK_SIGMA = 2.5


@dataclass(frozen=True)
class Streak:
    """A straight streak measured on the image.

    Attributes
    ----------
    x0, y0, x1, y1 : float, pixels
        Ends of the axis, pixel centres being whole numbers.
    width_px, snr, surface_brightness : float
        As in `trails.Trail`, `snr` with the noise as given.
    box_px : int
        Width of the box that gave the highest significance, of `WIDTHS_PX`.
    evenness : float
        Significance from the median of its pieces over that from their mean: 1 for a trail, 0 for
        a few bright spots in line or the spike of a star.
    filled : float
        Share of its quarters that have a fair part of its light, as far as the noise lets them be
        told: all of a trail's; a few blobs, or the rim of a galaxy, fill one to three.
    contrast : float
        Excess over the brighter side over the excess over both sides: 1 for a trail, 0 for a step.
    of_object : bool
        It looks like what is left around a masked object: the spike of a star, an edge-on galaxy.
    steadiness : Steadiness or None
        Of the light as it is, not clipped; only where it was asked for.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    width_px: float
    snr: float
    surface_brightness: float
    box_px: int
    evenness: float
    filled: float
    contrast: float
    of_object: bool
    steadiness: Steadiness | None


def refine(
    image: np.ndarray,
    hidden: Hidden,
    noise: float | np.ndarray,
    ends: tuple[float, ...],
    *,
    reach_px: int,
    clip_sigma: float,
    among_objects: bool = False,
) -> Streak | None:
    """Follow a streak near the line `ends` (x0, y0, x1, y1) and measure it.

    Parameters
    ----------
    image : (ny, nx) float32, sky-subtracted
    hidden : Hidden
        Pixels to leave out.
    noise : float or (ny, nx) float32, units of the image
    reach_px : int
        Half width of the strip looked at; the streak must lie within a quarter of it of the line.
    clip_sigma : float
        Single values are clipped at so many noises before they are summed.
    among_objects : bool
        Stars are not left out: its width is taken from medians, and its steadiness is measured.

    Returns
    -------
    Streak, or None where there is too little unmasked data
    """
    first = chord(ends, image.shape)
    if first is None:
        return None
    (x0, y0), (ux, uy), length = first
    t = [(ends[i] - x0) * ux + (ends[i + 1] - y0) * uy for i in (0, 2)]
    span = (max(min(t), 0.0), min(max(t), length))
    strip = cut(image, hidden, noise, (x0, y0, ux, uy, length), reach_px, clip_sigma)
    table = _table(strip, CHUNKS)
    for reach in (reach_px // 4, reach_px // 8, 2):
        if table is None:
            return None
        shift0, shift1, width = _tilt(table, span, length, reach)
        a = (x0 - uy * shift0, y0 + ux * shift0)
        b = (x0 + ux * length - uy * shift1, y0 + uy * length + ux * shift1)
        turned = chord((*a, *b), image.shape)
        if turned is None:
            return None
        (x0, y0), (ux, uy), length = turned
        strip = cut(image, hidden, noise, (x0, y0, ux, uy, length), reach_px, clip_sigma)
        table = _table(strip, CHUNKS)
        if table is None:
            return None
        span = _extent(table, width, length)
    return _measure(strip, span, width, among_objects)


@dataclass(frozen=True)
class _Table:
    """Running sums over u of a strip's chunks: (n_chunk, n_u + 1) of signal and of weight."""

    signal: np.ndarray
    weight: np.ndarray
    edges: np.ndarray
    reach: int

    def box(
        self, chunks: np.ndarray, centre: np.ndarray, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Signal and weight of boxes `width` wide about `centre` (integer u) in `chunks`."""
        low = np.clip(centre + self.reach - (width - 1) // 2, 0, 2 * self.reach + 1)
        high = np.clip(low + width, 0, 2 * self.reach + 1)
        signal = self.signal[chunks, high] - self.signal[chunks, low]
        return signal, self.weight[chunks, high] - self.weight[chunks, low]


def _table(strip: Strip, n_chunks: int) -> _Table | None:
    edges = np.linspace(0, len(strip.values), n_chunks + 1).astype(int)
    signal, weight = chunk_sums(strip.values, strip.good, edges)
    outer = np.abs(np.arange(-strip.reach, strip.reach + 1)) > 0.6 * strip.reach
    if weight.sum() < MIN_SHARE * strip.values.size:
        return None
    # The surroundings, taken over a few chunks each way so that they add little noise.
    kernel = np.ones(9)
    side_signal = np.convolve(signal[:, outer].sum(axis=1), kernel, mode="same")
    side_weight = np.convolve(weight[:, outer].sum(axis=1), kernel, mode="same")
    level = side_signal / np.maximum(side_weight, 1)
    signal -= level[:, None] * weight
    zero = np.zeros((n_chunks, 1))
    return _Table(
        np.hstack([zero, np.cumsum(signal, axis=1)]),
        np.hstack([zero, np.cumsum(weight, axis=1)]),
        edges,
        strip.reach,
    )


def _tilt(
    table: _Table, span: tuple[float, float], length: float, reach: int
) -> tuple[float, float, int]:
    """Shifts (px) of the line at both ends of the chord, and the width, of highest S/N in span."""
    middle = 0.5 * (table.edges[1:] + table.edges[:-1])
    chunks = np.flatnonzero((middle >= span[0]) & (middle <= span[1]))
    if chunks.size < 2:
        chunks = np.arange(len(middle))
    share = (middle[chunks] - span[0]) / max(span[1] - span[0], 1.0)
    shifts = np.arange(-reach, reach + 1)
    at0, at1 = (grid.ravel()[:, None] for grid in np.meshgrid(shifts, shifts))
    centre = np.rint(at0 + (at1 - at0) * share).astype(int)
    best = (-math.inf, 0, 0, 1)
    for width in WIDTHS_PX:
        signal, weight = table.box(chunks[None, :], centre, width)
        snr = signal.sum(axis=1) / np.sqrt(np.maximum(weight.sum(axis=1), 1.0))
        k = int(np.argmax(snr))
        if snr[k] > best[0]:
            best = (float(snr[k]), int(at0[k, 0]), int(at1[k, 0]), width)
    _, first, last, width = best
    slope = (last - first) / max(span[1] - span[0], 1.0)
    # A box of even width has its centre half a pixel up.
    half = 0.0 if width % 2 else 0.5
    return first - slope * span[0] + half, first + slope * (length - span[0]) + half, width


def _extent(table: _Table, width: int, length: float) -> tuple[float, float]:
    """Part of the chord over which the streak has its highest S/N, one chunk added at each end."""
    n = len(table.edges) - 1
    signal, weight = table.box(np.arange(n), np.zeros(n, int), width)
    total = np.concatenate([[0.0], np.cumsum(signal)])
    used = np.concatenate([[0.0], np.cumsum(weight)])
    first, last = np.triu_indices(n + 1, k=2)
    snr = (total[last] - total[first]) / np.sqrt(np.maximum(used[last] - used[first], 1.0))
    k = int(np.argmax(snr))
    start, end = max(first[k] - 1, 0), min(last[k] + 1, n)
    # Close to the border a trail has left the frame.
    low = 0.0 if start <= 3 else float(table.edges[start])
    high = length if end >= n - 3 else float(table.edges[end])
    return low, high


def _measure(
    strip: Strip, span: tuple[float, float], width: int, among_objects: bool
) -> Streak | None:
    rows = slice(int(span[0]), max(math.ceil(span[1]), int(span[0]) + PIECES))
    values, good = strip.values[rows], strip.good[rows]
    count = good.sum(axis=0)
    u = np.arange(-strip.reach, strip.reach + 1)
    profile = values.sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
    core = (u >= -((width - 1) // 2)) & (u <= width // 2)
    typical = _medians(values, good) if among_objects else profile
    half = _half_width(typical, count, width)
    left = (u < -half - 1) & (u >= -half - 1 - strip.reach // 2)
    right = (u > half + 1) & (u <= half + 1 + strip.reach // 2)
    if min(count[core].sum(), count[left].sum(), count[right].sum()) < PIECES:
        return None
    sides = [_mean(profile, count, side) for side in (left, right)]
    level = 0.5 * (sides[0] + sides[1])
    excess = _mean(profile, count, core) - level
    snr = excess * math.sqrt(count[core].sum())
    pieces = np.array_split(np.arange(len(values)), PIECES)
    parts = [
        values[piece][:, core].sum() / good[piece][:, core].sum() - level
        for piece in pieces
        if good[piece][:, core].sum() > width
    ]
    evenness = float(np.median(parts)) / excess if parts and excess > 0 else 0.0
    contrast = (_mean(profile, count, core) - max(sides)) / excess if excess > 0 else 0.0
    light = strip.raw[rows]
    inner, outer = light[:, core][good[:, core]], light[:, left | right][good[:, left | right]]
    return Streak(
        x0=strip.start[0] + strip.direction[0] * span[0],
        y0=strip.start[1] + strip.direction[1] * span[0],
        x1=strip.start[0] + strip.direction[0] * span[1],
        y1=strip.start[1] + strip.direction[1] * span[1],
        width_px=2.0 * half,
        snr=snr,
        surface_brightness=float(_clipped_mean(inner) - _clipped_mean(outer)),
        box_px=width,
        evenness=evenness,
        filled=_filled(values, good, core, level, excess),
        contrast=contrast,
        of_object=_is_of_object(strip, span, core, left | right, level),
        steadiness=_steadiness(strip, span, core, left | right) if among_objects else None,
    )


def _steadiness(
    strip: Strip, span: tuple[float, float], core: np.ndarray, sides: np.ndarray
) -> Steadiness | None:
    """Of the streak without the chunk that was added at each end."""
    margin = len(strip.light) / CHUNKS
    rows = slice(int(span[0] + margin), int(span[1] - margin))
    return steadiness(strip.light[rows], strip.good[rows], core, sides)


def _medians(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Median of the good values at each distance from the axis; 0 where there is none."""
    columns = (values[good[:, u], u] for u in range(values.shape[1]))
    return np.array([float(np.median(v)) if v.size else 0.0 for v in columns])


def _filled(
    values: np.ndarray, good: np.ndarray, core: np.ndarray, level: float, excess: float
) -> float:
    """Share of the quarters seen that are bright, by their mean or beyond doubt, or not dark
    beyond doubt: a quarter that is mostly masked says little."""
    bright = seen = 0
    for piece in np.array_split(np.arange(len(values)), QUARTERS):
        count = int(good[piece][:, core].sum())
        if count > MIN_SHARE * piece.size:
            seen += 1
            mean = values[piece][:, core].sum() / count - level
            error = 1.0 / math.sqrt(count)
            bright += mean > min(0.4 * excess, 4.0 * error, excess - DARK_SIGMA * error)
    return bright / seen if seen else 0.0


def _is_of_object(
    strip: Strip, span: tuple[float, float], core: np.ndarray, sides: np.ndarray, level: float
) -> bool:
    """Whether one masked object explains the streak.

    Its mask, the longest gap of the axis, then is most of what is masked there and leaves the
    axis much less covered than its sides; or the light fades with the distance from it.
    """
    margin = 2 * len(strip.good) // CHUNKS
    t0, t1 = max(int(span[0]) - margin, 0), min(int(span[1]) + margin, len(strip.good))
    open_axis = strip.good[t0:t1, core].mean(axis=1) > 0.5
    steps = np.diff(np.concatenate([[True], open_axis, [True]]).astype(np.int8))
    starts, stops = np.flatnonzero(steps < 0), np.flatnonzero(steps > 0)
    if starts.size == 0:
        return False
    longest = int(np.argmax(stops - starts))
    gap = int(stops[longest] - starts[longest])
    if gap < MIN_GAP_PX:
        return False
    share = open_axis.mean() / max(strip.good[t0:t1, sides].mean(), 1e-3)
    if share < 0.6 and gap > 0.5 * (~open_axis).sum():
        return True
    distance = np.abs(np.arange(t1 - t0) - 0.5 * (starts[longest] + stops[longest]))
    values, good = strip.values[t0:t1, core].sum(axis=1), strip.good[t0:t1, core].sum(axis=1)
    used = np.flatnonzero(good)
    order = used[np.argsort(distance[used], kind="stable")]
    third = max(len(order) // 3, 1)
    near, far = order[:third], order[-third:]
    bright = values[near].sum() / good[near].sum() - level
    faint = values[far].sum() / good[far].sum() - level
    error = math.sqrt(1.0 / good[near].sum() + 1.0 / good[far].sum())
    return bool(bright - faint > 2.0 * error and faint < 0.6 * bright)


def _half_width(profile: np.ndarray, count: np.ndarray, width: int) -> float:
    """Half width to which both sides together exceed three errors and a share of the peak.

    That is a share of `BRIGHT_SIGMA` where the peak is higher: what matters is the noise.
    """
    centre = len(profile) // 2
    far = np.abs(np.arange(len(profile)) - centre) > 0.6 * centre
    level = float(np.average(profile[far], weights=np.maximum(count[far], 1e-9)))
    faintest = FAINTEST_SHARE * min(float(profile[centre]) - level, BRIGHT_SIGMA)
    half = max(width // 2, 1)
    while half + 1 < 0.6 * centre:
        sides = [centre - half - 1, centre + half + 1]
        error = 1.0 / math.sqrt(max(count[sides].sum(), 1))
        if float(profile[sides].mean()) - level < max(3.0 * error, faintest):
            break
        half += 1
    return half + 0.5 if width > 1 else 0.5 * max(half, 1) + 0.5


def _mean(profile: np.ndarray, count: np.ndarray, where: np.ndarray) -> float:
    return float((profile[where] * count[where]).sum() / max(count[where].sum(), 1))


def _clipped_mean(values: np.ndarray) -> float:
    """Mean within 3 robust sigma of the median: stars on a trail are not the trail."""
    middle = np.median(values)
    sigma = 1.4826 * np.median(np.abs(values - middle))
    return (
        float(values[np.abs(values - middle) <= 3 * sigma].mean()) if sigma > 0 else float(middle)
    )
