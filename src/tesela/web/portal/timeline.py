"""A night as a picture: its exposures in time, and seeing, sky and zero point below them."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from tesela.bands import filters
from tesela.errors import ConfigError
from tesela.ledger.clock import iso
from tesela.web.portal import links
from tesela.web.portal.states import worst
from tesela.web.shared import sed, show, svg
from tesela.web.shared.svg import Frame

Row = Mapping[Any, Any]

_WIDTH: Final = 1120.0
_LEFT, _RIGHT = 74.0, 30.0
_LANE, _GAP, _PANEL, _AXIS = 22.0, 26.0, 92.0, 42.0
_LANES: Final = ("bias", "dark", "flat", "science")
_MINUTES: Final = (10, 15, 30, 60, 120, 180)


@dataclass(frozen=True)
class _Panel:
    """A quantity against time."""

    label: str
    values: tuple[float, ...]
    """Of each exposure; NaN where it was not measured."""


@functools.lru_cache(maxsize=256)
def is_narrow(band: str) -> bool:
    """Whether a band is drawn as a circle; one without a curve goes by its name alone."""
    try:
        width_nm = filters.load(band).fwhm_A / 10
    except ConfigError:
        width_nm = math.inf
    return sed.is_narrow(band, width_nm)


def draw(night: str, exposures: Sequence[Row]) -> Markup:
    """Draw the exposures of a night; the table of its frames is the picture's twin.

    Sky and zero point are shown against the median of their band, so that twelve bands share an
    axis: what is left is cloud, moon and twilight.
    """
    lanes = [kind for kind in _LANES if any(row["obstype"] == kind for row in exposures)]
    lanes += sorted({row["obstype"] for row in exposures} - set(_LANES))
    panels = _panels(exposures)
    height = 8 + _LANE * len(lanes) + (_GAP + _PANEL) * len(panels) + _AXIS
    begin, end, marks = _clock(exposures)
    x = svg.scale(begin, end, _LEFT, _WIDTH - _RIGHT)
    places = {kind: 8 + _LANE * n for n, kind in enumerate(lanes)}
    parts = _time_axis(marks, x, height)
    parts += [svg.text("tick", _LEFT - 8, y + 15, kind, "end") for kind, y in places.items()]
    parts += [_exposure(row, x, places[row["obstype"]]) for row in exposures]
    top = 8 + _LANE * len(lanes) + _GAP
    for panel in panels:
        parts += _draw_panel(panel, exposures, x, top)
        top += _PANEL + _GAP
    return svg.picture(
        Frame(_WIDTH, height, _LEFT, _RIGHT, 8, _AXIS),
        "timeline",
        f"Exposures of the night {night}",
        _describe(exposures),
        parts,
        role="group",
    )


def _describe(exposures: Sequence[Row]) -> str:
    seeing = [row["fwhm_arcsec"] for row in exposures if row["fwhm_arcsec"] is not None]
    middle = (
        f" The median seeing of {len(seeing)} reduced exposures is "
        f"{statistics.median(seeing):.2f} arcsec."
        if seeing
        else ""
    )
    return f"{len(exposures)} exposures in time.{middle} The table of frames has the numbers."


def _panels(exposures: Sequence[Row]) -> list[_Panel]:
    seeing = tuple(_number(row["fwhm_arcsec"]) for row in exposures)
    sky = _against_band(exposures, [-_magnitude(row["sky_e_s"]) for row in exposures])
    zeropoint = _against_band(exposures, [_number(row["zeropoint_mag"]) for row in exposures])
    panels = (
        _Panel("seeing, arcsec", seeing),
        _Panel("sky, mag brighter", sky),
        _Panel("zero point, mag", zeropoint),
    )
    return [panel for panel in panels if any(map(math.isfinite, panel.values))]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _magnitude(rate: Any) -> float:
    return -2.5 * math.log10(rate) if rate is not None and rate > 0 else math.nan


def _against_band(exposures: Sequence[Row], values: Sequence[float]) -> tuple[float, ...]:
    """Values less the median of their band."""
    of_band: dict[str, list[float]] = {}
    for row, value in zip(exposures, values):
        if math.isfinite(value):
            of_band.setdefault(row["band"], []).append(value)
    middle = {band: statistics.median(found) for band, found in of_band.items()}
    return tuple(v - middle[row["band"]] if math.isfinite(v) else v
                 for row, v in zip(exposures, values))  # fmt: skip


def _clock(exposures: Sequence[Row]) -> tuple[float, float, list[tuple[float, str]]]:
    """Begin and end of the axis (MJD), and its marks at round times."""
    first = min(row["mjd_start"] for row in exposures)
    last = max(row["mjd_start"] + row["exptime_s"] / 86400 for row in exposures)
    room = max((last - first) * 0.015, 2 / 1440)
    begin, end = first - room, last + room
    step = next((m for m in _MINUTES if (end - begin) * 1440 / m <= 14), _MINUTES[-1]) / 1440
    count = math.floor((end - begin) / step) + 1
    start = math.ceil(begin / step)
    times = [(start + n) * step for n in range(count + 1) if (start + n) * step < end]
    return begin, end, [(t, iso(t + 0.5 / 86400)[11:16]) for t in times]


def _time_axis(
    marks: Sequence[tuple[float, str]], x: Callable[[float], float], height: float
) -> list[str]:
    bottom = height - _AXIS + 8
    parts = [svg.line("axis", _LEFT, bottom, _WIDTH - _RIGHT, bottom)]
    for mjd, label in marks:
        parts.append(svg.line("grid-line", x(mjd), 4, x(mjd), bottom))
        parts.append(svg.text("tick", x(mjd), bottom + 16, label, "middle"))
    parts.append(svg.text("tick", _WIDTH - _RIGHT, height - 4, "UTC", "end"))
    return parts


def _exposure(row: Row, x: Callable[[float], float], top: float) -> str:
    """A bar as long as the exposure, with a sign over it if it wants attention."""
    left = x(row["mjd_start"])
    width = max(x(row["mjd_start"] + row["exptime_s"] / 86400) - left, 2.0)
    state = worst(row["rank"])
    sign = ""
    if state.tone in ("warn", "bad"):
        middle = left + width / 2
        sign = f'<path class="sign is-{state.tone}" d="M{middle - 4:.1f} {top + 1:.1f}h8l-4 6z"/>'
    return _linked(
        row,
        _said(row),
        f'<rect class="span is-{state.tone}" x="{left:.1f}" y="{top + 7:.1f}" '
        f'width="{width:.1f}" height="{_LANE - 10:.0f}"/>{sign}',
    )


def _linked(row: Row, words: str, mark: str) -> str:
    """A mark that leads to the frame, or the exposure of several, and says what it is.

    The keyboard passes by: the table below has the same links, one a frame.
    """
    return (
        f'<g class="f f-{escape(row["band"])}">'
        f'<a href="{escape(_target(row))}" tabindex="-1" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>{mark}</a></g>"
    )


def _target(row: Row) -> str:
    return links.exposure(row["key"]) if row["n"] > 1 else links.frame(row["name"])


def _said(row: Row) -> str:
    parts = [
        f"{row['name']}: {row['obstype']} {row['band']} {row['object']}".rstrip(),
        f"{iso(row['mjd_start'])[11:19]} UTC, {row['exptime_s']:g} s",
        worst(row["rank"]).word,
    ]
    if row["fwhm_arcsec"] is not None:
        parts.append(f"seeing {show.number(row['fwhm_arcsec'], 2)} arcsec")
    if row["n"] > 1:
        parts.append(f"{row['n']} CCDs")
    return ", ".join(parts)


def _draw_panel(
    panel: _Panel, exposures: Sequence[Row], x: Callable[[float], float], top: float
) -> list[str]:
    finite = [value for value in panel.values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    room = max(0.12 * (high - low), 0.02)
    y = svg.scale(low - room, high + room, top + _PANEL, top)
    values = svg.ticks(low - room, high + room, 5)
    step = values[1] - values[0] if len(values) > 1 else 1.0
    parts = [svg.text("", _LEFT, top - 6, panel.label)]
    for value in values:
        parts.append(svg.line("grid-line", _LEFT, y(value), _WIDTH - _RIGHT, y(value)))
        parts.append(svg.text("tick", _LEFT - 8, y(value) + 4, svg.tick_text(value, step), "end"))
    for row, value in zip(exposures, panel.values):
        if math.isfinite(value):
            at = x(row["mjd_start"] + row["exptime_s"] / 2 / 86400), y(value)
            mark = svg.disc(*at, 3.4) if is_narrow(row["band"]) else svg.square(*at, 3.1)
            words = f"{row['name']} {row['band']}, {panel.label}: {show.number(value, 2)}"
            parts.append(_linked(row, words, mark))
    return parts
