"""A second look at candidate lines before they are followed in the image.

The sums along lines know few directions, and no stretches but halves and quarters. Here ends move.
"""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit

from tesela.pixels.radon import Line
from tesela.pixels.threads import bands, each

CHUNKS = 32
TILT = 4  # pixels that either end may move to each side
MARGIN = 2


def nearby(
    signal: np.ndarray, weight: np.ndarray, lines: list[Line], threads: int = 1
) -> list[Line]:
    """Return the line of highest sum(signal) / sqrt(sum(weight)) near each line, in their order.

    Tried are lines one and two pixels wide whose ends lie up to four aside, over all stretches of
    the line, prolonged by half its length at both ends.

    Parameters
    ----------
    signal, weight : (ny, nx) float32
        As for `radon.brightest_lines`.
    lines : list of Line
        Of these.
    """
    ends = np.array([(v.x0, v.y0, v.x1, v.y1) for v in lines], np.float64).reshape(-1, 4)

    def band(rows: tuple[int, int]) -> list[Line]:
        best = _nearby(signal, weight, ends[slice(*rows)])
        return [Line(*map(float, row)) for row in best]

    return list(itertools.chain(*each(band, bands(len(ends), threads), threads)))


@njit(cache=True, nogil=True)
def _nearby(signal, weight, ends):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Rows of (x0, y0, x1, y1, snr)."""
    ny, nx = signal.shape
    reach = TILT + MARGIN
    best = np.zeros((len(ends), 5))
    best[:, :4] = ends
    s = np.empty((CHUNKS, 2 * reach + 1), np.float32)
    w = np.empty((CHUNKS, 2 * reach + 1), np.float32)
    for k in range(len(ends)):
        x0, y0, x1, y1 = ends[k]
        steep = abs(y1 - y0) > abs(x1 - x0)
        if steep:
            x0, y0, x1, y1 = y0, x0, y1, x1
        if x1 < x0:
            x0, y0, x1, y1 = x1, y1, x0, y0
        # One pixel along the axis nearer to the line's direction at a time, and across the other.
        slope = (y1 - y0) / max(x1 - x0, 1.0)
        n_along, n_across = (ny, nx) if steep else (nx, ny)
        low = max(int(np.floor(x0 - 0.5 * (x1 - x0))), 0)
        high = min(int(np.ceil(x1 + 0.5 * (x1 - x0))) + 1, n_along)
        if high - low < CHUNKS:
            continue
        s[:] = 0
        w[:] = 0
        for a in range(low, high):
            chunk = (a - low) * CHUNKS // (high - low)
            centre = int(np.rint(y0 + slope * (a - x0)))
            for u in range(-reach, reach + 1):
                b = centre + u
                if 0 <= b < n_across:
                    y, x = (a, b) if steep else (b, a)
                    s[chunk, u + reach] += signal[y, x]
                    w[chunk, u + reach] += weight[y, x]
        power, first, last, c, d = _best_stretch(s, w, low, high, x0, x1)
        slope += (last - first) / max(x1 - x0, 1.0)
        for i, chunk in enumerate((c, d)):
            a = low + chunk * (high - low) / CHUNKS - 0.5
            b = y0 + first + slope * (a - x0)
            best[k, 2 * i], best[k, 2 * i + 1] = (b, a) if steep else (a, b)
        best[k, 4] = np.sqrt(power)
    return best


@njit(cache=True, nogil=True)
def _best_stretch(s, w, low, high, x0, x1):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Its square, over tilts, widths and stretches: shift at both ends (px), chunks from and to."""
    reach = TILT + MARGIN
    best, answer = np.float32(0), (0.0, 0.0, 0, CHUNKS)
    total = np.empty(CHUNKS + 1, np.float32)
    count = np.empty(CHUNKS + 1, np.float32)
    total[0] = count[0] = 0
    for width in range(1, 3):
        for first in range(-TILT, TILT + 1):
            for last in range(-TILT, TILT + 1):
                for c in range(CHUNKS):
                    x = low + (c + 0.5) * (high - low) / CHUNKS
                    u = int(np.rint(first + (last - first) * (x - x0) / max(x1 - x0, 1.0)))
                    u = min(max(u + reach, 0), 2 * reach + 1 - width)
                    total[c + 1], count[c + 1] = total[c] + s[c, u], count[c] + w[c, u]
                    if width == 2:
                        total[c + 1] += s[c, u + 1]
                        count[c + 1] += w[c, u + 1]
                least = 0.25 * count[CHUNKS]
                for c in range(CHUNKS):
                    for d in range(c + 1, CHUNKS + 1):
                        light, n = total[d] - total[c], count[d] - count[c]
                        if n > least and light > 0 and light * light > best * n:
                            best = light * light / n
                            aside = 0.5 * (width - 1)
                            answer = (first + aside, last + aside, c, d)
    return best, answer[0], answer[1], answer[2], answer[3]
