"""Pictures of a night and of its score, as PNG files with titles, units and legends.

The same arrays give the same bytes. Thumbnails come ready-made: (h, w) or (h, w, 3) uint8, first
row at the top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products.maskbit import MEANING, MaskBit
from tesela.score.astrometry import Residuals, join
from tesela.score.completeness import Recovery
from tesela.score.night import Evaluation
from tesela.score.statistics import median, rms
from tesela.score.zeropoint import TARGET_MMAG, Differences

_DPI = 110
_PANEL_INCHES = 4.2
_BACKGROUND = (24, 24, 40)
MASK_COLOURS: Mapping[MaskBit, tuple[int, int, int]] = {
    MaskBit.BAD: (230, 60, 60),
    MaskBit.SATURATED: (255, 205, 40),
    MaskBit.COSMIC_RAY: (255, 120, 220),
    MaskBit.TRAIL: (60, 220, 90),
    MaskBit.INTERPOLATED: (255, 145, 30),
    MaskBit.HOLE: (150, 90, 255),
    MaskBit.OBJECT: (60, 150, 255),
}


def mask_image(mask: NDArray[np.uint8], max_px: int = 1024) -> NDArray[np.uint8]:
    """Codes of a mask as colours: (ny, nx) uint8 to (h, w, 3) uint8, first row at the top.

    Where blocks of pixels become one, it shows every code that is in the block anywhere; of several
    codes the one of least value wins, so defects lie on top of objects.
    """
    factor = max(1, -(-max(mask.shape) // max_px))
    rows = np.bitwise_or.reduceat(mask, np.arange(0, mask.shape[0], factor), axis=0)
    codes = np.bitwise_or.reduceat(rows, np.arange(0, mask.shape[1], factor), axis=1)
    picture = np.empty((*codes.shape, 3), np.uint8)
    picture[:] = _BACKGROUND
    for bit in sorted(MASK_COLOURS, reverse=True):
        picture[(codes & np.uint8(bit)) > 0] = MASK_COLOURS[bit]
    return np.ascontiguousarray(picture[::-1])


def panel(
    arrays: Mapping[str, NDArray[np.uint8]],
    path: Path,
    *,
    title: str = "",
    columns: int = 3,
    inches: float = _PANEL_INCHES,
    counts: Mapping[str, NDArray[np.uint8]] | None = None,
    mask_legend: bool = False,
) -> None:
    """Thumbnails side by side, each under its title.

    Parameters
    ----------
    arrays : mapping of str to (h, w) or (h, w, 3) uint8
        Titles and pictures, in reading order.
    path : Path
        PNG file, replaced if it is there.
    title : str
        Over all.
    columns : int
        Pictures in a row, at most.
    inches : float
        Width of each.
    counts : mapping of str to (ny, nx) uint8
        Titles and maps of small whole numbers, after the pictures: first row at the bottom, with
        a colour bar.
    mask_legend : bool
        Explain the seven colours of `mask_image` below.
    """
    if not arrays:
        raise ProductError(str(path), found="no pictures", expected="at least one to draw")
    maps = counts or {}
    columns = min(columns, len(arrays) + len(maps))
    rows = math.ceil((len(arrays) + len(maps)) / columns)
    figure = _figure(columns * inches, rows * (inches + 0.3) + 0.8 * bool(title or mask_legend))
    for k, (name, values) in enumerate({**arrays, **maps}.items()):
        axes = figure.add_subplot(rows, columns, k + 1)
        if k < len(arrays):
            axes.imshow(values, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        else:
            _count_map(figure, axes, values)
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    if title:
        figure.suptitle(title)
    if mask_legend:
        _legend(figure)
    _save(figure, path)


def _count_map(figure: Figure, axes: Axes, values: NDArray[np.uint8]) -> None:
    """A map of whole numbers with one colour each, 0 the darkest."""
    highest = max(int(values.max()), 1)
    drawn = axes.imshow(
        values, cmap=colormaps["viridis"].resampled(highest + 1), vmin=-0.5, vmax=highest + 0.5,
        origin="lower", interpolation="nearest",
    )  # fmt: skip
    step = max(1, math.ceil(highest / 8))
    bar = figure.colorbar(
        drawn,
        ax=axes,
        ticks=range(0, highest + 1, step),
        location="bottom",
        fraction=0.046,
        pad=0.02,
    )
    bar.ax.tick_params(labelsize=8)


def _legend(figure: Figure) -> None:
    patches = [
        Patch(color=_unit(colour), label=f"{bit.name} ({int(bit)}): {MEANING[bit]}")
        for bit, colour in MASK_COLOURS.items()
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=2, fontsize=8)


def _unit(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def completeness_plot(path: Path, recoveries: Sequence[Recovery]) -> None:
    """Recovered fraction of true stars against magnitude below the depth, with the injections'.

    One panel a band; points with binomial errors are true stars, lines the injected curves.
    """
    bands = list(dict.fromkeys(r.band for r in recoveries))
    figure, grid = _grid(bands, "completeness of point sources")
    edges = np.linspace(-2.0, 2.0, 17)
    centres = 0.5 * (edges[1:] + edges[:-1])
    for axes, band in zip(grid, bands):
        mine = [r for r in recoveries if r.band == band]
        offset = np.concatenate([r.mag - r.depth_mag for r in mine])
        found = np.concatenate([r.found for r in mine])
        total = np.histogram(offset, edges)[0]
        use = total > 0
        fraction = np.histogram(offset, edges, weights=found.astype(float))[0][use] / total[use]
        error = np.sqrt((fraction * (1 - fraction) + 0.25 / total[use]) / total[use])
        axes.errorbar(centres[use], fraction, error, fmt="o", ms=3.5, lw=1, label="true stars")
        for k, one in enumerate(mine):
            order = np.argsort(one.mag, kind="stable")
            axes.plot(
                one.mag[order] - one.depth_mag, one.expected[order], "-", lw=1.0,
                color="tab:red", label="injected, a line a tile" if k == 0 else None,
            )  # fmt: skip
        axes.set_title(f"{band}, {len(found)} stars", fontsize=9)
        axes.set_ylim(-0.05, 1.1)
        axes.axvline(0, color="0.7", lw=0.8, zorder=0)
    _label(figure, grid, "true magnitude - 5 sigma depth [mag]", "fraction found")
    _save(figure, path)


def residual_plot(path: Path, residuals: Sequence[Residuals]) -> None:
    """Astrometric residuals: as a cloud, and their medians in cells of the sky as arrows."""
    every = join(residuals)
    kept = every.kept
    east, north = every.east_mas[kept], every.north_mas[kept]
    figure = _figure(10, 5)
    cloud, field = figure.subplots(1, 2)
    cloud.plot(east, north, ".", ms=2, alpha=0.4)
    cloud.set_aspect("equal", "datalim")
    cloud.set_xlabel("measured - true, RA cos Dec [mas]")
    cloud.set_ylabel("measured - true, Dec [mas]")
    cloud.set_title(f"{east.size} stars: rms {rms(east):.1f}, {rms(north):.1f} mas", fontsize=10)
    if east.size:
        _arrows(field, every.ra_deg[kept], every.dec_deg[kept], east, north)
    field.set_xlabel("RA [deg]")
    field.set_ylabel("Dec [deg]")
    field.set_title("medians in cells", fontsize=10)
    _save(figure, path)


def _arrows(
    axes: Axes,
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    east: NDArray[np.float64],
    north: NDArray[np.float64],
) -> None:
    cells = 14
    column = _cell(ra, cells)
    label = column * cells + _cell(dec, cells)
    chosen = np.unique(label)
    middle = np.array(
        [[median(v[label == c]) for v in (ra, dec, east, north)] for c in chosen.tolist()]
    )
    # East is left on the sky's picture, and arrows are drawn in the picture's directions.
    axes.invert_xaxis()
    arrows = axes.quiver(
        middle[:, 0], middle[:, 1], -middle[:, 2], middle[:, 3],
        angles="uv", scale=200, width=0.004,
    )  # fmt: skip
    axes.quiverkey(arrows, 0.85, 1.04, 20, "20 mas", labelpos="E")


def _cell(values: NDArray[np.float64], cells: int) -> NDArray[np.int64]:
    low, high = values.min(), values.max()
    return np.minimum((values - low) / max(high - low, 1e-9) * cells, cells - 1).astype(np.int64)


def zeropoint_plot(path: Path, differences: Sequence[Differences]) -> None:
    """Zero-point residuals: every star by band, and the median of each tile."""
    bands = list(dict.fromkeys(d.band for d in differences))
    figure = _figure(9, 4.5)
    axes = figure.add_subplot()
    axes.axhspan(-TARGET_MMAG, TARGET_MMAG, color="0.92", label=f"target {TARGET_MMAG:g} mmag")
    for k, one in enumerate(differences):
        place = bands.index(one.band)
        spread = place + 0.6 * (np.arange(one.mmag.size) + 0.5) / max(one.mmag.size, 1) - 0.3
        axes.plot(spread, one.mmag, ".", ms=2, color="0.6", label="stars" if k == 0 else None)
    for k, one in enumerate(differences):
        label = "median of a tile" if k == 0 else None
        axes.plot(bands.index(one.band), median(one.mmag), "D", ms=5, color="tab:red", label=label)
    axes.set_xticks(range(len(bands)), bands, rotation=45)
    axes.set_ylim(-100, 100)
    axes.set_ylabel("measured - true magnitude [mmag]")
    axes.set_title("zero points, published system")
    axes.legend(loc="upper right", fontsize=8)
    _save(figure, path)


def write_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """The three plots of an evaluation, by fixed names in a folder that is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("completeness.png", "astrometry.png", "zeropoints.png")
    paths = [folder / name for name in names]
    completeness_plot(paths[0], evaluation.recoveries)
    residual_plot(paths[1], evaluation.residuals)
    zeropoint_plot(paths[2], evaluation.zeropoints)
    return paths


def _grid(bands: Sequence[str], title: str) -> tuple[Figure, list[Axes]]:
    columns = min(4, max(len(bands), 1))
    rows = math.ceil(max(len(bands), 1) / columns)
    figure = _figure(3.0 * columns + 0.5, 2.5 * rows + 0.8)
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    flat = list(axes.ravel())
    for empty in flat[len(bands) :]:
        empty.set_visible(False)
    return figure, flat[: len(bands)]


def _label(figure: Figure, grid: Sequence[Axes], x: str, y: str) -> None:
    figure.supxlabel(x, fontsize=10)
    figure.supylabel(y, fontsize=10)
    if grid:
        grid[0].legend(fontsize=8)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    # The name and version of the drawing library would change the bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
