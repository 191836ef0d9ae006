"""What a version was made from, and with: all of it, no more, and never for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from flow import toys
from plans import read_whole
from tesela.errors import BadInput, NotFound
from tesela.flow.plan import flags
from tesela.ledger import lineage, masters, products, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.lineage import EVIDENCE, INPUT, Edge, Lineage
from tesela.ledger.queries import lineage as queries


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Two nights whose flats are compared with each other; a frame flagged after all was made, so
    that there are past and invalid versions. Look, but do not touch."""
    site = tmp_path_factory.mktemp("site")
    ledger, rules = toys.new_site(site), toys.rules()
    toys.add_frames(ledger, site, toys.small_night(), rules)
    toys.add_frames(ledger, site, toys.calibration_night("2017-07-04"), rules)
    toys.controller(ledger, site, rules).run()
    with ledger.write() as conn:
        flags.flag(conn, rules, "raw", "sci1", reason="trail", who="ana")
        flags.flag(conn, rules, "raw", "flat1-20170704", reason="cloud", who="ana")
    toys.controller(ledger, site, rules).run()
    yield ledger
    ledger.close()


def edges_of(ledger: Ledger) -> list[Edge]:
    with ledger.read() as conn:
        return [Edge(*row) for row in conn.execute(schema.edge.select())]


def closure(edges: list[Edge], root: int, forward: bool) -> tuple[set[int], set[Edge]]:
    """By looking through every edge again and again."""
    inside, found = {root}, set()
    while True:
        new = {
            e for e in edges
            if e not in found and (e.source if forward else e.product) in inside
        }  # fmt: skip
        if not new:
            return inside | {e.product if forward else e.source for e in found}, found
        found |= new
        inside |= {e.product if forward else e.source for e in new if e.role == INPUT}


def walk(ledger: Ledger, product_id: int, **options: object) -> Lineage:
    with ledger.read() as conn:
        return lineage.walk(conn, product_id, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("forward", [False, True])
def test_it_is_what_following_every_edge_finds_and_evidence_is_not_followed(
    toy: Ledger, forward: bool
) -> None:
    edges = edges_of(toy)
    assert {edge.role for edge in edges} == {INPUT, EVIDENCE}
    with toy.read() as conn:
        ids = list(conn.scalars(sa.select(schema.product.c.id)))
    for root in ids:
        nodes, expected = closure(edges, root, forward)
        found = walk(toy, root, forward=forward)
        assert set(found.nodes) == nodes
        assert set(found.edges) == expected
        assert len(found.edges) == len(expected)
        assert not found.cut


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_depth_bounds_it(toy: Ledger, forward: bool, depth: int) -> None:
    edges = edges_of(toy)
    with toy.read() as conn:
        ids = list(conn.scalars(sa.select(schema.product.c.id)))
    for root in ids:
        inside, reach = {root}, {root}
        for _ in range(depth):
            ahead = [e for e in edges if (e.source if forward else e.product) in inside]
            reach |= {e.product if forward else e.source for e in ahead}
            inside |= {e.product if forward else e.source for e in ahead if e.role == INPUT}
        assert set(walk(toy, root, forward=forward, depth=depth).nodes) == reach


def test_past_current_superseded_and_invalid_are_told_apart(toy: Ledger) -> None:
    with toy.read() as conn:
        start = lineage.find(conn, "sci2", forward=True)
        found = lineage.walk(conn, start.id, forward=True)
        flagged = lineage.find(conn, "flat1-20170704", forward=True)
        of_flagged = lineage.walk(conn, flagged.id, forward=True)
    status = {(n.kind, n.key, n.version): n.status for n in found.nodes.values()}
    assert status["coadd", "T10.r", 1] == "past"
    assert status["coadd", "T10.r", 2] == "current"
    assert "flagged: cloud" in of_flagged.start.notes
    assert {n.status for n in of_flagged.nodes.values() if n.kind == "master"} == {"invalid"}


def test_states_and_notes(ledger: Ledger) -> None:
    from tesela.ledger.keys import MasterKey

    key = MasterKey.parse("BIAS.t.c.01.-.fast.20170703")
    with ledger.write() as conn:
        raw = products.insert(conn, products.NewProduct("raw", "r", 1))
        conn.execute(
            schema.product.update().where(schema.product.c.id == raw).values(dropped_mjd=1.0)
        )
        made = []
        for version in (1, 2):
            new = products.NewProduct("master", str(key), version)
            made.append(products.insert(conn, new, [(raw, INPUT)]))
            masters.add(conn, made[-1], key, masters.Interval(1.0, 2.0), n_frames=1)
            masters.set_state(conn, made[-1], ("superseded", "certified")[version - 1], "")
        products.set_stale(conn, made[1], "other settings")
        found = lineage.walk(conn, raw, forward=True)
    assert [found.nodes[one].status for one in made] == ["superseded", "certified"]
    assert found.nodes[made[1]].notes == ("stale",)
    assert found.start.notes == ("file removed",)


def test_which_version_is_meant(toy: Ledger) -> None:
    with toy.read() as conn:
        assert lineage.find(conn, "sci2").kind == "reduced"
        assert lineage.find(conn, "sci2", forward=True).kind == "raw"
        assert lineage.find(conn, "sci2", kind="raw").kind == "raw"
        assert lineage.find(conn, "T10.r").kind == "coadd"
        assert lineage.find(conn, "T10.r").others == ("catalogue",)
        assert lineage.find(conn, "T10.r").version == 2
        assert lineage.find(conn, "T10.r", version=1).version == 1
        for key, options, said in (
            ("nobody", {}, "no product of that name"),
            ("sci2", {"kind": "coadd"}, "there is reduced, raw"),
            ("sci2", {"version": 9}, "expected one of 1"),
        ):
            with pytest.raises(NotFound, match=said):
                lineage.find(conn, key, **options)  # type: ignore[arg-type]


def test_a_retired_product_has_a_lineage_too(ledger: Ledger) -> None:
    with ledger.write() as conn:
        raw = products.insert(conn, products.NewProduct("raw", "r", 1))
        made = products.insert(conn, products.NewProduct("reduced", "r", 1), [(raw, INPUT)])
        products.retire(conn, made, "flagged")
        start = lineage.find(conn, "r")
        found = lineage.walk(conn, start.id)
    assert (start.id, found.start.status) == (made, "invalid")
    assert set(found.nodes) == {raw, made}


def test_a_depth_of_nothing_is_refused(toy: Ledger) -> None:
    with pytest.raises(BadInput, match="1 or more"):
        walk(toy, 1, depth=0)


@pytest.mark.parametrize("most", [1, 3, 7])
@pytest.mark.parametrize("depth", [None, 9])
def test_what_is_too_much_is_cut_and_said(toy: Ledger, most: int, depth: int | None) -> None:
    with toy.read() as conn:
        start = lineage.find(conn, "T10", kind="science")
        found = lineage.walk(conn, start.id, most=most, depth=depth)
    assert f"more than {most} versions" in found.cut
    assert start.id in found.nodes
    for edge in found.edges:
        assert edge.product in found.nodes
        assert edge.source in found.nodes
    inside = {start.id} | {edge.source for edge in found.edges}
    assert set(found.nodes) <= inside, "nothing hangs in the air"
    assert len(found.nodes) <= 2 * most


def many(ledger: Ledger, n: int) -> tuple[int, int]:
    """A bias whose master is in the calset of n reduced images, 30 a coadd; (bias, a coadd)."""
    base = {"version": 1, "state": "valid", "is_current": True, "made_mjd": 0.0}
    with ledger.write() as conn:
        bias = products.insert(conn, products.NewProduct("raw", "bias", 1))
        master = products.insert(
            conn, products.NewProduct("master", "BIAS.t.c.1.-.f.20170703", 1), [(bias, INPUT)]
        )
        calset = products.insert(conn, products.NewProduct("calset", "c", 1), [(master, INPUT)])
        rows, edges = [], []
        for k in range(n):
            raw, reduced, coadd = 10 + 2 * k, 11 + 2 * k, 10 + 2 * n + k // 30
            rows += [
                {**base, "id": raw, "kind": "raw", "key": f"f{k:06d}"},
                {**base, "id": reduced, "kind": "reduced", "key": f"f{k:06d}"},
            ]
            if k % 30 == 0:
                rows.append({**base, "id": coadd, "kind": "coadd", "key": f"T{k}.r"})
            edges += [(reduced, raw), (reduced, calset), (coadd, reduced)]
        conn.execute(schema.product.insert(), rows)
        conn.execute(
            schema.edge.insert(), [{"product": p, "source": s, "role": INPUT} for p, s in edges]
        )
    return bias, coadd


def test_tens_of_thousands_of_users_are_cut_at_once(ledger: Ledger) -> None:
    bias, coadd = many(ledger, 30_000)
    for options in ({}, {"depth": 5}):
        begin = time.perf_counter()
        found = walk(ledger, bias, forward=True, **options)
        took = time.perf_counter() - begin
        assert "more than 5000 versions" in found.cut
        assert len(found.nodes) == 5000
        assert took < 2.0
    near = walk(ledger, bias, forward=True, depth=2)
    assert [node.kind for node in near.nodes.values()] == ["calset", "master", "raw"]
    assert not near.cut
    begin = time.perf_counter()
    of_coadd = walk(ledger, coadd)
    assert time.perf_counter() - begin < 1.0
    assert not of_coadd.cut


def test_no_table_is_read_from_end_to_end(toy: Ledger) -> None:
    with toy.read() as conn:
        for query in (
            queries.MADE_FROM, queries.MADE_WITH, queries.MADE_FROM_NEAR, queries.MADE_WITH_NEAR,
            queries.VERSIONS_OF_KEY,
        ):  # fmt: skip
            values = {"id": 1, "most": 10, "depth": 3, "key": "x"}
            used = {name: values[name] for name in values if f":{name}" in query.text}
            assert read_whole(conn, query, used) == set()
        for query in (queries.EDGES_FROM, queries.EDGES_TO, queries.VERSIONS):
            literal = sa.text(query.text.replace(":ids", "(1, 2, 3)").replace(":most", "10"))
            assert read_whole(conn, literal, {}) == set()


def test_programs_get_nodes_and_edges(toy: Ledger, tmp_path: Path) -> None:
    import json

    with toy.read() as conn:
        found = lineage.walk(conn, lineage.find(conn, "T10.r").id)
    plain = json.loads(json.dumps(found.plain()))
    assert plain["root"] == found.root
    ids = {node["id"] for node in plain["nodes"]}
    assert len(ids) == len(found.nodes)
    assert {(e["product"], e["source"], e["role"]) for e in plain["edges"]} == {
        (e.product, e.source, e.role) for e in found.edges
    }
    assert {"kind", "key", "version", "status", "notes"} <= set(plain["nodes"][0])
