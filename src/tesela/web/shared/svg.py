"""Small SVG pictures made by the server: axes, and the text that says what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Plot:
    """A picture and its table twin."""

    svg: Markup
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Frame:
    """The rectangle of the data and what lies around it, in units of the picture."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def x0(self) -> float:
        """Left edge of the data."""
        return self.left

    @property
    def x1(self) -> float:
        """Right edge of the data."""
        return self.width - self.right

    @property
    def y0(self) -> float:
        """Lower edge of the data (the largest y of SVG)."""
        return self.height - self.bottom

    @property
    def y1(self) -> float:
        """Upper edge of the data."""
        return self.top


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Linear map of low ... high to start ... end."""
    factor = (end - start) / (high - low)
    return lambda value: start + (value - low) * factor


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) between two limits."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A tick's number with as many decimals as its step has."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def picture(
    frame: Frame,
    ident: str,
    title: str,
    description: str,
    parts: Iterable[str],
    *,
    role: Literal["img", "group"] = "img",
) -> Markup:
    """A whole picture, named for those who cannot see it. `parts` are SVG, already escaped.

    One whose parts are links is a `group`: an `img` hides its parts from those who listen to it.
    """
    body = "\n".join(parts)
    return Markup(  # noqa: S704 - put together from numbers and escaped text only
        f'<svg viewBox="0 0 {frame.width:g} {frame.height:g}" role="{role}" '
        f'aria-labelledby="{escape(ident)}-t {escape(ident)}-d">'
        f'<title id="{escape(ident)}-t">{escape(title)}</title>'
        f'<desc id="{escape(ident)}-d">{escape(description)}</desc>\n{body}\n</svg>'
    )


def x_axis(
    frame: Frame, values: Sequence[float], x: Callable[[float], float], label: str
) -> list[str]:
    """Ticks and name of the horizontal axis."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    parts = [line("axis", frame.x0, frame.y0, frame.x1, frame.y0)]
    for value in values:
        parts.append(line("axis", x(value), frame.y0, x(value), frame.y0 + 5))
        parts.append(text("tick", x(value), frame.y0 + 18, tick_text(value, step), "middle"))
    parts.append(text("", (frame.x0 + frame.x1) / 2, frame.height - 6, label, "middle"))
    return parts


def y_axis(
    frame: Frame, values: Sequence[float], y: Callable[[float], float], label: str
) -> list[str]:
    """Grid lines, ticks and name of the vertical axis."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    parts = []
    for value in values:
        parts.append(line("grid-line", frame.x0, y(value), frame.x1, y(value)))
        parts.append(text("tick", frame.x0 - 7, y(value) + 4, tick_text(value, step), "end"))
    middle = (frame.y0 + frame.y1) / 2
    parts.append(
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle:.1f})">{escape(label)}</text>'
    )
    return parts


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line of a class of the style sheet."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(kind: str, x: float, y: float, content: str, anchor: str = "start") -> str:
    """Text of a class of the style sheet."""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def square(x: float, y: float, half: float) -> str:
    """A filled mark: broad band."""
    return (
        f'<rect class="mark" x="{x - half:.1f}" y="{y - half:.1f}" '
        f'width="{2 * half:.1f}" height="{2 * half:.1f}"/>'
    )


def disc(x: float, y: float, radius: float) -> str:
    """A filled mark: narrow band."""
    return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'


def arrow_down(x: float, y: float) -> str:
    """An upper limit: a bar with an arrow towards fainter."""
    return (
        f'<path class="limit" d="M{x - 7:.1f} {y:.1f}h14M{x:.1f} {y:.1f}v15'
        f'm-4.5 -5.5l4.5 5.5l4.5 -5.5"/>'
    )


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Path data through points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
