"""Bad pixels: what biases, darks and flats of a period say together."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.master_images import Sources
from tesela.flow.plan.rules import Rules
from tesela.ledger import masters, products
from tesela.ledger.keys import MasterKey
from tesela.ledger.tasks import Due
from tesela.products.masterkind import KINDS


def sources(conn: Connection, rules: Rules, key: MasterKey, _item: Due, _known: Known) -> Sources:
    """Return the last certified master of each kind and filter of the period."""
    coming = _coming(conn, rules, key)
    if coming:
        return Sources(missing=f"{coming[0]}, being made", pending=True)
    last = _last_of_each(conn, rules, key)
    if not last:
        kinds = ", ".join(KINDS[key.master_kind].needs)
        return Sources(missing=f"no certified {kinds} of the period of {key.night}")
    return Sources(frozenset(last.values()), n=len(last))


def is_complete(conn: Connection, rules: Rules, key: MasterKey, current: dict[str, Any]) -> bool:
    """Whether a version joins a master of every kind and filter that there is or is coming."""
    rows = [row for row in products.inputs(conn, current["id"]) if row["role"] == "input"]
    has = set()
    for row in rows:
        part = masters.get(conn, row["id"])
        has.add((part["master_kind"], part["configuration"]))
    coming = {(k.master_kind, str(k.configuration)) for k in _coming(conn, rules, key)}
    return not (coming | set(_last_of_each(conn, rules, key))) - has


def _coming(conn: Connection, rules: Rules, key: MasterKey) -> list[MasterKey]:
    """Parts of the period that are under way."""
    own = key.configuration
    period = rules.calendar.period(key.master_kind, own.camera, key.night)
    pending = [
        other
        for kind in KINDS[key.master_kind].needs
        for other in masters.pending_of_ccd(conn, kind, own)
    ]
    return [other for other in pending if period.first <= other.night < period.end]


def _last_of_each(conn: Connection, rules: Rules, key: MasterKey) -> dict[tuple[str, str], int]:
    """(kind, configuration) -> id of the last certified part of the period."""
    own = key.configuration
    period = rules.calendar.period(key.master_kind, own.camera, key.night)
    return {
        (row["master_kind"], row["configuration"]): row["product_id"]
        for kind in KINDS[key.master_kind].needs
        for row in masters.of_ccd(conn, kind, own, period.first, period.end)
    }
