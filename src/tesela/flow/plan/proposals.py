"""Masters that wait for a judgement: certified or rejected by a person, with what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.flow.plan import downstream, planner
from tesela.flow.plan.rules import Rules
from tesela.ledger import events, masters, products, schema, tasks
from tesela.ledger.keys import MasterKey


def certify(conn: Connection, rules: Rules, name: str, *, who: str) -> None:
    """Let a proposed (or rejected) master be used, from its beginning to its end."""
    row = _current(conn, name, ("proposed", "rejected"))
    key = MasterKey.parse(name)
    masters.certify(conn, row["id"], natural_end=rules.validity(key).end)
    events.record(conn, "certified by a person", kind="master", key=name, who=who)
    downstream.master_certified(conn, rules, key)


def reject(conn: Connection, name: str, *, reason: str, who: str) -> None:
    """Turn a proposal down; a certified master is not rejected but flagged."""
    row = _current(conn, name, ("proposed",))
    masters.set_state(conn, row["id"], "rejected", reason)
    events.record(conn, "rejected by a person", kind="master", key=name, detail=reason, who=who)
    family = str(MasterKey.parse(name).configuration.detector)
    tasks.wake_family(conn, family, f"master {name} rejected", pending_only=False)


def consequences(
    conn: Connection, rules: Rules, change: Callable[[Connection], None]
) -> planner.Report:
    """Make a change and plan what it alone makes due, in a transaction that is not kept."""
    conn.execute(schema.dirty.delete())  # what was to be looked at before is not its doing
    change(conn)
    report = planner.Report()
    while planner.plan_batch(conn, rules, report, now=float("inf")):
        pass
    return report


def _current(conn: Connection, name: str, states: tuple[str, ...]) -> dict[str, Any]:
    MasterKey.parse(name)
    row = products.current(conn, "master", name)
    if row is None:
        raise NotFound(
            name, found="no current master of that key", do="see `tesela masters list` for the keys"
        )
    state = masters.get(conn, row["id"])["state"]
    if state not in states:
        hint = "`tesela flag --kind master` takes a certified one out of service"
        raise LedgerError(
            name,
            found=f"it is {state}",
            expected=f"a master that is {' or '.join(states)}",
            do=hint,
        )
    return row
