"""What the monitors follow, drawn: levels by night and amplifier, and a quantity's values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from tesela.cameras.camera import Camera
from tesela.products.monitor import QUANTITIES, WHOLE_CCD
from tesela.quality.bands import MonitorSettings
from tesela.quality.monitors import judge_night
from tesela.quality.series import Series
from tesela.web.portal import links
from tesela.web.portal.alerts import name_of
from tesela.web.portal.states import LEVELS
from tesela.web.shared import svg
from tesela.web.shared.svg import Frame

Array = NDArray[np.float64]
Layout = Mapping[int, tuple[int, int]]
"""Row from the top and column of each amplifier."""

_WIDTH: Final = 1120.0
_COLUMNS: Final = 8
_HIGH, _GAP_X, _GAP_Y = 92.0, 8.0, 26.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 10.0, 24.0, 30.0
_TICKS: Final = 12


def layout(camera: Camera | None, amps: Sequence[int]) -> Layout:
    """Where each amplifier's plot goes: as they lie on the CCD, the rest in rows below."""
    centres = {
        amp.id: (amp.dest.x0 + amp.dest.x1, amp.dest.y0 + amp.dest.y1)
        for amp in (camera.amplifiers if camera else ())
    }
    columns = {x: i for i, x in enumerate(sorted({x for x, _ in centres.values()}))}
    rows = {y: i for i, y in enumerate(sorted({y for _, y in centres.values()}, reverse=True))}
    if len(columns) > 2 * _COLUMNS:
        centres, rows = {}, {}
    places = {a: (rows[centres[a][1]], columns[centres[a][0]]) for a in amps if a in centres}
    below = 1 + max((row for row, _ in places.values()), default=-1)
    apart = [amp for amp in amps if amp not in places]
    return places | {a: (below + i // _COLUMNS, i % _COLUMNS) for i, a in enumerate(apart)}


def heat_map(nights: Sequence[str], worst: Mapping[tuple[str, int], int]) -> Markup:
    """The gravest level of each night and amplifier; what was raised leads to its night."""
    amps = sorted({amp for _, amp in worst})
    high = 15.0
    frame = Frame(_WIDTH, 8 + high * len(amps) + 44, _LEFT, _RIGHT, 8, 44)
    wide = min((frame.x1 - frame.x0) / max(len(nights), 1), 40.0)
    across = {night: frame.x0 + i * wide for i, night in enumerate(nights)}
    down = {amp: frame.y1 + i * high for i, amp in enumerate(amps)}
    calm: list[str] = []
    parts: list[str] = []
    for (night, amp), level in sorted(worst.items()):
        x, y = across[night], down[amp]
        if level <= 0:
            calm.append(f"M{x:.1f} {y:.1f}h{wide - 1:.1f}v{high - 1:.1f}h{1 - wide:.1f}z")
        else:
            parts.append(_cell(night, amp, LEVELS[min(level, 2)].word, (x, y, wide, high)))
    quiet = [f'<path class="cell is-quiet" d="{"".join(calm)}"/>'] if calm else []
    labels = [
        svg.text("tick", frame.x0 - 6, y + high - 4, "CCD" if amp == WHOLE_CCD else str(amp), "end")
        for amp, y in down.items()
    ]
    step = max(1, math.ceil(len(nights) / _TICKS), math.ceil(84 / wide))
    for night in nights[::step]:
        x = across[night]
        labels.append(svg.line("axis", x + wide / 2, frame.y0, x + wide / 2, frame.y0 + 4))
        labels.append(svg.text("tick", x + wide / 2, frame.y0 + 18, night, "middle"))
    labels.append(
        svg.text("", frame.x0, frame.height - 6, "amplifiers down, nights with values across")
    )
    n_raised = sum(level > 0 for level in worst.values())
    said = (
        f"{len(nights)} nights, {len(amps)} rows; {n_raised} of {len(worst)} cells are raised. "
        "The table of alerts has each."
    )
    return svg.picture(
        frame, "levels", "Levels by night and amplifier", said, [*quiet, *parts, *labels],
        role="group",
    )  # fmt: skip


def _cell(night: str, amp: int, word: str, box: tuple[float, float, float, float]) -> str:
    x, y, wide, high = box
    words = f"{night}, {name_of(amp)}: {word}"
    middle, centre = x + (wide - 1) / 2, y + (high - 1) / 2
    sign = (
        f"M{middle - 3.5:.1f} {centre - 3.5:.1f}l7 7m0 -7l-7 7"
        if word == LEVELS[2].word
        else f"M{middle:.1f} {centre - 3.5:.1f}l3.8 7h-7.6z"
    )
    return (
        f'<a href="{escape(links.night(night))}" tabindex="-1" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>"
        f'<rect class="cell is-{word}" x="{x:.1f}" y="{y:.1f}" width="{wide - 1:.1f}" '
        f'height="{high - 1:.1f}"/><path class="sign" d="{sign}"/></a>'
    )


@dataclass(frozen=True)
class Drawn:
    """A quantity of a detector: what is shown of it."""

    metric: str
    table: Series
    centre: Array
    """(nights, amps); NaN where a night was compared with nothing."""
    warn: Array
    alarm: Array
    where: Mapping[tuple[int, int], tuple[str, str]]
    """(address, words) of what was raised, by (night, amplifier) as counted in the table."""


def with_bands(
    metric: str,
    table: Series,
    first: str,
    epochs: Sequence[int],
    settings: MonitorSettings,
    where: Mapping[tuple[str, int], tuple[str, str]],
) -> Drawn:
    """Cut a table to the nights from `first`, with the limits of each.

    Parameters
    ----------
    table : Series
        Earlier nights too: each night is compared with those before it of the same epoch.
    epochs : sequence of int
        A number for each night of the table, other after an intervention.
    where : mapping
        (address, words) of what was raised, by night and amplifier.
    """
    begin = sum(night < first for night in table.nights)
    found = []
    for i in range(begin, len(table.nights)):
        past = [j for j in range(i) if epochs[j] == epochs[i]][-settings.window :]
        found.append(
            judge_night(
                table.values[i], table.errors[i], table.values[past], table.errors[past],
                metric=metric, settings=settings,
            )
        )  # fmt: skip
    shown = Series(
        table.nights[begin:], table.amps, table.values[begin:], table.errors[begin:],
        table.levels[begin:],
    )  # fmt: skip
    places = {
        (shown.nights.index(night), shown.amps.index(amp)): link
        for (night, amp), link in where.items()
        if night in shown.nights and amp in shown.amps
    }
    shape = (len(found), len(table.amps))
    return Drawn(
        metric,
        shown,
        np.array([night.centre for night in found]).reshape(shape),
        np.array([night.warn for night in found]).reshape(shape),
        np.array([night.alarm for night in found]).reshape(shape),
        places,
    )


def quantity(drawn: Drawn, places: Layout, ident: str, title: str) -> Markup:
    """One small plot an amplifier, all on one scale, each less its own median."""
    table = drawn.table
    shown = sorted({places[amp] for amp in table.amps})
    row_of = {row: i for i, row in enumerate(sorted({row for row, _ in shown}))}
    n_columns = 1 + max(column for _, column in shown)
    height = _TOP + len(row_of) * (_HIGH + _GAP_Y) + _BOTTOM - _GAP_Y
    frame = Frame(_WIDTH, height, _LEFT, _RIGHT, _TOP, _BOTTOM)
    wide = (frame.x1 - frame.x0 + _GAP_X) / max(n_columns, 1) - _GAP_X
    zero = _medians(table.values)
    low, high = _window(table.values - zero, drawn.centre - zero, drawn.alarm)
    days = np.array([dt.date.fromisoformat(night).toordinal() for night in table.nights], float)
    values = svg.ticks(low, high, 4)
    step = values[1] - values[0] if len(values) > 1 else high - low
    parts: list[str] = []
    for i, amp in enumerate(table.amps):
        row, column = row_of[places[amp][0]], places[amp][1]
        left, top = frame.x0 + column * (wide + _GAP_X), _TOP + row * (_HIGH + _GAP_Y)
        x = svg.scale(days[0] - 0.7, days[-1] + 0.7, left, left + wide)
        y = svg.scale(low, high, top + _HIGH, top)
        parts.append(svg.text("tick", left, top - 5, _heading(amp, zero[i])))
        if column == min(places[a][1] for a in table.amps if row_of[places[a][0]] == row):
            parts += [svg.text("tick", left - 6, y(v) + 4, svg.tick_text(v, step), "end")
                      for v in values]  # fmt: skip
        parts += [svg.line("grid-line", left, y(v), left + wide, y(v)) for v in values]
        parts += _panel(drawn, i, zero[i], days, x, y, (low, high))
    parts += _ends(table.nights, frame)
    return svg.picture(frame, ident, title, _describe(drawn), parts, role="group")


def _ends(nights: Sequence[str], frame: Frame) -> list[str]:
    unit = "every plot: " + (f"{nights[0]} to {nights[-1]}" if len(nights) > 1 else nights[0])
    return [svg.text("", frame.x0, frame.height - 8, unit)]


def _heading(amp: int, middle: float) -> str:
    value = f"{middle:.5g}" if math.isfinite(middle) else "not measured"
    return f"{'CCD' if amp == WHOLE_CCD else amp}: {value}"


def _describe(drawn: Drawn) -> str:
    raised = int((drawn.table.levels >= 1).sum())
    return (
        f"{QUANTITIES[drawn.metric].says}: {len(drawn.table.nights)} nights of "
        f"{len(drawn.table.amps)} amplifiers, {raised} values raised. The file beside the plot "
        "has the numbers."
    )


def _panel(
    drawn: Drawn,
    i: int,
    zero: float,
    days: Array,
    x: Callable[[float], float],
    y: Callable[[float], float],
    window: tuple[float, float],
) -> list[str]:
    """Bands, values and marks of one amplifier."""
    low, high = window
    inside = lambda value: y(min(max(value, low), high))  # noqa: E731 - one use, one line
    values, levels = drawn.table.values[:, i] - zero, drawn.table.levels[:, i]
    centre = drawn.centre[:, i] - zero
    parts = []
    for kind, half in (("band-alarm", drawn.alarm[:, i]), ("band-warn", drawn.warn[:, i])):
        for run in _runs(np.isfinite(centre) & np.isfinite(half)):
            edge = [(x(days[j]), inside(centre[j] + half[j])) for j in run]
            edge += [(x(days[j]), inside(centre[j] - half[j])) for j in reversed(run)]
            parts.append(f'<path class="{kind}" d="{svg.polyline(edge)}z"/>')
    dots = "".join(
        f"M{x(day):.1f} {y(value):.1f}h0"
        for day, value in zip(days, values)
        if math.isfinite(value)
    )
    if dots:
        parts.append(f'<path class="dots" d="{dots}"/>')
    for j in np.flatnonzero(levels >= 1):
        # What could not be measured is marked on the line of the median.
        at = x(days[j]), y(values[j]) if math.isfinite(values[j]) else inside(0.0)
        address, words = drawn.where.get((int(j), i), ("", ""))
        parts.append(_raised(int(levels[j]), at, address, words))
    return parts


def _raised(level: int, at: tuple[float, float], address: str, words: str) -> str:
    x, y = at
    word = LEVELS[min(level, 2)].word
    path = (
        f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
        if level >= 2
        else f"M{x:.1f} {y - 4.5:.1f}l4.6 8h-9.2z"
    )
    mark = f'<path class="raised is-{word}" d="{path}"/>'
    if not address:
        return mark
    return (
        f'<a href="{escape(address)}" tabindex="-1" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>{mark}</a>"
    )


def _runs(there: NDArray[np.bool_]) -> list[list[int]]:
    """Indices in runs without a gap."""
    found: list[list[int]] = []
    for i in np.flatnonzero(there).tolist():
        if found and found[-1][-1] == i - 1:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def _medians(values: Array) -> Array:
    """Median of each column; NaN where it is empty."""
    return np.array(
        [
            float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else math.nan
            for c in values.T
        ]
    )


def _window(values: Array, centre: Array, alarm: Array) -> tuple[float, float]:
    """What the axis shows: the values, and the bands where these are not far wider."""
    seen = values[np.isfinite(values)]
    if not seen.size:
        return -1.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    room = high - low
    below, above = centre - alarm, centre + alarm
    if np.isfinite(below).any():
        # With few nights before, the band of a single night may be wild.
        low = min(low, max(float(np.nanpercentile(below, 10)), low - room))
        high = max(high, min(float(np.nanpercentile(above, 90)), high + room))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
