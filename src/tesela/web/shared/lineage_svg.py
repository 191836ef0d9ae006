"""The picture of a lineage: boxes from left to right as things were made, lines between them.

It takes plain nodes and edges, so whoever knows a lineage can have it drawn.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from markupsafe import Markup, escape

from tesela.web.shared.layers import Layout, arrange

Node = Mapping[str, Any]
"""id, column, kind, title, name, note, status, tip; is_start; count (more than 1: a stack); and
perhaps url."""
Line = Mapping[str, Any]
"""source, target (ids of nodes), evidence."""

_HEIGHT, _GAP, _SPACE, _MARGIN = 58.0, 18.0, 56.0, 22.0
_NARROWEST, _WIDEST = 120.0, 226.0
_STACK: Final = 6.0
_LEGEND: Final = 34.0
_HEAD: Final = 7.0
_PAGE: Final = 1600.0
"""A wider picture would be too small in a page: it is moved sideways instead."""
_FAMILIES: Final = {
    "raw": ("raw", "raw frames"),
    "master": ("calibration", "calibrations"),
    "calset": ("calibration", "calibrations"),
    "refcat": ("reference", "reference catalogues"),
    "reduced": ("image", "images of frames"),
    "detrended": ("image", "images of frames"),
    "quicklook": ("image", "images of frames"),
    "coadd": ("coadd", "coadds"),
    "release": ("release", "releases"),
}
_OTHERS: Final = ("table", "catalogues and tables")
_PAST: Final = ("past", "superseded", "proposed")
_BAD: Final = ("invalid", "rejected")
_COLOUR = re.compile(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)")
_WIDTHS: Final = {"title": 8.0, "name": 7.6, "note": 6.4}
"""Mean widths of letters, generous."""


def draw(
    nodes: Sequence[Node], lines: Sequence[Line], title: str, *, alone: bool = False
) -> Markup:
    """Draw a lineage as SVG.

    Parameters
    ----------
    alone : bool
        With its own colours, for light and dark, and a background: a file that needs nothing else.
        Otherwise it is a part of a page that has `lineage.css`.
    """
    columns = {node["id"]: int(node["column"]) for node in nodes}
    pairs = [
        (line["source"], line["target"])
        for line in lines
        if columns[line["source"]] < columns[line["target"]]
    ]
    layout = arrange(columns, pairs, height=_HEIGHT, gap=_GAP)
    widths = _widths(nodes)
    lefts = list(
        itertools.accumulate(widths[:-1], lambda x, width: x + width + _SPACE, initial=_MARGIN)
    )
    legend = list(_legend(nodes, lines))
    width = max(lefts[-1] + widths[-1], _legend_width(legend)) + _MARGIN
    height = layout.height + 2 * _MARGIN + _LEGEND
    places = {
        node["id"]: (lefts[columns[node["id"]]], layout.middle[node["id"]] + _MARGIN)
        for node in nodes
    }
    body = [
        *_edges(nodes, lines, places, columns, widths, lefts, layout),
        *(_box(node, *places[node["id"]], widths[columns[node["id"]]]) for node in nodes),
        *_legend_parts(legend, height - _LEGEND + 4),
    ]
    style = f"<style>{_own_style()}</style>" if alone else ""
    paper = f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>' if alone else ""
    names = 'xmlns="http://www.w3.org/2000/svg" ' if alone else ""
    wide = " is-wide" if width > _PAGE else ""
    return Markup(  # noqa: S704 - put together from numbers and escaped text only
        f'<svg {names}class="lineage-picture{wide}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="group" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{style}{paper}\n" + "\n".join(body) + "\n</svg>\n"
    )


def _own_style() -> str:
    """The style of pages with its colours put in, twice: for light and for dark."""
    folder = files("tesela.web.shared").joinpath("static")
    tokens, own = (
        folder.joinpath(name).read_text("utf-8") for name in ("tokens.css", "lineage.css")
    )
    colours = {name: (light, dark) for name, light, dark in _COLOUR.findall(tokens + own)}
    rules = own[own.index("}") + 1 :].strip()

    def coloured(which: int) -> str:
        return re.sub(r"var\(--([\w-]+)\)", lambda found: colours[found[1]][which], rules)

    dark = "\n".join(rule for rule in coloured(1).splitlines() if "#" in rule)
    return f"\n{coloured(0)}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _widths(nodes: Sequence[Node]) -> list[float]:
    """Of each column, as wide as its texts need."""
    found = [_NARROWEST] * (max(int(node["column"]) for node in nodes) + 1)
    for node in nodes:
        needed = max(len(str(node[part])) * each for part, each in _WIDTHS.items()) + 26
        column = int(node["column"])
        found[column] = min(max(found[column], needed), _WIDEST)
    return found


def _fit(text: str, kind: str, width: float) -> str:
    """A text with its middle left out, if it is too long: names differ at both ends."""
    most = max(int((width - 24) / _WIDTHS[kind]), 4)
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def _box(node: Node, x: float, y: float, width: float) -> str:
    top = y - _HEIGHT / 2
    classes = ["box-of", f"k-{_family(node)[0]}"]
    classes += ["is-start"] * bool(node.get("is_start"))
    classes += ["is-past"] * (node["status"] in _PAST) + ["is-bad"] * (node["status"] in _BAD)
    stack = [
        f'<rect class="box" x="{x + d:.1f}" y="{top + d:.1f}" width="{width:.1f}" '
        f'height="{_HEIGHT:.0f}" rx="5"/>'
        for d in ((_STACK, _STACK / 2) if node["count"] > 1 else ())
    ]
    down = 0 if node["note"] else 7
    texts = [
        f'<text class="{kind}" x="{x + 15:.1f}" y="{top + dy + down:.1f}">'
        f"{escape(_fit(str(node[kind]), kind, width))}</text>"
        for kind, dy in (("title", 19), ("name", 35), ("note", 50))
    ]
    parts = [
        *stack,
        f'<rect class="box" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_HEIGHT:.0f}" '
        'rx="5"/>',
        f'<path class="tag" d="M{x + 5:.1f} {top:.1f}h3v{_HEIGHT:.0f}h-3a5 5 0 0 1 -5 -5'
        f'v-{_HEIGHT - 10:.0f}a5 5 0 0 1 5 -5z"/>',
        " ".join(texts),  # with spaces, for those who hear them
    ]
    body = f"<title>{escape(node['tip'])}</title>" + "".join(parts)
    if node.get("url"):
        body = f'<a href="{escape(node["url"])}">{body}</a>'
    return f'<g class="{" ".join(classes)}">{body}</g>'


def _edges(
    nodes: Sequence[Node],
    lines: Sequence[Line],
    places: Mapping[Any, tuple[float, float]],
    columns: Mapping[Any, int],
    widths: Sequence[float],
    lefts: Sequence[float],
    layout: Layout,
) -> Iterator[str]:
    """Lines from the right side of a source to the left side of its product, by ways of their own
    through the columns between."""
    ports = _ports(lines, layout, places)
    stacks = {node["id"]: _STACK * (node["count"] > 1) for node in nodes}
    for line in lines:
        source, target = line["source"], line["target"]
        end = places[target][0] - _HEAD
        port = places[target][1] + ports[source, target]
        if (source, target) in layout.ways:
            x = lefts[columns[source]] + widths[columns[source]] + stacks[source]
            y = places[source][1]
            d = [f"M{x:.1f} {y:.1f}"]
            for n, way in enumerate(layout.ways[source, target], columns[source] + 1):
                d.append(_curve(x, y, lefts[n], way + _MARGIN))
                x, y = lefts[n] + widths[n], way + _MARGIN
                d.append(f"H{x:.1f}")
            d.append(_curve(x, y, end, port))
        else:  # evidence that is no further to the left: around, from left side to left side
            x, y = places[source]
            left = min(x, end) - _SPACE * 0.55
            d = [f"M{x:.1f} {y:.1f}C{left:.1f} {y:.1f} {left:.1f} {port:.1f} {end:.1f} {port:.1f}"]
        dashed = " is-evidence" if line["evidence"] else ""
        yield f'<path class="edge{dashed}" d="{"".join(d)}"/>'
        yield (
            f'<path class="head" d="M{end - 1:.1f} {port - 3.5:.1f}l{_HEAD + 1:.1f} 3.5'
            f'l-{_HEAD + 1:.1f} 3.5z"/>'
        )


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (to_x - x) / 2
    return f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _ports(
    lines: Sequence[Line], layout: Layout, places: Mapping[Any, tuple[float, float]]
) -> dict[tuple[Any, Any], float]:
    """Where on its left side a box is reached, from its middle: in the order of what comes."""
    arriving: dict[Any, list[tuple[float, Any]]] = {}
    for line in lines:
        source, target = line["source"], line["target"]
        way = layout.ways.get((source, target))
        y = way[-1] + _MARGIN if way else places[source][1]
        arriving.setdefault(target, []).append((y, source))
    ports = {}
    for target, found in arriving.items():
        found.sort(key=lambda one: one[0])
        step = min(10.0, (_HEIGHT - 14) / max(len(found) - 1, 1))
        for n, (_, source) in enumerate(found):
            ports[source, target] = (n - (len(found) - 1) / 2) * step
    return ports


def _family(node: Node) -> tuple[str, str]:
    return _FAMILIES.get(str(node["kind"]), _OTHERS)


def _legend(nodes: Sequence[Node], lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """(class of the sign, words) of what the picture has."""
    in_order = sorted(nodes, key=lambda node: int(node["column"]))
    yield from dict.fromkeys((f"k-{_family(node)[0]}", _family(node)[1]) for node in in_order)
    if any(line["evidence"] for line in lines):
        yield "line", "only compared with or built from (evidence)"
    if any(node["status"] in _PAST for node in nodes):
        yield "is-past", "replaced, or not in use"
    if any(node["status"] in _BAD for node in nodes):
        yield "is-bad", "invalid or rejected"


def _legend_width(legend: Sequence[tuple[str, str]]) -> float:
    return sum(len(words) * _WIDTHS["note"] + 36 for _, words in legend) + _MARGIN


def _legend_parts(legend: Sequence[tuple[str, str]], y: float) -> Iterator[str]:
    x = _MARGIN
    for sign, words in legend:
        if sign == "line":
            drawn = f'<path class="edge is-evidence" d="M{x:.1f} {y + 7:.1f}h16"/>'
        elif sign.startswith("k-"):
            drawn = f'<rect class="tag" x="{x:.1f}" y="{y + 1:.1f}" width="12" height="12" rx="2"/>'
        else:
            drawn = f'<rect class="box" x="{x:.1f}" y="{y + 1:.1f}" width="14" height="12" rx="2"/>'
        yield (
            f'<g class="{sign}">{drawn}</g>'
            f'<text class="note" x="{x + 20:.1f}" y="{y + 11:.1f}">{escape(words)}</text>'
        )
        x += len(words) * _WIDTHS["note"] + 36
