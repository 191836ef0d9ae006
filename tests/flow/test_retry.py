"""What was skipped or is dead is tried again when somebody asks for it, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.errors import NotFound
from tesela.flow.plan import flags, planner, retry
from tesela.ledger import events, status, tasks
from tesela.ledger.engine import Ledger
from tesela.ledger.where import parse
from tesela.ledger.where_columns import ABOUT_TASKS

from . import toys

FAULTS = {"sci1": "fault", "sci4": "quality"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def failed(site: Path) -> Ledger:
    """A site where sci1 is dead and sci4 skipped."""
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings={"faults": FAULTS}).run()
    return ledger


def again(ledger: Ledger, keys: list[str], states: list[str]) -> list[str]:
    with ledger.write() as conn:
        chosen = retry.choose(conn, keys, states)
        retry.retry(conn, chosen, "eva")
    return [row["key"] for row in chosen]


@pytest.mark.parametrize(
    ("keys", "states", "chosen"),
    [
        (["sci1"], [], ["sci1"]),
        (["sci4"], [], ["sci4"]),
        ([], ["dead"], ["sci1"]),
        ([], ["skipped"], ["sci4"]),
        (["sci4"], ["dead", "skipped"], ["sci4"]),
    ],
)
def test_exactly_what_was_asked_for_is_tried_again(
    failed: Ledger, site: Path, keys: list[str], states: list[str], chosen: list[str]
) -> None:
    assert toys.controller(failed, site).run().done == 0
    assert again(failed, keys, states) == chosen
    control = toys.controller(failed, site)
    control.run()
    made = {order.key for order in control.engine.orders if order.kind == "reduced"}
    assert made == set(chosen)
    assert all(("reduced", key) in toys.served(failed) for key in chosen)


def test_after_a_retry_the_archive_is_as_if_nothing_had_failed(
    failed: Ledger, site: Path, tmp_path: Path
) -> None:
    again(failed, [], ["dead", "skipped"])
    toys.controller(failed, site).run()
    whole = toys.new_site(tmp_path / "whole")
    toys.add_frames(whole, tmp_path / "whole", toys.small_night(), toys.rules())
    toys.controller(whole, tmp_path / "whole").run()
    assert toys.served(failed) == toys.served(whole)


def test_a_retry_that_fails_again_is_counted_from_the_start(failed: Ledger, site: Path) -> None:
    again(failed, ["sci1"], [])
    summary = toys.controller(failed, site, settings={"faults": FAULTS}).run()
    assert (summary.dead, summary.failed_attempts, summary.all_dead) == (1, 3, 1)


def test_who_asked_is_written_down(failed: Ledger) -> None:
    again(failed, ["sci1"], [])
    with failed.read() as conn:
        event = events.history(conn, "sci1")["events"][-1]
    assert (event["what"], event["who"]) == ("retry", "eva")
    assert event["detail"].startswith("it was dead: ZeroDivisionError")


def test_what_is_not_wanted_any_more_is_not_done(failed: Ledger, site: Path) -> None:
    again(failed, ["sci1"], [])
    with failed.write() as conn:
        flags.flag(conn, toys.rules(), "raw", "sci1", reason="trail", who="eva")
    control = toys.controller(failed, site)
    assert control.run().all_dead == 0
    assert "sci1" not in {order.key for order in control.engine.orders}


def test_what_did_not_fail_cannot_be_tried_again(failed: Ledger) -> None:
    for key, states in (("sci2", []), ("nothing", []), ("sci4", ["dead"])):
        with pytest.raises(NotFound, match=r"no (skipped or )?dead task"):
            again(failed, [key], states)
    with failed.read() as conn:
        assert len(status.ended_badly(conn)) == 2


@pytest.mark.parametrize(
    ("states", "steps", "where", "chosen"),
    [
        (["dead", "skipped"], ["coadd"], "", []),
        (["dead"], ["reduce"], "", ["sci1"]),
        (["dead", "skipped"], [], "reason ~ '*stars*'", ["sci4"]),
        (["dead", "skipped"], [], "night = 2017-07-03 and name = sci1", ["sci1"]),
        (["skipped"], [], "name = sci1", []),
        (["dead"], [], "attempts = 3 and band = r", ["sci1"]),
    ],
)
def test_in_bulk_by_step_and_condition(
    failed: Ledger, states: list[str], steps: list[str], where: str, chosen: list[str]
) -> None:
    condition = parse(where, ABOUT_TASKS) if where else None
    with failed.read() as conn:
        found = retry.choose(conn, [], states, steps, condition)
    assert [row["key"] for row in found] == chosen


def test_in_parts_it_is_the_same(
    failed: Ledger, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PART", 1)
    with failed.read() as conn:
        chosen = retry.choose(conn, [], ["dead", "skipped"])
    told: list[int] = []
    retry.retry_all(failed, chosen, "eva", told.append)
    assert told == [1, 2]
    control = toys.controller(failed, site)
    control.run()
    made = {order.key for order in control.engine.orders if order.kind == "reduced"}
    assert made == {"sci1", "sci4"}


def test_causes_are_told_together_whatever_their_keys_and_numbers(site: Path) -> None:
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    faults = {"sci1": "fault", **dict.fromkeys(("sci2", "sci3", "sci5"), "quality")}
    toys.controller(ledger, site, settings={"faults": faults}).run()
    with ledger.read() as conn:
        found = status.overview(conn)["causes"]
        dead, skipped = found
    assert (dead["state"], dead["n"], dead["example"]) == ("dead", 1, "sci1")
    assert (skipped["state"], skipped["n"], skipped["example"]) == ("skipped", 3, "sci2")
    assert skipped["reason"] == "sci2: 3 stars; expected 8; look at it"


def test_frames_whose_master_is_tried_again_wait_for_it(site: Path) -> None:
    flat = "FLAT.JAST80.toycam.01.r_R1.fast.20170703"
    ledger = toys.new_site(site)
    toys.add_frames(ledger, site, toys.small_night(), toys.rules())
    toys.controller(ledger, site, settings={"faults": {flat: "quality"}}).run()
    again(ledger, [flat], [])
    planner.plan(ledger, toys.rules())
    with ledger.read() as conn:
        row = tasks.waiting(conn, "reduced", "sci1")
    assert row is not None
    assert row["reason"] == f"FLAT being made: {flat}"
    assert toys.controller(ledger, site).run().done == 1 + 5 + 3 + 3 + 4 * 3
