"""Bad pixels: what biases, darks and flats of a period say together."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from tesela.flow.plan.master_images import Sources
from tesela.flow.plan.rules import Rules
from tesela.ledger import masters
from tesela.ledger.keys import MasterKey
from tesela.products.masterkind import KINDS


def sources(conn: Connection, rules: Rules, key: MasterKey) -> Sources:
    """Return the last certified master of each kind and filter of the period."""
    own = key.configuration
    kinds = KINDS[key.master_kind].needs
    pending = [other for kind in kinds for other in masters.pending_of_ccd(conn, kind, own)]
    period = rules.calendar.period(key.master_kind, own.camera, key.night)
    coming = [other for other in pending if period.first <= other.night < period.end]
    if coming:
        return Sources(missing=f"{coming[0]}, being made", pending=True)
    rows = [
        row for kind in kinds for row in masters.of_ccd(conn, kind, own, period.first, period.end)
    ]
    if not rows:
        return Sources(missing=f"no certified {', '.join(kinds)} since {period.first}")
    last = {(row["master_kind"], row["configuration"]): row["product_id"] for row in rows}
    return Sources(frozenset(last.values()), n=len(last))
