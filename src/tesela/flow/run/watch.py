"""The monitors: what a product says of its detector is judged against the nights before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import Rules
from tesela.ledger import amp_quality, events
from tesela.ledger.keys import MasterKey
from tesela.products.frame import night_of
from tesela.products.monitor import AmpValue
from tesela.quality.monitors import MonitorSettings, judge_all

_LEVELS = ("", "warning", "alarm")


def record(
    conn: Connection,
    rules: Rules,
    product_id: int,
    key: MasterKey,
    values: Sequence[AmpValue],
    settings: MonitorSettings,
) -> list[str]:
    """Judge and store the values of a master; every one that is not quiet is an event.

    Nights before the last intervention on its kind are no measure of those after it. What another
    version said is forgotten, also where this one says nothing. Returns what was raised.
    """
    own = key.configuration
    if not values:
        amp_quality.put(conn, product_id, own, key.night, ())
        return []
    begin, _ = rules.calendar.epoch(key.master_kind, own.camera, rules.validity(key).begin)
    longitude = rules.longitude_deg.get(own.camera, 0.0)
    history = amp_quality.series(
        conn,
        str(own.detector),
        filter=own.filter,
        source=key.master_kind,
        since="" if begin < 0 else night_of(begin, longitude),
        before=key.night,
        limit=settings.window,
    )
    judged = judge_all(values, history, settings)
    amp_quality.put(conn, product_id, own, key.night, judged)
    raised = []
    for _, level, reason in judged:
        if level:
            raised.append(f"{_LEVELS[level]}: {reason}")
            events.record(
                conn, f"monitor {_LEVELS[level]}", kind="master", key=str(key), detail=reason
            )
    return raised
