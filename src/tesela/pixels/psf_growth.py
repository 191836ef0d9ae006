"""What bright stars tell of a point-spread function beyond its model: its wings, and its growth.

The wings are the light between the map of the model and the radius to which it is normalised, an
aureole of one to three per cent in real telescopes (King 1971, PASP 83, 199). They come from the
growth curves of all stars at once: the light left in a ring rises with the flux of its star, and
what does not, sky and neighbours, drops out. The growth is that of the width with the charge of a
star, as in the brighter-fatter effect (Antilogus et al. 2014, JINST 9, C03048).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from tesela.pixels.psf_model import OVERSAMPLING, PsfModel

RING_PX = 3.0
CLIP_SIGMA = 4.0
MIN_STARS = 8
MIN_SHARE = 0.4
MOST_UNCERTAIN = 0.0006
"""Error of the wings above which there are none: the zero points of frames scatter by it.

In a crowded field the light of neighbours goes with that of the stars whose rings it fills: wings
of 3 to 8 per cent came out, each with an error of half a per cent, and zero points of frames of the
same stars differed by as much.
"""
ROUNDS = 6


def wings(
    data: NDArray[np.float32],
    noise: NDArray[np.float32],
    bad: NDArray[np.bool_],
    model: PsfModel,
    stars: NDArray[np.float64],
    most_uncertain: float = MOST_UNCERTAIN,
) -> float:
    """Return the light beyond the model's map, in units of the model's flux.

    Parameters
    ----------
    data, noise : (ny, nx) float32
        Sky-subtracted image and its variance.
    bad : (ny, nx) bool, True = leave out
    model : PsfModel
        Without wings, normalised to one within its radius.
    stars : (n, 3) float64
        x, y (0-based) and peak in units of the model's Moffat.
    most_uncertain : float
        Error above which nothing is said.

    Returns
    -------
    float
        0 with fewer than eight stars or an error above `most_uncertain`; the smaller the less
        certain: multiplied by the part of its power that is not noise, as the map is.
    """
    inner = (model.residual.shape[1] // 2) / OVERSAMPLING - 2.5
    outer = model.norm_radius_px
    if outer < inner + RING_PX or len(stars) < MIN_STARS:
        return 0.0
    flux = stars[:, 2] / model.local(stars[:, 0], stars[:, 1])[0][:, 4]
    edges = np.linspace(inner, outer, max(2, round((outer - inner) / RING_PX) + 1))
    left = np.array(
        [_rings(data, noise, bad, model, (x, y, f), edges) for (x, y, _), f in zip(stars, flux)]
    )
    total = power = 0.0
    for ring in left.T:
        known = np.isfinite(ring)
        if known.sum() >= MIN_STARS:
            slope, error = _slope(flux[known], ring[known])
            total, power = total + slope, power + error**2
    if power > most_uncertain**2:
        return 0.0
    keep = max(0.0, 1.0 - power / max(total**2, 1e-30))
    return total * keep


def size_slope(
    change: NDArray[np.float64], error: NDArray[np.float64], flux: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the change of ln FWHM per magnitude towards fainter stars, and its error.

    Parameters
    ----------
    change, error : (n,) float64
        ln FWHM of each star beyond the model, and its error.
    flux : (n,) float64
        Negative where charge makes stars grow; NaN with fewer than eight stars.
    """
    if len(flux) < MIN_STARS or np.ptp(flux) == 0:
        return math.nan, math.nan
    return _slope(-2.5 * np.log10(flux), change, np.hypot(error, 1e-3))


def _rings(
    data: NDArray[np.float32],
    noise: NDArray[np.float32],
    bad: NDArray[np.bool_],
    model: PsfModel,
    star: tuple[float, float, float],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Light left by the model in each ring around a star; NaN where too little of it is seen."""
    x, y, flux = star
    half = math.ceil(edges[-1]) + 1
    ix, iy = math.floor(x + 0.5), math.floor(y + 0.5)
    rows = slice(max(iy - half, 0), min(iy + half + 1, data.shape[0]))
    columns = slice(max(ix - half, 0), min(ix + half + 1, data.shape[1]))
    stamp = model.stamp(x, y, half)[
        rows.start - iy + half : rows.stop - iy + half,
        columns.start - ix + half : columns.stop - ix + half,
    ]
    left = data[rows, columns] - flux * stamp
    r = np.hypot(
        np.arange(rows.start, rows.stop)[:, None] - y, np.arange(columns.start, columns.stop) - x
    )
    good = ~bad[rows, columns]
    light = np.full(len(edges) - 1, np.nan)
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        area = math.pi * (high**2 - low**2)
        used = good & (r >= low) & (r < high)
        values = left[used]
        if values.size < max(MIN_SHARE * area, 8):
            continue
        middle = np.median(values)
        kept = np.abs(values - middle) < CLIP_SIGMA * np.sqrt(np.median(noise[rows, columns][used]))
        if kept.any():
            light[k] = area * values[kept].mean()
    return light


def _slope(
    x: NDArray[np.float64], y: NDArray[np.float64], error: NDArray[np.float64] | float = 1.0
) -> tuple[float, float]:
    """Slope of a line and its error, from the scatter; outliers weigh less (Huber)."""
    base = np.broadcast_to(1.0 / np.square(error), x.shape)
    weight = base.copy()
    slope = scatter = 0.0
    for _ in range(ROUNDS):
        total = weight.sum()
        mean_x, mean_y = (weight @ x) / total, (weight @ y) / total
        spread = weight @ np.square(x - mean_x)
        slope = float(weight @ ((x - mean_x) * (y - mean_y)) / max(spread, 1e-30))
        pull = (y - mean_y - slope * (x - mean_x)) * np.sqrt(base)
        scatter = max(1.4826 * float(np.median(np.abs(pull))), 1e-30)
        weight = base * np.minimum(1.0, 2.0 * scatter / np.maximum(np.abs(pull), 1e-30))
    return slope, scatter / math.sqrt(max(spread, 1e-30))
