"""Splitting one component of connected pixels into objects by multiple thresholds.

The tree and its pruning are those of Bertin & Arnouts 1996 (A&AS 117, 393, section 6): levels are
spaced exponentially from the threshold to the peak; where a branch divides, parts that each hold
more than a fraction of the component's light above the level of division become objects. Pixels
below go to the object whose bivariate Gaussian is brightest there: SExtractor draws lots with these
probabilities, which makes another segmentation of the same image every time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tesela.pixels.components import find_root
from tesela.pixels.moments import OBJECT, measure_parts

PART_AREA = 3  # pixels of a part at the level where it is still whole
_NOT_YET = -1
_FLAT = 1.0 + 1e-6  # of the threshold: what is nowhere higher has no levels
_FAINTEST = 70.0  # exponents beyond this count as no light at all
_GROWTH_LIMIT = 4.0  # an object's Gaussian is at most this many times its peak


@njit(cache=True, nogil=True)
def split(c, n_levels, contrast, min_area, owner):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Number of objects of a component; fills owner, (n,), and returns the objects' moments.

    c is (x, y, filtered, raw, map, threshold): pixels relative to a corner, their place in the
    map of the box around them plus a border of -1.
    """
    x, y, light, _, place, threshold = c
    n = len(x)
    owner[:] = 0
    limits, none = np.full(1, threshold), np.zeros(0, OBJECT)
    part_area = min(min_area, PART_AREA)
    flat = light.max() <= _FLAT * threshold
    if flat or n < 2 * part_area or n_levels < 2 or _single_peak(x, y, light, place):
        return measure_parts(c, owner, 1, limits, min_area, none)
    seeds, levels, steps, level = _tree(c, n_levels, contrast, part_area)
    parts = len(seeds)
    if parts < 2:
        return measure_parts(c, owner, 1, limits, min_area, none)
    owner[:] = _NOT_YET
    for k in range(parts):
        _flood(x, y, place, level, seeds[k], levels[k], owner, k)
    cores = measure_parts(c, owner, parts, steps[levels], min_area, none)
    _share_out(c, owner, cores)
    return measure_parts(c, owner, parts, np.full(parts, threshold), min_area, cores)


@njit(cache=True, nogil=True)
def _single_peak(x, y, light, place):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Whether only one pixel is the highest of its surroundings: nothing can be divided then."""
    peaks = 0
    for k in range(len(x)):
        highest = True
        for dy in range(3):
            for dx in range(3):
                m = place[y[k] + dy, x[k] + dx]
                if m >= 0 and m != k:
                    higher = light[m] > light[k] or (light[m] == light[k] and m < k)
                    highest = highest and not higher
        if highest:
            peaks += 1
            if peaks > 1:
                return False
    return True


@njit(cache=True, nogil=True)
def _levels_of(light, threshold, n_levels):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Levels from the threshold to the peak, and the highest one that each pixel is above."""
    peak = light.max()
    steps = np.empty(n_levels)
    for k in range(n_levels):
        steps[k] = threshold * (peak / threshold) ** (k / n_levels)
    scale = n_levels / np.log(peak / threshold)
    level = np.empty(len(light), np.int32)
    for p in range(len(light)):
        k = int(scale * np.log(light[p] / threshold)) if light[p] > threshold else 0
        k = min(max(k, 0), n_levels - 1)
        while k < n_levels - 1 and light[p] > steps[k + 1]:
            k += 1
        while k > 0 and light[p] <= steps[k]:
            k -= 1
        level[p] = k
    return steps, level


@njit(cache=True, nogil=True)
def _by_level(level, n_levels):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pixels sorted by level, and where each level begins."""
    start = np.zeros(n_levels + 1, np.int64)
    for k in level:
        start[k + 1] += 1
    start = np.cumsum(start)
    at = start.copy()
    order = np.empty(len(level), np.int64)
    for p in range(len(level)):
        order[at[level[p]]] = p
        at[level[p]] += 1
    return order, start


@njit(cache=True, nogil=True)
def _add(p, x, y, place, parent, size, flux):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Join a pixel with what is already there of its eight neighbours."""
    for dy in range(3):
        for dx in range(3):
            m = place[y[p] + dy, x[p] + dx]
            if m < 0 or m == p or parent[m] == _NOT_YET:
                continue
            one, other = find_root(parent, p), find_root(parent, m)
            if one == other:
                continue
            if size[one] < size[other]:
                one, other = other, one
            parent[other] = one
            size[one] += size[other]
            flux[one] += flux[other]


@njit(cache=True, nogil=True)
def _tree(c, n_levels, contrast, min_area):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A pixel and the level of every object; the levels, and that of every pixel.

    Levels are taken from the highest down: parts appear, grow and meet. A part (node) that has met
    another is judged where they meet.
    """
    x, y, light, _, place, threshold = c
    n = len(x)
    steps, level = _levels_of(light, threshold, n_levels)
    order, start = _by_level(level, n_levels)
    needed = contrast * light.sum()
    parent = np.full(n, _NOT_YET, np.int64)
    size, flux, node_of = np.ones(n, np.int64), light.astype(np.float64), np.empty(n, np.int64)
    roots, n_roots = np.empty(n, np.int64), 0
    nodes, whole, heavy = np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.bool_)
    seeds, seed_levels = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    for k in range(n_levels - 1, -1, -1):
        for m in range(start[k], start[k + 1]):
            parent[order[m]] = order[m]
            _add(order[m], x, y, place, parent, size, flux)
            roots[n_roots] = order[m]
            n_roots += 1
        kept = 0
        for m in range(n_roots):
            if parent[roots[m]] == roots[m]:
                roots[kept] = roots[m]
                kept += 1
        n_roots, count = kept, 0
        below = np.empty(n_roots, np.int64)
        for m in range(n_roots):
            if size[roots[m]] >= min_area:
                node_of[roots[m]], below[count] = count, roots[m]
                count += 1
        below = below[:count]
        heavy_children, sound = np.zeros(count, np.int64), np.ones(count, np.bool_)
        for m in range(len(nodes)):
            at = node_of[find_root(parent, nodes[m])]
            heavy_children[at] += heavy[m]
            sound[at] = sound[at] and whole[m]
        for m in range(len(nodes)):
            at = node_of[find_root(parent, nodes[m])]
            if heavy_children[at] > 1:
                sound[at] = False
                if whole[m] and heavy[m]:
                    seeds.append(nodes[m])
                    seed_levels.append(np.int64(k + 1))
        nodes, whole = below, sound
        heavy = np.empty(count, np.bool_)
        for m in range(count):
            heavy[m] = flux[nodes[m]] - steps[k] * size[nodes[m]] > needed
    seed_pixels, levels = np.empty(len(seeds), np.int64), np.empty(len(seeds), np.int64)
    for m in range(len(seeds)):
        seed_pixels[m], levels[m] = seeds[m], seed_levels[m]
    return seed_pixels, levels, steps, level


@njit(cache=True, nogil=True)
def _flood(x, y, place, level, seed, lowest, owner, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Give object k all pixels connected with its seed at or above a level."""
    stack = [seed]
    owner[seed] = k
    while len(stack) > 0:
        p = stack.pop()
        for dy in range(3):
            for dx in range(3):
                m = np.int64(place[y[p] + dy, x[p] + dx])
                if m >= 0 and owner[m] == _NOT_YET and level[m] >= lowest:
                    owner[m] = k
                    stack.append(m)


@njit(cache=True, nogil=True)
def _share_out(c, owner, cores):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Give each pixel that is in no core to the object whose Gaussian is brightest there."""
    x, y, _, _, _, threshold = c
    parts = len(cores)
    amplitude = np.empty(parts)
    for k in range(parts):
        o = cores[k]
        exponent = o.n_pixels / (2.0 * np.pi * o.correction * o.a * o.b)
        most = _GROWTH_LIMIT * o.filtered_peak
        amplitude[k] = most
        if exponent < _FAINTEST:
            amplitude[k] = min(most, threshold * np.exp(exponent))
    for p in range(len(x)):
        if owner[p] != _NOT_YET:
            continue
        nearest, brightest = 0, 0
        least, most = np.inf, 0.0
        for k in range(parts):
            o = cores[k]
            dx, dy = x[p] - o.x, y[p] - o.y
            distance = 0.5 * (o.cxx * dx * dx + o.cyy * dy * dy + o.cxy * dx * dy) / o.correction
            if distance < least:
                least, nearest = distance, k
            if distance < _FAINTEST:
                here = amplitude[k] * np.exp(-distance)
                if here > most:
                    most, brightest = here, k
        owner[p] = brightest if most > 1e-31 else nearest
