"""The picture of a lineage."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from tesela.web.shared import lineage_svg

SVG = "{http://www.w3.org/2000/svg}"


def node(ident: int, column: int, kind: str = "raw", **more: Any) -> dict[str, Any]:
    return {
        "id": ident, "column": column, "kind": kind, "title": f"title {ident}",
        "name": f"name {ident}", "note": "version 1, current", "status": "current", "count": 1,
        "tip": f"tip {ident}", "is_start": False, **more,
    }  # fmt: skip


NODES = [
    node(0, 2, "coadd", is_start=True),
    node(1, 1, "reduced", count=30, title="30 reduced images"),
    node(2, 0, "raw", count=30),
    node(3, 0, "master", status="superseded", note="version 2, superseded"),
    node(4, 0, "master", status="invalid"),
    node(5, 1, "strange kind"),
]
LINES = [
    {"source": 1, "target": 0, "evidence": False},
    {"source": 2, "target": 1, "evidence": False},
    {"source": 3, "target": 1, "evidence": False},
    {"source": 4, "target": 0, "evidence": True},
    {"source": 3, "target": 4, "evidence": True},
    {"source": 5, "target": 0, "evidence": False},
]


def drawn(nodes: list[dict[str, Any]] = NODES, **options: Any) -> ET.Element:
    """Read it as XML, as a file of its own."""
    text = lineage_svg.draw(nodes, LINES, "What made <it>", alone=True, **options)
    return ET.fromstring(text)  # noqa: S314 - our own


def groups(svg: ET.Element) -> dict[str, ET.Element]:
    """Boxes by their tips."""
    found = {}
    for one in svg.iter(f"{SVG}g"):
        title = next(one.iter(f"{SVG}title"), None)
        if title is not None:
            found[str(title.text)] = one
    return found


def test_every_box_is_there_with_its_words_and_tip() -> None:
    found = groups(drawn())
    assert set(found) == {f"tip {k}" for k in range(6)}
    words = [text.text for text in found["tip 1"].iter(f"{SVG}text")]
    assert words == ["30 reduced images", "name 1", "version 1, current"]


def test_kinds_and_states_have_signs_of_their_own() -> None:
    classes = {tip: group.get("class", "") for tip, group in groups(drawn()).items()}
    assert classes["tip 0"] == "box-of k-coadd is-start"
    assert classes["tip 3"] == "box-of k-calibration is-past"
    assert classes["tip 4"] == "box-of k-calibration is-bad"
    assert classes["tip 5"] == "box-of k-table"


def test_many_are_a_stack() -> None:
    boxes = {tip: len(list(group.iter(f"{SVG}rect"))) for tip, group in groups(drawn()).items()}
    assert (boxes["tip 0"], boxes["tip 1"]) == (1, 3)


def test_evidence_is_dashed_and_the_legend_says_so() -> None:
    svg = drawn()
    lines = [path for path in svg.iter(f"{SVG}path") if "edge" in path.get("class", "")]
    dashed = [path for path in lines if "is-evidence" in path.get("class", "")]
    assert len(lines) == len(LINES) + 1
    assert len(dashed) == 2 + 1, "two, and that of the legend"
    text = " ".join(str(one.text) for one in svg.iter(f"{SVG}text"))
    for word in ("raw frames", "calibrations", "coadds", "evidence", "replaced", "invalid"):
        assert word in text


def test_boxes_lie_inside_and_lines_end_at_them() -> None:
    svg = drawn()
    _, _, width, height = map(float, str(svg.get("viewBox")).split())
    lefts = {}
    for tip, group in groups(svg).items():
        for rect in group.iter(f"{SVG}rect"):
            x, y, w, h = (float(rect.get(name, "nan")) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert x + w <= width
            assert y >= 0
            assert y + h <= height
        lefts[tip] = x
    heads = [path for path in svg.iter(f"{SVG}path") if path.get("class") == "head"]
    ends = {float(re.match(r"M([\d.]+)", str(head.get("d")))[1]) + 8 for head in heads}  # type: ignore[index]
    assert ends <= {*lefts.values()}


def test_what_is_named_is_text_and_no_markup() -> None:
    odd = '<script>alert("1")</script>&amp;\u2028'
    nodes = [
        node(0, 0, title=odd, name=odd, note=odd, tip=odd, url='/x"y'),
        *NODES[1:],
    ]
    svg = drawn(nodes)
    assert not list(svg.iter(f"{SVG}script"))
    assert odd in groups(svg)
    assert "<script" not in lineage_svg.draw(nodes, LINES, odd)


def test_a_file_needs_nothing_else() -> None:
    text = str(lineage_svg.draw(NODES, LINES, "t", alone=True))
    assert "var(--" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    assert "#fbfaf7" in light
    assert "#10131a" in dark


def test_a_page_brings_the_colours_itself() -> None:
    """Its policy allows no style of a part's own."""
    text = str(lineage_svg.draw(NODES, LINES, "t"))
    assert "<style" not in text
    assert "style=" not in text


def test_long_names_are_shortened_in_the_middle() -> None:
    name = "j02-20170703T213000-01 ... j02-20170703T233000-01 and more of the same"
    found = groups(drawn([node(0, 0, name=name), *NODES[1:]]))["tip 0"]
    shown = [str(text.text) for text in found.iter(f"{SVG}text")][1]
    assert len(shown) < len(name)
    head, _, tail = shown.partition("…")
    assert name.startswith(head)
    assert name.endswith(tail)


def test_a_single_box_is_a_picture() -> None:
    text = lineage_svg.draw([node(0, 0)], [], "alone", alone=True)
    assert len(groups(ET.fromstring(text))) == 1  # noqa: S314 - our own


def test_only_who_has_an_address_is_a_link() -> None:
    text = str(lineage_svg.draw([node(0, 0, url="/product/x")], [], "t"))
    assert 'href="/product/x"' in text
    assert "href" not in str(lineage_svg.draw([node(0, 0, url="")], [], "t"))
