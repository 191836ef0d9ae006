"""Plots of an illumination correction; all in mmag, rows from the bottom of the CCD upwards."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tesela.pixels import robust
from tesela.pixels.illumination import Solution
from tesela.stages.masters.pages import figure as fig

Floats = NDArray[np.float64]


def maps(
    title: str, shape: tuple[int, int], values: Mapping[str, Floats], found: Solution
) -> bytes:
    """Before, after and the fitted map on one scale; the error on its own."""
    return fig.png(maps_figure(title, shape, values, found))


def maps_figure(
    title: str, shape: tuple[int, int], values: Mapping[str, Floats], found: Solution
) -> Figure:
    """Draw what `maps` gives."""
    figure = fig.new(12.5, 10.0)
    # The layout places squares by their slots and would leave their labels at the very edge.
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)
    figure.suptitle(title)
    axes = figure.subplots(2, 2)
    limit = _limit(values["map"])
    after = values["after"][np.isfinite(values["after"])]
    rms = f"{np.std(after):.1f} mmag rms, cell by cell" if after.size else "no data"
    heads = {
        "before": "Stars before the correction",
        "after": f"Stars after the correction: {rms}",
        "map": f"Fitted map f: {np.ptp(values['map']):.0f} mmag peak to valley",
    }
    for axis, (name, head) in zip(axes.flat, heads.items()):
        drawn = _show(axis, values[name], shape, limit, at_nodes=name == "map")
        axis.set_title(head, fontsize=10)
        figure.colorbar(drawn, ax=axis, label="instrumental - true (mmag)", shrink=0.9)
    error = axes[1, 1]
    shown = error.imshow(
        values["error"],
        origin="lower",
        extent=_extent(shape, values["error"].shape),
        interpolation="bilinear",
        cmap="cividis",
        vmin=0,
    )
    figure.colorbar(shown, ax=error, label="standard error (mmag)", shrink=0.9)
    plane = ", ".join(
        f"{axis}: {1e3 * s:+.1f} ± {1e3 * e:.1f}"
        for axis, s, e in zip("xy", found.plane, found.plane_error)
    )
    error.set_title(f"Error of the map\nplane across the CCD (mmag): {plane}", fontsize=9)
    _pixels(error, shape)
    return figure


def epochs(
    title: str,
    shape: tuple[int, int],
    values: Mapping[str, Floats],
    change: Mapping[str, float],
    sigma: Mapping[str, float],
) -> bytes:
    """Fitted maps side by side on one scale."""
    figure = fig.new(1.5 + 4.4 * len(values), 5.4)
    figure.suptitle(title)
    axes = figure.subplots(1, len(values), squeeze=False)[0]
    limit = max(_limit(v) for v in values.values())
    for axis, (name, node_map) in zip(axes, values.items()):
        drawn = _show(axis, node_map, shape, limit, at_nodes=True)
        head = {
            "this": "This map",
            "previous": "Previous master",
            "reference": "First master of the epoch",
        }.get(name, name)
        if name in change:
            head += f"\nchange {change[name]:.1f} mmag rms, {sigma[name]:.1f} times the errors"
        axis.set_title(head, fontsize=10)
    figure.colorbar(drawn, ax=list(axes), label="instrumental - true (mmag)", shrink=0.9)
    return fig.png(figure)


def trumpet_dots(title: str, dots: Mapping[str, NDArray[Any]], n: int) -> bytes:
    """Residuals against magnitude; what was left out is marked."""
    figure = fig.new(11.5, 5.0)
    shown = len(dots["mag"])
    figure.suptitle(title + (f" ({shown} of {n} observations)" if shown < n else ""))
    axes = figure.subplots(1, 2, sharey=True)
    limit = _reach(dots["before"], dots["after"])
    used = dots["used"].astype(bool)
    for axis, name in zip(axes, ("before", "after")):
        inside = np.clip(dots[name], -limit, limit)
        axis.plot(
            dots["mag"][~used], inside[~used], "x", color=fig.RED, markersize=3, alpha=0.6,
            label="left out",
        )  # fmt: skip
        axis.plot(
            dots["mag"][used], inside[used], ".", color=fig.BLUE, markersize=2, alpha=0.4,
            label="used",
        )  # fmt: skip
        _trumpet_axis(axis, name, limit)
    axes[0].set_ylabel("magnitude - mean of the star (mmag)")
    axes[1].legend(loc="upper left", markerscale=2.5, fontsize=8)
    return fig.png(figure)


def counted(
    mag: Floats, before: Floats, after: Floats
) -> tuple[dict[str, NDArray[np.int64]], Floats, Floats]:
    """Numbers in cells of magnitude and residual: (n_mag, n_residual) before and after."""
    limit = _reach(before, after)
    low, high = (float(v) for v in np.percentile(mag, (0.05, 99.95))) if mag.size else (0.0, 1.0)
    x_edges = np.round(np.linspace(low, max(high, low + 0.1), 81), 4)
    y_edges = np.round(np.linspace(-limit, limit, 102), 3)
    counts = {
        name: np.histogram2d(mag, values, (x_edges, y_edges))[0].astype(np.int64)
        for name, values in (("before", before), ("after", after))
    }
    return counts, x_edges, y_edges


def trumpet_log(
    title: str, counts: Mapping[str, NDArray[np.int64]], x_edges: Floats, y_edges: Floats
) -> bytes:
    """The trumpet with all observations, counts on a logarithmic scale."""
    figure = fig.new(11.5, 5.0)
    figure.suptitle(title)
    axes = figure.subplots(1, 2, sharey=True)
    most = max(2, *(int(n.max()) for n in counts.values()))
    for axis, (name, n) in zip(axes, counts.items()):
        drawn = axis.pcolormesh(
            x_edges, y_edges, np.where(n > 0, n, np.nan).T, norm=LogNorm(1, most), cmap="viridis"
        )
        _trumpet_axis(axis, name, float(y_edges[-1]))
    axes[0].set_ylabel("magnitude - mean of the star (mmag)")
    figure.colorbar(drawn, ax=list(axes), label="observations a cell")
    return fig.png(figure)


def histogram(
    title: str,
    edges: Floats,
    counts: Mapping[str, NDArray[np.int64]],
    spread: Mapping[str, float],
    outside: Mapping[str, int],
) -> bytes:
    """Residuals before and after."""
    figure = fig.new(7.5, 5.0)
    axis = figure.subplots()
    axis.set_title(title, fontsize=11)
    for name, colour in (("before", fig.ORANGE), ("after", fig.BLUE)):
        said = f"{name}: {spread[name]:.1f} mmag, {outside[name]} outside"
        axis.stairs(counts[name], edges, color=colour, fill=True, alpha=0.25)
        axis.stairs(counts[name], edges, color=colour, linewidth=1.4, label=said)
    axis.set(xlabel="magnitude - mean of the star (mmag)", ylabel="observations")
    axis.legend(fontsize=9, title="robust rms")
    fig.grid(axis)
    return fig.png(figure)


def reference(title: str, values: Mapping[str, NDArray[Any]], found: Solution) -> bytes:
    """Reference minus what was measured, against its colour and magnitude."""
    figure = fig.new(11.5, 5.0)
    figure.suptitle(
        f"{title}: against the reference catalogue, robust rms "
        f"{1e3 * found.ext_scatter_mag:.0f} mmag"
    )
    used = values["used"].astype(bool)
    limit = _reach(values["residual"], values["residual"])
    inside = np.clip(values["residual"], -limit, limit)
    panels = [("mag", "reference magnitude (mag)")]
    if np.isfinite(values["colour"]).any():
        term = f"{found.colour:+.4f} ± {found.colour_error:.4f} a mag taken out"
        panels.append(("colour", f"colour - pivot (mag); {term}"))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, label) in zip(axes, panels):
        x = values[name]
        axis.plot(x[~used], inside[~used], "x", color=fig.RED, markersize=3, label="left out")
        axis.plot(
            x[used], inside[used], ".", color=fig.BLUE, markersize=2.5, alpha=0.5, label="used"
        )
        _medians(axis, x[used], values["residual"][used])
        axis.axhline(0, color=fig.GREY, linewidth=0.8)
        axis.set(xlabel=label, ylim=(-limit, limit))
        fig.grid(axis)
    axes[0].set_ylabel("reference - this (mmag)")
    axes[0].legend(loc="upper left", fontsize=8, markerscale=2)
    return fig.png(figure)


def _medians(axis: Axes, x: Floats, y: Floats) -> None:
    """Running medians with their errors."""
    good = np.isfinite(x)
    x, y = x[good], y[good]
    if x.size < 30:
        return
    low, high = (float(v) for v in np.percentile(x, (1, 99)))
    edges = np.linspace(low, high, 13)
    middle, median, error = [], [], []
    for lo, hi in pairwise(edges):
        part = y[(x >= lo) & (x < hi)]
        if part.size >= 8:
            middle.append(0.5 * (lo + hi))
            median.append(np.median(part))
            error.append(robust.MEDIAN_ERROR * robust.sigma(part) / np.sqrt(part.size))
    axis.errorbar(
        middle, median, error, fmt="o-", color="black", markersize=4, linewidth=1, label="median"
    )


def _trumpet_axis(axis: Axes, name: str, limit: float) -> None:
    axis.axhline(0, color=fig.GREY, linewidth=0.8)
    axis.set(
        title=f"{name.capitalize()} the correction",
        xlabel="instrumental magnitude + zero point (mag)",
        ylim=(-limit, limit),
    )
    fig.grid(axis)


def _show(
    axis: Axes, values: Floats, shape: tuple[int, int], limit: float, *, at_nodes: bool
) -> Any:
    axis.set_facecolor("#bbbbbb")
    drawn = axis.imshow(
        values,
        origin="lower",
        extent=_extent(shape, values.shape if at_nodes else None),
        interpolation="bilinear" if at_nodes else "nearest",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
    )
    _pixels(axis, shape)
    return drawn


def _pixels(axis: Axes, shape: tuple[int, int]) -> None:
    axis.set(
        xlabel="x (pixel)",
        ylabel="y (pixel)",
        xlim=(-0.5, shape[1] - 0.5),
        ylim=(-0.5, shape[0] - 0.5),
    )
    axis.tick_params(labelsize=8)


def _extent(
    shape: tuple[int, int], nodes: tuple[int, ...] | None = None
) -> tuple[float, float, float, float]:
    """Edges of the picture in pixels; nodes lie on the centres of the outermost pixels."""
    edges = []
    for axis in (1, 0):
        half = 0.5 if nodes is None else 0.5 * (shape[axis] - 1) / max(nodes[axis] - 1, 1)
        edges += [-half, shape[axis] - 1 + half]
    return edges[0], edges[1], edges[2], edges[3]


def _limit(values: Floats) -> float:
    """Symmetric about 0, at least 5 mmag."""
    return max(5.0, float(np.nanmax(np.abs(values))))


def _reach(*values: Floats) -> float:
    """What holds nearly all of them: beyond, dots lie on the edge."""
    spreads = [robust.sigma(v, 0) for v in values if v.size]
    return max(10.0, 6 * max(spreads, default=0.0))
