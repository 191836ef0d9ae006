"""Cosmic rays in a single image, by the edges they have and stars have not.

The rule is that of L.A.Cosmic (van Dokkum 2001, PASP 113, 1420): the Laplacian of the image
sampled twice as finely, in units of the noise, must stand out of its surroundings (`sigclip`) and
must exceed the fine structure an object of that brightness would show (`objlim`). It is applied in
two passes: a dense one that only needs four neighbours finds the few pixels in a thousand that may
pass, and the medians of the rule are taken at those alone. Long tracks, which that rule takes for
objects, are followed from its hits as far as they are narrower than a star, and their faint edges
are taken from smooth surroundings (`tracks`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from tesela.errors import BadInput
from tesela.pixels import background, badpixels, tracks
from tesela.pixels import threads as threading
from tesela.pixels.background import Background
from tesela.pixels.neighbourhood import BLOCK, PAD, laplacian, median, noise, window

SAMPLE = 8
LOW_PERCENTILE = 5
# A hit spreads to neighbours that show little fine structure (in noises), or have this share of
# the object limit. The paper asks neither: then one chance hit on a star's flank takes its core,
# and the hole takes the rest.
GROW_SHARE = np.float32(0.3)
FAINT_STRUCTURE = np.float32(20.0)
EDGES = 2  # pixels that the edge of a track may be wide


def object_limit(objlim: float, fwhm_px: float) -> float:
    """Return the limit on Laplacian over fine structure for a given seeing.

    At its worst position in the pixel, the core of a noiseless star has a ratio of at most
    1.15 (2 px / FWHM)**4.1 (integrated over pixels, Gaussian profiles of 1.2 to 4 px; Moffat
    profiles have less). The limit stays half as much above that, which leaves 5 untouched down to
    a FWHM of 1.55 px, and is 7.4 at 1.4 px.
    """
    return max(objlim, 1.5 * 1.15 * (2.0 / fwhm_px) ** 4.1)


def find(
    image: np.ndarray,
    readnoise_e: float,
    mask: np.ndarray,
    *,
    sky: float | Background,
    sigclip: float = 4.5,
    sigfrac: float = 0.3,
    objlim: float = 5.0,
    fwhm_px: float = 2.5,
    max_iterations: int = 4,
    threads: int = 1,
) -> np.ndarray:
    """Find the pixels hit by cosmic rays.

    Parameters
    ----------
    image : (ny, nx) float32, electrons
        Sky-subtracted. Masked pixels may hold anything, NaN included.
    readnoise_e : float, electrons
    mask : (ny, nx) bool, True = bad or saturated
        Never flagged and, replaced by their neighbours, never a cause of flags. Detected objects
        do not belong here: cosmic rays fall on galaxies too.
    sky : float or Background, electrons
        The sky that was subtracted (0 for an image that still has it): it makes the noise.
    sigclip : float
        Least significance of a hit, in noises.
    sigfrac : float
        Neighbours of a hit are taken from sigclip * sigfrac on.
    objlim : float
        Least ratio of Laplacian to fine structure; see `object_limit`.
    fwhm_px : float, pixels
        Seeing, which raises `objlim` where stars are undersampled and tells tracks from stars:
        rather too low than too high.
    max_iterations : int
        Hits are removed and their surroundings judged again at most so many times.
    threads : int
        Share rows and candidates.

    Returns
    -------
    (ny, nx) bool, True = hit by a cosmic ray. The outermost pixels are judged as the others, with
    the image mirrored beyond its border.
    """
    _check(image, mask, fwhm_px)
    frame, closed = _padded(image, mask, sky, threads)
    noise2 = np.float32(max(readnoise_e, 1e-3) ** 2)
    limit = np.float32(object_limit(objlim, fwhm_px))
    known = closed.copy()  # closed, or found
    seen = np.zeros(frame.shape, np.uint8)
    where = _candidates_of(frame, _low_noise(frame, noise2), np.float32(sigclip), threads)
    default = np.float32(np.median(frame[PAD:-PAD:SAMPLE, PAD:-PAD:SAMPLE]))
    floor = _blocks(frame, 50.0)
    cut = tracks.cuts(fwhm_px)
    for _ in range(max_iterations):
        hits = _shared(
            _judge, frame, where, closed, noise2, np.float32(sigclip), limit, threads=threads
        )
        narrow = _shared(tracks.starts, frame, where, known, floor, noise2, cut, threads=threads)
        hits = tracks.follow(frame, np.union1d(hits, narrow), closed, floor, noise2, cut)
        for least in (sigclip, sigclip * sigfrac):
            hits = _grow(frame, hits, closed, noise2, np.float32(least), GROW_SHARE * limit, seen)
        if fwhm_px < tracks.SAMPLED_PX:
            hits = tracks.whole(frame, hits, closed, floor, noise2, tracks.WHOLE_SHARE)
        fresh = hits[~known.flat[hits]]
        if not fresh.size:
            break
        known.flat[fresh] = True
        _clean(frame, known, hits, default)
        _reflect(frame)
        where = _around(hits, frame.shape)
    fresh = np.flatnonzero(known ^ closed)
    for _ in range(EDGES):
        fresh = tracks.edges(frame, known, fresh, noise2)
        known.flat[fresh] = True
    inside = np.s_[PAD:-PAD, PAD:-PAD]
    return known[inside] ^ closed[inside]


def _check(image: np.ndarray, mask: np.ndarray, fwhm_px: float) -> None:
    if image.ndim != 2 or min(image.shape) <= PAD or mask.shape != image.shape:
        raise BadInput(
            "image to search for cosmic rays",
            found=f"shape {image.shape} with a mask of {mask.shape}",
            expected=f"2 dimensions of more than {PAD} pixels, the same for both",
        )
    if not fwhm_px > 0:
        raise BadInput(
            "seeing for the search for cosmic rays",
            found=f"{fwhm_px} px",
            expected="a positive number of pixels",
            do="give 2.5 px where it is not known",
        )


def _padded(
    image: np.ndarray, mask: np.ndarray, sky: float | Background, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """The image with its sky, mirrored beyond its borders and without holes, and its flags."""
    shape = (image.shape[0] + 2 * PAD, image.shape[1] + 2 * PAD)
    frame, closed = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    inner = frame[PAD:-PAD, PAD:-PAD]
    inner_closed = closed[PAD:-PAD, PAD:-PAD]

    def band(rows: tuple[int, int]) -> None:
        part = slice(*rows)
        inner[part] = image[part]
        np.isfinite(inner[part], out=inner_closed[part])
        np.logical_not(inner_closed[part], out=inner_closed[part])
        inner_closed[part] |= mask[part]

    threading.each(band, threading.bands(len(image), threads), threads)
    if isinstance(sky, Background):
        background.add(inner, sky, threads=threads)
    else:
        inner += np.float32(sky)
    _reflect(frame)
    _reflect(closed)
    _raise_holes(frame, closed)
    _reflect(frame)
    return frame, closed


def _raise_holes(frame: np.ndarray, closed: np.ndarray) -> None:
    """Raise dark masked pixels to their neighbours: beside a hole everything looks like a peak.

    Bright ones stay: they can only lower the Laplacian of their neighbours, whereas a saturated
    star filled from outside would get a rim.
    """
    where = np.flatnonzero(closed)
    had = frame.ravel()[where]
    badpixels.fill(frame, closed, out=frame)
    keep = np.isfinite(had) & (had > frame.ravel()[where])
    frame.ravel()[where[keep]] = had[keep]


def _shared(
    kernel: Callable[..., np.ndarray],
    frame: np.ndarray,
    where: np.ndarray,
    *others: Any,
    threads: int,
) -> np.ndarray:
    """Those of `where` that a kernel chooses, which judges each by itself; in order."""
    parts = np.array_split(where, 4 * threads if threads > 1 else 1)
    return np.concatenate(threading.each(lambda part: kernel(frame, part, *others), parts, threads))


def _candidates_of(
    frame: np.ndarray, low2: np.ndarray, sigclip: np.float32, threads: int
) -> np.ndarray:
    """Flat indices of pixels that may be hits, in order."""
    ny = frame.shape[0]

    def band(rows: tuple[int, int]) -> np.ndarray:
        return np.asarray(
            _candidates(frame, low2, sigclip, max(rows[0], PAD), min(rows[1], ny - PAD))
        )

    return np.concatenate(threading.each(band, threading.bands(ny, threads), threads))


def _low_noise(frame: np.ndarray, noise2: np.float32) -> np.ndarray:
    """Lower bound of the variance the rule will use, for each block of the frame."""
    return np.maximum(np.float32(0.9) * _blocks(frame, LOW_PERCENTILE), 0) + noise2


def _blocks(frame: np.ndarray, percentile: float) -> np.ndarray:
    """Percentile of a sample of each block of the frame."""
    rows = -(-frame.shape[0] // BLOCK)
    columns = -(-frame.shape[1] // BLOCK)
    low = np.empty((rows, columns), np.float32)
    _fill_blocks(frame, percentile / 100.0, low)
    return low


def _reflect(frame: np.ndarray) -> None:
    """Renew the border of a padded frame after its inside has changed."""
    frame[:PAD] = frame[2 * PAD : PAD : -1]
    frame[-PAD:] = frame[-PAD - 2 : -2 * PAD - 2 : -1]
    frame[:, :PAD] = frame[:, 2 * PAD : PAD : -1]
    frame[:, -PAD:] = frame[:, -PAD - 2 : -2 * PAD - 2 : -1]


def _around(where: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels within 4 px of those just cleaned: no other can have changed its verdict."""
    ny, nx = shape
    reach = np.arange(-4, 5)
    y, x = np.divmod(where, nx)
    near_y = np.clip(y[:, None, None] + reach[:, None], PAD, ny - PAD - 1)
    near_x = np.clip(x[:, None, None] + reach, PAD, nx - PAD - 1)
    return np.unique(near_y * nx + near_x)


@njit(cache=True)
def _excess(d, y, x, noise2, t, s):  # type: ignore[no-untyped-def]  # pragma: no cover
    """S' of the paper: the Laplacian in noises, less its own 5x5 median."""
    n = 0
    own = np.float32(0)
    for j in range(y - 2, y + 3):
        for i in range(x - 2, x + 3):
            value = laplacian(d, j, i)
            if value > 0:
                value /= np.float32(8) * noise(d, j, i, noise2, t)
            s[n] = value
            n += 1
            if j == y and i == x:
                own = value
    return own - median(s, 25)


@njit(cache=True)
def _fine_structure(d, y, x, noise2, t, s):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = 0
    own = np.float32(0)
    for j in range(y - 3, y + 4):
        for i in range(x - 3, x + 4):
            s[n] = window(d, j, i, 1, t)
            if j == y and i == x:
                own = s[n]
            n += 1
    return max((own - median(s, 49)) / noise(d, y, x, noise2, t), np.float32(0.01))


@njit(cache=True)
def _fill_blocks(d, part, low):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Percentiles, linear between the values of the sample."""
    ny, nx = d.shape
    t = np.empty((BLOCK // SAMPLE) ** 2, np.float32)
    for j in range(low.shape[0]):
        for i in range(low.shape[1]):
            n = 0
            for y in range(j * BLOCK, min((j + 1) * BLOCK, ny), SAMPLE):
                for x in range(i * BLOCK, min((i + 1) * BLOCK, nx), SAMPLE):
                    t[n] = d[y, x]
                    n += 1
            values = np.sort(t[:n])
            place = part * (n - 1)
            k = min(int(place), n - 2) if n > 1 else 0
            upper = values[min(k + 1, n - 1)]
            low[j, i] = values[k] + (place - k) * (upper - values[k])


@njit(cache=True, nogil=True)
def _candidates(d, low2, sigclip, y0, y1):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Flat indices of pixels whose Laplacian passes even with the least noise of their block."""
    nx = d.shape[1]
    row = np.empty(nx, np.float32)
    room = 4096
    where = np.empty(room, np.int64)
    n = 0
    for y in range(y0, y1):
        for x in range(PAD, nx - PAD):
            row[x] = laplacian(d, y, x)
        for column in range(low2.shape[1]):
            limit = np.float32(8) * sigclip * np.sqrt(low2[y // BLOCK, column])
            first, last = max(PAD, column * BLOCK), min(nx - PAD, (column + 1) * BLOCK)
            # Counting is many times as fast as collecting, and most blocks have none.
            passing = 0
            for x in range(first, last):
                passing += row[x] > limit
            if passing == 0:
                continue
            for x in range(first, last):
                if row[x] > limit:
                    if n == room:
                        room *= 2
                        more = np.empty(room, np.int64)
                        more[:n] = where
                        where = more
                    where[n] = y * nx + x
                    n += 1
    return where[:n].copy()


@njit(cache=True, nogil=True)
def _judge(d, where, closed, noise2, sigclip, objlim):  # type: ignore[no-untyped-def]  # pragma: no cover
    nx = d.shape[1]
    t = np.empty(49, np.float32)
    s = np.empty(49, np.float32)
    hit = np.zeros(where.size, np.bool_)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        if closed[y, x]:
            continue
        level = window(d, y, x, 2, t)
        sigma = np.sqrt(max(level, np.float32(0)) + noise2)
        significance = laplacian(d, y, x) / (np.float32(8) * sigma)
        # Dark neighbours alone make no hit: the pixel itself must be bright.
        if significance <= sigclip or d[y, x] - level <= sigclip * sigma:
            continue
        # S' is never above S: most stars fail here, before the 25 medians that S' takes.
        needed = objlim * _fine_structure(d, y, x, noise2, t, s)
        if significance > needed:
            hit[k] = _excess(d, y, x, noise2, t, s) > max(sigclip, needed)
    return where[hit]


@njit(cache=True)
def _grow(d, seeds, closed, noise2, least, objlim, seen):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add neighbours whose S' exceeds `least` and, on objects, `objlim` times the fine structure.

    Returns all, sorted. `seen` is 0 before and after.
    """
    ny, nx = d.shape
    t = np.empty(49, np.float32)
    s = np.empty(49, np.float32)
    grown = np.empty(9 * seeds.size, np.int64)
    visited = np.empty(9 * seeds.size, np.int64)
    n = n_visited = seeds.size
    for k in range(n):
        grown[k] = visited[k] = seeds[k]
        seen.flat[seeds[k]] = 1
    for seed in seeds:
        for j in range(max(seed // nx - 1, PAD), min(seed // nx + 2, ny - PAD)):
            for i in range(max(seed % nx - 1, PAD), min(seed % nx + 2, nx - PAD)):
                if closed[j, i] or seen[j, i]:
                    continue
                seen[j, i] = 1
                visited[n_visited] = j * nx + i
                n_visited += 1
                excess = _excess(d, j, i, noise2, t, s)
                if excess <= least:
                    continue
                fine = _fine_structure(d, j, i, noise2, t, s)
                if fine < FAINT_STRUCTURE or excess > objlim * fine:
                    grown[n] = j * nx + i
                    n += 1
    for k in range(n_visited):
        seen.flat[visited[k]] = 0
    return np.sort(grown[:n])


@njit(cache=True)
def _clean(d, known, where, default):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Replace the pixels found by the mean of the good ones of the 5x5 around."""
    nx = d.shape[1]
    value = np.empty(where.size, np.float32)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        total = 0.0
        n = 0
        for j in range(y - 2, y + 3):
            for i in range(x - 2, x + 3):
                if not known[j, i]:
                    total += d[j, i]
                    n += 1
        value[k] = total / n if n else default
    for k in range(where.size):
        d[where[k] // nx, where[k] % nx] = value[k]
