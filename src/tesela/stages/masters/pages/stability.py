"""The page of a flat's stability: its ratio to the reference, as picture, histogram and numbers."""

from __future__ import annotations

import io
from dataclasses import asdict

import numpy as np
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from tesela.cameras import Camera
from tesela.stages.masters.pages import figure as fig
from tesela.stages.masters.settings import StabilitySettings
from tesela.stages.masters.stability import Dust, Stability

WORDS = ("quiet", "warning", "alarm")
COLOURS = (fig.GREEN, fig.ORANGE, fig.RED)


def draw(
    found: Stability, camera: Camera, settings: StabilitySettings, title: str = "Flat / reference"
) -> dict[str, bytes]:
    """`ratio.png`, its numbers `ratio.json`, and the binned ratio for zooming, `ratio.fits`."""
    figure = fig.new(13.5, 7.6)
    axes = figure.subplot_mosaic(
        [["image", "histogram"], ["image", "amplifiers"], ["image", "radius"]],
        width_ratios=(1.5, 1),
    )
    figure.suptitle(f"{title}: {WORDS[found.alert]}", color=COLOURS[found.alert])
    _image(axes["image"], found, camera)
    _histogram(axes["histogram"], found)
    _amplifiers(axes["amplifiers"], found, settings)
    _radius(axes["radius"], found, settings)
    return {
        "ratio.png": fig.png(figure),
        "ratio.json": fig.data(numbers(found)),
        "ratio.fits": _fits(found),
    }


def numbers(found: Stability) -> dict[str, object]:
    """All that is drawn, but the picture."""
    return {
        "alert": WORDS[found.alert],
        "says": list(found.says),
        "amplifiers": [
            {"amplifier": amp, "ratio": ratio, "error": error, "scatter": scatter}
            for amp, ratio, error, scatter in zip(
                found.amp, found.amp_ratio, found.amp_error, found.amp_scatter
            )
        ],
        "rings": [
            {"radius_px": radius, "ratio": ratio, "scatter": scatter}
            for radius, ratio, scatter in zip(
                found.radius_px, found.radial_ratio, found.radial_scatter
            )
        ],
        "dust": [asdict(each) for each in found.dust],
        "tilt_x": found.tilt[0],
        "tilt_y": found.tilt[1],
        "step_x": found.step[0],
        "step_y": found.step[1],
        "scatter": found.scatter,
        "expected_scatter": found.expected_scatter,
        "bin_px": found.bin_px,
        "histogram": found.histogram,
        "histogram_edges": found.histogram_edges,
        "n_combined": found.n,
    }


def _image(axes: Axes, found: Stability, camera: Camera) -> None:
    ny, nx = found.ratio.shape
    extent = (-0.5, nx * found.bin_px - 0.5, -0.5, ny * found.bin_px - 0.5)
    drawn = axes.imshow(
        100 * (found.ratio - 1), cmap="gray", vmin=-1, vmax=1, origin="lower", extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_facecolor("#26303f")
    fig.outline(axes, camera, fig.SKY)
    for each in found.dust:
        _circle(axes, each, found.bin_px)
    bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.7, aspect=35, pad=0.02)
    bar.set_label("flat / reference - 1 (%)")
    axes.set(
        title=f"Ratio, {found.bin_px} x {found.bin_px} px binned", xlabel="x (px)", ylabel="y (px)"
    )


def _circle(axes: Axes, dust: Dust, bin_px: int) -> None:
    colour = fig.ORANGE if dust.depth > 0 else fig.BLUE
    size = 0.5 * dust.diameter_px + 6 * bin_px + 6
    axes.add_patch(Circle((dust.x, dust.y), size, fill=False, edgecolor=colour, linewidth=1.6))
    axes.annotate(
        f"{100 * abs(dust.depth):.1f} %", (dust.x, dust.y + size), color=colour, ha="center",
        va="bottom", fontsize=8, annotation_clip=True, path_effects=fig.EDGED,
    )  # fmt: skip


def _histogram(axes: Axes, found: Stability) -> None:
    edges = 100 * (found.histogram_edges - 1)
    axes.stairs(np.maximum(found.histogram, 0.5), edges, fill=True, color=fig.BLUE, alpha=0.8)
    middle, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    if found.expected_scatter > 0:
        sigma = 100 * found.expected_scatter
        shape = np.exp(-0.5 * (middle / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        expected = found.histogram.sum() * width * shape
        axes.plot(middle, expected, color=fig.ORANGE, label="photons alone")
        axes.legend(loc="upper right")
    axes.set(
        title=f"Pixels: scatter {100 * found.scatter:.2f} %",
        xlabel="flat / reference - 1 (%)", ylabel="pixels", yscale="log",
        xlim=(-3, 3), ylim=(0.5, 3.0 * max(int(found.histogram.max()), 1)),
    )  # fmt: skip
    fig.grid(axes)


def _bands(axes: Axes, settings: StabilitySettings, largest: float) -> None:
    """Lines and colours of the limits, and room for what is drawn."""
    warn, alarm = 100 * settings.warn, 100 * settings.alarm
    top = 1.15 * max(largest, 1.2 * alarm)
    for sign in (-1, 1):
        low, high = sorted((sign * warn, sign * alarm))
        axes.axhspan(low, high, color=fig.ORANGE, alpha=0.18, linewidth=0)
        low, high = sorted((sign * alarm, sign * top))
        axes.axhspan(low, high, color=fig.RED, alpha=0.18, linewidth=0)
        axes.axhline(sign * warn, color=fig.ORANGE, linewidth=1)
        axes.axhline(sign * alarm, color=fig.RED, linewidth=1)
    axes.axhline(0, color=fig.GREY, linewidth=0.8)
    axes.set_ylim(-top, top)


def _amplifiers(axes: Axes, found: Stability, settings: StabilitySettings) -> None:
    change = 100 * (found.amp_ratio - 1)
    place = np.arange(len(found.amp))
    error = np.nan_to_num(100 * found.amp_error, posinf=0.0)
    _bands(axes, settings, float(np.nanmax(np.abs(change) + error)))
    # Bars from zero would hide changes that are far below the limits.
    axes.errorbar(
        place, change, error, fmt="o", color=fig.BLUE, markersize=4, capsize=2.5, elinewidth=1,
        zorder=3,
    )  # fmt: skip
    step = max(1, len(place) // 16)
    axes.set_xticks(place[::step], [str(n) for n in found.amp[::step]])
    # Adding 0 takes the sign from -0.00.
    tilts = [round(100 * value, 2) + 0.0 for value in found.tilt]
    tilt = ", ".join(f"{value:+.2f} % in {name}" for name, value in zip("xy", tilts))
    title = f"Amplifiers against the CCD (tilt of {tilt} taken out)"
    axes.set(title=title, xlabel="amplifier", ylabel="change (%)")
    axes.title.set_fontsize(10.5)


def _radius(axes: Axes, found: Stability, settings: StabilitySettings) -> None:
    change = 100 * (found.radial_ratio - 1)
    _bands(axes, settings, float(np.nanmax(np.abs(change))))
    axes.plot(found.radius_px, change, "o-", color=fig.BLUE, markersize=4)
    axes.set(
        title="Rings of equal area", xlabel="distance from the centre (px)", ylabel="change (%)"
    )


def _fits(found: Stability) -> bytes:
    hdu = fits.PrimaryHDU(found.ratio)
    hdu.header["BINNING"] = (found.bin_px, "pixels of the CCD a side")
    hdu.header["CRPIX1"] = (1.0, "X, Y: pixels of the CCD, counted from 1")
    hdu.header["CRVAL1"] = 0.5 * (found.bin_px + 1)
    hdu.header["CDELT1"] = float(found.bin_px)
    hdu.header["CRPIX2"] = 1.0
    hdu.header["CRVAL2"] = 0.5 * (found.bin_px + 1)
    hdu.header["CDELT2"] = float(found.bin_px)
    buffer = io.BytesIO()
    hdu.writeto(buffer)
    return buffer.getvalue()
