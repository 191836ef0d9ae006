"""The distribution of a photometric redshift, drawn from its quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from tesela.web.shared import show, svg
from tesela.web.shared.svg import Frame, Plot

Floats = NDArray[np.float64]

_FRAME: Final = Frame(460, 300, left=52, right=14, top=16, bottom=46)
_POINTS: Final = 400
_SMOOTH_STEPS: Final = 6.0


def density(quantiles: Floats) -> tuple[Floats, Floats]:
    """Density of a distribution from its quantiles (k + 1/2) / n.

    The distribution function is joined by monotone cubics (Fritsch & Carlson 1980), continued by
    half a step of probability on each side, and differentiated.

    Parameters
    ----------
    quantiles : (n,) float64
        Not decreasing, finite, n >= 4.

    Returns
    -------
    z, p : (400,) float64
        p integrates to 1 over z.

    Raises
    ------
    ValueError
        If the quantiles decrease or are not finite.
    """
    q = np.asarray(quantiles, np.float64)
    if q.size < 4 or not np.isfinite(q).all() or (np.diff(q) < 0).any():
        raise ValueError("expected 4 or more finite quantiles that do not decrease")
    probability = (np.arange(q.size) + 0.5) / q.size
    # Equal quantiles (a distribution narrower than its grid) would make a step: the last
    # probability of each is kept, and a smallest width stands for the step.
    least = max(1e-4, 1e-3 * (q[-1] - q[0]))
    keep = np.append(np.diff(q) > 1e-9, True)
    q, probability = q[keep], probability[keep]
    low = max(0.0, q[0] - max(least, (q[1] - q[0]) if q.size > 1 else least))
    high = q[-1] + max(least, (q[-1] - q[-2]) if q.size > 1 else least)
    if low >= q[0]:
        low = q[0] - least
    cumulative = PchipInterpolator([low, *q, high], [0.0, *probability, 1.0])
    margin = 0.04 * (high - low)
    z = np.linspace(max(0.0, low - margin), high + margin, _POINTS)
    slope = cumulative.derivative()(np.clip(z, low, high))
    p = np.where((z >= low) & (z <= high), np.maximum(slope, 0.0), 0.0)
    p = gaussian_filter1d(p, _SMOOTH_STEPS, mode="nearest")
    return z, p / np.trapezoid(p, z)


def draw(
    quantiles: Sequence[float],
    *,
    best: float | None,
    low: float | None,
    high: float | None,
    ident: str,
    title: str = "Distribution of the photometric redshift",
) -> Plot | None:
    """Draw P(z) with the median (dashed) and its 68 % range (shaded); None without quantiles."""
    values = np.array([np.nan if q is None else q for q in quantiles], np.float64)
    if values.size < 4 or not np.isfinite(values).all():
        return None
    z, p = density(np.maximum.accumulate(values))
    margin = max(0.02, 0.08 * (z[-1] - z[0]))
    limits = max(0.0, z[0] - margin), z[-1] + margin
    x = svg.scale(limits[0], limits[1], _FRAME.x0, _FRAME.x1)
    y = svg.scale(0.0, 1.08 * float(p.max()), _FRAME.y0, _FRAME.y1)
    top = [(x(float(a)), y(float(b))) for a, b in zip(z, p)]
    parts = svg.y_axis(_FRAME, svg.ticks(0.0, 1.08 * float(p.max()), 4), y, "P(z)")
    closed = svg.polyline([(top[0][0], _FRAME.y0), *top, (top[-1][0], _FRAME.y0)])
    parts.append(f'<path class="under" d="{closed}Z"/>')
    if low is not None and high is not None and high > low:
        inside = (z >= low) & (z <= high)
        if inside.any():
            part = [(x(float(a)), y(float(b))) for a, b in zip(z[inside], p[inside])]
            band = svg.polyline([(part[0][0], _FRAME.y0), *part, (part[-1][0], _FRAME.y0)])
            parts.append(f'<path class="range" d="{band}Z"/>')
    parts.append(f'<path class="curve" d="{svg.polyline(top)}"/>')
    if best is not None:
        parts.append(svg.line("rule", x(best), _FRAME.y0, x(best), _FRAME.y1))
    parts += svg.x_axis(_FRAME, svg.ticks(*limits, 6), x, "redshift z")
    described = (
        f"Median {show.number(best)}, 68 % between {show.number(low)} and {show.number(high)}."
    )
    rows = tuple(
        (show.number((k + 0.5) / values.size, 4), show.number(float(v), 4))
        for k, v in enumerate(values)
    )
    picture = svg.picture(_FRAME, ident, title, described, parts)
    return Plot(picture, title, ("Probability below", "Redshift"), rows)
