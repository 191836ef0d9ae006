"""The page of a linearity master: residuals, correction, photon transfer, lamp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import linearity, phototransfer
from tesela.stages.masters.pages import figure as fig


@dataclass(frozen=True)
class Drawing:
    """What is drawn; (n_frames, n_amp) unless said otherwise."""

    camera: Camera
    exptime_s: NDArray[np.float64]
    """(n_frames,)."""
    level: NDArray[np.float64]
    fit: linearity.Fit
    transfer: phototransfer.Pair
    """(n_pairs, n_amp)."""
    curve: phototransfer.Curve


def draw(drawing: Drawing, pivot_adu: float) -> dict[str, bytes]:
    """`linearity.png` and `linearity.json`."""
    fit, level = drawing.fit, drawing.level
    gain = linearity.factor(level, fit.coefficients[None], pivot_adu)
    after = np.where(fit.used, linearity.MMAG * fit.residual, np.nan)
    before = after - linearity.MMAG * np.log(gain)
    ids = [amp.id for amp in drawing.camera.amplifiers]
    colours = fig.amplifier_colours(len(ids))
    figure = fig.new(13, 8.6)
    axes = figure.subplots(2, 3)
    kilo = level / 1000
    panels = (
        (axes[0, 0], before, "Before the correction"),
        (axes[0, 1], after, "After the correction"),
    )
    for axis, values, title in panels:
        for k, colour in enumerate(colours):
            axis.plot(kilo[:, k], values[:, k], "o-", color=colour, markersize=3, linewidth=0.7)
        axis.axhline(0, color=fig.GREY, linewidth=0.8)
        axis.set(title=title, xlabel="level above bias (kADU)", ylabel="residual (mmag)")
        fig.grid(axis)
    top = float(np.nanmax(level))
    x = np.linspace(0, top, 100)
    for k, colour in enumerate(colours):
        share = 100 * (linearity.factor(x, fit.coefficients[k], pivot_adu) - 1)
        axes[0, 2].plot(x / 1000, share, color=colour, linewidth=1.2)
    axes[0, 2].set(
        title="Correction", xlabel="level above bias (kADU)", ylabel="true / recorded - 1 (%)"
    )
    fig.grid(axes[0, 2])
    _transfer(axes[1, 0], axes[1, 1], drawing, colours, ids)
    lamp = axes[1, 2]
    lost = fit.rejected
    lamp.plot(drawing.exptime_s[~lost], 100 * fit.lamp[~lost], "o", color=fig.BLUE, label="used")
    if lost.any():
        lamp.plot(
            drawing.exptime_s[lost], 100 * fit.lamp[lost], "X", color=fig.RED, label="left out"
        )
        lamp.legend()
    lamp.axhspan(-100 * fit.lamp_sigma, 100 * fit.lamp_sigma, color=fig.BLUE, alpha=0.12)
    shutter = f"{1000 * fit.shutter_s:+.1f} ± {1000 * fit.shutter_error_s:.1f} ms"
    lamp.set(
        title=f"Lamp: scatter {100 * fit.lamp_sigma:.2f} %, shutter {shutter}",
        xscale="log", xlabel="exposure time (s)", ylabel="light / expected - 1 (%)",
    )  # fmt: skip
    lamp.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    lamp.xaxis.set_major_formatter("{x:g}")
    lamp.xaxis.set_minor_formatter("")
    lamp.title.set_fontsize(10.5)
    fig.grid(lamp)
    fig.amplifier_bar(figure, list(axes[:, 2]), ids)
    values = {
        "amplifier": ids,
        "exptime_s": drawing.exptime_s,
        "level_adu": level,
        "residual_before_mmag": before,
        "residual_after_mmag": after,
        "used": fit.used,
        "pivot_adu": pivot_adu,
        "coefficients": fit.coefficients,
        "coefficients_error": fit.error,
        "lamp": fit.lamp,
        "lamp_sigma": fit.lamp_sigma,
        "shutter_s": fit.shutter_s,
        "shutter_error_s": fit.shutter_error_s,
        "transfer_level_adu": drawing.transfer.level,
        "transfer_variance_adu2": drawing.transfer.variance,
        "transfer_error_adu2": drawing.transfer.error,
        "gain_e_per_adu": drawing.curve.gain,
        "gain_error": drawing.curve.gain_error,
        "shortfall_per_adu": drawing.curve.shortfall,
        "shortfall_error": drawing.curve.shortfall_error,
    }
    return {"linearity.png": fig.png(figure), "linearity.json": fig.data(values)}


def _transfer(
    curve_axis: Axes, gain_axis: Axes, drawing: Drawing, colours: list[Any], ids: list[int]
) -> None:
    """Level over variance against level; gains at zero level against those the headers state."""
    found = drawing.curve
    order = np.argsort(drawing.transfer.level, axis=0)
    for k, colour in enumerate(colours):
        at = order[:, k]
        curve_axis.plot(
            drawing.transfer.level[at, k] / 1000,
            drawing.transfer.gain[at, k],
            "o-",
            color=colour,
            markersize=3,
            linewidth=0.7,
        )
    curve_axis.set(
        title="Photon transfer",
        xlabel="level above bias (kADU)",
        ylabel="level / variance (e-/ADU)",
    )
    fig.grid(curve_axis)
    place = np.arange(len(ids))
    gain_axis.errorbar(
        place, found.gain, found.gain_error, fmt="o", color=fig.BLUE, capsize=3, label="measured"
    )
    stated = drawing.camera.values("gain_e_per_adu")
    gain_axis.plot(place, stated, "_", color=fig.ORANGE, markersize=14, label="nominal")
    gain_axis.set(title="Gain at zero level", xlabel="amplifier", ylabel="gain (e-/ADU)")
    step = max(1, len(ids) // 8)
    gain_axis.set_xticks(place[::step], [str(n) for n in ids[::step]])
    gain_axis.legend()
    fig.grid(gain_axis)
