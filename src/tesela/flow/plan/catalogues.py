"""What a catalogue is made from: the coadd of its tile and band."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import products, tasks
from tesela.ledger.tasks import Due


def wanted(conn: Connection, _rules: Rules, item: Due, _known: Known) -> Wanted:
    """Say what the catalogue of one tile and band should be made from."""
    if tasks.is_pending(conn, "coadd", item.key):
        return Wanted(missing=f"coadd {item.key} being made", pending=True)
    coadd = products.current(conn, "coadd", item.key)
    if coadd is None:
        return Wanted(nothing=f"there is no valid coadd {item.key}")
    quality = products.quality_of(conn, coadd["id"])
    if quality is not None and not quality["passed"]:
        return Wanted(nothing=f"coadd {item.key} did not pass: {quality['reason']}")
    task = tasks.get(conn, "coadd", item.key)
    return Wanted(inputs=frozenset({coadd["id"]}), megapixels=task["megapixels"] if task else 1.0)
