"""The page of a lineage: a picture, and the same as a tree of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup
from sqlalchemy.engine import Connection

from tesela.errors import BadInput
from tesela.ledger import lineage as walking
from tesela.ledger import lineage_groups
from tesela.ledger.lineage import Lineage
from tesela.web.portal import links
from tesela.web.shared import lineage_svg

_MOST: Final = 3000
_LONGEST_VERSION: Final = 9


def page(conn: Connection, kind: str, key: str, query: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows; raises `NotFound` if there is no such version."""
    found = _walk(conn, kind, key, query)
    start = found.start
    return {
        "kind": kind,
        "key": key,
        "version": start.version,
        "status": lineage_groups.said([start]),
        "forward": found.forward,
        "n": len(found.nodes) - 1,
        "cut": found.cut.partition(";")[0],
        "picture": _drawn(found, alone=False),
        "file": f"{links.lineage(kind, key)}/picture.svg{_query(found)}",
        "tree": "\n".join(lineage_groups.tree(found)),
        "url": links.product(kind, key),
        "other": links.lineage(kind, key, version=start.version, forward=not found.forward),
    }


def picture(conn: Connection, kind: str, key: str, query: Mapping[str, str]) -> tuple[str, str]:
    """Name and content of a file that needs nothing else."""
    found = _walk(conn, kind, key, query)
    name = f"{kind}.{key}.v{found.start.version}.{'users' if found.forward else 'lineage'}.svg"
    return name, str(_drawn(found, alone=True))


def _query(found: Lineage) -> str:
    return f"?version={found.start.version}" + ("&forward=1" if found.forward else "")


def _walk(conn: Connection, kind: str, key: str, query: Mapping[str, str]) -> Lineage:
    text = query.get("version", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_VERSION):
        raise BadInput("version", found=repr(text[:40]), expected="a number", do="correct it")
    forward = query.get("forward", "") == "1"
    version = int(text) if text else None
    start = walking.find(conn, key, kind=kind, version=version, forward=forward)
    return walking.walk(conn, start.id, forward=forward, most=_MOST)


def _drawn(found: Lineage, *, alone: bool) -> Markup:
    plain = lineage_groups.fitted(found).plain()
    nodes = plain["nodes"]
    if not alone:
        nodes = [{**node, "url": _url(node)} for node in nodes]
    start = found.start
    what = "was made with" if found.forward else "made"
    title = f"What {what} {start.kind} {start.key} version {start.version}"
    return lineage_svg.draw(nodes, plain["edges"], title, alone=alone)


def _url(node: Mapping[str, Any]) -> str:
    """The page of a single product; a group has none."""
    return links.product(*node["product"]) if node["product"] else ""
