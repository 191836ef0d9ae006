"""The pages of a fringe or pattern master: image, a frame before and after, amplitudes, table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tesela.cameras import Camera
from tesela.pixels import robust
from tesela.pixels.blocks import binned, factor_to
from tesela.pixels.pattern_solve import SkyPlane, Solved
from tesela.products.monitor import AmpValue
from tesela.stages.masters.pages import figure as fig

LARGEST_PX = 1000
LARGEST_LISTED = 96
PERCENT = 100.0


@dataclass(frozen=True)
class Drawing:
    """What is drawn."""

    kind: str
    key: str
    camera: Camera
    bin_px: int
    solved: Solved
    frames: Sequence[SkyPlane]
    """Those combined, without their sky."""
    amplifiers: Sequence[AmpValue]

    @property
    def word(self) -> str:
        """What is called what in titles."""
        return "Fringes" if self.kind == "FRINGE" else "Pattern"


def draw(drawing: Drawing) -> dict[str, bytes]:
    """`pattern`, `example`, `amplitudes` and `amplifiers`, each .png and .json."""
    return {
        **_image(drawing),
        **_example(drawing),
        **_amplitudes(drawing),
        **_amplifiers(drawing),
    }


def _image(d: Drawing) -> dict[str, bytes]:
    """The pattern, and how its values are distributed."""
    image = PERCENT * d.solved.image
    limit = _limit(image)
    figure = fig.new(11.5, 5.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    drawn = _show(left, image, limit, d)
    fig.outline(left, d.camera, "#333333", names=False)
    left.set_title(f"{d.word} relative to the sky\n{d.key}", fontsize=10)
    figure.colorbar(drawn, ax=left).set_label("% of the sky")
    known = image[np.isfinite(image)]
    edges = np.linspace(-1.6 * limit, 1.6 * limit, 81)
    counts, _ = np.histogram(known, edges)
    right.stairs(counts, edges, fill=True, color=fig.SKY)
    right.axvline(0, color=fig.GREY, linewidth=0.8)
    right.set(xlabel="% of the sky", ylabel=f"blocks of {d.bin_px} x {d.bin_px} px")
    noise = PERCENT * d.solved.noise_rms
    right.set_title(
        f"rms {np.std(known) if known.size else 0:.3f} %, noise {noise:.3f} %, "
        f"holes {np.mean(np.isnan(image)):.2%}",
        fontsize=10,
    )
    fig.grid(right)
    factor = factor_to(image.shape, LARGEST_LISTED)
    values = {
        "unit": "% of the sky",
        "block_px": d.bin_px * factor,
        "image": binned(image, None, factor),
        "histogram": {"edges": edges, "counts": counts},
        "noise_rms": noise,
        "kept_of_frequencies": {
            "cycles_per_px": d.solved.gain.edges / d.bin_px,
            "gain": d.solved.gain.gain,
        },
    }
    return {"pattern.png": fig.png(figure), "pattern.json": fig.data(values)}


def _example(d: Drawing) -> dict[str, bytes]:
    """The frame in which the pattern is best seen, before and after it is subtracted."""
    frame = max(d.frames, key=lambda f: (f.scale / f.noise, f.name))
    before = PERCENT * frame.image / frame.level
    after = before - PERCENT * frame.scale * np.nan_to_num(d.solved.image)
    factor = max(factor_to(before.shape, LARGEST_PX // 2), 2)
    small = [binned(plane, None, factor) for plane in (before, after)]
    limit = max(1.3 * _limit(PERCENT * d.solved.image), 2 * _spread(small[1]))
    figure = fig.new(11.5, 6.0)
    axes = figure.subplots(1, 2)
    spreads = [_spread(plane) for plane in small]
    for axis, plane, spread, word in zip(axes, small, spreads, ("Before", "After")):
        drawn = _show(axis, plane, limit, d)
        axis.set_title(f"{word}: robust rms {spread:.3f} % of the sky", fontsize=10)
    figure.colorbar(drawn, ax=axes).set_label("% of the sky (objects left white)")
    figure.suptitle(
        f"{frame.name}: sky {frame.level:.0f} e-, amplitude {frame.amplitude.value:.3f} "
        f"± {frame.amplitude.error:.3f}",
        fontsize=11,
    )
    listed = factor_to(before.shape, LARGEST_LISTED)
    values = {
        "frame": frame.name,
        "sky_e": frame.level,
        "amplitude": frame.amplitude.value,
        "unit": "% of the sky",
        "block_px": d.bin_px * listed,
        "before": binned(before, None, listed),
        "after": binned(after, None, listed),
        "rms_before": spreads[0],
        "rms_after": spreads[1],
    }
    return {"example.png": fig.png(figure), "example.json": fig.data(values)}


def _amplitudes(d: Drawing) -> dict[str, bytes]:
    """Amplitude of each frame against its sky."""
    figure = fig.new(7.5, 4.8)
    axes = figure.subplots()
    sky = np.array([f.level for f in d.frames])
    value = np.array([f.amplitude.value for f in d.frames])
    error = np.array([f.amplitude.error for f in d.frames])
    field = np.array([f.field for f in d.frames])
    known = np.isfinite(error)
    for k, number in enumerate(np.unique(field)):
        of_it = known & (field == number)
        colour = (fig.BLUE, fig.ORANGE, fig.GREEN, fig.RED, fig.SKY)[k % 5]
        marker = "osD^v<>"[k % 7]
        axes.errorbar(
            sky[of_it], value[of_it], error[of_it], fmt=marker, color=colour, markersize=5,
            linewidth=1, capsize=2,
        )  # fmt: skip
    axes.axhline(1, color=fig.GREY, linewidth=0.8)
    axes.set(xlabel="sky (electrons a pixel)", ylabel="amplitude relative to the master")
    axes.set_title(
        f"{d.word} in {len(d.frames)} frames of {len(np.unique(field))} fields "
        f"(a colour and symbol each)\n{d.key}",
        fontsize=10,
    )
    fig.grid(axes)
    values = {
        "frames": [
            {
                "name": f.name,
                "field": f.field,
                "sky_e": f.level,
                "gradient": f.gradient,
                "amplitude": f.amplitude.value,
                "error": f.amplitude.error,
            }
            for f in d.frames
        ]
    }
    return {"amplitudes.png": fig.png(figure), "amplitudes.json": fig.data(values)}


def _amplifiers(d: Drawing) -> dict[str, bytes]:
    """Amplitude of the pattern in each amplifier."""
    figure = fig.new(7.5, 4.2)
    axes = figure.subplots()
    place = np.arange(len(d.amplifiers))
    value = PERCENT * np.array([a.value for a in d.amplifiers])
    error = PERCENT * np.array([a.error for a in d.amplifiers])
    axes.bar(place, value, 0.7, color=fig.SKY)
    axes.errorbar(place, value, error, fmt="none", color="black", linewidth=1, capsize=3)
    axes.set_xticks(place, [str(a.amp) for a in d.amplifiers])
    axes.set(xlabel="amplifier", ylabel="half range, 5 to 95 % (% of the sky)")
    axes.set_title(f"{d.word} by amplifier\n{d.key}", fontsize=10)
    fig.grid(axes)
    rows = [
        {"amplifier": a.amp, "amplitude": a.value, "error": a.error, "frames": a.n}
        for a in d.amplifiers
    ]
    return {"amplifiers.png": fig.png(figure), "amplifiers.json": fig.data({"amplifiers": rows})}


def _show(axes: Axes, image: NDArray[np.float32], limit: float, d: Drawing):  # type: ignore[no-untyped-def]
    """An image on the pixels of the CCD, first row at the bottom."""
    factor = factor_to(image.shape, LARGEST_PX)
    axes.set(xlabel="x (px)", ylabel="y (px)", facecolor="white")
    return axes.imshow(
        binned(image, None, factor) if factor > 1 else image,
        origin="lower",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        extent=(-0.5, d.camera.nx - 0.5, -0.5, d.camera.ny - 0.5),
        interpolation="nearest",
    )


def _limit(image: NDArray[np.float32]) -> float:
    known = np.abs(image[np.isfinite(image)])
    return max(float(np.percentile(known, 99)) if known.size else 0.0, 1e-3)


def _spread(image: NDArray[np.float32]) -> float:
    known = image[np.isfinite(image)]
    return robust.sigma(known) if known.size else 0.0
