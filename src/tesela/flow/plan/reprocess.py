"""Making products again, on request: nothing else ever does.

Stale is what was made by other code, with other settings, or from a choice that has a better one
by now; what is not stale is made again if somebody insists. What is made from the new versions
follows by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.flow.plan.downstream import PLANNED
from tesela.flow.plan.forecast import Ahead, speeds
from tesela.flow.plan.rules import STEPS
from tesela.ledger import events, products, tasks
from tesela.ledger.chosen import Products
from tesela.ledger.engine import Ledger
from tesela.ledger.parts import parts
from tesela.ledger.queries import judging
from tesela.ledger.stale import ASKED, Now
from tesela.ledger.where import Condition

Target = tuple[str, str]
"""(kind, key) of a product."""

PART = 5000
"""Products of one transaction."""

Told = Callable[[int], None]
"""Is told how many products were marked."""


def which(
    keys: Collection[str] = (),
    steps: Collection[str] = (),
    where: Condition | None = None,
    *,
    anyway: bool = False,
    now: Mapping[str, Now] | None = None,
) -> Products:
    """Say which products are meant: the stale ones, or with `anyway` all, that have one of the
    keys, are made by one of the steps and meet the condition, where these are given.

    `now` has the steps by kind where they are not as the ledger knows them.
    """
    for step in steps:
        if step not in STEPS.values():
            raise NotFound(
                f"step {step}", found="no such step", expected=f"one of {', '.join(STEPS.values())}"
            )
    kinds = tuple(kind for kind in PLANNED if not steps or STEPS[kind] in steps)
    return Products(kinds, tuple(dict.fromkeys(keys)), where, not anyway, now)


def choose(
    conn: Connection,
    keys: Sequence[str] = (),
    steps: Sequence[str] = (),
    where: Condition | None = None,
    *,
    anyway: bool = False,
) -> list[dict[str, Any]]:
    """Return the products that are meant (id, kind, key, version, why), see `which`.

    Raises `NotFound` if a key or step has none of them, or nothing meets the condition.
    """
    meant = which(keys, steps, where, anyway=anyway)
    check(conn, meant, steps)
    return meant.every(conn)


def check(conn: Connection, meant: Products, steps: Collection[str] = ()) -> int:
    """Return how many products are meant; raise `NotFound` for keys, steps or a condition of which
    there are none."""
    counts = meant.count(conn)
    made_by = {STEPS[kind] for kind in counts}
    known = {row["key"] for row in meant.every(conn)} if meant.keys else set()
    for key in meant.keys:
        if key not in known and not Products(tuple(STEPS), (key,)).count(conn):
            raise NotFound(
                f"key {key}",
                found="no such product is served",
                expected="the key of a product",
                do="check the key: `tesela why` knows frames and products by their names",
            )
    absent = [f"--where {meant.condition}"] if meant.condition and not counts else []
    absent += [f"step {step}" for step in steps if step not in made_by]
    absent += [f"key {key}" for key in meant.keys if key not in known]
    if absent:
        raise NotFound(
            absent[0],
            found="nothing stale" if meant.only_stale else "nothing served",
            expected="something that `tesela status` lists as stale; --anyway takes other products"
            if meant.only_stale
            else "something that is served",
        )
    return sum(counts.values())


def consequences(conn: Connection, chosen: Sequence[dict[str, Any]]) -> list[Target]:
    """Return everything that will be made again: the chosen and what is made from them."""
    by_kind: dict[str, list[str]] = {}
    for row in chosen:
        by_kind.setdefault(row["kind"], []).append(row["key"])
    due = {(kind, key) for kind, keys in by_kind.items() for key in keys}
    for kind, keys in by_kind.items():
        due.update(pair for pair in products.users(conn, kind, keys) if pair[0] in PLANNED)
    return sorted(due)


def expected(conn: Connection, meant: Products, declared: Mapping[str, float]) -> list[Ahead]:
    """Return the work that these and all that is made from them come to, by step."""
    reach = {row["kind"]: row for row in meant.reach(conn, PLANNED)}
    speed = speeds(conn, declared) if reach else {}
    found = []
    for kind, step in STEPS.items():
        if kind in reach:
            n, megapixels = int(reach[kind]["n"]), float(reach[kind]["megapixels"])
            seconds = megapixels * speed.get(step, declared.get(step, 1.0))
            found.append(Ahead(step, n, megapixels, seconds))
    return found


def reprocess(conn: Connection, chosen: Sequence[dict[str, Any]], who: str) -> None:
    """Have the planner look at the chosen afresh."""
    by_why: dict[str, list[Target]] = {}
    for row in chosen:
        by_why.setdefault(row["why"] or ASKED, []).append((row["kind"], row["key"]))
    for why, targets in by_why.items():
        tasks.mark_dirty(conn, targets, f"reprocess: {why}", fresh=True)
        events.record_each(conn, "reprocess", ((k, key, why) for k, key in targets), who=who)
    asked = [row["id"] for row in chosen if not row["why"]]
    for ids in parts(asked):
        conn.execute(judging.NOTE_ASKED, {"ids": ids, "asked": ASKED})


def reprocess_all(ledger: Ledger, meant: Products, who: str, told: Told | None = None) -> int:
    """Do it in transactions of `PART` products; returns how many there were.

    Interrupted, it may be done again: what is marked twice is looked at once.
    """
    done = last = 0
    while True:
        with ledger.write() as conn:
            chosen = meant.parts(conn, last, PART)
            reprocess(conn, chosen, who)
        if not chosen:
            return done
        done, last = done + len(chosen), chosen[-1]["id"]
        if told is not None:
            told(done)
