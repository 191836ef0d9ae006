"""What is stale is made again when somebody asks for it, with all that follows, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import NotFound
from tesela.flow.plan import planner, reprocess, retry
from tesela.flow.run.registration import register_steps
from tesela.ledger import events, products, schema, status, steps, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.where import parse
from tesela.ledger.where_columns import ABOUT_PRODUCTS

from . import toys

OF_TILES = ("coadd", "catalog", "dual", "calibrate", "valueadded", "load")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def made(site: Path) -> Ledger:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site).run()
    return ledger


def newer_code(ledger: Ledger) -> None:
    with ledger.write() as conn:
        register_steps(conn, toys.registry(code_version="2"))


def other_settings(ledger: Ledger, name: str) -> None:
    """The step of one kind has other settings now."""
    spec = toys.registry()[name]
    row = steps.StepRow(spec.name, spec.kind, spec.code_version, "other", 1, 1.0, 1.0)
    with ledger.write() as conn:
        steps.register(conn, [row])


def ask(ledger: Ledger, *keys: str, step: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    with ledger.write() as conn:
        chosen = reprocess.choose(conn, keys, step)
        targets = reprocess.consequences(conn, chosen)
        reprocess.reprocess(conn, chosen, "eva")
    return set(targets)


def ran(ledger: Ledger, site: Path, code_version: str = "1") -> set[tuple[str, str]]:
    control = toys.controller(ledger, site, code_version=code_version)
    control.run()
    return {(order.kind, order.key) for order in control.engine.orders}


def test_other_code_makes_nothing_by_itself_and_all_on_request(made: Ledger, site: Path) -> None:
    assert ran(made, site, "2") == set()
    everything = ask(made)
    assert ran(made, site, "2") == everything
    with made.read() as conn:
        assert status.stale(conn) == []
    assert ran(made, site, "2") == set()


def test_one_tile_is_remade_with_what_follows_from_it(made: Ledger, site: Path) -> None:
    newer_code(made)
    assert ask(made, "T20.r") == toys.of_tiles(20)
    assert ran(made, site, "2") == toys.of_tiles(20)


def test_one_step_is_remade_with_what_follows_from_it(made: Ledger) -> None:
    other_settings(made, "dual")
    targets = ask(made, step=("dual",))
    assert {kind for kind, _ in targets} == {"dual", "valueadded", "science"}
    report = planner.plan(made, toys.rules())
    assert {step for step, _, _ in report.tasks} == {"dual"}
    with made.read() as conn:
        history = events.history(conn, "T10")["events"]
    assert [(e["what"], e["who"]) for e in history if e["what"] == "reprocess"] == [
        ("reprocess", "eva")
    ]


@pytest.mark.parametrize("where", ["band = r and name in (sci4, sci5)", "key ~ 'sci[45]' "])
def test_a_condition_chooses_among_what_is_stale(made: Ledger, site: Path, where: str) -> None:
    newer_code(made)
    condition = parse(where, ABOUT_PRODUCTS)
    if "[" in where:  # a pattern has * and ? alone
        with made.read() as conn, pytest.raises(NotFound, match=r"--where key ~ .*nothing stale"):
            reprocess.choose(conn, (), ("reduce",), condition)
        return
    with made.read() as conn:
        meant = reprocess.which((), ("reduce",), condition)
        work = {one.step: one.tasks for one in reprocess.expected(conn, meant, {})}
    # Of the tiles of these two frames everything is made again.
    assert work == {"reduce": 2, **dict.fromkeys(OF_TILES, 1)}
    assert reprocess.reprocess_all(made, meant, "eva") == 2
    assert ran(made, site, "2") == toys.of_tiles(20) | {("reduced", "sci4"), ("reduced", "sci5")}


def test_in_parts_it_is_the_same(made: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reprocess, "PART", 2)
    newer_code(made)
    meant = reprocess.which((), ("reduce", "coadd"))
    told: list[int] = []
    assert reprocess.reprocess_all(made, meant, "eva", told.append) == 8
    assert told == [2, 4, 6, 8]
    with made.read() as conn:
        due = {(row.kind, row.key) for row in conn.execute(schema.dirty.select()) if row.fresh}
    assert due == {("reduced", f"sci{n}") for n in range(1, 6)} | {
        ("coadd", f"T{n}.r") for n in (10, 11, 20)
    }


def test_what_is_not_stale_is_made_again_only_if_somebody_insists(made: Ledger, site: Path) -> None:
    before = versions(made)
    with made.write() as conn:
        with pytest.raises(NotFound, match=r"nothing stale; .*--anyway takes other"):
            reprocess.choose(conn, ["sci4"])
        chosen = reprocess.choose(conn, ["sci4"], anyway=True)
        reprocess.reprocess(conn, chosen, "eva")
    with made.read() as conn:
        assert [row["why"] for row in status.stale(conn)] == ["asked to be made again"]
    expected = toys.of_tiles(20) | {("reduced", "sci4")}
    assert ran(made, site) == expected
    changed = {key for key, version in versions(made).items() if before[key] != version}
    assert changed == expected
    with made.read() as conn:
        assert status.stale(conn) == []
    assert ran(made, site) == set()


def versions(ledger: Ledger) -> dict[tuple[str, str], int]:
    table = schema.product
    with ledger.read() as conn:
        rows = conn.execute(table.select().where(table.c.is_current, table.c.kind != "calset"))
        return {(row.kind, row.key): row.version for row in rows}


def test_what_waits_is_not_called_stale(made: Ledger) -> None:
    newer_code(made)
    with made.write() as conn:
        due = tasks.Due("reduced", "sci4", "a test", False)
        tasks.set_waiting(conn, due, "a flat", pending=False)
        stale = {row["key"] for row in status.stale(conn) if row["kind"] == "reduced"}
        (group,) = [g for g in status.stale_groups(conn) if g["kind"] == "reduced"]
    assert stale == {"sci1", "sci2", "sci3", "sci5"}
    assert group["n"] == 4


def test_what_is_stale_twice_is_counted_once(made: Ledger) -> None:
    newer_code(made)
    table = schema.product
    with made.write() as conn:
        conn.execute(table.update().where(table.c.key == "sci4").values(stale="a better flat"))
        groups = status.stale_groups(conn)
    found = {(g["why"], g["n"]) for g in groups if g["kind"] == "reduced"}
    assert found == {("made by code 1, now 2", 4), ("a better flat", 1)}


def test_looking_again_without_the_request_changes_nothing(made: Ledger) -> None:
    newer_code(made)
    with made.write() as conn:
        tasks.mark_dirty(conn, [("dual", "T10")], "a look")
    assert planner.plan(made, toys.rules()).tasks == []


@pytest.mark.parametrize(("keys", "step"), [(("T99.r",), ()), ((), ("dual",)), (("T10",), ())])
def test_what_is_not_stale_is_refused(
    made: Ledger, keys: tuple[str, ...], step: tuple[str, ...]
) -> None:
    other_settings(made, "coadd")
    said = "no such product is served" if keys == ("T99.r",) else "nothing stale"
    with pytest.raises(NotFound, match=said):
        ask(made, *keys, step=step)


def test_a_dual_catalogue_that_failed_is_not_joined_with_newer_ones(
    made: Ledger, site: Path
) -> None:
    toys.add_frames(made, site, [toys.facts("sci9", "science", ra=20.3)], toys.rules())
    toys.controller(made, site, settings={"faults": {"T20": "fault"}}).run()
    with made.write() as conn:
        tasks.mark_dirty(conn, [("science", "T20")], "zero points made")
    planner.plan(made, toys.rules())
    with made.read() as conn:
        waits = tasks.waiting(conn, "science", "T20")
        science = products.current(conn, "science", "T20")
    assert waits is not None
    assert "made from its present coadds" in waits["reason"]
    assert science is not None
    assert science["version"] == 1


def test_what_was_asked_for_and_failed_can_be_retried(made: Ledger, site: Path) -> None:
    """Its inputs are those of the version that is served: the wish alone makes it due."""
    with made.write() as conn:
        again = reprocess.choose(conn, ["sci1"], anyway=True)
        reprocess.reprocess(conn, again, "somebody")
    bad = toys.controller(made, site, settings={"faults": {"sci1": "fault"}})
    assert bad.run().dead == 1
    with made.write() as conn:
        tasks.mark_dirty(conn, [("reduced", "sci1")], "a look that changes nothing")
    planner.plan(made, toys.rules())
    with made.write() as conn:
        retry.retry(conn, retry.choose(conn, ["sci1"], ()), "somebody")
    assert toys.controller(made, site).run().dead == 0
    with made.read() as conn:
        assert products.current(conn, "reduced", "sci1")["version"] == 2
