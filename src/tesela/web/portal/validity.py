"""When masters hold, as bars on a line of time."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from tesela.ledger.clock import iso
from tesela.web.shared import svg
from tesela.web.shared.svg import Frame

_WIDTH: Final = 560.0
_BAR: Final = 12.0
_MARK: Final = 4.0
_WIDE: Final = 1000.0
_LANE: Final = 26.0
_LEFT, _RIGHT = 8.0, 8.0
_MJD_ZERO = dt.date(1858, 11, 17).toordinal()
_DAYS: Final = (1, 2, 5, 10, 15)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60)


@dataclass(frozen=True)
class Span:
    """A master's interval."""

    begin: float
    end: float
    label: str = ""
    url: str = ""
    is_own: bool = False
    is_certified: bool = True


@dataclass(frozen=True)
class Mark:
    """An intervention, or the latest night."""

    at: float
    says: str
    is_now: bool = False


@dataclass(frozen=True)
class Axis:
    """The time that is shown, MJD."""

    begin: float
    end: float

    @classmethod
    def around(cls, begin: float, end: float, *, most_days: float, now: float) -> Axis:
        """From `begin` to `end`, but no more than so many days before an instant and not much more
        after it than a third of what is shown before."""
        low = max(min(begin, now - 1), now - most_days)
        high = min(max(end, now + 1), now + max(10.0, (now - low) / 3))
        room = 0.02 * (high - low)
        return cls(low - room, high + room)


def day(mjd: float) -> str:
    """The date, UTC."""
    return iso(mjd)[:10]


def row(ident: str, title: str, spans: Sequence[Span], marks: Sequence[Mark], axis: Axis) -> Markup:
    """One line of a table: bars that touch at this scale are drawn as one."""
    frame = Frame(_WIDTH, _BAR + 2 * _MARK, 0, 0, _MARK, _MARK)
    x = svg.scale(axis.begin, axis.end, 0, _WIDTH)
    bars = "".join(
        f"M{left:.1f} {_MARK}h{right - left:.1f}v{_BAR}h{left - right:.1f}z"
        for left, right in _joined([(x(s.begin), x(s.end)) for s in spans])
    )
    parts = [f'<rect class="lane" x="0" y="{_MARK}" width="{_WIDTH}" height="{_BAR}"/>']
    if bars:
        parts.append(f'<path class="held" d="{bars}"/>')
    parts += _marks(marks, axis, frame)
    return svg.picture(frame, ident, title, _said(spans, marks, axis), parts)


def _joined(bars: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Bars cut to the picture; neighbours with no visible gap are joined once they are narrow."""
    found: list[tuple[float, float]] = []
    for left, right in bars:
        left, right = max(left, 0.0), min(right, _WIDTH)
        if found and left - found[-1][1] < 0.4 and right - found[-1][0] < 6:
            found[-1] = found[-1][0], right
        else:
            # A gap of less than a pixel parts two masters that follow each other.
            found.append((left, max(right - 0.6, left + 0.8)))
    return found


def _marks(marks: Sequence[Mark], axis: Axis, frame: Frame) -> list[str]:
    x = svg.scale(axis.begin, axis.end, frame.x0, frame.x1)
    parts = []
    for mark in marks:
        if axis.begin <= mark.at <= axis.end:
            ends = x(mark.at), frame.y1 - _MARK, x(mark.at), frame.y0 + _MARK
            parts.append(
                f"<g><title>{escape(mark.says)}</title>{svg.line('halo', *ends)}"
                f"{svg.line('now' if mark.is_now else 'cut', *ends)}</g>"
            )
    return parts


def _said(spans: Sequence[Span], marks: Sequence[Mark], axis: Axis) -> str:
    shown = [mark.says for mark in marks if axis.begin <= mark.at <= axis.end]
    held = f"{len(spans)} certified, from {day(spans[0].begin)} until " if spans else ""
    until = day(max(span.end for span in spans)) if spans else "none is certified"
    return "; ".join([held + until, *shown])


def neighbours(title: str, spans: Sequence[Span], marks: Sequence[Mark], axis: Axis) -> Markup:
    """A master among its neighbours, each of which leads to its page; dates below."""
    lanes = _lanes(spans)
    n_lanes = 1 + max(lanes, default=0)
    bottom = 40.0
    frame = Frame(_WIDE, 22 + n_lanes * _LANE + bottom, _LEFT, _RIGHT, 22, bottom)
    x = svg.scale(axis.begin, axis.end, frame.x0, frame.x1)
    parts = [svg.line("axis", frame.x0, frame.y0, frame.x1, frame.y0)]
    for at, label in date_ticks(axis.begin, axis.end, 9):
        parts.append(svg.line("grid-line", x(at), frame.y1, x(at), frame.y0 + 5))
        anchor = "start" if x(at) < 50 else "end" if x(at) > _WIDE - 50 else "middle"
        parts.append(svg.text("tick", x(at), frame.y0 + 19, label, anchor))
    for span, lane in zip(spans, lanes):
        parts.append(_bar(span, x, frame, lane))
    parts += _marks(marks, axis, frame)
    for mark in marks:
        if axis.begin <= mark.at <= axis.end:
            anchor = "end" if x(mark.at) > _WIDE / 2 else "start"
            at = frame.y0 + 34 if mark.is_now else 14
            parts.append(svg.text("small-label", x(mark.at), at, mark.says, anchor))
    return svg.picture(frame, "validity", title, _said(spans, marks, axis), parts, role="group")


def _bar(span: Span, x: Callable[[float], float], frame: Frame, lane: int) -> str:
    left, right = max(x(span.begin), frame.x0), min(x(span.end), frame.x1)
    kind = "held" + " is-own" * span.is_own + " is-open" * (not span.is_certified)
    rect = (
        f'<rect class="{kind}" x="{left:.1f}" y="{frame.y1 + lane * _LANE + 4:.1f}" '
        f'width="{max(right - left - 0.8, 1.5):.1f}" height="{_LANE - 8:.0f}" rx="2"/>'
    )
    words = f"{span.label}: {day(span.begin)} to {day(span.end)}"
    return (
        f'<a href="{escape(span.url)}" tabindex="-1" aria-label="{escape(words)}">'
        f"<title>{escape(words)}</title>{rect}</a>"
    )


def _lanes(spans: Sequence[Span]) -> list[int]:
    """Intervals of certified masters never overlap; one that is not has a line of its own."""
    return [1 if span.is_own and _overlaps(span, spans) else 0 for span in spans]


def _overlaps(one: Span, spans: Sequence[Span]) -> bool:
    return any(o is not one and o.begin < one.end and one.begin < o.end for o in spans)


def date_ticks(begin: float, end: float, about: int) -> list[tuple[float, str]]:
    """Round dates between two instants: (MJD, label)."""
    for step in _DAYS:
        if (end - begin) / step <= about:
            first = math.ceil(begin / step) * step
            return [(d, day(d)) for d in range(first, math.floor(end) + 1, step)]
    months = next((m for m in _MONTHS if (end - begin) / (30.4 * m) <= about), _MONTHS[-1])
    start = dt.date.fromordinal(math.floor(begin) + _MJD_ZERO)
    count = start.year * 12 + start.month - 1
    count = math.ceil(count / months) * months
    found: list[tuple[float, str]] = []
    while True:
        date = dt.date(count // 12, count % 12 + 1, 1)
        mjd = float(date.toordinal() - _MJD_ZERO)
        if mjd > end:
            return found
        if mjd >= begin:
            found.append((mjd, f"{date:%Y-%m}" if months < 12 else f"{date:%Y}"))
        count += months
