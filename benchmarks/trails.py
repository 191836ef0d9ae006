"""Trails far below the noise: how many are found, and how many are made of nothing.

    python benchmarks/trails.py [clean frames]

Trails are looked for in frames of 9216 x 9232 px, three in each: noise, detected objects, and faint
light around them. Clean frames are drawn binned four times, and also have the spikes and bleeds of
bright stars and galaxies seen edge-on, masked as detection masks them: where they rise above 1.5
noises of a raw pixel, and a little around.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pages
from numpy.typing import NDArray
from pages import Result
from scipy.ndimage import binary_dilation

from tesela.pixels import trails

RAW_SHAPE = (9232, 9216)
TOGETHER = 3
OBJECTS, SPIKED, EDGE_ON = 1200, 6, 8
NEAR = 0.5  # of a trail that must be painted

Image = NDArray[np.float32]
Flags = NDArray[np.bool_]
Ends = tuple[float, float, float, float]


@dataclass(frozen=True)
class Grid:
    """The CCD, or the same binned before it is looked at."""

    binned: int
    step: int
    """Pixels of it a bin of the search."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return RAW_SHAPE[0] // self.binned, RAW_SHAPE[1] // self.binned

    @property
    def isophote(self) -> float:
        """Where detection ends, in noises of a pixel of this grid."""
        return 1.5 * self.binned


WHOLE, BINNED = Grid(1, 8), Grid(4, 2)


@dataclass(frozen=True)
class Kind:
    """Trails of one kind: brightness in noises of a raw pixel, width in raw pixels, trials."""

    brightness: float
    width_px: float
    full: bool
    trials: int


KINDS = (
    Kind(0.06, 5.0, True, 30),
    Kind(0.10, 5.0, False, 60),
    Kind(0.05, 5.0, True, 6),
    Kind(0.16, 2.0, False, 18),
    Kind(0.06, 15.0, False, 6),
    Kind(0.10, 2.0, True, 18),
    Kind(0.035, 15.0, True, 6),
)
CLEAN = 600


def noise_and_objects(rng: np.random.Generator, grid: Grid) -> tuple[Image, Flags]:
    """White noise of one, and stars and galaxies with what detection masks of them."""
    image = rng.standard_normal(grid.shape, np.float32)
    objects = np.zeros(grid.shape, bool)
    for _ in range(OBJECTS):
        peak, scale = 10 ** rng.uniform(0.6, 3.0), rng.uniform(2.0, 6.4) / grid.binned
        half = int(min(6 * scale * np.log10(10 * peak), 120 / grid.binned)) + 2
        y, x = (int(rng.integers(half, n - half)) for n in grid.shape)
        step = np.arange(-half, half + 1)
        light = peak * (1 + (step[:, None] ** 2 + step**2) / scale**2) ** -2.5
        cut = np.s_[y - half : y + half + 1, x - half : x + half + 1]
        image[cut] += light.astype(np.float32)
        objects[cut] |= light > grid.isophote
    return image, objects


def add_bright(rng: np.random.Generator, image: Image, objects: Flags, mask: Flags) -> None:
    """Saturated stars with spikes and bleeds, and galaxies seen edge-on, on the binned grid."""
    turn = rng.uniform(0.1, 1.4)
    for _ in range(rng.integers(1, SPIKED + 1)):
        y0, x0 = (rng.uniform(0, n) for n in image.shape)
        y, x, cut = _window((y0, x0), 450, image.shape)
        light = 2e3 * (1 + (x**2 + y**2) / 30.0) ** -1.6
        reach = 10 ** rng.uniform(2.5, 4.0)
        for angle in (turn, turn + np.pi / 2):
            along, across = _turned(x, y, angle)
            spike = reach / (np.abs(along) + 4) ** 1.6 * np.exp(-0.5 * (across / 0.7) ** 2)
            light += np.where(np.abs(along) < 420, spike, 0)
        _put(image, objects, cut, light)
        half = int(rng.uniform(5, 120))
        mask[max(int(y0) - half, 0) : int(y0) + half, int(x0) : int(x0) + 2] = True
    for _ in range(EDGE_ON):
        y, x, cut = _window([rng.uniform(0, n) for n in image.shape], 300, image.shape)
        along, across = _turned(x, y, rng.uniform(0, np.pi))
        length, height = rng.uniform(5, 45), rng.uniform(0.7, 3.0)
        peak = 10 ** rng.uniform(0.5, 2.2)
        light = peak * np.exp(-np.abs(along) / length - np.abs(across) / height)
        _put(image, objects, cut, light)
    image[mask] = np.nan


def _window(
    centre: Sequence[float], half: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[slice, slice]]:
    """Offsets from a place on the part of the frame around it."""
    rows, columns = (
        np.arange(max(int(c) - half, 0), min(int(c) + half, n)) for c, n in zip(centre, shape)
    )
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return (rows - centre[0])[:, None], (columns - centre[1])[None, :], cut


def _turned(
    x: NDArray[np.float64], y: NDArray[np.float64], angle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _put(image: Image, objects: Flags, cut: tuple[slice, slice], light: NDArray) -> None:
    image[cut] += light.astype(np.float32)
    objects[cut] |= binary_dilation(light > BINNED.isophote, iterations=2)


def draw_ends(rng: np.random.Generator, kind: Kind) -> Ends:
    """From border to border, or a third of the CCD anywhere; not along rows or columns."""
    ny, nx = RAW_SHAPE
    while True:
        if kind.full:
            a, b = rng.uniform(0.02, 0.98, 2)
            ends = (0.0, a * ny, float(nx), b * ny)
            if rng.uniform() < 0.5:
                ends = (a * nx, 0.0, b * nx, float(ny))
        else:
            angle, length = rng.uniform(0, np.pi), nx / 3
            x, y = rng.uniform(0, nx), rng.uniform(0, ny)
            ends = (x, y, x + length * np.cos(angle), y + length * np.sin(angle))
        inside = 0 <= ends[2] <= nx and 0 <= ends[3] <= ny
        if inside and min(abs(ends[2] - ends[0]), abs(ends[3] - ends[1])) > 0.02 * nx:
            return ends


def cover(ends: Ends, width: float) -> Image:
    """Share of each pixel under a straight piece of that width."""
    x0, y0, x1, y1 = ends
    length = np.hypot(x1 - x0, y1 - y0)
    ux, uy = np.float32((x1 - x0) / length), np.float32((y1 - y0) / length)
    x = (np.arange(RAW_SHAPE[1]) - x0).astype(np.float32)
    y = (np.arange(RAW_SHAPE[0]) - y0).astype(np.float32)[:, None]
    part = np.abs(y * ux - x * uy)
    np.subtract(0.5 * (width + 1), part, out=part)
    np.clip(part, 0, 1, out=part)
    along = x * ux + y * uy
    part[(along < 0) | (along > length)] = 0
    return part


def rate(kind: Kind, seed: int) -> tuple[int, int]:
    """Trails of a kind that are found, and those made of nothing beside them."""
    found = invented = 0
    for trial in range(kind.trials // TOGETHER):
        rng = np.random.default_rng([seed, trial])
        image, objects = noise_and_objects(rng, WHOLE)
        axes = []
        for _ in range(TOGETHER):
            light = cover(draw_ends(rng, kind), kind.width_px)
            axes.append(np.flatnonzero(light > 0.5))
            light *= np.float32(kind.brightness)
            image += light
        none = np.zeros(image.shape, bool)
        answer = trails.find(image, none, 1.0, objects=objects, bin=WHOLE.step)
        painted = trails.paint(answer, image.shape, 1.0)
        hits = sum(painted.ravel()[axis].mean() > NEAR for axis in axes)
        found += hits
        invented += len(answer) - hits
    return found, invented


def clean(frames: int) -> tuple[int, float, float]:
    """Trails invented, the strongest line of any frame, and CPU seconds a frame."""
    invented, strongest, seconds = 0, 0.0, 0.0
    for seed in range(frames):
        rng = np.random.default_rng([77, seed])
        image, objects = noise_and_objects(rng, BINNED)
        mask = np.zeros(image.shape, bool)
        add_bright(rng, image, objects, mask)
        started = time.process_time()
        answer = trails.find(image, mask, 1.0, objects=objects, bin=BINNED.step)
        seconds += time.process_time() - started
        invented += len(answer)
        strongest = max(strongest, answer.strongest)
        if len(answer):
            print(f"clean frame {seed}: {answer.trails}", file=sys.stderr)
    return invented, strongest, seconds / frames


def results(frames: int) -> Iterator[Result]:
    """One row a kind, then the clean frames."""
    for seed, kind in enumerate(KINDS):
        found, invented = rate(kind, seed)
        where = "over the full CCD" if kind.full else "over a third of the CCD"
        yield Result(
            f"trails: {kind.brightness} sigma a raw pixel, {kind.width_px:.0f} px wide, {where}",
            f"{100 * found / kind.trials:.1f} %",
            f"{found} of {kind.trials} found; {invented} more that are none",
        )
    invented, strongest, seconds = clean(frames)
    yield Result(
        "trails: invented in clean frames",
        f"{invented}",
        f"{frames} frames with spikes, bleeds and edge-on galaxies; strongest line "
        f"{strongest:.1f} sigma; {seconds:.2f} CPU s a frame",
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else CLEAN
    print(pages.table(results(number)), end="")
