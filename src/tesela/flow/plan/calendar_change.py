"""A calendar that was changed: masters end where it says now, and images are looked at again."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from tesela import config
from tesela.flow.plan import downstream
from tesela.flow.plan.rules import Rules
from tesela.ledger import events, masters, tasks
from tesela.ledger.keys import MasterKey

_EVENT, _KEY = "calendar read", "calibration"


def apply(conn: Connection, rules: Rules) -> int:
    """Fit the intervals of certified masters to the settings; returns how many changed.

    What used them is looked at: it is called stale where it has a better choice now, and nothing
    is made again by itself.
    """
    settings = rules.calibration
    calendar = config.fingerprint([settings.interventions, settings.validity_days])
    if events.last_detail(conn, _EVENT, _KEY) == calendar:
        return 0
    changed = 0
    for row in masters.every_certified(conn):
        key = MasterKey.parse(row["key"])
        end = rules.validity(key).end
        if end == row["natural_end"]:
            continue
        masters.set_natural_end(conn, row["product_id"], end)
        why = f"the calendar of {row['key']} changed"
        tasks.mark_dirty(conn, downstream.images_near(conn, rules, key), why)
        changed += 1
    events.record(conn, _EVENT, key=_KEY, detail=calendar)
    return changed
