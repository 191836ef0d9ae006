"""Straight trails of satellites, aircraft and meteors, down to far below the noise of a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tesela.errors import BadInput
from tesela.pixels import closer, radon, segments, trail_bins
from tesela.pixels import threads as threading
from tesela.pixels.streak import MAX_BOX_PX, Streak, refine
from tesela.pixels.strip import Hidden
from tesela.pixels.trail_bins import BRIGHT_CLIP_SIGMA, CLIP_SIGMA, Sums, blocks_of

BIG_FRAME_PX = 16_000_000
CANDIDATE_SIGMA = 5.0
# Along the lines of the bins a trail that is significant in the image shows at least the first part
# of its significance, and the second where a line may turn and end as it likes.
BINNED_SHARE, FREE_SHARE = 0.53, 0.66
MAX_CANDIDATES = 1000
MAX_REFINED = 32
MAX_REFINED_AMONG_OBJECTS = 8
MIN_LENGTH = 0.15
NARROW_BOX_PX = 9
SHORT = 0.27  # of the side of the frame
USUAL_SCATTER = 1.12  # of white noise, by the estimate of few strips
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
        chance alone gives 5.5 to 6.5.
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
    pieces of lines (`radon.brightest_lines`). The better of these may turn a little and end
    elsewhere (`closer`), and the best are followed at full resolution, where their direction, width
    and ends are fitted (`streak`), and taken as trails when they are significant,
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
        Pixels a bin; 4, or 8 for frames above 16 megapixels. Outside objects half of it.
    threshold : float
        Least significance, in sigma, after the number of lines tried is allowed for: 5.4 asks
        for a signal-to-noise ratio of 8.0 in a frame of 1152^2 pixels, 8.5 in one of 9216^2; more
        of trails shorter than 0.27 of the frame, and in frames with fringes or the like, most
        of all where they are broader than 9 px. Nothing broader than 15 px is a trail.
    max_trails : int
    threads : int
        What is found does not depend on it.

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
    bad, hidden = _left_out(image, mask, objects, threads)
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


def _left_out(
    image: np.ndarray, mask: np.ndarray, objects: np.ndarray | None, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """What is bad, and what is bad or an object's: two planes, or one twice."""
    bad = np.empty(image.shape, np.bool_)
    hidden = bad if objects is None else np.empty_like(bad)

    def band(rows: tuple[int, int]) -> None:
        part = slice(*rows)
        np.logical_or(mask[part], ~np.isfinite(image[part]), out=bad[part])
        if objects is not None:
            np.logical_or(bad[part], objects[part], out=hidden[part])

    threading.each(band, threading.bands(image.shape[0], max(threads, 2)), threads)
    return bad, hidden


class _Search:
    """The frame, full and binned, out of which trails are taken one after the other."""

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
        self.bad, self.hidden = bad, hidden
        (self.signal, self.weight), self.fine = binned
        self.fine_step = step * self.signal.shape[0] // self.fine[0].shape[0]
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
        step = self.fine_step if free else self.step
        lines = radon.brightest_lines(
            *(self.fine if free else (signal, weight)),
            min_length=max(int(self.shortest / step), 8),
            min_weight=self.shortest * step,
            floor=BINNED_SHARE * self.needed if free else None,
            threads=self.threads,
        )
        if lines and free:
            self.strongest = max(self.strongest, lines[0].snr)
            lines = closer.nearby(*self.fine, lines[:MAX_CANDIDATES], self.threads)
            lines = [v for v in lines if v.snr > FREE_SHARE * self.needed]
            lines.sort(key=lambda line: -line.snr)
        chosen = self._apart((_in_pixels(line, step) for line in lines), max_refined)

        def judged(line: radon.Line) -> tuple[Streak, float] | None:
            return self._judged(look(line))

        # A few at a time for several threads, and the first that is one, as with one thread.
        at_once = 2 * self.threads if self.threads > 1 else 1
        for k in range(0, len(chosen), at_once):
            for found in threading.each(judged, chosen[k : k + at_once], self.threads):
                if found is not None:
                    return found
        return None

    def _apart(self, lines: Iterable[radon.Line], most: int) -> list[radon.Line]:
        """The first of the lines, without those that lie along another of them."""
        closed = np.zeros(self.signal.shape, np.bool_)
        chosen: list[radon.Line] = []
        for line in lines:
            if line.snr < CANDIDATE_SIGMA or len(chosen) == most:
                break
            ends = _in_bins((line.x0, line.y0, line.x1, line.y1), self.step)
            if segments.share_inside(ends, closed) <= 0.3:
                chosen.append(line)
                segments.draw(closed, ends, 3.0)
        return chosen

    def _judged(self, streak: Streak | None) -> tuple[Streak, float] | None:
        """The streak and the scatter of lines beside it, if it is a trail."""
        if streak is None or not _looks_like_trail(streak, self.needed, self.side):
            return None
        scale = _scatter_beside(streak, self.signal, self.weight, self.step)
        asked = _asked(streak, self.needed, scale, self.side)
        return (streak, scale) if streak.snr / scale >= asked else None

    def look(self, line: radon.Line) -> Streak | None:
        """Follow a line where no object is."""
        hidden = Hidden(self.bad, self.hidden)
        return self._refined(hidden, (line.x0, line.y0, line.x1, line.y1), CLIP_SIGMA)

    def look_among_objects(self, line: radon.Line) -> Streak | None:
        """Follow a line over objects; None if it is not bright and steady all along."""
        ends = (line.x0, line.y0, line.x1, line.y1)
        hidden = Hidden(self.bad, self.hidden, ends, float(OPENED_BINS * self.step))
        clip_sigma = BRIGHT_CLIP_SIGMA
        # What is far brighter than the trail tells nothing of it, but how bright it is has to be
        # found out first.
        for _ in range(2):
            streak = self._refined(hidden, ends, clip_sigma, among_objects=True)
            if streak is None or streak.steadiness is None or not streak.steadiness.of_trail:
                return None
            ends = (streak.x0, streak.y0, streak.x1, streak.y1)
            clip_sigma = max(2 * streak.steadiness.brightness, BRIGHT_CLIP_SIGMA)
        return streak

    def _refined(
        self,
        hidden: Hidden,
        ends: tuple[float, float, float, float],
        clip_sigma: float,
        among_objects: bool = False,
    ) -> Streak | None:
        return refine(
            self.image,
            hidden,
            self.noise,
            ends,
            reach_px=8 * self.step,
            clip_sigma=clip_sigma,
            least_snr=self.needed,
            least_px=self.shortest,
            among_objects=among_objects,
        )


def paint(trails: Sequence[Trail], shape: tuple[int, int], grow_px: float = 0.0) -> np.ndarray:
    """Return the (ny, nx) bool mask of pixels within width / 2 + `grow_px` of a trail's axis."""
    mask = np.zeros(shape, np.bool_)
    for trail in trails:
        ends = (trail.x0, trail.y0, trail.x1, trail.y1)
        segments.draw(mask, ends, 0.5 * trail.width_px + grow_px)
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
    short = max(1.0, SHORT * side / streak.length_px) ** 3
    return needed * broad * rough * short


def _looks_like_trail(streak: Streak, needed: float, side: int) -> bool:
    dx, dy = abs(streak.x1 - streak.x0), abs(streak.y1 - streak.y0)
    aside = max(AXIS_TOLERANCE_PX, math.tan(math.radians(AXIS_TOLERANCE_DEG)) * max(dx, dy))
    return (
        streak.snr >= _asked(streak, needed, 1.0, side)
        and streak.box_px <= MAX_BOX_PX
        and streak.length_px >= MIN_LENGTH * side
        and min(dx, dy) > aside
        and streak.evenness >= 0.5
        and streak.filled == 1.0
        and streak.contrast >= 0.5
        and not streak.of_object
    )


def _scatter_beside(streak: Streak, signal: np.ndarray, weight: np.ndarray, step: int) -> float:
    """Factor by which sums along such lines scatter more than the noise given says, at least 1."""
    ends = _in_bins((streak.x0, streak.y0, streak.x1, streak.y1), step)
    width = max(streak.box_px / step, 1.0)
    clear = 0.5 * streak.width_px / step + 2.5
    return max(1.0, radon.scatter_alongside(signal, weight, ends, width, clear))


def _in_pixels(line: radon.Line, step: int) -> radon.Line:
    """A line of bins as one of pixels."""
    x0, y0, x1, y1 = ((v + 0.5) * step - 0.5 for v in (line.x0, line.y0, line.x1, line.y1))
    return radon.Line(x0, y0, x1, y1, line.snr)


def _in_bins(ends: tuple[float, ...], step: int) -> tuple[float, float, float, float]:
    """Ends in pixels as ends in bins."""
    x0, y0, x1, y1 = (float((v + 0.5) / step - 0.5) for v in ends)
    return x0, y0, x1, y1


def _binned_paint(streak: Streak, shape: tuple[int, int], step: int) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    ends = _in_bins((streak.x0, streak.y0, streak.x1, streak.y1), step)
    segments.draw(mask, ends, 0.5 * streak.width_px / step + 2.5)
    return mask
