"""Making stale products again, on request: nothing else ever does.

Stale is what was made by other code, with other settings, or from a choice that has a better one
by now. What is made from the new versions follows by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.flow.plan.downstream import PLANNED
from tesela.flow.plan.rules import STEPS
from tesela.ledger import events, products, status, tasks

Target = tuple[str, str]
"""(kind, key) of a product."""


def choose(
    conn: Connection, keys: Sequence[str] = (), steps: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the stale products (kind, key, version, why): all, or those named.

    Raises `NotFound` if a key or step has none that is stale.
    """
    stale = [row for row in status.stale(conn) if row["kind"] in PLANNED]
    for what, names, known in (
        ("key", keys, {row["key"] for row in stale}),
        ("step", steps, {STEPS[row["kind"]] for row in stale}),
    ):
        for name in names:
            if name not in known:
                raise NotFound(
                    f"{what} {name}",
                    found="nothing stale",
                    expected="something that `tesela status` lists as stale",
                )
    return [
        row
        for row in stale
        if (not keys or row["key"] in keys) and (not steps or STEPS[row["kind"]] in steps)
    ]


def consequences(conn: Connection, chosen: Sequence[dict[str, Any]]) -> list[Target]:
    """Return everything that will be made again: the chosen and what is made from them."""
    own = [(str(row["kind"]), str(row["key"])) for row in chosen]
    users = [pair for kind, key in own for pair in products.users(conn, kind, key)]
    return sorted({*own, *(pair for pair in users if pair[0] in PLANNED)})


def reprocess(conn: Connection, chosen: Sequence[dict[str, Any]], who: str) -> None:
    """Have the planner look at the chosen afresh."""
    for row in chosen:
        tasks.mark_dirty(conn, [(row["kind"], row["key"])], f"reprocess: {row['why']}", fresh=True)
        events.record(
            conn, "reprocess", kind=row["kind"], key=row["key"], detail=row["why"], who=who
        )
