"""Siblings taken together, and the tree."""

from __future__ import annotations

import random
import re

import pytest

from tesela.ledger import lineage_groups
from tesela.ledger.lineage import EVIDENCE, INPUT, Edge, Lineage, Node

MASTER = "{}.JAST80.t80cam.01.{}.fast.{}"


def coadd_of(frames: int = 30, nights: int = 3) -> Lineage:
    """A coadd; each night has a bias of 25 frames and a flat of 10, each compared with the one
    before; the illumination was built from twelve detrended images."""
    nodes: dict[int, Node] = {}
    edges: list[Edge] = []

    def add(kind: str, key: str, sources: list[int], evidence: list[int], **more: object) -> int:
        one = len(nodes) + 1
        status = "certified" if kind == "master" else "current"
        nodes[one] = Node(one, kind, key, 1, str(more.get("status", status)))
        edges.extend(Edge(one, s, INPUT) for s in sources)
        edges.extend(Edge(one, s, EVIDENCE) for s in evidence)
        return one

    stars = add("refcat", "stars", [], [])
    bias: list[int] = []
    flat: list[int] = []
    reduced: list[int] = []
    images = [add("detrended", f"d{k:02d}", [], []) for k in range(12)]
    light = add("master", MASTER.format("ILLUMINATION", "r_R1", "20170601"), [], images)
    for n in range(nights):
        raws = [add("raw", f"bias{n}-{k:02d}", [], []) for k in range(25)]
        key = MASTER.format("BIAS", "-", f"2017070{n + 1}")
        bias.append(add("master", key, raws, bias[-1:]))
        only_bias = add("calset", f"JAST80.t80cam.01.r_R1.fast.flat.{n:016x}", bias[-1:], [])
        raws = [add("raw", f"flat{n}-{k:02d}", [], []) for k in range(10)]
        key = MASTER.format("FLAT", "r_R1", f"2017070{n + 1}")
        flat.append(add("master", key, [*raws, only_bias], flat[-1:]))
        both = [bias[-1], flat[-1], light]
        calset = add("calset", f"JAST80.t80cam.01.r_R1.fast.reduced.{n:016x}", both, [])
        for k in range(n, frames, nights):
            raw = add("raw", f"sci{k:02d}", [], [])
            reduced.append(add("reduced", f"sci{k:02d}", [raw, calset, stars], []))
    coadd = add("coadd", "T1.r", reduced, [])
    return Lineage(coadd, False, nodes, tuple(edges))


def any_lineage(seed: int, forward: bool) -> Lineage:
    """Random, all of it reached from its root."""
    rng = random.Random(seed)
    kinds = ["raw", "master", "reduced", "coadd", "calset"]
    n = rng.randrange(2, 60)
    nodes = {
        k: Node(k, rng.choice(kinds), f"k{k}.x", k, rng.choice(["current", "past"]))
        for k in range(n)
    }
    edges = []
    for k in range(1, n):
        for other in {rng.randrange(k) for _ in range(rng.randrange(1, 4))}:
            near, far = (other, k) if forward else (n - 1 - other, n - 1 - k)
            if nodes[near].kind == nodes[far].kind == "calset":
                continue  # a set is of masters
            role = INPUT if rng.random() < 0.8 else EVIDENCE
            edges.append(Edge(far, near, role) if forward else Edge(near, far, role))
    # As the ledger gives it: nothing that is only evidence is followed.
    root = 0 if forward else n - 1
    walked, reached = {root}, {root}
    for k in sorted(nodes, reverse=not forward):
        for edge in edges:
            near, far = (edge.source, edge.product)[:: 1 if forward else -1]
            if near == k and k in walked:
                reached.add(far)
                walked |= {far} if edge.role == INPUT else set()
    kept = [e for e in edges if (e.source if forward else e.product) in walked]
    return Lineage(root, forward, {k: nodes[k] for k in reached}, tuple(kept))


@pytest.mark.parametrize("least", [0, 2, 4])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_groups_part_the_lineage_and_keep_its_lines(
    seed: int, forward: bool, whole: bool, least: int
) -> None:
    found = any_lineage(seed, forward)
    grouped = lineage_groups.group(found, least, whole=whole)
    members = [node.id for group in grouped.groups for node in group.nodes]
    assert sorted(members) == sorted(found.nodes)
    of = {node.id: group for group in grouped.groups for node in group.nodes}
    assert grouped.groups[0].nodes == (found.start,)
    for group in grouped.groups:
        assert len({(node.sort, node.status) for node in group.nodes}) == 1
        assert len(group.nodes) == 1 or len(group.nodes) >= max(least, 2)
        assert least or len(group.nodes) == 1
    expected = set()
    for edge in found.edges:
        near, far = (edge.source, edge.product)[:: 1 if forward else -1]
        if of[near].id != of[far].id:
            expected.add((of[near].id, of[far].id, edge.role))
        if edge.role == INPUT:
            assert of[near].layer < of[far].layer, "inputs lead away from the start"
    assert {(link.near, link.far, link.role) for link in grouped.links} == expected
    assert len(grouped.links) == len(expected)


def test_siblings_have_the_same_users() -> None:
    grouped = lineage_groups.group(coadd_of(), 4)
    titles = sorted(lineage_groups.title(group.nodes) for group in grouped.groups)
    assert titles.count("25 raw frames") == 3
    assert titles.count("10 raw frames") == 3
    assert titles.count("30 raw frames") == 1
    assert "30 reduced images" in titles
    assert "12 detrended images" in titles
    assert "reference catalogue" in titles


def test_the_picture_of_a_coadd_has_few_boxes_and_no_sets() -> None:
    found = coadd_of()
    grouped = lineage_groups.fitted(found)
    assert len(grouped.groups) <= 24
    assert not any(group.first.kind == "calset" for group in grouped.groups)
    reduced = next(g for g in grouped.groups if g.first.kind == "reduced")
    below = {
        grouped.groups[link.far].first.sort for link in grouped.links if link.near == reduced.id
    }
    assert below == {"raw", "refcat", "master BIAS", "master FLAT", "master ILLUMINATION"}


@pytest.mark.parametrize("seed", range(6))
def test_opening_sets_keeps_who_leads_to_whom(seed: int) -> None:
    def reached(of: Lineage) -> set[tuple[int, int]]:
        pairs = {(edge.product, edge.source) for edge in of.edges}
        while True:
            more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
            if not more:
                return pairs
            pairs |= more

    found = any_lineage(seed, forward=False)
    opened = lineage_groups.opened(found)
    stay = set(opened.nodes)
    assert {one.id for one in found.nodes.values() if one.kind != "calset"} <= stay
    expected = {(a, b) for a, b in reached(found) if a in stay and b in stay}
    assert reached(opened) == expected


def test_a_picture_has_few_boxes_however_much_there_is() -> None:
    """A thousand coadds, no two of the same frames."""
    rng = random.Random(3)
    nodes = {0: Node(0, "raw", "bias", 1, "current")}
    edges = []
    for k in range(1, 1000):
        nodes[k] = Node(k, "reduced", f"f{k}", 1, "current")
        edges.append(Edge(k, 0, INPUT))
    for k in range(1000, 2000):
        nodes[k] = Node(k, "coadd", f"T{k}.r", 1, rng.choice(["current", "past"]))
        edges += [Edge(k, source, INPUT) for source in rng.sample(range(1, 1000), 5)]
    found = Lineage(0, True, nodes, tuple(edges))
    assert len(lineage_groups.fitted(found).groups) <= 24
    lines = list(lineage_groups.tree(found))
    assert len(lines) < 50
    assert any("999 reduced images" in line for line in lines)


def test_the_tree_of_a_coadd() -> None:
    lines = list(lineage_groups.tree(coadd_of()))
    assert lines[0] == "coadd T1.r, version 1, current"
    assert lines[1] == "└─ 30 reduced images (sci00 … sci29), current"
    assert lines[2] == "   ├─ 30 raw frames (sci00 … sci29)"
    flat, bias = (MASTER.format(*of, "20170701") for of in (("FLAT", "r_R1"), ("BIAS", "-")))
    assert f"   │  ├─ master {flat}, version 1, certified" in lines
    assert sum(f"master {bias}, version 1, certified (see above)" in line for line in lines) == 1
    compared = [line for line in lines if line.endswith("evidence") or "evidence (see" in line]
    assert compared
    assert all("╌ " in line for line in compared)
    text = "\n".join(lines)
    assert "12 detrended images (d00 … d11), current, evidence" in text
    assert text.count("25 raw frames") == 3, "each product once"
    assert "stars, version 1, current" in text


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_tree_tells_each_product_once_and_refers_to_it_then(
    seed: int, forward: bool, every: bool
) -> None:
    found = any_lineage(seed, forward)
    lines = list(lineage_groups.tree(found, every=every))
    firsts = [re.sub(r"^[│├└─╌ ]+", "", line) for line in lines if "(see above)" not in line]
    as_inputs = [line for line in firsts if not line.endswith("evidence")]
    assert len(as_inputs) == len(set(as_inputs))
    again = [re.sub(r"^[│├└─╌ ]+", "", line) for line in lines if "(see above)" in line]
    told = {line.removesuffix(", evidence") for line in firsts}
    for line in again:
        assert line.removesuffix(" (see above)").removesuffix(", evidence") in told
    if every:
        for node in found.nodes.values():
            word = f"{node.key}, version {node.version}," if node.status != "current" else node.key
            assert any(word in line for line in lines)


def test_all_lists_all() -> None:
    lines = list(lineage_groups.tree(coadd_of(), every=True))
    for k in range(30):
        assert sum(f"raw frame sci{k:02d}" in line for line in lines) == 1


def test_a_cut_is_said_last() -> None:
    nodes = {1: Node(1, "raw", "a", 1, "current")}
    (line, said) = lineage_groups.tree(Lineage(1, True, nodes, (), "too much"))
    assert (line, said) == ("raw frame a", "cut: too much")


def test_notes_are_counted() -> None:
    nodes = [
        Node(k, "raw", f"r{k}", 1, "current", ("flagged: trail",) if k < 2 else ())
        for k in range(5)
    ]
    assert lineage_groups.said(nodes) == "2 flagged: trail"
    assert lineage_groups.said(nodes[:2]) == "flagged: trail"
    assert lineage_groups.said(nodes[2:]) == ""


def test_names_are_short_where_the_kind_says_the_rest() -> None:
    flat = Node(1, "master", MASTER.format("FLAT", "r_R1", "20170703"), 1, "certified")
    assert lineage_groups.name(flat) == "2017-07-03 CCD 01 r_R1"
    assert lineage_groups.title([flat]) == "FLAT master"
    odd = Node(1, "master", "odd", 1, "certified")
    assert lineage_groups.name(odd) == "odd"
    calset = Node(1, "calset", "JAST80.t80cam.01.r_R1.fast.reduced.0123456789abcdef", 1, "current")
    assert lineage_groups.name(calset) == "01.r_R1 reduced 012345"
