"""What a version was made from, and what was made with it, through all versions.

Inputs are walked. Evidence (the master that one was compared with, the images that one was built
from) is shown where it is met and not walked: each master would lead to the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import BadInput, NotFound
from tesela.ledger.queries import lineage as queries

MOST: Final = 5000
"""Versions of one lineage."""
INPUT, EVIDENCE = "input", "evidence"
_DERIVED: Final = (
    "release", "science", "valueadded", "dual", "zeropoints", "coadd", "catalogue", "reduced",
    "detrended", "quicklook", "master", "calset", "refcat", "raw",
)  # fmt: skip
"""Kinds, the most derived first: of several that carry a key, the one whose lineage is meant."""


@dataclass(frozen=True)
class Node:
    """One version."""

    id: int
    kind: str
    key: str
    version: int
    status: str
    """current, past, or of a master its state; invalid whatever else it is."""
    notes: tuple[str, ...] = ()
    """stale, flagged, removed."""

    @property
    def sort(self) -> str:
        """Its kind, of a master with that of the master: `master BIAS`."""
        return f"{self.kind} {self.key.partition('.')[0]}" if self.kind == "master" else self.kind


@dataclass(frozen=True)
class Edge:
    """`product` was made from `source`."""

    product: int
    source: int
    role: str


@dataclass(frozen=True)
class Lineage:
    """A version and all that belongs to its lineage."""

    root: int
    forward: bool
    nodes: dict[int, Node]
    edges: tuple[Edge, ...]
    cut: str = ""
    """Why this is not all of it; '' if it is."""

    @property
    def start(self) -> Node:
        """The version whose lineage it is."""
        return self.nodes[self.root]

    def plain(self) -> dict[str, Any]:
        """Nodes and edges for programs."""
        return {
            "root": self.root,
            "forward": self.forward,
            "cut": self.cut,
            "nodes": [
                {
                    "id": node.id, "kind": node.kind, "key": node.key, "version": node.version,
                    "status": node.status, "notes": list(node.notes),
                }
                for node in self.nodes.values()
            ],
            "edges": [
                {"product": edge.product, "source": edge.source, "role": edge.role}
                for edge in self.edges
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class Start:
    """The version that a key means."""

    id: int
    kind: str
    version: int
    others: tuple[str, ...]
    """Other kinds that carry the key."""


def find(
    conn: Connection, key: str, *, kind: str = "", version: int | None = None, forward: bool = False
) -> Start:
    """Return the version that is meant: of the most derived kind, or forward of the least; the
    current one, or the last.

    Raises `NotFound` if there is none.
    """
    rows = conn.execute(queries.VERSIONS_OF_KEY, {"key": key}).mappings().all()
    kinds = sorted({row["kind"] for row in rows}, key=_rank, reverse=forward)
    if kind and kind not in kinds:
        raise NotFound(
            f"{kind} {key}",
            found=f"none; of that name there is {', '.join(kinds)}" if kinds else "none",
            do="see `tesela status` for what there is",
        )
    if not kinds:
        raise NotFound(
            key,
            found="no product of that name",
            expected="a frame, a master's key, a tile, <tile>.<band> or a release",
            do="see `tesela status`",
        )
    chosen = kind or kinds[0]
    of_kind = [row for row in rows if row["kind"] == chosen]
    if version is not None:
        found = next((row for row in of_kind if row["version"] == version), None)
        if found is None:
            known = ", ".join(str(row["version"]) for row in reversed(of_kind))
            raise NotFound(
                f"{chosen} {key}", found=f"no version {version}", expected=f"one of {known}"
            )
    else:
        found = next((row for row in of_kind if row["is_current"]), of_kind[0])
    others = tuple(one for one in kinds if one != chosen)
    return Start(found["id"], chosen, found["version"], others)


def _rank(kind: str) -> int:
    return _DERIVED.index(kind) if kind in _DERIVED else len(_DERIVED)


def walk(
    conn: Connection,
    product_id: int,
    *,
    forward: bool = False,
    depth: int | None = None,
    most: int = MOST,
) -> Lineage:
    """Return what a version was made from, or with `forward` what was made with it.

    Parameters
    ----------
    depth : int, optional
        Only so many steps away.
    most : int
        Versions at most, the nearest; the lineage then says that it was cut.
    """
    if depth is not None and depth < 1:
        raise BadInput("depth", found=str(depth), expected="1 or more")
    steps = _walked(conn, product_id, forward, depth, most + 1)
    is_cut = len(steps) > most
    ids = list(steps)[:most]
    # What is beyond the depth is not shown, evidence neither.
    walked = [one for one in ids if depth is None or steps[one] < depth]
    found = _edges(conn, walked, forward, 4 * most)
    edges, inside = [], set(ids)
    beyond: set[int] = set()
    for edge in found:
        ahead = edge.product if forward else edge.source
        if ahead not in inside:
            if edge.role == INPUT:
                continue  # further than was asked for
            if len(beyond) >= most and ahead not in beyond:
                is_cut = True
                continue
            beyond.add(ahead)
        edges.append(edge)
    nodes = _nodes(conn, [*ids, *sorted(beyond)])
    is_cut = is_cut or len(found) >= 4 * most
    return Lineage(product_id, forward, nodes, tuple(edges), _said(most, forward) if is_cut else "")


def _said(most: int, forward: bool) -> str:
    of = "was made with it" if forward else "it was made from"
    return (
        f"more than {most} versions belong to what {of}: only the nearest are here;"
        " --depth 1 shows one step"
    )


def _walked(
    conn: Connection, product_id: int, forward: bool, depth: int | None, most: int
) -> dict[int, int]:
    """Ids, the nearest first, and if a depth is given how many steps away they are."""
    values: dict[str, Any] = {"id": product_id, "most": most}
    if depth is None:
        query = queries.MADE_WITH if forward else queries.MADE_FROM
    else:
        query = queries.MADE_WITH_NEAR if forward else queries.MADE_FROM_NEAR
        values["depth"] = depth
    return {int(row.id): int(row.steps) for row in conn.execute(query, values)}


def _edges(conn: Connection, ids: Sequence[int], forward: bool, most: int) -> list[Edge]:
    query = queries.EDGES_TO if forward else queries.EDGES_FROM
    rows = conn.execute(query, {"ids": list(ids), "most": most})
    return [Edge(int(row.product), int(row.source), str(row.role)) for row in rows]


def _nodes(conn: Connection, ids: Iterable[int]) -> dict[int, Node]:
    rows = conn.execute(queries.VERSIONS, {"ids": list(ids)}).mappings()
    return {
        int(row["id"]): Node(
            int(row["id"]), row["kind"], row["key"], int(row["version"]), _status(row), _notes(row)
        )
        for row in rows
    }


def _status(row: Any) -> str:
    if row["state"] != "valid":
        return str(row["state"])
    if row["master_state"]:
        return str(row["master_state"])
    return "current" if row["is_current"] else "past"


def _notes(row: Any) -> tuple[str, ...]:
    said = []
    if row["stale"]:
        said.append("stale")
    if row["flagged"]:
        said.append(f"flagged: {row['flagged']}")
    if row["dropped_mjd"] is not None:
        said.append("file removed")
    return tuple(said)
