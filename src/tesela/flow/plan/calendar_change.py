"""A calendar that was changed: masters end where it says now, and images are looked at again."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.engine import Connection

from tesela import config
from tesela.config import Intervention
from tesela.flow.plan import downstream
from tesela.flow.plan.rules import PROFILE_OF, Rules
from tesela.ledger import events, masters, queries, tasks
from tesela.ledger.keys import MasterKey
from tesela.ledger.parts import in_written_order
from tesela.products.frame import night_of
from tesela.products.masterkind import KINDS

_EVENT, _KEY = "calendar read", "calibration"


def apply(conn: Connection, rules: Rules) -> int:
    """Fit the intervals of certified masters to the settings; returns how many changed.

    What may have used them is looked at: it is called stale where it has a better choice now, and
    nothing is made again by itself. Masters of the time after a new intervention become due.
    """
    settings = rules.calibration
    now = {
        "interventions": config.as_table(settings.interventions),
        "validity_days": dict(settings.validity_days),
    }
    said = events.last_detail(conn, _EVENT, _KEY)
    before = {"interventions": [], "validity_days": {}} if said is None else json.loads(said)
    if now == before and said is not None:
        return 0
    changed = _fit(conn, rules)
    moved = [one for one in now["interventions"] if one not in before["interventions"]]
    moved += [one for one in before["interventions"] if one not in now["interventions"]]
    for one in moved:
        _around(conn, rules, config.build(Intervention, one, "interventions"))
    events.record(conn, _EVENT, key=_KEY, detail=json.dumps(now, sort_keys=True))
    return changed


def _fit(conn: Connection, rules: Rules) -> int:
    """Give every certified master the natural end that the settings say now."""
    ends: dict[int, float] = {}
    for row in masters.every_certified(conn):
        key = MasterKey.parse(row["key"])
        end = rules.validity(key).end
        if end != row["natural_end"]:
            ends[row["product_id"]] = end
            why = f"the validity of {row['key']} changed"
            tasks.mark_dirty(conn, downstream.images_near(conn, rules, key), why)
    masters.set_natural_ends(conn, ends)
    return len(ends)


def _around(conn: Connection, rules: Rules, one: Intervention) -> None:
    """Look at the images and masters that an intervention, new or taken back, may concern."""
    why = f"calendar: {one.what} of {one.at}"
    kinds = [kind for kind in one.kinds if kind in KINDS]
    reach = max((rules.fallback_days(kind) for kind in kinds), default=0.0)
    for master_kind, configuration in masters.configurations(conn):
        camera = configuration.camera
        if master_kind not in kinds or (one.cameras and camera not in one.cameras):
            continue
        at = rules.calendar.noon_of(one, camera)
        longitude = rules.longitude_deg.get(camera, 0.0)
        for moment in (at, at - 1.0):  # the first night after it, and the last before
            night = night_of(moment + 0.5, longitude)
            key = downstream.master_key(rules, master_kind, configuration, night)
            tasks.mark_dirty(conn, [("master", str(key))], why)
        asked = {
            "first": night_of(at - reach, longitude),
            "last": night_of(at + reach, longitude),
            "camera": camera,
        }
        tasks.mark_dirty(conn, _images(conn, asked), why)


def _images(conn: Connection, asked: dict[str, Any]) -> list[tuple[str, str]]:
    with in_written_order(conn):
        rows = conn.execute(queries.IMAGES_OF_CAMERA, asked).all()
    return [(row.kind, row.name) for row in rows if row.kind in PROFILE_OF]
