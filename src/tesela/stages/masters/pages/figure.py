"""What the plots of masters share: one look, no state, the same bytes for the same numbers."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from tesela.cameras import Camera

DPI = 110
EDGED: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="black")]
"""For text on pictures: readable on any grey."""
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#7a7a7a"
SKY = "#56b4e9"
"""Told apart by colour-blind readers too (Okabe & Ito 2008)."""


def new(width: float, height: float) -> Figure:
    """A figure of that size in inches, with room made for labels when it is drawn."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The picture, without the date or the program's version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def data(values: Mapping[str, Any]) -> bytes:
    """Numbers as JSON; what is not finite is null, arrays are lists of six digits."""
    return (json.dumps(plain(values), indent=1, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """Arrays, NaN and NumPy's numbers as JSON knows them."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def amplifier_colours(n: int) -> list[Any]:
    """A colour for each amplifier, dark to light."""
    return [colormaps["viridis"](x) for x in np.linspace(0, 0.93, max(n, 1))]


def amplifier_bar(figure: Figure, axes: Any, ids: list[int]) -> None:
    """Say which colour is which amplifier."""
    n = len(ids)
    colour_map = ListedColormap(amplifier_colours(n))
    norm = BoundaryNorm(np.arange(n + 1) - 0.5, n)
    bar = figure.colorbar(
        ScalarMappable(norm, colour_map), ax=axes, ticks=range(0, n, max(1, n // 8)), pad=0.01
    )
    bar.ax.set_yticklabels([str(ids[k]) for k in range(0, n, max(1, n // 8))])
    bar.set_label("amplifier")


def grid(axes: Axes) -> None:
    """Light lines behind the data."""
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def outline(axes: Axes, camera: Camera, colour: str = BLUE, *, names: bool = True) -> None:
    """Edges and ids of the amplifiers on an image whose axes are pixels of the CCD."""
    for amp in camera.amplifiers:
        d = amp.dest
        axes.plot(
            [d.x0 - 0.5, d.x1 - 0.5, d.x1 - 0.5, d.x0 - 0.5, d.x0 - 0.5],
            [d.y0 - 0.5, d.y0 - 0.5, d.y1 - 0.5, d.y1 - 0.5, d.y0 - 0.5],
            color=colour,
            linewidth=0.6,
            alpha=0.8,
        )
        if names:
            top = d.y0 > 0
            axes.text(
                0.5 * (d.x0 + d.x1),
                d.y1 - 0.01 * camera.ny if top else d.y0 + 0.01 * camera.ny,
                str(amp.id),
                color=colour,
                ha="center",
                va="top" if top else "bottom",
                fontsize=8,
                path_effects=EDGED,
            )
