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
# the stars alone down to a FWHM of 1.6 px whatever seeing was given. Below `SAMPLED_PX` there is
# less to be wrong about, and little is left of what a star must have: all of it is asked at 1.4 px.
SEED_SHARE = 0.5
SAMPLED_PX = 2.0
SIDE_SIGMA = np.float32(2.0)
NEAREST = 4
SAFETY = 0.95
STEEP_SIGMA = np.float32(2.5)  # of a pixel, for the sum of three
# Beside a hit, this many noises are no chance where the surroundings scatter little more than the
# two noises between their 16th and 84th percentiles.
EDGE_SIGMA = np.float32(3.0)
SMOOTH_SIGMA = np.float32(3.0)
FEWEST_AROUND = 16
# A track of stars' width is taken whole if its hits have this part of its light.
LARGEST = 400
WHOLE_SHARE = np.float32(0.4)

Cuts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.float32]


def cuts(fwhm_px: float) -> Cuts:
    """Return the steps from a pixel to both sides, and the light a star has there at least.

    Of the two pixels at a distance d to both sides of a pixel in a Gaussian star, wherever its
    centre, the brighter has at least exp(-4 ln 2 (d / FWHM)**2) of the light of that pixel. A track
    that runs between two pixels has the light of both: the two pixels beyond such a pair have
    together at least exp(-8 ln 2 (d / FWHM)**2) of its light in a star. Moffat profiles have down
    to 0.97 of that inside their FWHM and more outside. The shares are `SAFETY` times those of a
    Gaussian.

    Returns
    -------
    steps : (8, 2) int64
        Of single pixels; the first `NEAREST` lead to direct neighbours.
    shares : (8,) float32
    pairs : (8, 2) int64
        From a pixel to the other of a pair.
    pair_shares : (8,) float32
    seed_share : float
        Part of these below which a track starts.
    """
    steps = np.array([(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (2, 2), (2, -2)])
    pairs = np.concatenate([steps[:NEAREST], -steps[:NEAREST]])
    curve = -4 * np.log(2) / fwhm_px**2
    shares = SAFETY * np.exp(curve * (steps**2).sum(axis=1))
    pair_shares = SAFETY * np.exp(2 * curve * (pairs**2).sum(axis=1))
    seed_share = np.float32(SEED_SHARE * max(1.0, (SAMPLED_PX / max(fwhm_px, 1.4)) ** 2))
    return steps, shares.astype(np.float32), pairs, pair_shares.astype(np.float32), seed_share


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
def _narrow_pair(d, y, x, closed, base, margin, part, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether a pair with this pixel has less beyond it than `part` of a star's share."""
    pairs, shares = cut[2], cut[3]
    for m in range(shares.size):
        dy, dx = pairs[m]
        if closed[y - dy, x - dx] or closed[y + dy, x + dx] or closed[y + 2 * dy, x + 2 * dx]:
            continue
        beyond = d[y - dy, x - dx] + d[y + 2 * dy, x + 2 * dx] - 2 * base
        inside = d[y, x] + max(d[y + dy, x + dx], base) - base - base
        if beyond + margin < part * shares[m] * inside:
            return True
    return False


@njit(cache=True, nogil=True)
def starts(d, where, closed, floor, noise2, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return those of `where` (flat indices) that are far narrower than a star can be.

    `d` is the padded frame with its sky, `closed` (same shape) is nonzero for pixels that are no
    evidence, `floor` the sky of each block, `cut` what `cuts` returns.
    """
    steps, shares = cut[0], cut[1]
    nx = d.shape[1]
    t = np.empty(25, np.float32)
    hit = np.zeros(where.size, np.bool_)
    for k in range(where.size):
        y, x = where[k] // nx, where[k] % nx
        if closed[y, x]:
            continue
        light, sigma = _light(d, y, x, floor, noise2, SEED_SIGMA, t)
        if light == 0:
            continue
        base = floor[y // BLOCK, x // BLOCK]
        for m in range(NEAREST):
            dy, dx = steps[m]
            if closed[y + dy, x + dx] or closed[y - dy, x - dx]:
                continue
            side = max(d[y + dy, x + dx], d[y - dy, x - dx]) - base
            if side + SIDE_SIGMA * sigma < shares[m] * cut[4] * light:
                hit[k] = True
                break
        margin = np.sqrt(np.float32(2)) * SIDE_SIGMA * sigma
        hit[k] = hit[k] or _narrow_pair(d, y, x, closed, base, margin, cut[4], cut)
    return where[hit]


@njit(cache=True)
def _narrow(d, y, x, closed, base, light, sigma, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether this pixel, or a pair with it, is narrower than a star."""
    steps, shares = cut[0], cut[1]
    for m in range(shares.size):
        dy, dx = steps[m]
        if max(d[y + dy, x + dx], d[y - dy, x - dx]) - base < shares[m] * light:
            return True
    if _narrow_pair(d, y, x, closed, base, np.float32(0), np.float32(1), cut):
        return True
    return _steep(d, y, x, closed, base, sigma, cut)


@njit(cache=True)
def _steep(d, y, x, closed, base, sigma, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether the light falls from this pixel to one side more steeply than in a star.

    The logarithm of a Gaussian bends the same everywhere: of three lines side by side, the outer
    two multiplied have the share of a pair in the square of the middle one at least.
    """
    steps, shares = cut[0], cut[3]
    error = STEEP_SIGMA * sigma
    for m in range(NEAREST):
        dy, dx = steps[m]
        line = np.zeros(3, np.float32)
        known = True
        for k in range(-1, 2):
            for s in range(-1, 2):
                j, i = y + k * dy - s * dx, x + k * dx + s * dy
                known = known and not closed[j, i]
                line[k + 1] += d[j, i] - base
        low, high = min(line[0], line[2]) + error, max(line[0], line[2])
        if known and line[1] > 0 and low * max(high, line[1]) < shares[m] * line[1] * line[1]:
            return True
    return False


@njit(cache=True)
def follow(d, seeds, closed, floor, noise2, cut):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return `seeds` and what is connected to them, bright and narrower than a star; sorted.

    Arguments as for `starts`; pixels cleaned before are evidence here, or a track as wide as the
    star would keep its heart.
    """
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
                light, sigma = _light(d, j, i, floor, noise2, FOLLOW_SIGMA, t)
                base = floor[j // BLOCK, i // BLOCK]
                if light > 0 and _narrow(d, j, i, closed, base, light, sigma, cut):
                    track[n] = j * nx + i
                    n += 1
    return np.sort(track[:n])


@njit(cache=True)
def edges(d, known, hits, noise2):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return the neighbours of `hits` that stand out of smooth surroundings; flat, sorted.

    The surroundings are the 7x7 without what is `known` to be closed or hit; smooth where they
    scatter as the noise says, which on the flanks of stars they do not.
    """
    ny, nx = d.shape
    t = np.empty(49, np.float32)
    edge = np.empty(8 * hits.size, np.int64)
    n = 0
    for hit in hits:
        for j in range(max(hit // nx - 1, PAD), min(hit // nx + 2, ny - PAD)):
            for i in range(max(hit % nx - 1, PAD), min(hit % nx + 2, nx - PAD)):
                if known[j, i]:
                    continue
                count = 0
                for v in range(j - 3, j + 4):
                    for u in range(i - 3, i + 4):
                        if not known[v, u]:
                            t[count] = d[v, u]
                            count += 1
                if count < FEWEST_AROUND:
                    continue
                values = np.sort(t[:count])
                level = values[count // 2]
                sigma = np.sqrt(max(level, np.float32(0)) + noise2)
                spread = values[count - 1 - count // 6] - values[count // 6]
                if spread < SMOOTH_SIGMA * sigma and d[j, i] > level + EDGE_SIGMA * sigma:
                    edge[n] = j * nx + i
                    n += 1
    return np.unique(edge[:n])


@njit(cache=True)
def whole(d, seeds, closed, floor, noise2, part):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return what is connected to `seeds` and bright, where they have `part` of all its light.

    For stars as narrow as a track: a knot of a curled one is then no narrower than they are, but
    the loose ends of it tell. Other arguments as for `starts`; `d` still has the light of `seeds`.
    """
    ny, nx = d.shape
    t = np.empty(25, np.float32)
    state = np.zeros(d.shape, np.uint8)
    for seed in seeds:
        state.flat[seed] = 1
    group = np.empty(LARGEST, np.int64)
    taken = np.empty(16 * LARGEST, np.int64)
    n_taken = 0
    for seed in seeds:
        if state.flat[seed] != 1:
            continue
        state.flat[seed] = 2
        group[0], n, head = seed, 1, 0
        hit_light = light_all = np.float32(0)
        while head < n < LARGEST - 8:
            y, x = group[head] // nx, group[head] % nx
            head += 1
            here = d[y, x] - floor[y // BLOCK, x // BLOCK]
            light_all += here
            if state[y, x] == 2:
                hit_light += here
            for j in range(max(y - 1, PAD), min(y + 2, ny - PAD)):
                for i in range(max(x - 1, PAD), min(x + 2, nx - PAD)):
                    if closed[j, i] or state[j, i] > 1:
                        continue
                    if state[j, i] == 1:
                        state[j, i] = 2
                    else:
                        light, _ = _light(d, j, i, floor, noise2, FOLLOW_SIGMA, t)
                        if light == 0:
                            continue
                        state[j, i] = 3
                    group[n] = j * nx + i
                    n += 1
        if head == n and hit_light > part * light_all:
            if n_taken + n > taken.size:
                taken = np.concatenate((taken, np.empty_like(taken)))
            taken[n_taken : n_taken + n] = group[:n]
            n_taken += n
    return np.unique(np.concatenate((seeds, taken[:n_taken])))
