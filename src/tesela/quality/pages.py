"""Pages of the monitors: each quantity against the nights, and which night raised what.

Files by name: a PNG of each quantity and the JSON with its numbers, and both for the alerts. The
same rows give the same bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tesela.products.monitor import QUANTITIES, WHOLE_CCD
from tesela.quality.bands import ALARM, WARNING, MonitorSettings
from tesela.quality.limits import Array
from tesela.quality.monitors import judge_night
from tesela.quality.series import Point, Series, tabulate

Layout = Mapping[int, tuple[int, int]]
"""Row from the top and column of each amplifier as they lie on the CCD."""

_DPI = 110
# Colours that colour-blind readers tell apart (Okabe & Ito 2008); shapes tell the same.
_LINE, _INK, _WARNED, _ALARMED = "#0072b2", "#333333", "#e69f00", "#b30000"
_MARKS = {WARNING: ("s", _WARNED, "warning"), ALARM: ("X", _ALARMED, "alarm")}
_CELLS = ("#ffffff", "#dbe6ef", _WARNED, _ALARMED)
_CELL_NAMES = ("no value", "quiet", "warning", "alarm")
_MATPLOTLIB_EPOCH = dt.date(1970, 1, 1).toordinal()
_NAMED_BY_DAY = 62
"""Nights up to which days are named on the axis; beyond, months."""
_LEAST_BARS, _LEAST_PART = 2.5, 0.01
"""Least half width of the axis: so many typical errors, or that part of the value without any."""
_STATED = "#7fb2d5"
_WITHIN, _BEFORE_ALARM = "#dbe6ef", "#f7e7c4"


def layout_of(centres: Mapping[int, tuple[float, float]]) -> Layout:
    """Order amplifiers as they lie on the CCD.

    Parameters
    ----------
    centres : mapping of int to (x, y)
        Centre of each amplifier's part of the image, pixels, y upwards.
    """
    columns = {x: i for i, x in enumerate(sorted({x for x, _ in centres.values()}))}
    rows = {y: i for i, y in enumerate(sorted({y for _, y in centres.values()}, reverse=True))}
    return {amp: (rows[y], columns[x]) for amp, (x, y) in centres.items()}


def monitor_page(
    series: Mapping[str, Sequence[Point]],
    layout: Layout,
    *,
    settings: MonitorSettings | None = None,
    title: str = "",
    first_night: str = "",
    epochs: Sequence[str] = (),
) -> dict[str, bytes]:
    """Draw what is followed of one detector.

    Parameters
    ----------
    series : mapping of str to sequence of Point
        Rows of each quantity: of one filter and source. Nights before `first_night` are not drawn
        but their values make the bands of those that are.
    layout : Layout
        See `layout_of`.
    settings : MonitorSettings
        The limits that the bands show; the marks are of the levels as they were judged.
    title : str
        Over all: the detector, and the filter if there is one.
    first_night : str
        The first that is drawn.
    epochs : sequence of str
        First night after each intervention, in order: a night is compared with those of its own
        epoch alone.

    Returns
    -------
    dict of str to bytes
        `<quantity>.png`, `<quantity>.json`, `alerts.png`, `alerts.json`. A quantity without a
        row gives none; without any row at all there is no file.
    """
    settings = settings or MonitorSettings()
    files: dict[str, bytes] = {}
    tables: dict[str, Series] = {}
    for metric in sorted(series):
        if not any(row.night >= first_night for row in series[metric]):
            continue
        tables[metric] = table = tabulate(series[metric])
        centre, warn, alarm = _bands(table, metric, settings, epochs)
        begin = next(i for i, night in enumerate(table.nights) if night >= first_night)
        shown, *bands = (_from(begin, table), centre[begin:], warn[begin:], alarm[begin:])
        files[f"{metric}.png"] = _draw(metric, shown, bands, layout, title)
        files[f"{metric}.json"] = _data(metric, shown, bands, title)
    if tables:
        files |= _alerts(series, tables, layout, title, first_night)
    return files


def _from(begin: int, table: Series) -> Series:
    return Series(
        table.nights[begin:],
        table.amps,
        table.values[begin:],
        table.errors[begin:],
        table.levels[begin:],
    )


def _bands(
    table: Series, metric: str, settings: MonitorSettings, epochs: Sequence[str]
) -> tuple[Array, Array, Array]:
    """Centre and half widths, each (nights, amps), as every night was compared with."""
    of = [bisect(epochs, night) for night in table.nights]
    found = []
    for i, epoch in enumerate(of):
        past = slice(of.index(epoch), i)  # nights are in order, so those of an epoch are together
        found.append(
            judge_night(
                table.values[i],
                table.errors[i],
                table.values[past],
                table.errors[past],
                metric=metric,
                settings=settings,
            )
        )
    return (
        np.array([night.centre for night in found]),
        np.array([night.warn for night in found]),
        np.array([night.alarm for night in found]),
    )


def _draw(metric: str, table: Series, bands: Sequence[Array], layout: Layout, title: str) -> bytes:
    """One small plot an amplifier, placed as they lie on the CCD, all on one scale."""
    places = _places(table.amps, layout)
    n_rows = 1 + max(row for row, _ in places.values())
    n_columns = 1 + max(column for _, column in places.values())
    wide, high = max(2.0 * n_columns, 8.0) + 0.9, 2.1 * n_rows + 1.5
    figure = Figure(figsize=(wide, high), dpi=_DPI)
    figure.subplots_adjust(0.85 / wide, 0.85 / high, 1 - 0.1 / wide, 1 - 0.8 / high, 0.08, 0.22)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    days = np.array([dt.date.fromisoformat(night).toordinal() for night in table.nights])
    days -= _MATPLOTLIB_EPOCH
    zero = _middle(table.values)
    centre, warn, alarm = bands
    for place in sorted({(r, c) for r in range(n_rows) for c in range(n_columns)}):
        grid[place].set_visible(place in places.values())
    for amp, place in places.items():
        i = table.amps.index(amp)
        axes = grid[place]
        name = "whole CCD" if amp == WHOLE_CCD else f"amplifier {amp}"
        axes.set_title(f"{name}: {zero[i]:.5g}" if np.isfinite(zero[i]) else name, fontsize=8)
        widths = (centre[:, i] - zero[i], warn[:, i], alarm[:, i])
        _draw_amp(axes, days, table, i, zero[i], widths)
    first = grid[0, 0]
    level = float(np.nanmedian(np.abs(zero))) if np.isfinite(zero).any() else 0.0
    first.set_ylim(*_window(table.values - zero, table.errors, centre - zero, alarm, level))
    first.set_xlim(days[0] - 1, days[-1] + 1)
    first.set_xticks(*_ticks(table.nights[0], table.nights[-1], 4 if n_columns > 1 else 12))
    for axes in grid.flat:
        axes.tick_params(labelsize=7)
    quantity = QUANTITIES[metric]
    unit = f" [{quantity.unit}]" if quantity.unit else ""
    figure.supylabel(f"value less the median above it{unit}", fontsize=8, x=0.1 / wide)
    figure.suptitle(f"{title}\n{metric}{unit}: {quantity.says}".strip(), fontsize=10)
    figure.legend(
        handles=_legend(table, centre), loc="lower center", ncols=5, fontsize=8, frameon=False
    )
    return _png(figure)


def _ticks(first: str, last: str, most: int) -> tuple[list[int], list[str]]:
    """Days that are named below an axis, and their names: whole days or firsts of months.

    The year is said where it begins. Matplotlib's own would name hours where nights are few.
    """
    begin, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    span = (end - begin).days + 1
    if span <= _NAMED_BY_DAY:
        step = next(days for days in (1, 2, 3, 7, 14, 21) if span <= days * most)
        shown = [begin + dt.timedelta(days=i) for i in range(0, span, step)]
        names = [f"{day.day} {day:%b}" for day in shown]
    else:
        shown = _months(begin, end, most)
        names = [f"{day:%b}" for day in shown]
    for i, day in enumerate(shown):
        if i == 0 or day.year != shown[i - 1].year:
            names[i] += f"\n{day.year}"
    return [day.toordinal() - _MATPLOTLIB_EPOCH for day in shown], names


def _months(begin: dt.date, end: dt.date, most: int) -> list[dt.date]:
    """Firsts of months in a span, so far apart that they are no more than `most`."""
    months = range(12 * begin.year + begin.month, 12 * end.year + end.month)
    found: list[dt.date] = []
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        found = [dt.date(m // 12, m % 12 + 1, 1) for m in months if m % step == 0]
        if len(found) <= most:
            break
    return found


def _places(amps: Sequence[int], layout: Layout) -> dict[int, tuple[int, int]]:
    """Where each amplifier's plot goes; what is not in the layout has a row of its own below."""
    places = {amp: layout[amp] for amp in amps if amp in layout}
    below = 1 + max((row for row, _ in places.values()), default=-1)
    apart = [amp for amp in amps if amp not in layout]
    return places | {amp: (below, i) for i, amp in enumerate(apart)}


def _draw_amp(
    axes: Axes, days: Any, table: Series, i: int, zero: float, bands: Sequence[Array]
) -> None:
    centre, warn, alarm = bands
    values, errors, levels = table.values[:, i] - zero, table.errors[:, i], table.levels[:, i]
    # A day wide, so that the band of a single night is seen too.
    wide = (days[:, None] + np.array([-0.5, 0.5])).ravel()
    there = np.repeat(np.isfinite(centre), 2)
    for half, colour in ((alarm, _BEFORE_ALARM), (warn, _WITHIN)):
        low, high = np.repeat(centre - half, 2), np.repeat(centre + half, 2)
        axes.fill_between(wide, low, high, where=there, color=colour, linewidth=0)
    axes.vlines(days, values - errors, values + errors, color=_STATED, linewidth=0.6)
    axes.plot(days, values, ".", color=_LINE, markersize=2.5 if len(days) > 20 else 5)
    for level, (shape, colour, _) in _MARKS.items():
        raised = levels == level
        # What could not be measured is marked on the zero line.
        axes.plot(days[raised], np.nan_to_num(values[raised]), shape, color=colour, markersize=4.5,
                  markeredgecolor=_INK, markeredgewidth=0.4, linestyle="none")  # fmt: skip


def _middle(values: Array) -> Array:
    """Median of each column; NaN where it is empty."""
    found = np.full(values.shape[1], np.nan)
    for i, column in enumerate(values.T):
        measured = column[np.isfinite(column)]
        found[i] = np.median(measured) if len(measured) else np.nan
    return found


def _window(
    values: Array, errors: Array, centre: Array, alarm: Array, level: float
) -> tuple[float, float]:
    """What the axis shows: values with their errors, and the bands, these no wider than thrice."""
    there = np.isfinite(values)
    if not there.any():
        return -1.0, 1.0
    bars = np.where(np.isfinite(errors), np.abs(errors), 0.0)
    low, high = float(np.min((values - bars)[there])), float(np.max((values + bars)[there]))
    # A lone bar would fill the axis, and a lone dot would be on a scale of no meaning.
    least = _LEAST_BARS * float(np.median(bars[there]))
    if high == low:
        least = _LEAST_PART * level or 1.0
    low, high = min(low, -least), max(high, least)
    if np.isfinite(centre).any():
        room = high - low
        low = min(low, max(float(np.nanmin(centre - alarm)), low - room))
        high = max(high, min(float(np.nanmax(centre + alarm)), high + room))
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _legend(table: Series, centre: Array) -> list[Any]:
    """Names of the symbols that are drawn."""
    has_errors = bool(np.isfinite(table.errors).any())
    name = "value, stated error" if has_errors else "value"
    found: list[Any] = []
    if np.isfinite(table.values).any():
        found.append(Line2D([], [], color=_LINE, marker=".", linestyle="none", label=name))
    if np.isfinite(centre).any():
        found.append(Patch(color=_WITHIN, label="a single night is quiet"))
        found.append(Patch(color=_BEFORE_ALARM, label="a single night is a warning"))
    return found + [
        Line2D([], [], marker=shape, color=colour, linestyle="none", label=f"raised: {name}")
        for level, (shape, colour, name) in _MARKS.items()
        if (table.levels == level).any()
    ]


def _alerts(
    series: Mapping[str, Sequence[Point]],
    tables: Mapping[str, Series],
    layout: Layout,
    title: str,
    first_night: str,
) -> dict[str, bytes]:
    """The gravest level of each night and amplifier, and all that was raised."""
    nights = sorted({n for table in tables.values() for n in table.nights if n >= first_night})
    amps = sorted({amp for table in tables.values() for amp in table.amps} | set(layout))
    worst = np.full((len(amps), len(nights)), -1)
    for table in tables.values():
        down = [amps.index(amp) for amp in table.amps]
        for i, night in enumerate(table.nights):
            if night >= first_night:
                j = nights.index(night)
                worst[down, j] = np.maximum(worst[down, j], table.levels[i])
    raised = [
        {
            "night": row.night, "amp": row.amp, "metric": row.metric,
            "value": _number(row.value), "level": int(row.level), "reason": row.reason,
        }
        for metric in tables for row in series[metric]
        if row.level >= WARNING and row.night >= first_night
    ]  # fmt: skip
    raised.sort(key=lambda entry: (entry["night"], entry["metric"], entry["amp"]))
    data = {"title": title, "nights": nights, "amps": amps, "worst": worst.tolist(),
            "raised": raised}  # fmt: skip
    return {"alerts.png": _draw_alerts(worst, nights, amps, title), "alerts.json": _json(data)}


def _draw_alerts(worst: Any, nights: Sequence[str], amps: Sequence[int], title: str) -> bytes:
    size = (min(max(0.11 * len(nights) + 2.0, 6.0), 16.0), 1.6 + 0.22 * len(amps))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    norm = BoundaryNorm([-1.5, -0.5, 0.5, 1.5, 2.5], len(_CELLS))
    axes.pcolormesh(
        np.arange(len(nights) + 1) - 0.5, np.arange(len(amps) + 1) - 0.5, worst,
        cmap=ListedColormap(_CELLS), norm=norm, edgecolors="white", linewidth=0.5,
    )  # fmt: skip
    for level, (shape, _, _) in _MARKS.items():
        rows, columns = np.nonzero(worst == level)
        axes.plot(columns, rows, shape, color="white", markersize=4.5, linestyle="none")
    axes.set_yticks(range(len(amps)), ["CCD" if a == WHOLE_CCD else str(a) for a in amps])
    step = max(1, math.ceil(len(nights) / 12))
    axes.set_xticks(range(0, len(nights), step), nights[::step], rotation=35, ha="right")
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    axes.set_ylabel("amplifier", fontsize=8)
    figure.suptitle(f"{title}\ngravest level of each night and amplifier".strip(), fontsize=10)
    cells = [
        Patch(facecolor=colour, edgecolor=_INK, linewidth=0.4, label=name)
        for colour, name in zip(_CELLS, _CELL_NAMES)
    ]
    figure.legend(handles=cells, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return _png(figure)


def _data(metric: str, table: Series, bands: Sequence[Array], title: str) -> bytes:
    """Numbers of a plot: lists by night of lists by amplifier; null where there is none."""
    centre, warn, alarm = bands
    numbers = {
        "value": table.values,
        "error": table.errors,
        "centre": centre,
        "warn_low": centre - warn,
        "warn_high": centre + warn,
        "alarm_low": centre - alarm,
        "alarm_high": centre + alarm,
    }
    return _json(
        {
            "title": title,
            "metric": metric,
            "unit": QUANTITIES[metric].unit,
            "says": QUANTITIES[metric].says,
            "nights": table.nights,
            "amps": table.amps,
            "level": table.levels.tolist(),
            **{name: [[_number(v) for v in row] for row in a] for name, a in numbers.items()},
        }
    )


def _number(value: float) -> float | None:
    return float(f"{value:.9g}") if math.isfinite(value) else None


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()
