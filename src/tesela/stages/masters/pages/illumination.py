"""The pages of an illumination correction: maps, trumpets, residuals, the reference, the images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import robust
from tesela.pixels.illumination import Solution, terms
from tesela.products.images import Master
from tesela.stages.masters.illumination_judge import ImageFit, cells, means
from tesela.stages.masters.illumination_stars import Stars
from tesela.stages.masters.pages import figure as fig
from tesela.stages.masters.pages import illumination_plots as plots

Floats = NDArray[np.float64]

CELLS = 32
_DOTS = 8000
_MMAG = 1e3


@dataclass(frozen=True)
class Subject:
    """What the pages are about."""

    key: str
    shape: tuple[int, int]
    stars: Stars
    solution: Solution
    master: Master
    names: Sequence[str]
    images: Sequence[ImageFit]
    rejected: Mapping[str, str]
    metrics: Mapping[str, Any]
    others: Mapping[str, Master | None] = field(default_factory=dict)
    """`reference` and `previous`, in this order."""

    @property
    def title(self) -> str:
        """`Illumination, r, period of 2017-07-03`, or the key where it is not of that form."""
        parts = self.key.split(".")
        if len(parts) != 7 or len(parts[6]) != 8:
            return self.key
        day = parts[6]
        return f"Illumination, {parts[4]}, period of {day[:4]}-{day[4:6]}-{day[6:]}"


def draw(subject: Subject) -> dict[str, bytes]:
    """Every plot with its data beside it, and the tables, by name."""
    return {
        **_maps(subject),
        **_epochs(subject),
        **_trumpets(subject),
        **_histogram(subject),
        **_reference(subject),
        **_images(subject),
        "coefficients.csv": _coefficients(subject),
        "characterisation.json": fig.data(
            {"key": subject.key, **subject.metrics, **{k: v for k, v, _ in subject.master.cards}}
        ),
    }


def _maps(subject: Subject) -> dict[str, bytes]:
    """Residuals on the CCD before and after, the fitted map and its error."""
    obs, found = subject.stars.obs, subject.solution
    use = found.used & np.isfinite(found.residual)
    n = int(np.clip(np.sqrt(np.count_nonzero(use) / 12), 4, CELLS))
    cell = cells(obs.x[use], obs.y[use], subject.shape, n)
    after, _ = means(found.residual[use], cell, n, 3)
    before, _ = means(found.residual[use] + found.at[use], cell, n, 3)
    maps = {
        "before": _MMAG * before,
        "after": _MMAG * after,
        "map": _MMAG * found.map,
        "error": _MMAG * found.error,
    }
    return {
        "map.png": plots.maps(subject.title, subject.shape, maps, found),
        "map.json": fig.data(
            {
                "unit": "mmag, instrumental minus true",
                "shape": subject.shape,
                "extent": "cells and nodes: rows from y = 0 upwards",
                **{name: np.round(values, 3) for name, values in maps.items()},
                "plane_mmag": _MMAG * found.plane,
                "plane_error_mmag": _MMAG * found.plane_error,
            }
        ),
    }


def _epochs(subject: Subject) -> dict[str, bytes]:
    """Maps side by side by epoch; nothing where there is no other."""
    maps: dict[str, Floats] = {}
    for name, other in subject.others.items():
        if other is not None and "map" in other.arrays:
            node_map = _MMAG * np.asarray(other.arrays["map"], float)
            # The predecessor may itself be the first of the epoch.
            if not any(np.array_equal(node_map, there) for there in maps.values()):
                maps[name] = node_map
    if not maps:
        return {}
    maps["this"] = _MMAG * subject.solution.map
    change = {
        name: subject.metrics.get(f"change_{name}_mag", np.nan) * _MMAG
        for name in maps
        if name != "this"
    }
    sigma = {name: subject.metrics.get(f"change_{name}_sigma", np.nan) for name in change}
    return {
        "epochs.png": plots.epochs(subject.title, subject.shape, maps, change, sigma),
        "epochs.json": fig.data(
            {
                "unit": "mmag",
                **{name: np.round(values, 3) for name, values in maps.items()},
                "rms_change_mmag": change,
                "significance": sigma,
            }
        ),
    }


def _trumpets(subject: Subject) -> dict[str, bytes]:
    """Residuals against magnitude, before and after: dots, and counts on a logarithmic scale."""
    obs, found = subject.stars.obs, subject.solution
    told = np.flatnonzero(np.isfinite(found.residual))
    mag = obs.mag[told] + found.zeropoints[obs.frame[told]] - found.at[told]
    after, before = found.residual[told], found.residual[told] + found.at[told]
    counts, x_edges, y_edges = plots.counted(mag, _MMAG * before, _MMAG * after)
    few = _some(told.size)
    dots: dict[str, NDArray[Any]] = {
        "mag": mag[few],
        "before": _MMAG * before[few],
        "after": _MMAG * after[few],
        "used": found.used[told][few],
    }
    return {
        "trumpet.png": plots.trumpet_dots(subject.title, dots, told.size),
        "trumpet.csv": table(
            ("mag", "before_mmag", "after_mmag", "used"),
            zip(
                np.round(dots["mag"], 3),
                np.round(dots["before"], 2),
                np.round(dots["after"], 2),
                dots["used"].astype(int),
            ),
        ),
        "trumpet_log.png": plots.trumpet_log(subject.title, counts, x_edges, y_edges),
        "trumpet_log.json": fig.data(
            {"mag_edges": x_edges, "residual_edges_mmag": y_edges, **counts}
        ),
    }


def _histogram(subject: Subject) -> dict[str, bytes]:
    found = subject.solution
    use = np.isfinite(found.residual)
    after, before = _MMAG * found.residual[use], _MMAG * (found.residual + found.at)[use]
    reach = max(5 * _spread(before), 5 * _spread(after), 5.0)
    edges = np.linspace(-reach, reach, 82)
    counts = {
        "before": np.histogram(before, edges)[0],
        "after": np.histogram(after, edges)[0],
    }
    spread = {"before": _spread(before), "after": _spread(after)}
    outside = {name: int(use.sum() - n.sum()) for name, n in counts.items()}
    return {
        "histogram.png": plots.histogram(subject.title, edges, counts, spread, outside),
        "histogram.json": fig.data(
            {"edges_mmag": edges, **counts, "robust_rms_mmag": spread, "outside": outside}
        ),
    }


def _reference(subject: Subject) -> dict[str, bytes]:
    """Residuals against the reference catalogue's colour and magnitude; nothing without one."""
    stars, found = subject.stars, subject.solution
    rows = np.flatnonzero(np.isfinite(found.ext_residual))
    if not rows.size:
        return {}
    rows = rows[_some(rows.size)]
    values: dict[str, NDArray[Any]] = {
        "mag": stars.ext_mag[rows],
        "colour": stars.colour[rows],
        "residual": _MMAG * found.ext_residual[rows],
        "used": found.ext_used[rows],
    }
    return {
        "reference.png": plots.reference(subject.title, values, found),
        "reference.csv": table(
            ("reference_mag", "colour_minus_pivot", "residual_mmag", "used"),
            zip(
                np.round(values["mag"], 4),
                np.round(values["colour"], 4),
                np.round(values["residual"], 2),
                values["used"].astype(int),
            ),
        ),
    }


def _images(subject: Subject) -> dict[str, bytes]:
    """The images and what was found of each."""
    head = (
        "image", "used", "zeropoint_mag", "zeropoint_err_mag", "n_stars", "n_used",
        "scatter_mmag", "gradient_mmag", "worst_patch_mmag", "rejected",
    )  # fmt: skip
    rows = []
    for name, image in zip(subject.names, subject.images):
        reason = subject.rejected.get(name, "")
        rows.append(
            (
                name,
                not reason,
                _digits(image.zeropoint, 5),
                _digits(image.zeropoint_error, 5),
                image.n,
                image.n_used,
                _digits(_MMAG * image.scatter, 2),
                _digits(_MMAG * image.gradient, 2),
                _digits(_MMAG * image.patch, 2),
                reason,
            )
        )
    return {
        "images.csv": table(head, rows),
        "images.json": fig.data({"images": [dict(zip(head, row)) for row in rows]}),
    }


def _coefficients(subject: Subject) -> bytes:
    found = subject.solution
    degree = int(next(v for k, v, _ in subject.master.cards if k == "ICDEGREE"))
    rows: list[tuple[Any, ...]] = [
        (f"P{a}(x) P{b}(y)", f"{_MMAG * c:.4f}", f"{_MMAG * e:.4f}")
        for (a, b), c, e in zip(terms(degree), found.coefficients, found.coefficient_errors)
    ]
    for axis, slope, error in zip("xy", found.plane, found.plane_error):
        rows.append((f"plane of the map in {axis}", f"{_MMAG * slope:.4f}", f"{_MMAG * error:.4f}"))
    rows.append(
        ("colour coefficient", f"{_MMAG * found.colour:.4f}", f"{_MMAG * found.colour_error:.4f}")
    )
    return table(("term", "mmag", "error_mmag"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as CSV; what is not finite is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(
        ["" if isinstance(v, (float, np.floating)) and not np.isfinite(v) else v for v in row]
        for row in rows
    )
    return text.getvalue().encode()


def _some(n: int) -> NDArray[np.intp]:
    """At most some thousand of n, the same ones every time."""
    if n <= _DOTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, _DOTS, replace=False))


def _spread(values: Floats) -> float:
    return robust.sigma(values) if values.size else 0.0


def _digits(value: float, n: int) -> float:
    return round(float(value), n)
