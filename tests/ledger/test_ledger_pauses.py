"""What is paused is not claimed, and comes back whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from flow import toys
from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import planner
from tesela.ledger import events, pauses, schema
from tesela.ledger.engine import Ledger
from tesela.ledger.pauses import ALL, FLOOR

OPEN, SURVEY = {"sci1", "sci2", "sci3"}, {"sci4", "sci5"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Five reductions are ready: three of the project `open`, two of the survey's."""
    made, site = toys.new_site(tmp_path / "site"), tmp_path / "site"
    toys.add_frames(made, site, toys.calibration_night(), toys.rules())
    toys.controller(made, site).run()
    frames = [
        toys.facts(f"sci{n}", "science", project="open" if n < 4 else "survey") for n in range(1, 6)
    ]
    toys.add_frames(made, site, frames, toys.rules())
    planner.plan(made, toys.rules())
    return made


def claimable(ledger: Ledger) -> set[str]:
    """What those who claim would take, as they ask for it."""
    table, found = schema.task, set[str]()
    while True:
        with ledger.write() as conn:
            steps = pauses.paused_steps(conn)
            query = table.select().where(
                table.c.state == "ready", table.c.priority >= FLOOR, table.c.key.not_in(found)
            )
            rows = conn.execute(query.order_by(table.c.priority.desc()).limit(2)).mappings().all()
            rows = [row for row in rows if not pauses.is_paused(steps, row["step"])]
            if not rows:
                return found
            found |= {row["key"] for row in pauses.divert(conn, rows)}


def pause(ledger: Ledger, step: str = ALL, project: str = ALL) -> None:
    with ledger.write() as conn:
        pauses.pause(conn, step, project, reason="disk", who="eva")


def resume(ledger: Ledger, step: str = ALL, project: str = ALL) -> int:
    with ledger.write() as conn:
        pauses.resume(conn, step, project, who="eva")
    return pauses.release(ledger)


@pytest.mark.parametrize(
    ("step", "project", "left"),
    [
        (ALL, ALL, set()),
        ("reduce", ALL, set()),
        ("coadd", ALL, OPEN | SURVEY),
        (ALL, "open", SURVEY),
        ("reduce", "open", SURVEY),
        ("detrend", "open", OPEN | SURVEY),
        (ALL, "survey", OPEN),
    ],
)
def test_exactly_what_is_paused_is_not_claimed_and_comes_back(
    ledger: Ledger, step: str, project: str, left: set[str]
) -> None:
    before = tasks_of(ledger)
    pause(ledger, step, project)
    assert claimable(ledger) == left
    assert claimable(ledger) == left
    assert {key for key, _, _ in tasks_of(ledger)} == OPEN | SURVEY
    assert {state for _, state, _ in tasks_of(ledger)} == {"ready"}
    resume(ledger, step, project)
    assert tasks_of(ledger) == before
    assert claimable(ledger) == OPEN | SURVEY


def tasks_of(ledger: Ledger) -> list[tuple[str, str, int]]:
    with ledger.read() as conn:
        rows = conn.execute(
            sa.text("SELECT key, state, priority FROM task WHERE step = 'reduce' ORDER BY key")
        )
        return [tuple(row) for row in rows]


def test_what_another_pause_holds_is_not_released(ledger: Ledger) -> None:
    pause(ledger, ALL, "open")
    pause(ledger, "reduce", "survey")
    assert claimable(ledger) == set()
    with ledger.read() as conn:
        assert pauses.count_held(conn) == {"reduce": 5}
    assert resume(ledger, ALL, "open") == 3
    assert claimable(ledger) == OPEN
    assert resume(ledger, "reduce", "survey") == 2
    assert claimable(ledger) == OPEN | SURVEY


def test_a_release_in_parts_gives_back_everything(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_PART", 2)
    pause(ledger, ALL, "open")
    pause(ledger, ALL, "survey")
    assert claimable(ledger) == set()
    assert resume(ledger, ALL, "survey") == 2
    assert claimable(ledger) == SURVEY
    assert resume(ledger, ALL, "open") == 3


def test_what_is_paused_twice_or_not_at_all_says_so(ledger: Ledger) -> None:
    pause(ledger, "reduce")
    with pytest.raises(LedgerError, match="step reduce: paused already by eva: disk; resume it"):
        pause(ledger, "reduce")
    with pytest.raises(NotFound, match=r"everything: it is not paused; expected .*: step reduce;"):
        resume(ledger)
    with pytest.raises(LedgerError, match="expected reduce or detrend, or no step"):
        pause(ledger, "coadd", "open")
    with ledger.read() as conn:
        assert [(p.name, p.reason, p.who) for p in pauses.in_force(conn)] == [
            ("step reduce", "disk", "eva")
        ]
        (event,) = events.history(conn, "reduce.*")["events"]
    assert (event["what"], event["detail"], event["who"]) == ("paused", "disk", "eva")
