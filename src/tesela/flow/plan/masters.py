"""What a master is made from: raw frames, detrended images or other masters of its period."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_frames, master_images, master_keep, master_parts
from tesela.flow.plan.batch import Known
from tesela.flow.plan.choice import Chosen, choose_calset, recorded_calset
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import masters, products
from tesela.ledger.keys import MasterKey
from tesela.ledger.tasks import Due
from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW

Sources = master_images.Sources


def wanted(conn: Connection, rules: Rules, item: Due, known: Known) -> Wanted:
    """Say what the master of one configuration and period should be made from."""
    key = MasterKey.parse(item.key)
    family = str(key.configuration.detector)
    period = rules.calendar.period(key.master_kind, key.configuration.camera, key.night)
    if not rules.is_made(key.master_kind, key.configuration) or period.first != key.night:
        # Nobody makes it any more, or the calendar counts its nights to another period by now.
        return Wanted(keep=True)
    current = known.current
    if current is not None and not item.fresh and master_keep.is_kept(conn, rules, key, current):
        stale = master_keep.stale(conn, rules, key, current)
        return Wanted(inputs=products.input_ids(conn, current["id"]), stale=stale, family=family)
    earlier = [
        other
        for other in masters.pending(conn, key.master_kind, key.configuration)
        if other.night < key.night
    ]
    if earlier:
        reason = f"comparison with {earlier[-1]}, being made"
        return Wanted(missing=reason, pending=True, family=family)
    sources = _SOURCES[KINDS[key.master_kind].source](conn, rules, key, item, known)
    if sources.missing:
        return _without(conn, rules, item, sources, current)
    chosen = _corrections(conn, rules, key, item, known, sources.mjd)
    if chosen.missing:
        return Wanted(missing=chosen.missing, pending=chosen.pending, family=family)
    calset = () if chosen.calset_id is None else (chosen.calset_id,)
    newer = (chosen.stale, sources.stale)
    return Wanted(
        inputs=sources.inputs.union(calset),
        evidence=sources.evidence | _compared_with(conn, rules, key),
        grows_with=sources.evidence,
        megapixels=sources.megapixels,
        stale="; ".join(part for part in newer if part),
        family=family,
    )


def _without(
    conn: Connection, rules: Rules, item: Due, sources: Sources, current: dict[str, Any] | None
) -> Wanted:
    """What becomes of a master whose frames are missing."""
    key = MasterKey.parse(item.key)
    family = str(key.configuration.detector)
    if sources.pending:
        return Wanted(missing=sources.missing, pending=True, family=family)
    if current is not None and master_frames.is_evidence(key.master_kind):
        # A verdict on science frames takes no master away; a calendar that counts its frames to
        # another period makes it stale, and reprocessing takes it out of service.
        stale = master_keep.stale(conn, rules, key, current)
        if not (stale and item.fresh):
            inputs = products.input_ids(conn, current["id"])
            return Wanted(inputs=inputs, stale=stale, family=family)
    if current is not None or not sources.n:
        return Wanted(nothing=sources.missing, family=family)
    return Wanted(missing=sources.missing, family=family)


def _corrections(
    conn: Connection,
    rules: Rules,
    key: MasterKey,
    item: Due,
    known: Known,
    mjd: float | None,
) -> Chosen:
    """The masters that its frames are corrected with; those that it joins are no corrections."""
    if KINDS[key.master_kind].source == MASTERS:
        return Chosen()
    profile = key.master_kind.lower()
    return choose_calset(
        known.shelf,
        rules,
        rules.needs(key.master_kind, key.configuration),
        key.configuration,
        rules.middle(key) if mjd is None else mjd,
        recorded=None if item.fresh else recorded_calset(conn, known.current, profile),
        profile=profile,
    )


def _compared_with(conn: Connection, rules: Rules, key: MasterKey) -> frozenset[int]:
    """The predecessor, and the first master since the last intervention."""
    noon = rules.validity(key).begin
    epoch, _ = rules.calendar.epoch(key.master_kind, key.configuration.camera, noon)
    found = (masters.previous(conn, key), masters.first_since(conn, key, epoch))
    return frozenset(i for i in found if i is not None)


_SOURCES: dict[str, Callable[[Connection, Rules, MasterKey, Due, Known], Sources]] = {
    RAW: master_frames.sources,
    IMAGES: master_images.sources,
    MASTERS: master_parts.sources,
}
