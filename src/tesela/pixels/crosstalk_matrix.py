"""How much of one amplifier's light is heard in the others: least squares on science frames.

The pixels of all amplifiers that are read at one instant are put beside each other. Around every
bright source, a victim's pixels are a free local level plus the sum of all aggressors times their
coefficients. Bright is what is above the sky by `source_e`; all aggressors are solved at once,
since a field of stars has two of them at one instant more often than one would think.

The local level is eliminated block by block, which is exact: within a block sums of products are
taken about the means ("fixed effects"). Neither the sky nor the wings of a victim's own faint
sources can then pose as crosstalk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import binary_dilation, gaussian_filter

from tesela.errors import BadInput
from tesela.pixels import background, crosstalk_cores
from tesela.pixels.crosstalk_cores import Cores
from tesela.pixels.sections import as_sections

BLOCK_ROWS, BLOCK_COLUMNS = 16, 32
CORE_PASSES = 5
AGGRESSOR_SIGMA = 5.0  # fainter pixels are sky: as aggressors they would only add their noise
GROW_OBJECTS = 4
OBJECT_SMOOTHING_PX = 1.0


@dataclass(frozen=True)
class Equations:
    """Normal equations of one frame, or the sum of several.

    Attributes
    ----------
    normal : (n_amp, n_amp, n_amp) float64
        One matrix for each victim, [victim, aggressor, aggressor], over the victim's variance.
    rhs : (n_amp, n_amp) float64
        [victim, aggressor].
    squares : (n_amp,) float64
        Sum of the squares of the victim's pixels about their local levels, over their variance.
    count : (n_amp,) float64
        Pixels less local levels: degrees of freedom before the coefficients are taken.
    cores : Cores
        Ghosts of saturated cores.
    """

    normal: np.ndarray
    rhs: np.ndarray
    squares: np.ndarray
    count: np.ndarray
    cores: Cores


@dataclass(frozen=True)
class Solution:
    """Coefficients C[victim, aggressor] and their errors, both (n_amp, n_amp) float64.

    The diagonal is 0. A coefficient that no source constrains is 0 with an infinite error.
    """

    matrix: np.ndarray
    error: np.ndarray


def measure(
    image: np.ndarray,
    dest: npt.ArrayLike,
    flip_x: npt.ArrayLike,
    flip_y: npt.ArrayLike,
    *,
    saturated: np.ndarray,
    bad: np.ndarray | None = None,
    source_e: float = 2000.0,
    mesh_px: int = 64,
    clip_sigma: float = 4.0,
    object_sigma: float = 6.0,
    guard_px: int = 0,
    expected: np.ndarray | None = None,
) -> Equations:
    """Collect what one frame says of the matrix.

    An instant of the read-out at which any amplifier is saturated is left out of the sums, since
    the true brightness of that aggressor is not known; the ghosts of such cores are kept aside
    (`crosstalk_cores`). A victim's pixel is left out where it is bad, near a
    source of its own, or further than `clip_sigma` from the ghost expected; the expectation is the
    matrix given, or that of a first pass over the same frame.

    Parameters
    ----------
    image : (ny, nx) float32, electrons, finite, not flat-fielded
    dest, flip_x, flip_y
        As `crosstalk.correct` takes them.
    saturated : (ny, nx) bool, True = saturated
    bad : (ny, nx) bool, True = no victim, optional
    source_e : float, electrons above the sky
    mesh_px : int
        Cells of the sky, amplifier by amplifier.
    clip_sigma, object_sigma : float
        In units of the noise of the sky; objects are sought in a slightly smoothed plane.
    guard_px : int
        Pixels around saturated ones that are not used either. Those next to the top of a 16-bit
        scale are sound and the brightest aggressors there are; where charge bleeds they are not.
    expected : (n_amp, n_amp), optional
        A matrix near the truth, to tell ghosts from sources.

    Returns
    -------
    Equations

    Raises
    ------
    BadInput
        Amplifiers of several sizes, or planes of several shapes.

    Notes
    -----
    Memory: three float32 and five bool images beside the input.
    """
    sections = as_sections(dest, (image.shape[0], image.shape[1]), "destination")
    flips = [np.asarray(flip, bool) for flip in (flip_x, flip_y)]
    _check(image, sections, flips, {"saturated": saturated, "bad": bad})
    top = _by_instant(saturated, sections, *flips)
    stack = _by_instant(image, sections, *flips)
    lost = np.asarray(top.any(axis=0))
    if guard_px:
        lost = _grown(lost, guard_px)
    unfit = np.zeros(stack.shape, bool) if bad is None else _by_instant(bad, sections, *flips)
    noise = np.empty(len(stack))
    for amp, part in enumerate(stack):
        sky = background.measure(part, lost | unfit[amp], mesh_px=mesh_px)
        part -= sky.level()
        noise[amp] = max(sky.median_rms, 1e-3)
    light = np.where(stack > AGGRESSOR_SIGMA * noise[:, None, None], stack, np.float32(0))
    light[top] = 0  # what was recorded is not what was there
    bright = stack > source_e
    matrix = np.zeros((len(stack), len(stack)))
    if expected is not None:
        matrix[:] = expected
        np.fill_diagonal(matrix, 0)
    equations: Equations
    for last in (False, True) if expected is None else (True,):
        left = np.empty_like(stack)
        _expect(stack, light, matrix.astype(np.float32), left)
        fit = ~unfit
        for amp, part in enumerate(left):
            fit[amp] &= ~_sources(part, object_sigma * noise[amp], lost)
        usable = fit & ~lost
        for amp, part in enumerate(left):
            usable[amp] &= np.abs(part) < clip_sigma * noise[amp]
        normal, rhs, squares, count = _collect(stack, light, bright, lost, usable, noise**2)
        cores = crosstalk_cores.collect(left, top, fit, noise) if last else Cores.none(len(stack))
        equations = Equations(normal, rhs, squares, count, cores)
        if not last:
            matrix = solve([equations]).matrix
    return equations


def solve(equations: Sequence[Equations], *, with_cores: bool = True) -> Solution:
    """Solve the sum of the equations of several frames.

    Pixels below saturation are solved victim by victim; then, from that start, together with the
    saturated cores, which tie the victims of an aggressor to each other. Errors are scaled by the
    square root of chi squared a degree of freedom where that is above one.

    Parameters
    ----------
    equations : sequence of Equations, one or more
    with_cores : bool
        Use the saturated cores.

    Returns
    -------
    Solution
    """
    normal = np.sum([e.normal for e in equations], axis=0)
    rhs = np.sum([e.rhs for e in equations], axis=0)
    squares = np.sum([e.squares for e in equations], axis=0)
    count = np.sum([e.count for e in equations], axis=0)
    cores = Cores.join([e.cores for e in equations])
    n = len(rhs)
    matrix, error = np.zeros((n, n)), np.full((n, n), np.inf)
    np.fill_diagonal(error, 0)
    for victim in range(n):
        # A sum of 1 tells a coefficient to within 1 at best, which is nothing; where none of an
        # aggressor's light is left, rounding leaves a little, which told it without any error.
        known = np.diag(normal[victim]) > 1
        known[victim] = False
        if not known.any():
            continue
        # pinv: two aggressors that were never bright apart share what is heard of them.
        inverse = np.linalg.pinv(normal[victim][np.ix_(known, known)], hermitian=True)
        found = inverse @ rhs[victim, known]
        free = max(count[victim] - known.sum(), 1.0)
        chi2 = max((squares[victim] - found @ rhs[victim, known]) / free, 1.0)
        normal[victim] /= chi2
        rhs[victim] /= chi2
        matrix[victim, known] = found
        error[victim, known] = np.sqrt(np.diag(inverse) * chi2)
    if with_cores and len(cores.aggressor):
        return _with_cores(normal, rhs, cores, Solution(matrix, error))
    return Solution(matrix, error)


def _with_cores(normal: np.ndarray, rhs: np.ndarray, cores: Cores, start: Solution) -> Solution:
    """All coefficients at once, from pixels below saturation and from saturated cores."""
    n = len(rhs)
    known = np.isfinite(start.error) & ~np.eye(n, dtype=bool)
    place = np.flatnonzero(known)
    below = np.zeros((n, n, n, n))  # [victim, aggressor, victim, aggressor]
    each = np.arange(n)
    below[each, :, each, :] = normal
    matrix: np.ndarray = start.matrix.copy()
    inverse: np.ndarray = np.empty((0, 0))
    for _ in range(CORE_PASSES):
        own, pull = crosstalk_cores.equations(cores, matrix)
        total = below.copy()
        total[:, each, :, each] += own
        gradient = rhs - np.einsum("vab,vb->va", normal, matrix) + pull.T
        inverse = np.linalg.pinv(total.reshape(n * n, n * n)[np.ix_(place, place)], hermitian=True)
        step = np.zeros(n * n)
        step[place] = inverse @ gradient.ravel()[place]
        matrix += step.reshape(n, n)
    error = start.error.copy()
    error[known] = np.sqrt(np.diag(inverse))
    return Solution(matrix, error)


def _check(
    image: np.ndarray,
    sections: np.ndarray,
    flips: list[np.ndarray],
    planes: dict[str, np.ndarray | None],
) -> None:
    sizes = np.stack([sections[:, 1] - sections[:, 0], sections[:, 3] - sections[:, 2]], axis=1)
    if len(sizes) < 2 or (sizes != sizes[0]).any():
        raise BadInput(
            "crosstalk",
            found=f"amplifiers of sizes (x, y) {np.unique(sizes, axis=0).tolist()}",
            expected="two or more of one size, read at the same moments",
            do="make no crosstalk master for this read-out mode",
        )
    for flip in flips:
        if flip.shape != (len(sections),):
            raise BadInput(
                "crosstalk", found=f"{flip.size} flips", expected=f"{len(sections)}, one each"
            )
    for name, plane in planes.items():
        if plane is not None and plane.shape != image.shape:
            raise BadInput(
                f"{name} pixels of a frame for crosstalk",
                found=f"shape {plane.shape}",
                expected=f"{image.shape}, that of the image",
            )


def _sources(part: np.ndarray, threshold: float, lost: np.ndarray) -> np.ndarray:
    """Pixels in and near the sources of an amplifier. Where another one is saturated its ghost is
    not known and would pass for a source: there only the surroundings decide."""
    smooth = gaussian_filter(np.where(lost, np.float32(0), part), OBJECT_SMOOTHING_PX)
    smooth *= np.float32(2 * np.sqrt(np.pi) * OBJECT_SMOOTHING_PX)  # white noise keeps its size
    return _grown(smooth > threshold, GROW_OBJECTS)


def _grown(plane: np.ndarray, px: int) -> np.ndarray:
    return np.asarray(binary_dilation(plane, np.ones((3, 3)), px))


def _by_instant(
    plane: np.ndarray, sections: np.ndarray, flip_x: np.ndarray, flip_y: np.ndarray
) -> np.ndarray:
    """(n_amp, height, width): the pixel of each amplifier that is read first at [0, 0]."""
    x0, x1, y0, y1 = sections[0]
    out = np.empty((len(sections), y1 - y0, x1 - x0), plane.dtype)
    for amp, (x0, x1, y0, y1) in enumerate(sections):
        part = plane[y0:y1, x0:x1]
        out[amp] = part[:: -1 if flip_y[amp] else 1, :: -1 if flip_x[amp] else 1]
    return out


@njit(cache=True, nogil=True)
def _expect(stack, light, matrix, left):  # type: ignore[no-untyped-def]  # pragma: no cover
    """What is left of the victims once the ghosts expected are taken away."""
    n, height, width = stack.shape
    for victim in range(n):
        for y in range(height):
            row = left[victim, y]
            row[:] = stack[victim, y]
            for amp in range(n):
                share = matrix[victim, amp]
                if share != 0:
                    other = light[amp, y]
                    for x in range(width):
                        row[x] -= share * other[x]


@njit(cache=True, nogil=True)
def _collect(stack, light, bright, lost, usable, variance):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums over the blocks that hold a source. What is common to all victims is summed once, and
    each victim's own unusable pixels are taken off it again."""
    n, height, width = stack.shape
    normal = np.zeros((n, n, n))
    rhs = np.zeros((n, n))
    squares = np.zeros(n)
    count = np.zeros(n)
    pairs = np.empty((n, n))
    sums = np.empty(n)
    all_pairs = np.empty((n, n))
    all_sums = np.empty(n)
    cross = np.empty(n)
    for y0 in range(0, height, BLOCK_ROWS):
        y1 = min(y0 + BLOCK_ROWS, height)
        for x0 in range(0, width, BLOCK_COLUMNS):
            x1 = min(x0 + BLOCK_COLUMNS, width)
            if not bright[:, y0:y1, x0:x1].any():
                continue
            all_pairs[:] = 0
            all_sums[:] = 0
            all_count = 0
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if not lost[y, x]:
                        all_count += 1
                        _add(light, y, x, 1.0, all_pairs, all_sums)
            for victim in range(n):
                pairs[:] = all_pairs
                sums[:] = all_sums
                m = all_count
                cross[:] = 0
                total = total2 = 0.0
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        if lost[y, x]:
                            continue
                        if not usable[victim, y, x]:
                            m -= 1
                            _add(light, y, x, -1.0, pairs, sums)
                            continue
                        value = stack[victim, y, x]
                        total += value
                        total2 += value * value
                        for a in range(n):
                            cross[a] += light[a, y, x] * value
                if m < 2:
                    continue
                scale = 1.0 / variance[victim]
                count[victim] += m - 1
                squares[victim] += scale * (total2 - total * total / m)
                for a in range(n):
                    if a == victim:
                        continue
                    rhs[victim, a] += scale * (cross[a] - sums[a] * total / m)
                    for b in range(n):
                        if b != victim:
                            upper = pairs[min(a, b), max(a, b)]
                            normal[victim, a, b] += scale * (upper - sums[a] * sums[b] / m)
    return normal, rhs, squares, count


@njit(cache=True, nogil=True)
def _add(light, y, x, sign, pairs, sums):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add one instant to the sums over aggressors and over their pairs (upper triangle)."""
    n = light.shape[0]
    for a in range(n):
        value = light[a, y, x]
        if value == 0:
            continue
        sums[a] += sign * value
        for b in range(a, n):
            pairs[a, b] += sign * value * light[b, y, x]
