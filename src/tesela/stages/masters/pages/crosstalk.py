"""The page of a crosstalk master: the matrix, its significance, and the frames that made it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels.crosstalk_matrix import Solution
from tesela.products.images import Master
from tesela.stages.masters.pages import figure as fig

UNIT = 1e-4
NAMED = 16
"""Amplifiers, at most, that are named along an axis: the first and the last always are."""


def draw(
    camera: Camera, solution: Solution, previous: Master | None, frames: Sequence[Solution]
) -> dict[str, bytes]:
    """`crosstalk.png` and `crosstalk.json`."""
    ids = [amp.id for amp in camera.amplifiers]
    off = ~np.eye(len(ids), dtype=bool)
    error = np.where(off & np.isfinite(solution.error), solution.error, np.nan)
    matrix = np.where(off, solution.matrix, np.nan)
    figure = fig.new(13, 4.6)
    axes = figure.subplots(1, 3, width_ratios=(1.15, 1.15, 1))
    marks = _marks(max(float(np.nanmax(np.abs(matrix))) / UNIT, 1e-3))
    drawn = _heat(axes[0], matrix / UNIT, ids, "RdBu_r", (marks[0], marks[-1]))
    axes[0].set_title("Coefficients")
    figure.colorbar(drawn, ax=axes[0], ticks=marks).set_label("electrons per 10⁴ electrons")
    drawn = _heat(axes[1], np.abs(matrix) / error, ids, "viridis", (0, None))
    axes[1].set_title(f"Significance (typical error {np.nanmedian(error) / UNIT:.2f}e-4)")
    figure.colorbar(drawn, ax=axes[1]).set_label("coefficient / error")
    if previous is not None:
        _against(axes[2], matrix, error, np.asarray(previous.arrays["matrix"]), "previous master")
    else:
        _against(axes[2], *_halves(frames, matrix, error))
    values = {
        "amplifier": ids,
        "matrix": solution.matrix,
        "error": np.where(off, error, 0.0),
        "frames": len(frames),
        "previous": None if previous is None else previous.arrays["matrix"],
    }
    return {"crosstalk.png": fig.png(figure), "crosstalk.json": fig.data(values)}


def _marks(largest: float) -> NDArray[np.float64]:
    """Round numbers about 0, the last beyond the largest, so that the scale names its ends."""
    return np.asarray(MaxNLocator(6, symmetric=True).tick_values(-largest, largest))


def _heat(axes: Axes, values: NDArray[np.float64], ids: list[int], name: str, limits):  # type: ignore[no-untyped-def]
    drawn = axes.imshow(values, cmap=name, vmin=limits[0], vmax=limits[1], origin="lower")
    axes.set_facecolor("#cccccc")
    ticks = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), NAMED)).round().astype(int))
    axes.set_xticks(ticks, [str(ids[k]) for k in ticks], fontsize=8)
    axes.set_yticks(ticks, [str(ids[k]) for k in ticks], fontsize=8)
    axes.set(xlabel="aggressor (amplifier)", ylabel="victim (amplifier)")
    return drawn


def _halves(
    frames: Sequence[Solution], matrix: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], str]:
    """Every other frame against the rest, each with the weights of its errors."""
    means, errors = [], []
    for start in (0, 1):
        part = frames[start::2]
        if not part:
            return matrix, error, matrix, "itself: one frame"
        error_of = np.array([f.error for f in part])
        told = np.isfinite(error_of) & (error_of > 0)
        weight = np.where(told, 1.0, 0.0) / np.where(told, error_of, 1.0) ** 2
        total = weight.sum(axis=0)
        known = total > 0
        mean = np.where(
            known,
            sum(w * f.matrix for w, f in zip(weight, part)) / np.where(known, total, 1),
            np.nan,
        )
        means.append(np.where(np.isfinite(error), mean, np.nan))
        errors.append(1 / np.sqrt(np.where(known, total, np.nan)))
    return means[0], np.hypot(*errors), means[1], "other half of the frames"


def _against(
    axes: Axes,
    matrix: NDArray[np.float64],
    error: NDArray[np.float64],
    other: NDArray[np.float64],
    name: str,
) -> None:
    good = np.isfinite(matrix) & np.isfinite(other) & np.isfinite(error)
    x, y, e = other[good] / UNIT, matrix[good] / UNIT, error[good] / UNIT
    axes.errorbar(x, y, e, fmt="o", color=fig.BLUE, markersize=3, elinewidth=0.5, alpha=0.6)
    ends = [min(x.min(initial=0), y.min(initial=0)), max(x.max(initial=0), y.max(initial=0))]
    axes.plot(ends, ends, color=fig.ORANGE, linewidth=1.2, label="equal")
    axes.set_title(f"Against the {name}", fontsize=11)
    axes.set(xlabel=f"{name} (1e-4)", ylabel="this (1e-4)")
    axes.legend()
    fig.grid(axes)
