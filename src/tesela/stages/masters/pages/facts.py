"""What is to be said of any master: `facts.json`, and a picture of it, `preview.png`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.config import as_table
from tesela.pixels import robust
from tesela.pixels.blocks import binned, factor_to
from tesela.products.images import Master, card_dict
from tesela.products.maskbit import MaskBit
from tesela.stages.masters.inputs import (
    CombinedInputs,
    ImageInputs,
    MasterInputs,
    MasterOutputs,
    RawInputs,
)
from tesela.stages.masters.pages import figure as fig

SHOWN_PX: Final = 1000
STRETCH: Final = (1.0, 99.0)
SAMPLED: Final = 4_000_000
LEAST_MAP: Final = 8
"""Elements along either side of an array that is drawn as a map."""
UNITS: Final = {
    "BIAS": "ADU",
    "DARK": "e-/s",
    "FLAT": "relative response",
    "DOMEFLAT": "relative response",
    "FRINGE": "relative to the sky",
    "PATTERN": "relative to the sky",
    "ILLUMINATION": "mag",
    "CROSSTALK": "e- per e-",
}
MASK_COLOURS: Final = {MaskBit.BAD: fig.RED, MaskBit.HOLE: fig.ORANGE}

Floats = NDArray[np.float64]


def draw(inputs: MasterInputs, made: MasterOutputs, settings: Any) -> dict[str, bytes]:
    """`facts.json` and `preview.png`."""
    pages = {"facts.json": fig.data(facts(inputs, made, settings))}
    picture = preview(made.master, inputs.camera, inputs.key)
    if picture is not None:
        pages["preview.png"] = fig.png(picture)
    return pages


def facts(inputs: MasterInputs, made: MasterOutputs, settings: Any) -> dict[str, Any]:
    """What a master was made from and how, what it holds, and what its gates say.

    Parameters
    ----------
    inputs : MasterInputs
    made : MasterOutputs
    settings : dataclass
        Those of the kind.

    Returns
    -------
    dict of plain values
    """
    master = made.master
    used, of_what = _used(inputs, made)
    return {
        "kind": master.kind,
        "key": inputs.key,
        "camera": inputs.camera.name,
        "combined_from": of_what,
        "used": used,
        "rejected": dict(sorted(made.rejected.items())),
        "wanted": inputs.wanted,
        "minimum": inputs.minimum,
        "masters_applied": sorted(inputs.masters),
        "passed": made.passed,
        "reasons": list(made.reasons),
        "warnings": list(made.warnings),
        "metrics": made.metrics,
        "operations": [{"name": o.name, **o.parameters} for o in made.operations],
        "settings": as_table(settings),
        "cards": {key: value for key, value, _ in master.cards},
        "unit": UNITS.get(master.kind, ""),
        "amplifiers": amplifiers(master, inputs.camera),
        "mask": {
            bit.name: int(np.count_nonzero(master.mask & np.uint8(bit)))
            for bit in MaskBit
            if master.mask.size and (master.mask & np.uint8(bit)).any()
        },
        "arrays": {
            name: {"shape": list(values.shape), "values": values if values.size <= 1024 else None}
            for name, values in master.arrays.items()
        },
        "monitored": [
            {"amplifier": v.amp, "metric": v.metric, "value": v.value, "error": v.error, "n": v.n}
            for v in made.monitored
        ],
        "data_sha256": master.data_hash(),
    }


def amplifiers(master: Master, camera: Camera) -> list[dict[str, Any]]:
    """Median, mean, robust scatter and extremes of the good pixels of each amplifier."""
    if master.image.shape != camera.shape:
        return []
    has_mask = master.mask.shape == camera.shape
    rows = []
    for amp in camera.amplifiers:
        values = master.image[amp.dest.slices]
        good = np.isfinite(values)
        if has_mask:
            good &= master.mask[amp.dest.slices] == 0
        row: dict[str, Any] = {"amplifier": amp.id, "masked": 1.0 - float(np.mean(good))}
        if good.any():
            values = values[good]
            middle = float(np.median(values))
            row |= {
                "median": middle,
                "mean": float(np.mean(values, dtype=np.float64)),
                "scatter": robust.sigma(values, middle),
                "least": float(values.min()),
                "largest": float(values.max()),
            }
        rows.append(row)
    return rows


def preview(master: Master, camera: Camera, title: str) -> Figure | None:
    """A master as a picture: its image or mask with a histogram, or its maps; None without any."""
    if master.image.size or master.mask.size:
        return _plane(master, camera, title)
    shown = _maps(master)
    if not shown:
        return None
    figure = fig.new(5.2 * len(shown), 4.6)
    figure.suptitle(title)
    for k, (name, values) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(1, len(shown), k)
        _heat(figure, axes, np.asarray(values, np.float64), name, UNITS.get(master.kind, ""))
    return figure


def _maps(master: Master) -> dict[str, NDArray[Any]]:
    """Arrays that are maps; without any, the tables of more than one row and column.

    A handful of numbers, as coefficients are, says nothing as colours: `facts.json` has them.
    """
    flat = {name: values for name, values in master.arrays.items() if values.ndim == 2}
    for least in (LEAST_MAP, 2):
        found = {name: values for name, values in flat.items() if min(values.shape) >= least}
        if found:
            return found
    return {}


def _used(inputs: MasterInputs, made: MasterOutputs) -> tuple[list[str], str]:
    """Names of what went into it."""
    if isinstance(inputs, RawInputs):
        names, what = [f.name for f in inputs.facts], "raw frames"
    elif isinstance(inputs, ImageInputs):
        names, what = [i.facts.name for i in inputs.images], "detrended images"
    elif isinstance(inputs, CombinedInputs):
        names = [
            f"{kind} of {card_dict(part.cards).get('NCOMBINE', '?')} frames"
            for kind, parts in inputs.parts.items()
            for part in parts
        ]
        what = "masters"
    else:
        names, what = [], ""
    return sorted(name for name in names if name not in made.rejected), what


def _plane(master: Master, camera: Camera, title: str) -> Figure:
    has_image = bool(master.image.size)
    plane = master.image if has_image else master.mask
    factor = factor_to(plane.shape, SHOWN_PX)
    figure = fig.new(12.5 if has_image else 7.5, 7.0)
    figure.suptitle(title)
    if has_image:
        axes = figure.subplot_mosaic(
            [["image", "histogram"], ["image", "amplifiers"]], width_ratios=(1.5, 1)
        )
    else:
        axes = figure.subplot_mosaic([["image"]])
    ny, nx = -(-plane.shape[0] // factor), -(-plane.shape[1] // factor)
    extent = (-0.5, nx * factor - 0.5, -0.5, ny * factor - 0.5)
    at: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    image = axes["image"]
    if has_image:
        usable = (master.mask & np.uint8(MaskBit.BAD)) == 0 if master.mask.size else None
        small = binned(master.image, usable, factor)
        low, high = _stretch(small)
        drawn = image.imshow(small, cmap="gray", vmin=low, vmax=high, **at)
        bar = figure.colorbar(drawn, ax=image, location="bottom", shrink=0.7, aspect=35, pad=0.02)
        bar.set_label(UNITS.get(master.kind, "value"))
        unit = UNITS.get(master.kind, "value")
        _histogram(axes["histogram"], _sample(master), (low, high), unit)
        _amplifiers(axes["amplifiers"], master, camera)
    else:
        image.set_facecolor("#101010")
    _mask(image, master.mask, factor, at)
    if plane.shape == camera.shape:
        fig.outline(image, camera, fig.SKY)
    image.set(xlim=extent[:2], ylim=extent[2:], xlabel="x (px)", ylabel="y (px)")
    image.set_aspect("equal")
    return figure


def _mask(axes: Axes, mask: NDArray[np.uint8], factor: int, at: dict[str, Any]) -> None:
    """Blocks with a marked pixel, in the colour of its code, and how many there are."""
    handles = []
    for bit, colour in MASK_COLOURS.items():
        marked = (mask & np.uint8(bit)) > 0
        if not marked.any():
            continue
        rows = np.logical_or.reduceat(marked, np.arange(0, mask.shape[0], factor), axis=0)
        small = np.logical_or.reduceat(rows, np.arange(0, mask.shape[1], factor), axis=1)
        layer = np.ma.masked_equal(small.astype(np.uint8), 0)
        axes.imshow(layer, cmap=ListedColormap([colour]), alpha=0.85, **at)
        part = 100 * float(marked.mean())
        handles.append(Patch(color=colour, label=f"{bit.name}: {marked.sum()} px ({part:.2g} %)"))
    if handles:
        axes.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False,
            fontsize=9,
        )  # fmt: skip


def _stretch(values: NDArray[np.float32]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, STRETCH)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _sample(master: Master) -> NDArray[np.float32]:
    """Good pixels, enough of them for a histogram."""
    step = max(1, int(np.sqrt(master.image.size / SAMPLED)))
    values = master.image[::step, ::step]
    good = np.isfinite(values)
    if master.mask.size:
        good &= master.mask[::step, ::step] == 0
    return values[good]


def _histogram(
    axes: Axes, values: NDArray[np.float32], shown: tuple[float, float], unit: str
) -> None:
    """Pixels by value, and what the grey scale of the picture reaches from and to."""
    low, high = _stretch(values)
    # Pixels scatter more than the means of blocks that the picture shows.
    least, largest = min(low, shown[0]), max(high, shown[1])
    reach = 1.5 * (largest - least)
    middle = 0.5 * (least + largest)
    axes.hist(values, 200, range=(middle - reach, middle + reach), color=fig.BLUE, log=True)
    axes.axvspan(*shown, color=fig.ORANGE, alpha=0.25, zorder=0, label="grey scale of the picture")
    axes.set(title="Good pixels", xlabel=unit, ylabel="pixels")
    axes.legend(loc="upper right", fontsize=8)
    fig.grid(axes)


def _amplifiers(axes: Axes, master: Master, camera: Camera) -> None:
    rows = [row for row in amplifiers(master, camera) if "median" in row]
    if not rows:
        axes.set_axis_off()
        return
    place = np.arange(len(rows))
    axes.errorbar(
        place, [r["median"] for r in rows], [r["scatter"] for r in rows], fmt="o", color=fig.BLUE,
        markersize=4, capsize=3,
    )  # fmt: skip
    step = max(1, len(rows) // 16)
    axes.set_xticks(place[::step], [str(r["amplifier"]) for r in rows[::step]])
    axes.set(
        title="Amplifiers: median and scatter of their pixels",
        xlabel="amplifier",
        ylabel=UNITS.get(master.kind, "value"),
    )
    fig.grid(axes)


def _heat(figure: Figure, axes: Axes, values: Floats, name: str, unit: str) -> None:
    largest = float(np.nanmax(np.abs(values))) or 1.0
    is_signed = float(np.nanmin(values)) < 0
    drawn = axes.imshow(
        values, cmap="RdBu_r" if is_signed else "viridis", origin="lower", aspect="auto",
        vmin=-largest if is_signed else 0, vmax=largest, interpolation="nearest",
    )  # fmt: skip
    axes.set(title=name, xlabel="second index", ylabel="first index")
    figure.colorbar(drawn, ax=axes).set_label(unit)
