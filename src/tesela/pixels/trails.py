"""Straight trails of satellites, aircraft and meteors, down to far below the noise of a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from tesela.errors import BadInput
from tesela.pixels import closer, radon, trail_bins
from tesela.pixels.streak import Streak, refine
from tesela.pixels.strip import Hidden
from tesela.pixels.trail_bins import BRIGHT_CLIP_SIGMA, CLIP_SIGMA, Sums, blocks_of

BIG_FRAME_PX = 16_000_000
CANDIDATE_SIGMA = 5.0
# In the bins a trail that is significant in the image shows at least the first part of its
# significance, and in bins half as large the second.
BINNED_SHARE, FINE_SHARE = 0.45, 0.66
MAX_CANDIDATES = 1000
MAX_REFINED = 16
MAX_REFINED_AMONG_OBJECTS = 8
MIN_LENGTH = 0.15
NARROW_BOX_PX = 9
SHORT = 0.33  # of the side of the frame
USUAL_SCATTER = 1.12  # of white noise, by the estimate of few strips
MAX_BOX_PX = 15
AXIS_TOLERANCE_DEG = 0.3
AXIS_TOLERANCE_PX = 7.0
OPENED_BINS = 9


@dataclass(frozen=True)
class Trail:
    """A straight trail, in 0-based pixel coordinates (pixel centres are whole numbers).

    Attributes
    ----------
    x0, y0, x1, y1 : float, pixels
        Ends of its axis.
    width_px : float
        Full width over which its light is measurable.
    snr : float
        Its light in units of the scatter of such lines alongside, values beyond 4 sigma clipped.
    surface_brightness : float
        Mean excess of its brighter core over its surroundings, in units of the image per pixel.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    width_px: float
    snr: float
    surface_brightness: float


@dataclass(frozen=True)
class Found(Sequence[Trail]):
    """The trails of a frame.

    Attributes
    ----------
    trails : tuple of Trail
    strongest : float
        Signal-to-noise ratio of the best line of the frame outside objects, of a trail or not:
        chance alone gives 5 to 6.
    """

    trails: tuple[Trail, ...]
    strongest: float

    def __len__(self) -> int:
        return len(self.trails)

    def __getitem__(self, index: Any) -> Any:
        return self.trails[index]


def find(
    image: np.ndarray,
    mask: np.ndarray,
    noise: float | np.ndarray,
    *,
    objects: np.ndarray | None = None,
    bin: int | None = None,  # noqa: A002 - the word observers use
    threshold: float = 5.4,
    max_trails: int = 5,
    threads: int = 1,
) -> Found:
    """Find straight trails in a sky-subtracted image.

    The image in units of its noise, clipped at 4 sigma, is binned and summed along all lines and
    pieces of lines (`radon.brightest_lines`). The better of these are looked at once more in bins
    half as large (`closer`), and the best followed at full resolution, where their direction, width
    and ends are fitted, and taken as trails when they are significant,
    long, narrow, about as bright all along, and brighter than both sides. Significant is what
    stands out of the lines alongside (`radon.scatter_alongside`), which carry the fringes and the
    wings of faint galaxies that the noise of pixels does not tell of. What is aligned with the rows
    or columns within 0.3 degrees, or 7 px over its length, is left out: there a detector has many
    lines of its own.

    Parameters
    ----------
    image : (ny, nx) float32
        Sky-subtracted.
    mask : (ny, nx) bool, True = leave out
        Bad and saturated pixels.
    noise : float or (ny, nx) float32, in units of the image
        Standard deviation of a pixel.
    objects : (ny, nx) bool, optional; True = within a detected object
        Left out as well, but for the trails brighter than the noise, which detection takes for
        objects, and makes one with the stars that they touch. These are looked for first, and
        must have the same brightness all along (`steadiness`), which spikes, edge-on galaxies and
        stars in line have not.
    bin : int, optional
        Pixels a bin; 4, or 8 for frames above 16 megapixels.
    threshold : float
        Least significance, in sigma, after the number of lines tried is allowed for: 5.4 asks
        for a signal-to-noise ratio of 8.0 in a frame of 1152^2 pixels, 8.5 in one of 9216^2; more
        of trails shorter than a third of the frame, and in frames with fringes or the like, most
        of all where they are broader than 9 px. Nothing broader than 15 px is a trail.
    max_trails : int

    Returns
    -------
    Found
        A sequence of `Trail`, in the order found (the more significant first, but for overlaps).
    """
    if image.ndim != 2 or mask.shape != image.shape:
        raise BadInput(
            "image to search for trails",
            found=f"shape {image.shape} with a mask of {mask.shape}",
            expected="2 dimensions, the same for both",
        )
    step = bin or (8 if image.size > BIG_FRAME_PX else 4)
    if min(image.shape) < 32 * step:
        return Found((), 0.0)  # too small for a line to stand out
    bad = mask | ~np.isfinite(image)
    hidden = bad if objects is None else bad | objects
    binned, shown, fine = trail_bins.binned(image, bad, hidden, noise, step, threads)
    search = _Search(image, noise, bad, hidden, step, threshold, (binned, fine), threads)
    trails: list[Trail] = []
    if objects is not None:
        # Those brighter than the noise: with stars they form objects, and would hide the faint.
        search.into(
            trails, max_trails, *shown, search.look_among_objects, MAX_REFINED_AMONG_OBJECTS
        )
    search.into(trails, max_trails, search.signal, search.weight, search.look)
    return Found(tuple(trails), search.strongest)


class _Search:
    """The frame, full and binned, on which trails are looked for one after the other."""

    def __init__(
        self,
        image: np.ndarray,
        noise: float | np.ndarray,
        bad: np.ndarray,
        hidden: np.ndarray,
        step: int,
        threshold: float,
        binned: tuple[Sums, Sums],
        threads: int,
    ) -> None:
        self.threads, self.strongest = threads, 0.0
        self.image, self.noise, self.step = image, noise, step
        self.bad, self.hidden = bad.copy(), hidden.copy()
        (self.signal, self.weight), self.fine = binned
        self.needed = _beyond_chance(threshold, self.signal.shape)
        self.side = min(image.shape)
        self.shortest = MIN_LENGTH * self.side

    def into(
        self,
        trails: list[Trail],
        max_trails: int,
        signal: np.ndarray,
        weight: np.ndarray,
        look: Callable[[radon.Line], Streak | None],
        max_refined: int = MAX_REFINED,
    ) -> None:
        """Add the trails among the lines of `signal`, out of which they are taken."""
        while len(trails) < max_trails:
            found = self._first(signal, weight, look, max_refined)
            if found is None:
                return
            streak, scale = found
            # Its light is in every line that crosses it: take it out, then look again.
            trails.append(_trail(streak, scale))
            painted = paint(trails[-1:], self.image.shape, self.step)
            self.bad |= painted
            self.hidden |= painted
            closed = _binned_paint(streak, signal.shape, self.step)
            for plane in (signal, weight, self.signal, self.weight):
                plane[closed] = 0
            for plane in self.fine:
                blocks_of(plane, signal.shape)[closed.nonzero()] = 0

    def _first(
        self,
        signal: np.ndarray,
        weight: np.ndarray,
        look: Callable[[radon.Line], Streak | None],
        max_refined: int,
    ) -> tuple[Streak, float] | None:
        """The trail of the brightest line that is one, and the scatter of lines beside it."""
        free = signal is self.signal
        lines = radon.brightest_lines(
            signal,
            weight,
            min_length=max(int(self.shortest / self.step), 8),
            min_weight=0.5 * self.shortest * self.step,
            floor=BINNED_SHARE * self.needed if free else None,
            threads=self.threads,
        )
        if lines and free:
            self.strongest = max(self.strongest, lines[0].snr)
            lines = self._closer(lines[:MAX_CANDIDATES])
        closed = np.zeros(signal.shape, np.bool_)
        refined = 0
        for line in lines:
            if line.snr < CANDIDATE_SIGMA or refined == max_refined:
                break
            if _share_closed(line, closed) > 0.3:
                continue
            refined += 1
            streak = look(line)
            if streak is not None and _looks_like_trail(streak, self.needed, self.shortest):
                scale = _scatter_beside(streak, self.signal, self.weight, self.step)
                if streak.snr / scale >= _asked(streak, self.needed, scale, self.side):
                    return streak, scale
            closed |= _around(line, signal.shape)
        return None

    def _closer(self, lines: list[radon.Line]) -> list[radon.Line]:
        """Lines that are as bright in the fine bins as a trail must be, the brightest first."""
        factor = self.fine[0].shape[0] // self.signal.shape[0]
        snr = closer.significances(*self.fine, lines, factor)
        order = np.argsort(-snr, kind="stable")
        return [replace(lines[k], snr=snr[k]) for k in order if snr[k] > FINE_SHARE * self.needed]

    def look(self, line: radon.Line) -> Streak | None:
        """Follow a line where no object is."""
        return refine(
            self.image,
            Hidden(self.bad, self.hidden),
            self.noise,
            self._ends(line),
            reach_px=8 * self.step,
            clip_sigma=CLIP_SIGMA,
        )

    def look_among_objects(self, line: radon.Line) -> Streak | None:
        """Follow a line over objects; None if it is not bright and steady all along."""
        ends = self._ends(line)
        hidden = Hidden(self.bad, self.hidden, ends, float(OPENED_BINS * self.step))
        clip_sigma = BRIGHT_CLIP_SIGMA
        # What is far brighter than the trail tells nothing of it, but how bright it is has to be
        # found out first.
        for _ in range(2):
            streak = refine(
                self.image,
                hidden,
                self.noise,
                ends,
                reach_px=8 * self.step,
                clip_sigma=clip_sigma,
                among_objects=True,
            )
            if streak is None or streak.steadiness is None or not streak.steadiness.of_trail:
                return None
            ends = (streak.x0, streak.y0, streak.x1, streak.y1)
            clip_sigma = max(2 * streak.steadiness.brightness, BRIGHT_CLIP_SIGMA)
        return streak

    def _ends(self, line: radon.Line) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = (
            float((v + 0.5) * self.step - 0.5) for v in (line.x0, line.y0, line.x1, line.y1)
        )
        return x0, y0, x1, y1


def paint(trails: Sequence[Trail], shape: tuple[int, int], grow_px: float = 0.0) -> np.ndarray:
    """Return the (ny, nx) bool mask of pixels within width / 2 + `grow_px` of a trail's axis."""
    mask = np.zeros(shape, np.bool_)
    for trail in trails:
        _paint(mask, trail.x0, trail.y0, trail.x1, trail.y1, 0.5 * trail.width_px + grow_px)
    return mask


def _trail(streak: Streak, scale: float) -> Trail:
    return Trail(
        x0=float(streak.x0),
        y0=float(streak.y0),
        x1=float(streak.x1),
        y1=float(streak.y1),
        width_px=streak.width_px,
        snr=streak.snr / scale,
        surface_brightness=streak.surface_brightness,
    )


def _beyond_chance(threshold: float, shape: tuple[int, int]) -> float:
    """Signal-to-noise ratio of a line that is `threshold` sigma after all that were tried.

    Of N lines of noise the best reaches sqrt(2 ln N); N is the pixels times the directions.
    """
    lines = shape[0] * shape[1] * max(shape)
    return math.sqrt(threshold**2 + 2 * math.log(lines))


def _asked(streak: Streak, needed: float, scatter: float, side: int) -> float:
    """Ask more of what clumps and rims of galaxies make, broad or short ridges, and of all
    ridges the more the sky, flat or bias leaves the frame full of them."""
    broad = 1 + max(streak.box_px - NARROW_BOX_PX, 0) / 12 * min(scatter - 1, 1)
    rough = 1 + max(scatter - USUAL_SCATTER, 0)
    length = math.hypot(streak.x1 - streak.x0, streak.y1 - streak.y0)
    short = max(1.0, SHORT * side / length) ** 3
    return needed * broad * rough * short


def _looks_like_trail(streak: Streak, needed: float, shortest: float) -> bool:
    dx, dy = abs(streak.x1 - streak.x0), abs(streak.y1 - streak.y0)
    aside = max(AXIS_TOLERANCE_PX, math.tan(math.radians(AXIS_TOLERANCE_DEG)) * max(dx, dy))
    return (
        streak.snr >= needed
        and streak.box_px <= MAX_BOX_PX
        and math.hypot(dx, dy) >= shortest
        and min(dx, dy) > aside
        and streak.evenness >= 0.5
        and streak.filled == 1.0
        and streak.contrast >= 0.5
        and not streak.of_object
    )


def _scatter_beside(streak: Streak, signal: np.ndarray, weight: np.ndarray, step: int) -> float:
    """Factor by which sums along such lines scatter more than the noise given says, at least 1."""
    x0, y0, x1, y1 = (
        float((v + 0.5) / step - 0.5) for v in (streak.x0, streak.y0, streak.x1, streak.y1)
    )
    width = max(streak.box_px / step, 1.0)
    clear = 0.5 * streak.width_px / step + 2.5
    return max(1.0, radon.scatter_alongside(signal, weight, (x0, y0, x1, y1), width, clear))


def _share_closed(line: radon.Line, closed: np.ndarray) -> float:
    steps = np.linspace(0, 1, 33)
    y = np.rint(line.y0 + steps * (line.y1 - line.y0)).astype(int)
    x = np.rint(line.x0 + steps * (line.x1 - line.x0)).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < closed.shape[0]) & (x < closed.shape[1])
    return float(closed[y[inside], x[inside]].mean()) if inside.any() else 1.0


def _around(line: radon.Line, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    _paint(mask, float(line.x0), float(line.y0), float(line.x1), float(line.y1), 3.0)
    return mask


def _binned_paint(streak: Streak, shape: tuple[int, int], step: int) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    x0, y0, x1, y1 = (
        float((v + 0.5) / step - 0.5) for v in (streak.x0, streak.y0, streak.x1, streak.y1)
    )
    _paint(mask, x0, y0, x1, y1, 0.5 * streak.width_px / step + 2.5)
    return mask


@njit(cache=True)
def _paint(mask, x0, y0, x1, y1, half):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Set the pixels within `half` of the segment."""
    ny, nx = mask.shape
    dx, dy = x1 - x0, y1 - y0
    square = max(dx * dx + dy * dy, 1e-12)
    for y in range(max(int(min(y0, y1) - half), 0), min(int(max(y0, y1) + half) + 2, ny)):
        # The part of the axis that may reach this row, then its columns.
        low, high = 0.0, 1.0
        if dy != 0:
            a, b = (y - half - y0) / dy, (y + half - y0) / dy
            low, high = max(low, min(a, b)), min(high, max(a, b))
        a, b = x0 + low * dx, x0 + high * dx
        for x in range(max(int(min(a, b) - half), 0), min(int(max(a, b) + half) + 2, nx)):
            t = min(max(((x - x0) * dx + (y - y0) * dy) / square, 0.0), 1.0)
            if (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 <= half * half:
                mask[y, x] = True
