"""What is stale is made again when somebody asks for it, with all that follows, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import NotFound
from tesela.flow.plan import planner, reprocess
from tesela.flow.run.controller import register_steps
from tesela.ledger import events, products, status, steps, tasks
from tesela.ledger.engine import Ledger

from . import toys


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
    with pytest.raises(NotFound, match="nothing stale"):
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
