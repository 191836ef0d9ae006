"""A ledger of tens of thousands of frames: nothing that is asked often reads a whole table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flow import toys
from postgres import is_wanted, new_database
from tesela.flow.plan import flags, reprocess, retry, subjects
from tesela.flow.plan.cost import cost
from tesela.flow.plan.downstream import PLANNED
from tesela.ledger import night, pauses, status, tallies
from tesela.ledger.engine import Ledger
from tesela.ledger.where import parse
from tesela.ledger.where_columns import ABOUT_TASKS

from . import big

pytestmark = pytest.mark.slow

SIZE = big.Size(nights=200, exposures=62, ccds=7)
N = 11
NIGHT = big.night(N)
LARGE = ("product", "frame", "edge", "task", "frame_tile", "quality", "attempt", "task_input")
ALIASES = ("p", "r", "c", "f", "g", "e", "ce", "t", "ft", "q", "a", "i")
"""Of these tables, wherever our statements shorten them."""

_PARTIAL = "ix_attempt_running|ix_task_ended_badly|ix_task_ready|ix_product_stale|ix_product_warned"
"""Indexes of few rows, which may be read as a whole."""
_READS_ALL = {
    "postgresql": re.compile(rf"Seq Scan on ({'|'.join(LARGE)})\b"),
    "sqlite": re.compile(
        rf"^SCAN ({'|'.join((*LARGE, *ALIASES))})\b(?! USING (COVERING )?INDEX ({_PARTIAL}))"
    ),
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Nothing here is changed for good."""
    file = tmp_path_factory.mktemp("big") / "ledger.sqlite"
    made = Ledger.open(new_database()) if is_wanted() else Ledger.create(file)
    with made.write() as conn:
        big.fill(conn, SIZE)
    tallies.refresh(made)
    yield made
    made.close()


@contextmanager
def watched(ledger: Ledger) -> Iterator[list[str]]:
    """Give the list of what is said against the statements that are executed meanwhile."""
    found: list[str] = []
    dialect = ledger.engine.dialect.name
    explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "

    def look(
        conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        asks = statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "INSERT", "DELETE"))
        if many or not asks or "pg_" in statement:
            return
        cursor = conn.connection.cursor()
        cursor.execute(explain + statement, parameters)
        plan = [str(row[-1]).strip() for row in cursor.fetchall()]
        cursor.close()
        found.extend(
            f"{line}: {' '.join(statement.split())[:300]}"
            for line in plan
            if _READS_ALL[dialect].search(line.removeprefix("->").strip())
        )

    sa.event.listen(ledger.engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        sa.event.remove(ledger.engine, "before_cursor_execute", look)


def reached(ledger: Ledger, names: set[str], out: set[str]) -> set[tuple[str, str]]:
    """By hand: every edge in memory, walked from the frames on, and what failed with any of it;
    without the images of frames that are `out`."""
    with ledger.read() as conn:
        rows = conn.execute(sa.text("SELECT id, kind, key, is_current FROM product")).all()
        edges = conn.execute(sa.text("SELECT source, product FROM edge WHERE role = 'input'")).all()
        failed = conn.execute(
            sa.text(
                "SELECT t.kind, t.key, i.source FROM task t JOIN task_input i ON i.task_id = t.id"
                " WHERE t.state IN ('dead', 'skipped')"
            )
        ).all()
    users: dict[int, list[int]] = {}
    for source, product in edges:
        users.setdefault(source, []).append(product)
    todo = [row.id for row in rows if row.kind == "raw" and row.key in names]
    seen = set(todo)
    while todo:
        new = [one for one in users.get(todo.pop(), ()) if one not in seen]
        seen.update(new)
        todo += new
    found = {(row.kind, row.key) for row in rows if row.id in seen and row.is_current}
    found |= {(row.kind, row.key) for row in failed if row.source in seen}
    return {
        (kind, key)
        for kind, key in found
        if kind in PLANNED and not (kind == "reduced" and key in out)
    }


def of_night() -> set[str]:
    first = N * SIZE.night
    return {big.frame(i) for i in range(first, first + SIZE.night)}


@pytest.mark.parametrize("k", [700, 703, 1501, 2002, 4950])
def test_one_frame_reaches_exactly_what_used_it(ledger: Ledger, k: int) -> None:
    name = big.science(SIZE, k)
    with watched(ledger) as complaints, ledger.rehearse() as conn:
        if k % 1000 == 3:
            found = flags.unflag(conn, toys.rules(), "raw", name, who="eva")
        else:
            found = flags.flag(conn, toys.rules(), "raw", name, reason="trail", who="eva")
    if k % 1000 != 3:
        assert set(found.targets) == reached(ledger, {name}, {name})
    assert complaints == []


def test_a_night_reaches_exactly_what_used_it(ledger: Ledger) -> None:
    with ledger.read() as conn:
        flagged = conn.execute(sa.text("SELECT key FROM verdict")).scalars().all()
    with watched(ledger) as complaints, ledger.rehearse() as conn:
        found = flags.flag(conn, toys.rules(), "night", NIGHT, reason="clouds", who="eva")
        back = flags.unflag(conn, toys.rules(), "night", NIGHT, who="eva")
    assert set(found.targets) == reached(ledger, of_night() - set(flagged), {*of_night(), *flagged})
    with ledger.read() as conn:
        work = cost(conn, back.due, {})
    assert {kind for kind, _ in found.targets} == {
        "master", "coadd", "catalogue", "dual", "zeropoints", "valueadded", "science",
    }  # fmt: skip
    assert set(back.due) >= {target for target in found.targets if target[0] != "master"}
    assert sum(one.tasks for one in work) == len(back.due)
    assert complaints == []


@pytest.mark.parametrize(
    "where",
    [
        f"night = {NIGHT} and fwhm_arcsec > 2.5",
        f"night = {NIGHT} and band = b106 and passed = yes",
        "tile = T10007 and band = b103",
        f"name ~ '{big.frame(7000)[:-2]}*'",
    ],
)
def test_a_condition_reaches_exactly_what_used_its_frames(ledger: Ledger, where: str) -> None:
    condition = subjects.condition("raw", where)
    with ledger.read() as conn:
        names = set(subjects.chosen.frames(conn, condition))
        flagged = set(conn.execute(sa.text("SELECT key FROM verdict")).scalars().all())
    assert names
    sound = names - flagged
    with ledger.rehearse() as conn:
        found = flags.flag(conn, toys.rules(), "raw", [], condition, reason="seeing", who="eva")
    with watched(ledger) as complaints, ledger.rehearse() as conn:
        # How the frames themselves are found depends on what is asked.
        named = flags.flag(conn, toys.rules(), "raw", sound, reason="seeing", who="eva")
    assert named.targets == found.targets
    assert set(found.targets) == reached(ledger, sound, names | flagged)
    assert complaints == []


def test_what_is_looked_at_often_reads_no_table(ledger: Ledger) -> None:
    with watched(ledger) as complaints, ledger.read() as conn:
        found = status.overview(conn)
        status.stale_groups(conn)
        pauses.paused_steps(conn)
        summary = night.summary(conn, NIGHT)
    assert found["products"]["raw"] == SIZE.frames
    assert found["nights"][-1]["night"] == big.night(SIZE.nights - 1)
    assert summary["science"]["flagged"] > 0
    assert complaints == []


def test_a_night_is_summed_up_as_it_was_made(ledger: Ledger) -> None:
    with ledger.read() as conn:
        found = night.summary(conn, NIGHT)
    first = N * (SIZE.exposures - big.CALIBRATIONS) * SIZE.ccds
    frames = range(first, first + (SIZE.exposures - big.CALIBRATIONS) * SIZE.ccds)

    def state(k: int) -> str:
        if k % 1000 == 3:
            return "flagged"
        if k % 100 == 1:
            return "skipped"
        if k % 1000 == 2:
            return "dead"
        return "rejected" if k % 50 == 0 else "passed"

    states = [state(k) for k in frames]
    assert found["science"] == {name: states.count(name) for name in set(states)}
    assert sum(row["frames"] for row in found["observed"]) == SIZE.night
    assert len(found["bands"]) == big.SLOTS
    assert {row["master_kind"]: row["n"] for row in found["masters"]} == {
        "BIAS": SIZE.ccds, "FLAT": SIZE.ccds * big.SLOTS,
    }  # fmt: skip
    made = states.count("passed") + states.count("rejected") + states.count("flagged")
    failed = {row["fault_class"]: row["n"] for row in found["work"]["failed"]}
    assert failed == {"quality": states.count("skipped"), "fault": states.count("dead")}
    assert found["work"]["attempts"] == len(frames) + SIZE.ccds * (1 + big.SLOTS)
    assert found["work"]["core_hours"] == pytest.approx(
        86.4 / 3600.0 * (len(frames) + SIZE.ccds * (1 + big.SLOTS))
    )
    assert made == sum(row["images"] for row in found["bands"])


def test_bulk_requests_look_up_what_they_concern(ledger: Ledger) -> None:
    condition = parse(f"night = {NIGHT}", ABOUT_TASKS)
    with watched(ledger) as complaints, ledger.rehearse() as conn:
        chosen = retry.choose(conn, [], ["dead", "skipped"], ["reduce"], condition)
        retry.retry(conn, chosen, "eva")
        assert reprocess.which((), ("coadd",)).count(conn) == {}
        noted = reprocess.which((), ("reduce",))
        n = reprocess.check(conn, noted, ("reduce",))
        reprocess.reprocess(conn, noted.parts(conn, 0, 100), "eva")
    assert len(chosen) > 0
    assert n > 20
    assert complaints == []


def test_the_counts_are_those_of_the_tables(ledger: Ledger) -> None:
    with ledger.read() as conn:
        kept, anew = tallies.read(conn), tallies.count(conn)
        assert not tallies.is_small(conn)
        assert not tallies.is_due(conn)
    assert kept is not None
    known = {(c.what, c.kind, c.state): (c.n, c.example) for c in kept.counts}
    cost_of = known.pop(("refresh", "", ""))
    assert cost_of[0] > 0
    assert known == {(c.what, c.kind, c.state): (c.n, c.example) for c in anew.counts}


def test_a_scan_would_be_noticed(ledger: Ledger, tmp_path: Path) -> None:
    with watched(ledger) as complaints, ledger.read() as conn:
        conn.execute(sa.text("SELECT COUNT(*) FROM product WHERE files_json <> '[]'")).all()
        conn.execute(sa.text("SELECT f.nx FROM frame f WHERE f.nx > 5000")).all()
    assert len(complaints) == 2
