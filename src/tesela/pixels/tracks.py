"""Tracks of cosmic rays, told from stars by their width alone.

A long track of a thick CCD, two pixels wide and curved, hides from the medians of L.A.Cosmic:
they take it for fine structure of an object. But no star, nor anything else seen through the
point-spread function, is narrower than that function: on any cut through a pixel, one of the two
pixels at the same distance to both sides has a known share of its light at least.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.neighbourhood import BLOCK, PAD, noise

FOLLOW_SIGMA = np.float32(4.0)
SEED_SIGMA = np.float32(8.0)
# A track starts where less is seen, by 2 noises, than half of what a star must have: that leaves
# the stars alone down to a FWHM of 1.6 px whatever seeing was given.
SEED_SHARE = np.float32(0.5)
SIDE_SIGMA = np.float32(2.0)
NEAREST = 4
SAFETY = 0.95


def cuts(fwhm_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps (8, 2) int64 from a pixel to both sides, and the light a star has there.

    Of the two pixels at a distance d to both sides of a pixel in a Gaussian star, wherever its
    centre, the brighter has at least exp(-4 ln 2 (d / FWHM)**2) of the light of that pixel. Moffat
    profiles have down to 0.97 of that inside their FWHM and more outside. The shares, (8,)
    float32, are `SAFETY` times those of a Gaussian. The first `NEAREST` steps lead to direct
    neighbours.
    """
    steps = np.array([(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (2, 2), (2, -2)])
    distance2 = (steps**2).sum(axis=1)
    shares = SAFETY * np.exp(-4 * np.log(2) * distance2 / fwhm_px**2)
    return steps, shares.astype(np.float32)


@njit(cache=True)
def _light(d, y, x, floor, noise2, least, t):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Light above the sky, and its noise; light is 0 where it is below `least` noises."""
    base = floor[y // BLOCK, x // BLOCK]
    value = d[y, x] - base
    sigma = np.sqrt(max(base, np.float32(0)) + noise2)
    if value >= least * sigma:
        sigma = noise(d, y, x, noise2, t)
        if value >= least * sigma:
            return value, sigma
    return np.float32(0), sigma


@njit(cache=True)
def starts(d, where, closed, floor, noise2, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return those of `where` (flat indices) that are far narrower than a star can be.

    `d` is the padded frame with its sky, `closed` (same shape) is nonzero for pixels that are no
    evidence, `floor` the sky of each block, `cut` what `cuts` returns.
    """
    steps, shares = cut
    nx = d.shape[1]
    t = np.empty(25, np.float32)
    hit = np.zeros(where.size, np.bool_)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        if closed[y, x]:
            continue
        light, sigma = _light(d, y, x, floor, noise2, SEED_SIGMA, t)
        allowed = SEED_SHARE * light
        base = floor[y // BLOCK, x // BLOCK] - SIDE_SIGMA * sigma
        for m in range(NEAREST if light > 0 else 0):
            dy, dx = steps[m]
            if closed[y + dy, x + dx] or closed[y - dy, x - dx]:
                continue
            if max(d[y + dy, x + dx], d[y - dy, x - dx]) - base < shares[m] * allowed:
                hit[k] = True
                break
    return where[hit]


@njit(cache=True)
def follow(d, seeds, closed, floor, noise2, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return `seeds` and what is connected to them, bright and narrower than a star; sorted.

    Arguments as for `starts`; pixels cleaned before are evidence here, or a track as wide as the
    star would keep its heart.
    """
    steps, shares = cut
    ny, nx = d.shape
    t = np.empty(25, np.float32)
    seen = np.zeros(d.shape, np.uint8)
    track = np.empty(max(16 * seeds.size, 64), np.int64)
    n = seeds.size
    track[:n] = seeds
    for k in range(n):
        seen[seeds[k] // nx, seeds[k] % nx] = 1
    head = 0
    while head < n:
        y, x = track[head] // nx, track[head] % nx
        head += 1
        if n + 8 > track.size:
            track = np.concatenate((track, np.empty_like(track)))
        for j in range(max(y - 1, PAD), min(y + 2, ny - PAD)):
            for i in range(max(x - 1, PAD), min(x + 2, nx - PAD)):
                if closed[j, i] or seen[j, i]:
                    continue
                seen[j, i] = 1
                light, _ = _light(d, j, i, floor, noise2, FOLLOW_SIGMA, t)
                base = floor[j // BLOCK, i // BLOCK]
                for m in range(shares.size if light > 0 else 0):
                    dj, di = steps[m]
                    if max(d[j + dj, i + di], d[j - dj, i - di]) - base < shares[m] * light:
                        track[n] = j * nx + i
                        n += 1
                        break
    return np.sort(track[:n])
