"""Siblings of a lineage taken together, and the lineage as an indented tree.

Versions of one sort and state that the same others were made from are alike: thirty reduced images
of a coadd are one group, their raw frames another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tesela.errors import LedgerError
from tesela.ledger.keys import NO_FILTER, MasterKey
from tesela.ledger.lineage import EVIDENCE, INPUT, Edge, Lineage, Node

_WORDS: Final = {
    "raw": ("raw frame", "raw frames"),
    "calset": ("set of masters", "sets of masters"),
    "refcat": ("reference catalogue", "reference catalogues"),
    "reduced": ("reduced image", "reduced images"),
    "detrended": ("detrended image", "detrended images"),
    "quicklook": ("quick look", "quick looks"),
    "dual": ("dual catalogue", "dual catalogues"),
    "zeropoints": ("photometric solution", "photometric solutions"),
    "valueadded": ("value-added table", "value-added tables"),
    "science": ("science tables", "science tables"),
}
_ONE_VERSION: Final = ("raw", "calset")
"""Kinds of which there is never another version."""
_TREE, _LINES = 4, 400
"""So many siblings are one line of the tree, and so many lines are too many."""
_FEW, _PICTURE = 14, 24
"""Boxes that are drawn each by itself, and that fit a page."""
_NAMED: Final = 40
_CALSET_PARTS: Final = 7


@dataclass(frozen=True)
class Group:
    """Versions that are alike, or a single one."""

    id: int
    layer: int
    """Steps from the start, by the longest way."""
    nodes: tuple[Node, ...]

    @property
    def first(self) -> Node:
        """One of them."""
        return self.nodes[0]


@dataclass(frozen=True)
class Link:
    """From a group to one that is a step further from the start."""

    near: int
    far: int
    role: str


@dataclass(frozen=True)
class Grouped:
    """A lineage with its siblings taken together."""

    lineage: Lineage
    groups: tuple[Group, ...]
    """That of the start first."""
    links: tuple[Link, ...]

    def plain(self) -> dict[str, Any]:
        """Boxes and lines for a drawing, from left to right as things were made."""
        forward = self.lineage.forward
        last = max(one.layer for one in self.groups)
        return {
            "nodes": [
                {**_box(one), "column": one.layer if forward else last - one.layer}
                for one in self.groups
            ],
            "edges": [
                {
                    "source": link.near if forward else link.far,
                    "target": link.far if forward else link.near,
                    "evidence": link.role == EVIDENCE,
                }
                for link in self.links
            ],
        }


def group(lineage: Lineage, least: int, *, whole: bool = False) -> Grouped:
    """Take `least` or more siblings together; 0 takes none. With `whole` all versions of a sort and
    state that are as many steps away count as siblings."""
    layers = _layers(lineage)
    users = _users(lineage)
    of: dict[int, int] = {}
    groups: list[Group] = []
    for layer in range(max(layers.values()) + 1):
        alike: dict[Any, list[Node]] = {}
        for product_id in (one for one, at in layers.items() if at == layer):
            node = lineage.nodes[product_id]
            made = frozenset((of[a], role) for a, role in users.get(product_id, ()) if a in of)
            if whole:
                made = frozenset()
            alike.setdefault((node.sort, node.status, made), []).append(node)
        for siblings in alike.values():
            siblings.sort(key=lambda one: (one.kind, one.key, one.version))
            together = [siblings] if 0 < least <= len(siblings) else [[one] for one in siblings]
            for members in together:
                of |= {one.id: len(groups) for one in members}
                groups.append(Group(len(groups), layer, tuple(members)))
    links = {
        (of[a], of[b], role): None
        for a, b, role in _steps(lineage)
        if a in of and b in of and of[a] != of[b]
    }
    return Grouped(lineage, tuple(groups), tuple(Link(*one) for one in links))


def fitted(lineage: Lineage, most: int = _PICTURE) -> Grouped:
    """Take as few siblings together as a picture of so many boxes allows; sets of masters are
    opened."""
    lineage = opened(lineage)
    found = group(lineage, 0 if len(lineage.nodes) <= _FEW else 3)
    for least, whole in ((2, False), (2, True)):
        if len(found.groups) <= most:
            break
        found = group(lineage, least, whole=whole)
    return found


def opened(lineage: Lineage) -> Lineage:
    """Put the masters of each set in its place; a set whose masters are not here stays."""
    ends: dict[int, tuple[list[Edge], list[Edge]]] = {}
    for edge in lineage.edges:
        ends.setdefault(edge.product, ([], []))[0].append(edge)
        ends.setdefault(edge.source, ([], []))[1].append(edge)
    gone = {
        one.id
        for one in lineage.nodes.values()
        if one.kind == "calset" and one.id != lineage.root and all(ends.get(one.id, ([], [])))
    }
    edges = {edge: None for edge in lineage.edges if not {edge.product, edge.source} & gone}
    for one in gone:
        for below in ends[one][0]:
            for above in ends[one][1]:
                role = INPUT if below.role == above.role == INPUT else EVIDENCE
                edges[Edge(above.product, below.source, role)] = None
    nodes = {key: node for key, node in lineage.nodes.items() if key not in gone}
    return replace(lineage, nodes=nodes, edges=tuple(edges))


def _steps(lineage: Lineage) -> Iterator[tuple[int, int, str]]:
    """Edges as (nearer to the start, further, role)."""
    for edge in lineage.edges:
        ends = edge.source, edge.product
        a, b = ends if lineage.forward else ends[::-1]
        yield a, b, edge.role


def _users(lineage: Lineage) -> dict[int, list[tuple[int, str]]]:
    """What each was an input of; evidence counts for those alone that are nothing else."""
    found: dict[int, list[tuple[int, str]]] = {}
    for wanted in (INPUT, EVIDENCE):
        before = set(found)
        for a, b, role in _steps(lineage):
            if role == wanted and b not in before:
                found.setdefault(b, []).append((a, role))
    return found


def _layers(lineage: Lineage) -> dict[int, int]:
    """Steps from the start by the longest way, of all that can be reached.

    A source is always older than its product, so ids are in the order of the steps.
    """
    users = _users(lineage)
    layers = {lineage.root: 0}
    for product_id in sorted(lineage.nodes, reverse=not lineage.forward):
        steps = [layers[a] + 1 for a, _ in users.get(product_id, ()) if a in layers]
        if product_id != lineage.root and steps:
            layers[product_id] = max(steps)
    return layers


def title(nodes: Sequence[Node]) -> str:
    """What they are, in words: `coadd`, `25 raw frames`, `3 BIAS masters`."""
    kind, n = nodes[0].kind, len(nodes)
    if kind == "master":
        one = f"{nodes[0].key.partition('.')[0]} master"
        words = one, f"{one}s"
    else:
        words = _WORDS.get(kind, (kind, f"{kind}s"))
    return words[0] if n == 1 else f"{n} {words[1]}"


def name(node: Node) -> str:
    """A version's key as short as it is understood beside its kind."""
    parts = node.key.split(".")
    if node.kind == "calset" and len(parts) == _CALSET_PARTS:
        return f"{'.'.join(parts[2:4])} {parts[5]} {parts[6][:6]}"
    if node.kind == "master":
        try:
            key = MasterKey.parse(node.key)
        except LedgerError:
            return node.key
        through = "" if key.configuration.filter == NO_FILTER else f" {key.configuration.filter}"
        return f"{key.night} CCD {key.configuration.ccd}{through}"
    return node.key


def names(nodes: Sequence[Node]) -> str:
    """The first and the last of them."""
    listed = [name(one) for one in nodes]
    if len(listed) == 1:
        return listed[0]
    every = ", ".join(listed)
    return every if len(every) <= _NAMED else f"{listed[0]} … {listed[-1]}"


def said(nodes: Sequence[Node]) -> str:
    """Versions, state and notes: `version 3, current, stale`."""
    first = nodes[0]
    parts = []
    if first.kind not in _ONE_VERSION or first.status != "current":
        parts = [f"version {first.version}"] if len(nodes) == 1 else []
        parts.append(first.status)
    for note in dict.fromkeys(note for one in nodes for note in one.notes):
        n = sum(note in one.notes for one in nodes)
        parts.append(note if n == len(nodes) else f"{n} {note}")
    return ", ".join(parts)


def _box(of: Group) -> dict[str, Any]:
    first = of.first
    listed = [f"{one.kind} {one.key} version {one.version}" for one in of.nodes[:_NAMED]]
    if len(of.nodes) > _NAMED:
        listed.append(f"and {len(of.nodes) - _NAMED} more")
    notes = said(of.nodes)
    return {
        "id": of.id, "kind": first.kind, "is_start": of.layer == 0, "title": title(of.nodes),
        "name": names(of.nodes), "note": notes, "status": first.status, "count": len(of.nodes),
        "tip": "\n".join([*listed, notes]),
        "product": (first.kind, first.key) if len(of.nodes) == 1 else None,
    }  # fmt: skip


def tree(lineage: Lineage, *, every: bool = False) -> Iterator[str]:
    """The lineage as lines of an indented tree, each version once; `every` takes none together.

    Lines to evidence are dashed. What is further down already is referred to.
    """
    grouped = group(lineage, 0 if every else _TREE)
    if not every and len(grouped.groups) > _LINES:
        grouped = group(lineage, 2, whole=True)
    far: dict[int, list[Link]] = {}
    for link in grouped.links:
        far.setdefault(link.near, []).append(link)
    shown: set[int] = set()
    yield from _branch(grouped, 0, far, shown, ("", ""), "")
    if lineage.cut:
        yield f"cut: {lineage.cut}"


def _branch(
    grouped: Grouped,
    at: int,
    far: dict[int, list[Link]],
    shown: set[int],
    indents: tuple[str, str],
    role: str,
) -> Iterator[str]:
    """A group and all below it; `indents` are of its own line and of those below."""
    nodes = grouped.groups[at].nodes
    key = nodes[0].key if len(nodes) == 1 else f"({names(nodes)})"
    # A master's key begins with what it is.
    what = "master" if nodes[0].kind == "master" and len(nodes) == 1 else title(nodes)
    parts = [f"{indents[0]}{what} {key}", said(nodes), "evidence" if role == EVIDENCE else ""]
    line = ", ".join(part for part in parts if part)
    if at in shown:
        yield f"{line} (see above)"
        return
    yield line
    if role == EVIDENCE:
        return  # what it is made from stands where it is an input, if anywhere
    shown.add(at)
    links = _in_order(grouped, far.get(at, ()))
    for n, link in enumerate(links):
        is_last = n == len(links) - 1
        corner = "└" if is_last else "├"
        dash = "╌ " if link.role == EVIDENCE else "─ "
        below = indents[1] + corner + dash, indents[1] + ("   " if is_last else "│  ")
        yield from _branch(grouped, link.far, far, shown, below, link.role)


def _in_order(grouped: Grouped, links: Collection[Link]) -> list[Link]:
    """Inputs before evidence, what is nearest first, raw frames before all else."""

    def place(link: Link) -> tuple[bool, int, bool, str, str]:
        of = grouped.groups[link.far]
        return link.role != INPUT, of.layer, of.first.kind != "raw", of.first.sort, of.first.key

    return sorted(links, key=place)
