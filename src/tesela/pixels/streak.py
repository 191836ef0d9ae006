"""A straight streak followed at full resolution: direction, width, ends, evenness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tesela.pixels.steadiness import Steadiness, steadiness
from tesela.pixels.stretch import CHUNKS, MIN_SHARE, Stretch, follow
from tesela.pixels.strip import Hidden, Strip, cut

PIECES = 12
QUARTERS = 4
MIN_GAP_PX = 24
MIN_GAP_SHARE = 0.03  # of the streak: no spike is thirty times as long as what is masked of it
FAINTEST_SHARE = 0.05
BRIGHT_SIGMA = 4.0
MAX_BOX_PX = 15.0
MOST_UNEVEN = 2.2
DARK_SIGMA = 2.5


@dataclass(frozen=True)
class Streak:
    """A straight streak measured on the image.

    Attributes
    ----------
    x0, y0, x1, y1 : float, pixels
        Ends of the axis, pixel centres being whole numbers.
    length_px : float
        Of the part that is surely lit.
    width_px, snr, surface_brightness : float
        As in `trails.Trail`, `snr` with the noise as given.
    box_px : float
        Width of the box that gave the highest significance.
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
    length_px: float
    width_px: float
    snr: float
    surface_brightness: float
    box_px: float
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
    least_snr: float,
    least_px: float,
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
        Half width of the strip looked at.
    clip_sigma : float
        Single values are clipped at so many noises before they are summed.
    least_snr, least_px : float
        Of what is less significant, or shorter, nobody wants to know.
    among_objects : bool
        Stars are not left out: its width is taken from medians, and its steadiness is measured.

    Returns
    -------
    Streak, or None where there is too little unmasked data or light, or, outside objects, something
    broader than a trail or with chunks of very different brightness.
    """
    found = follow(
        image,
        hidden,
        noise,
        ends,
        reach_px=reach_px,
        clip_sigma=clip_sigma,
        least_snr=least_snr,
        least_px=least_px,
        most_uneven=math.inf if among_objects else MOST_UNEVEN,
    )
    if found is None or (found.width > MAX_BOX_PX and not among_objects):
        return None
    strip = cut(image, hidden, noise, found.line, reach_px, clip_sigma)
    span = _grown(found.lit, found.line.length)
    return _measure(strip, span, found, among_objects)


def _grown(lit: tuple[float, float], length: float) -> tuple[float, float]:
    """One chunk more at each end; close to the border a trail has left the frame."""
    chunk = length / CHUNKS
    low, high = lit[0] - chunk, lit[1] + chunk
    return 0.0 if low < 3.5 * chunk else low, length if high > length - 3.5 * chunk else high


def _measure(
    strip: Strip,
    span: tuple[float, float],
    found: Stretch,
    among_objects: bool,
) -> Streak | None:
    """The streak over `span`; how its light is spread is judged where it is surely lit."""
    lit, width = found.lit, found.width
    rows = slice(int(span[0]), max(math.ceil(span[1]), int(span[0]) + PIECES))
    values, good = strip.values[rows], strip.good[rows]
    count = good.sum(axis=0)
    u = np.arange(-strip.reach, strip.reach + 1)
    profile = values.sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
    core = np.abs(u) <= 0.5 * width
    typical = _medians(values, good) if among_objects else profile
    half = _half_width(typical, count, width)
    left = (u < -half - 1) & (u >= -half - 1 - strip.reach // 2)
    right = (u > half + 1) & (u <= half + 1 + strip.reach // 2)
    if min(count[core].sum(), count[left].sum(), count[right].sum()) < PIECES:
        return None
    sides = [_mean(profile, count, side) for side in (left, right)]
    level = 0.5 * (sides[0] + sides[1])
    excess = _mean(profile, count, core) - level
    shine, seen = strip.values[slice(*map(int, lit))], strip.good[slice(*map(int, lit))]
    bright = shine[:, core].sum() / max(seen[:, core].sum(), 1) - level
    parts = [
        shine[piece][:, core].sum() / seen[piece][:, core].sum() - level
        for piece in np.array_split(np.arange(len(shine)), PIECES)
        if seen[piece][:, core].sum() > width
    ]
    evenness = float(np.median(parts)) / bright if parts and bright > 0 else 0.0
    contrast = (_mean(profile, count, core) - max(sides)) / excess if excess > 0 else 0.0
    light = strip.raw[rows]
    inner, outer = light[:, core][good[:, core]], light[:, left | right][good[:, left | right]]
    return Streak(
        x0=strip.start[0] + strip.direction[0] * span[0],
        y0=strip.start[1] + strip.direction[1] * span[0],
        x1=strip.start[0] + strip.direction[0] * span[1],
        y1=strip.start[1] + strip.direction[1] * span[1],
        length_px=lit[1] - lit[0],
        width_px=2.0 * half,
        snr=found.snr,
        surface_brightness=float(_clipped_mean(inner) - _clipped_mean(outer)),
        box_px=width,
        evenness=evenness,
        filled=_filled(shine, seen, core, level, bright),
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
    if gap < max(MIN_GAP_PX, MIN_GAP_SHARE * (t1 - t0)):
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


def _half_width(profile: np.ndarray, count: np.ndarray, width: float) -> float:
    """Half width to which both sides together exceed three errors and a share of the peak.

    That is a share of `BRIGHT_SIGMA` where the peak is higher: what matters is the noise.
    """
    centre = len(profile) // 2
    far = np.abs(np.arange(len(profile)) - centre) > 0.6 * centre
    level = float(np.average(profile[far], weights=np.maximum(count[far], 1e-9)))
    faintest = FAINTEST_SHARE * min(float(profile[centre]) - level, BRIGHT_SIGMA)
    half = max(int(0.5 * width), 1)
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
