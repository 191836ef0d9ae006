"""Sums along all straight lines of an image, and along their halves, quarters ...

The discrete Radon transform of Brady (1998, SIAM J. Comput. 27, 107; Goetz & Druckmueller 1996):
sums over 2 m columns are made of two sums over m columns, so that all slopes cost n log n
additions a row. A trail that ends inside the frame shows best in the shorter sums met on the way.
Lines are two pixels wide: the straight ones that the sums stand for leave single pixels too often.
Sums are 16-bit integers, which need half the memory and time of floats and are as good: values are
rounded to a quarter of their scatter.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from tesela.pixels import threads as threading

TURNS = (0.0, 0.025, -0.025, 0.05, -0.05)
FULL = 0.5
RISE_CELL, ROW_CELL = 6, 6
STEPS = 16  # of the weight of two pixels, the scatter of whose sum then has 4
LARGEST = 2**15 - 1  # that a sum of 16 bits holds
RUN = 64


@dataclass(frozen=True)
class Line:
    """A straight piece with a high sum; ends are pixel centres of the image transformed."""

    x0: float
    y0: float
    x1: float
    y1: float
    snr: float


def brightest_lines(
    signal: np.ndarray,
    weight: np.ndarray,
    *,
    min_length: int,
    min_weight: float,
    floor: float | None = None,
    threads: int = 1,
) -> list[Line]:
    """Return the line, two pixels wide, of highest sum(signal) / sqrt(sum(weight)) of each piece.

    Pieces of the image are all divisions by two, from the whole down to `min_length`, of both axes,
    those that lie half aside of them, and slopes up and down: some dozens of lines, the same trail
    in several. Of a trail of any length above 4/3 of the shortest piece, one holds at least 0.74
    of the signal-to-noise ratio.

    Parameters
    ----------
    signal : (ny, nx) float32
        Sums of values of mean 0 and variance 1, as many as `weight` says. Two that are
        above 4 times the scatter of the largest weight (less in images of over 2048 pixels) are
        clipped there.
    weight : (ny, nx) float32
        Values summed; 0 where there is no data.
    min_length : int, pixels
        Shortest piece, along the axis nearer to its direction.
    min_weight : float
        Weight a line must hold.
    floor : float, optional
        All lines from this signal-to-noise ratio on that are the best of their neighbourhood are
        returned too.
    threads : int
        The four quadrants of directions are shared between them.

    Returns
    -------
    list of Line, highest `snr` first
    """

    # No sum along a line may exceed 16 bits.
    steps = min(STEPS, LARGEST // max(signal.shape))
    scale = steps / max(2.0 * float(weight.max()), 1e-12)
    factors = math.sqrt(scale), scale

    def pairs(part: tuple[bool, int]) -> np.ndarray:
        steep, k = part
        sums: np.ndarray = _pairs((signal, weight)[k], steep, np.float32(factors[k]), steps)
        return sums

    parts = [(steep, k) for steep in (False, True) for k in (0, 1)]
    wide = dict(zip(parts, threading.each(pairs, parts, threads)))
    for steep in (False, True):
        # What is too little to be counted must not shine.
        wide[steep, 0] *= wide[steep, 1] != 0

    def quadrant(turned: tuple[bool, bool]) -> list[Line]:
        planes = [_turn(wide[turned[0], k], *turned) for k in (0, 1)]
        least = np.float32(np.inf if floor is None else floor)
        best = _transform(planes[0], planes[1], min_length, np.float32(min_weight * scale), least)
        return [
            _line(snr, (c0, length, h, rise), planes[0].shape, *turned)
            for snr, c0, length, h, rise in best
        ]

    quadrants = [(steep, falling) for steep in (False, True) for falling in (False, True)]
    found = threading.each(quadrant, quadrants, threads)
    return sorted(itertools.chain(*found), key=lambda line: -line.snr)


def scatter_alongside(
    signal: np.ndarray,
    weight: np.ndarray,
    ends: tuple[float, float, float, float],
    width: float,
    clear: float,
) -> float:
    """Return the scatter of sum(signal) / sqrt(sum(weight)) of strips like the one given.

    The image is cut into strips of its length and width (pixels of the image transformed),
    parallel to it and turned by up to 3 degrees. White noise gives 1; what is correlated along
    lines, such as fringes, gives more, and so do many blobs.

    Parameters
    ----------
    signal, weight : (ny, nx) float32
        As for `brightest_lines`.
    ends : (x0, y0, x1, y1)
        Ends of the strip.
    width : float, pixels
    clear : float, pixels
        Pixels this near to its axis, prolonged, are left out.

    Returns
    -------
    float; 0 where too little is left. The larger of the scatter by the median deviation and by
    the highest twentieth, for blobs of light make the sums lopsided.
    """
    x0, y0, x1, y1 = ends
    angle, length = math.atan2(y1 - y0, x1 - x0), math.hypot(x1 - x0, y1 - y0)
    x = np.arange(signal.shape[1], dtype=np.float32)[None, :] - np.float32(x0)
    y = np.arange(signal.shape[0], dtype=np.float32)[:, None] - np.float32(y0)
    away = np.abs(np.float32(math.cos(angle)) * y - np.float32(math.sin(angle)) * x)
    used = (away > clear) & (weight > 0)
    x, y = (np.broadcast_to(v, used.shape)[used] for v in (x, y))
    light, count = signal[used], weight[used]
    sums = []
    for turn in TURNS:
        ux, uy = np.float32(math.cos(angle + turn)), np.float32(math.sin(angle + turn))
        across = np.floor((ux * y - uy * x) / np.float32(width)).astype(np.int64)
        along = np.floor((ux * x + uy * y) / np.float32(length)).astype(np.int64)
        if across.size == 0:
            return 0.0
        along -= along.min()
        strip = (across - across.min()) * (along.max() + 1) + along
        total, number = np.bincount(strip, light), np.bincount(strip, count)
        full = number > FULL * np.median(number[number > 0.25 * number.max()])
        sums.append(total[full] / np.sqrt(number[full]))
    values = np.concatenate(sums)
    values -= np.median(values)
    return max(1.4826 * float(np.median(np.abs(values))), float(np.percentile(values, 90)) / 1.2816)


def _turn(plane: np.ndarray, steep: bool, falling: bool) -> np.ndarray:
    """Turn the image so that slopes wanted lie between 0 and 1; first axis along the line."""
    along = plane if steep else plane.T
    return np.ascontiguousarray(along[:, ::-1] if falling else along)


def _line(
    snr: float,
    place: tuple[float, float, float, float],
    shape: tuple[int, int],
    steep: bool,
    falling: bool,
) -> Line:
    c0, length, h, rise = place
    c1 = min(c0 + length - 1, shape[0] - 1)
    h1 = h + rise * (c1 - c0) / (length - 1)
    if falling:
        h, h1 = shape[1] - 1 - h, shape[1] - 1 - h1
    h, h1 = h - 0.5, h1 - 0.5  # a pixel and the one before
    if steep:
        return Line(x0=h, y0=c0, x1=h1, y1=c1, snr=snr)
    return Line(x0=c0, y0=h, x1=c1, y1=h1, snr=snr)


@njit(cache=True, nogil=True)
def _pairs(plane, steep, scale, most):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums of a pixel and the one before it across the line, in steps of 1 / `scale`, and not
    beyond `most` of them."""
    ny, nx = plane.shape
    out = np.empty((ny, nx), np.int16)
    for y in range(ny):
        for x in range(nx):
            total = plane[y, x]
            if steep:
                total += plane[y, x - 1] if x > 0 else np.float32(0)
            else:
                total += plane[y - 1, x] if y > 0 else np.float32(0)
            out[y, x] = np.int16(np.rint(min(max(total * scale, -most), most)))
    return out


@njit(cache=True, nogil=True)
def _join(old, new, blocks, half, n_rows, pad):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums over `half` columns -> sums over twice as many, for the first `blocks` pairs."""
    for block in range(blocks):
        for rise in range(2 * half):
            low = rise // 2
            high = rise - low
            first = old[2 * block * half + low]
            second = old[(2 * block + 1) * half + low]
            out = new[2 * block * half + rise]
            start, edge = pad - 2 * half + 1, pad - half + 1
            stop = pad + n_rows - high
            for h in range(start, min(edge, stop)):
                out[h] = second[h + high] if h + high >= edge else 0
            for h in range(edge, stop):
                out[h] = first[h] + second[h + high]
            for h in range(max(edge, stop), pad + n_rows):
                out[h] = first[h]


@njit(cache=True, nogil=True)
def _best_of(signal, weight, block, length, n_rows, pad, min_weight, floor):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Rows of (snr, row, rise): the best line of a block, then the best of each neighbourhood."""
    best = least = np.float32(0)
    best_h = best_rise = 0
    square = floor * floor
    # Neighbourhoods are told by the row in the middle of the block: near lines cross there.
    cells = np.zeros((length // RISE_CELL + 3, (n_rows + length) // ROW_CELL + 3, 3), np.float32)
    for rise in range(length):
        s, w = signal[block * length + rise], weight[block * length + rise]
        for start in range(pad - length + 1, pad + n_rows, RUN):
            stop = min(start + RUN, pad + n_rows)
            # Almost never is there one: a loop without branches finds that out.
            above = np.int64(0)
            for h in range(start, stop):
                value = np.float32(s[h])
                above += value * abs(value) > least * np.float32(w[h])
            if above == 0:
                continue
            for h in range(start, stop):
                value, count = np.float32(s[h]), np.float32(w[h])
                power = value * abs(value)
                if power <= least * count or count < min_weight:
                    continue
                if power > best * count:
                    best = power / count
                    best_h, best_rise = h - pad, rise
                    least = min(best, square)
                if power > square * count:
                    middle = h - pad + length - 1 + rise // 2
                    column = min(middle // ROW_CELL + 1, cells.shape[1] - 2)
                    cell = cells[rise // RISE_CELL + 1, column]
                    if power > cell[0] * count:
                        cell[0], cell[1], cell[2] = power / count, h - pad, rise
    rows = [(np.sqrt(best), float(best_h), float(best_rise))]
    if square < best:
        for j in range(1, cells.shape[0] - 1):
            for i in range(1, cells.shape[1] - 1):
                top = cells[j, i, 0]
                if 0 < top < best and top >= cells[j - 1 : j + 2, i - 1 : i + 2, 0].max():
                    rows.append((np.sqrt(top), float(cells[j, i, 1]), float(cells[j, i, 2])))
    return rows


@njit(cache=True, nogil=True)
def _start(plane, new, base, pad):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sums over the first pieces, `base` columns each, column by column."""
    n_columns, n_rows = plane.shape
    for block in range(-(-n_columns // base)):
        for rise in range(base):
            out = new[block * base + rise]
            for h in range(pad - base + 1, pad + n_rows):
                out[h] = 0
            for c in range(min(base, n_columns - block * base)):
                column = plane[block * base + c]
                up = (2 * rise * c + base - 1) // (2 * (base - 1))
                shift = pad - up
                for h in range(n_rows):
                    out[h + shift] += column[h]


@njit(cache=True)
def _first_piece(n_columns):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Columns of the first pieces, 5 to 9, whose doubling overshoots the image least."""
    best, least = 5, 1 << 60
    for base in range(5, 10):
        full = base
        while full < n_columns:
            full *= 2
        if full < least:
            best, least = base, full
    return best, least


@njit(cache=True, nogil=True)
def _transform(signal, weight, min_length, min_weight, floor):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Rows of (snr, first column, columns, row at the first column, rise over the columns)."""
    n_columns, n_rows = signal.shape
    half, full = _first_piece(n_columns)
    pad = full
    # Each loop writes what the next one reads.
    old_s = np.empty((full, n_rows + pad), np.int16)
    old_w = np.empty((full, n_rows + pad), np.int16)
    _start(signal, old_s, half, pad)
    _start(weight, old_w, half, pad)
    new_s = np.empty_like(old_s)
    new_w = np.empty_like(old_w)
    best = []
    while half < full:
        pieces = -(-n_columns // half)
        blocks = (pieces + 1) // 2
        if pieces < 2 * blocks:  # the partner of the last piece lies outside
            for plane in (old_s, old_w):
                plane[(2 * blocks - 1) * half : 2 * blocks * half, pad - half + 1 :] = 0
        # First the pieces half aside, of which nothing is made, then those that are joined on.
        for aside, number in ((half, (pieces - 1) // 2), (0, blocks)):
            if aside > 0 and 2 * half < min_length:
                continue
            _join(old_s[aside:], new_s, number, half, n_rows, pad)
            _join(old_w[aside:], new_w, number, half, n_rows, pad)
            if 2 * half < min_length:
                continue
            for block in range(number):
                for snr, h, rise in _best_of(
                    new_s, new_w, block, 2 * half, n_rows, pad, min_weight, floor
                ):
                    if snr > 0:
                        first = float(2 * block * half + aside)
                        best.append((snr, first, 2.0 * half, h, rise))
        old_s, new_s = new_s, old_s
        old_w, new_w = new_w, old_w
        half *= 2
    return best
