"""What changed between two flats: planes, halves, rings, and the shadows of dust.

All take the ratio of two flats, normalised to a median of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter, label

from tesela.pixels import background, robust
from tesela.pixels.blocks import binned, factor_to
from tesela.pixels.sections import as_sections

WORK_PX: Final = 2400
"""Side of the binned ratio on which dust is looked for."""
SMOOTHING_PX: Final = 3.0
SMOOTHED_DEPTH: Final = 0.85
"""What the smoothing leaves of the depth of the smallest rings."""
LEAST_WILD: Final = 0.05
CLIP_SIGMA: Final = 5.0
MESH_SHARE: Final = 1.28
"""Side of a cell of the surroundings over the largest shadow: five of them outvote it."""
LEAST_FILLED: Final = 0.25
"""Part of its box that a compact region fills; a bad column fills less."""
MOST_DUST: Final = 50
FEWEST_FOR_A_PLANE: Final = 6
PASSES: Final = 40
LEAST_AWAY: Final = 1e-5
BLOCKS: Final = 3
"""Along each side of an amplifier: a step and a slope are told apart within amplifiers."""
BLOCK_SAMPLE: Final = 20_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dust:
    """A compact region that lost light (`depth` above zero: dust that came) or gained it."""

    x: float
    """Centre, 0-based pixels of the CCD."""
    y: float
    diameter_px: float
    depth: float
    """Largest change of the smoothed ratio, as a fraction."""
    significance: float


@dataclass(frozen=True)
class DustLimits:
    """What is a shadow: change as a fraction, sizes in pixels, and noises of the smoothed ratio."""

    depth: float
    smallest_px: float
    largest_px: float
    sigma: float


@dataclass(frozen=True)
class Large:
    """Changes on the largest scales, as fractions.

    Attributes
    ----------
    tilt : slope along x and y, from edge to edge
    step : upper side of the middle over the lower one, minus one, along x and y; 0 where an
        amplifier lies across the middle
    """

    tilt: tuple[float, float] = (0.0, 0.0)
    step: tuple[float, float] = (0.0, 0.0)

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike, *, steps: bool = True) -> Floats:
        """The change at places from -0.5 to 0.5 across the CCD."""
        u, v = np.asarray(x, np.float64), np.asarray(y, np.float64)
        total = self.tilt[0] * u + self.tilt[1] * v
        if steps:
            total = total + 0.5 * (self.step[0] * np.sign(u) + self.step[1] * np.sign(v))
        return np.asarray(total)


def centres(sections: npt.ArrayLike, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Of amplifiers, x and y from -0.5 to 0.5 across the CCD."""
    boxes = as_sections(sections, shape, "destination")
    x = (boxes[:, 0] + boxes[:, 1]) / (2 * shape[1]) - 0.5
    y = (boxes[:, 2] + boxes[:, 3]) / (2 * shape[0]) - 0.5
    return x, y


def large(
    ratio: NDArray[np.float32],
    usable: NDArray[np.bool_],
    sections: npt.ArrayLike,
    amp_ratio: Floats,
    *,
    least_step: float,
) -> Large:
    """A plane through the amplifiers that no single one of them can tilt, and a step in the middle.

    A half of the detector that changed, as behind a read-out board, would look like a tilt to the
    medians of two rows of amplifiers; so blocks of a third of each amplifier's side are fitted
    first, to least absolute deviations, with a plane, a bowl and both steps. A step below
    `least_step` is none, and the plane is that of the amplifiers.

    Parameters
    ----------
    ratio : (ny, nx) float32
    usable : (ny, nx) bool
    sections : (n_amp, 4) int, half-open [x0, x1, y0, y1]
    amp_ratio : (n_amp,) float64
        Median of each, NaN where nothing is known.
    least_step : float

    Returns
    -------
    Large
        Nothing of fewer than six amplifiers: each is one sixth of what it would be compared with.
    """
    shape = (ratio.shape[0], ratio.shape[1])
    known = np.isfinite(amp_ratio)
    if np.count_nonzero(known) < FEWEST_FOR_A_PLANE:
        return Large()
    step, tilt = _steps(ratio, usable, as_sections(sections, shape, "destination"))
    step = (
        step[0] if abs(step[0]) >= least_step else 0.0,
        step[1] if abs(step[1]) >= least_step else 0.0,
    )
    if any(step):
        return Large(tilt, step)
    x, y = centres(sections, shape)
    design = np.stack([np.ones_like(x), x, y], axis=1)
    plane = least_absolute(design[known], amp_ratio[known] - 1)
    return Large((float(plane[1]), float(plane[2])))


def least_absolute(design: Floats, values: Floats) -> Floats:
    """Coefficients of least absolute deviations, by least squares weighted again and again.

    design : (n, k); values : (n,), about 0; what is wrong in fewer than half of them is ignored.
    """
    found: Floats = np.zeros(design.shape[1])
    for _ in range(PASSES):
        weight = 1 / np.sqrt(np.maximum(np.abs(values - design @ found), LEAST_AWAY))
        solved = np.linalg.lstsq(design * weight[:, None], values * weight, rcond=None)[0]
        found = np.asarray(solved, np.float64)
    return found


def _steps(
    ratio: NDArray[np.float32], usable: NDArray[np.bool_], boxes: NDArray[np.int64]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Steps and slopes along x and y, from the medians of blocks."""
    ny, nx = ratio.shape
    rows = []
    for x0, x1, y0, y1 in boxes:
        xs, ys = (np.linspace(a, b, BLOCKS + 1).astype(int) for a, b in ((x0, x1), (y0, y1)))
        for i in range(BLOCKS):
            for j in range(BLOCKS):
                place = np.s_[ys[j] : ys[j + 1], xs[i] : xs[i + 1]]
                skip = max(1, int(np.sqrt(ratio[place].size / BLOCK_SAMPLE)))
                values = ratio[place][::skip, ::skip][usable[place][::skip, ::skip]]
                if values.size:
                    u = (xs[i] + xs[i + 1]) / (2 * nx) - 0.5
                    v = (ys[j] + ys[j + 1]) / (2 * ny) - 0.5
                    rows.append((u, v, float(np.median(values)) - 1))
    u, v, away = np.array(rows, np.float64).reshape(-1, 3).T
    columns = [np.ones_like(u), u, v, u**2, v**2]
    across = []
    for axis, (low, high, size, along) in enumerate(((0, 1, nx, u), (2, 3, ny, v))):
        middle = 0.5 * size
        if not np.any((boxes[:, low] < middle - 1) & (boxes[:, high] > middle + 1)):
            across.append((axis, len(columns)))
            columns.append(0.5 * np.sign(along))
    if not across or len(away) < 2 * len(columns):
        return (0.0, 0.0), (0.0, 0.0)
    found = least_absolute(np.stack(columns, axis=1), away)
    step = [0.0, 0.0]
    for axis, k in across:
        step[axis] = float(found[k])
    return (step[0], step[1]), (float(found[1]), float(found[2]))


def rings(
    ratio: NDArray[np.float32], usable: NDArray[np.bool_], n: int
) -> tuple[Floats, Floats, Floats]:
    """Mean radius, median ratio and scatter in `n` rings of equal area of the CCD's circle.

    From every second pixel of a CCD of up to 2400 a side, fewer of a larger one; NaN where a ring
    has none.
    """
    ny, nx = ratio.shape
    step = max(1, factor_to(ratio.shape, WORK_PX) // 2)
    y, x = np.ogrid[:ny:step, :nx:step]
    r2 = (y - 0.5 * (ny - 1)) ** 2 + (x - 0.5 * (nx - 1)) ** 2
    index = np.minimum((n * r2 / r2.max()).astype(np.int64), n - 1)
    good, values = usable[::step, ::step], ratio[::step, ::step]
    out = np.full((3, n), np.nan)
    for k in range(n):
        here = good & (index == k)
        if here.any():
            inside = values[here]
            out[:, k] = np.sqrt(np.mean(r2[here])), np.median(inside), robust.sigma(inside)
    return out[0], out[1] / np.nanmedian(values[good]), out[2]


def dust(
    ratio: NDArray[np.float32], usable: NDArray[np.bool_], scatter: float, limits: DustLimits
) -> tuple[Dust, ...]:
    """Compact regions of the smoothed ratio that stand out, the deepest first.

    The ratio is binned to at most 2400 pixels a side (4 x 4 of T80Cam's), smoothed by 3 pixels of
    the CCD or 0.75 bins, and held against surroundings that a mesh wider than the largest shadow
    measures.

    Parameters
    ----------
    ratio : (ny, nx) float32
        Changes of whole amplifiers taken out: their edges would pass for shadows.
    usable : (ny, nx) bool
    scatter : float
        Robust scatter of the pixels.
    limits : DustLimits

    Notes
    -----
    Cost: one pass over the pixels, all else on the binned ratio; memory: some planes of that.
    """
    bin_px = factor_to(ratio.shape, WORK_PX)
    sane = usable & (np.abs(ratio - 1) <= max(CLIP_SIGMA * scatter, LEAST_WILD))
    coarse = binned(ratio, sane, bin_px)
    away, known = _smooth(coarse, max(SMOOTHING_PX / bin_px, 0.75))
    if not known.any():
        return ()
    mesh = max(1, round(MESH_SHARE * limits.largest_px / bin_px))
    surroundings = background.measure(away, ~known, mesh_px=mesh, filter_meshes=5)
    away = np.where(known, away - surroundings.level(), np.float32(0))
    noise = robust.sigma(away[known], 0)
    limit = max(SMOOTHED_DEPTH * limits.depth, limits.sigma * noise)
    found = []
    for sign in (-1, 1):  # less light first: dust that came
        found += [
            replace(region, depth=-sign * region.depth)
            for region in _regions(sign * away, limit, noise, bin_px, limits)
        ]
    return tuple(sorted(found, key=lambda d: -abs(d.depth))[:MOST_DUST])


def _smooth(
    coarse: NDArray[np.float32], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The mean of what is known around each pixel, less one, and where most of it is known."""
    there = np.isfinite(coarse)
    weight = gaussian_filter(there.astype(np.float32), sigma, mode="constant")
    full = gaussian_filter(np.ones_like(coarse), sigma, mode="constant")
    total = gaussian_filter(np.where(there, coarse - 1, 0), sigma, mode="constant")
    known = weight > 0.5 * full
    return np.where(known, total / np.maximum(weight, 1e-6), 0).astype(np.float32), known


def _regions(
    away: NDArray[np.float32], limit: float, noise: float, bin_px: int, limits: DustLimits
) -> list[Dust]:
    """Connected pixels above half the limit, of which some reach it, of the right size."""
    labels, n = label(away > max(0.5 * limit, 3 * noise))
    if not n:
        return []
    found = []
    for k, box in enumerate(find_objects(labels), 1):
        values: NDArray[Any] = np.where(labels[box] == k, away[box], 0)
        peak = float(values.max())
        inside = values > 0.5 * peak  # its size is that at half of its depth
        y, x = np.nonzero(inside)
        height, width = np.ptp(y) + 1, np.ptp(x) + 1
        side = max(height, width)
        if peak < limit or not limits.smallest_px <= side * bin_px <= limits.largest_px:
            continue
        if inside.sum() < LEAST_FILLED * side**2:
            continue
        # The middle of the outline: a ring is not centred on its deepest part.
        y0 = box[0].start + y.min() + 0.5 * height
        x0 = box[1].start + x.min() + 0.5 * width
        found.append(
            Dust(
                float(x0 * bin_px - 0.5),
                float(y0 * bin_px - 0.5),
                float(side * bin_px),
                peak,
                peak / max(noise, 1e-9),
            )
        )
    return found
