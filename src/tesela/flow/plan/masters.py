"""What a master is made from: the night's frames, and for a flat the bias to take off."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.choice import choose_calset, recorded_calset
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import masters, products, queries
from tesela.ledger.keys import MasterKey
from tesela.ledger.tasks import Due

CALIBRATED_BY = {"BIAS": (), "FLAT": ("BIAS",)}
"""Kinds of masters that the frames of a master need first."""

FLAT_KINDS = ("sky", "dome")
"""In the order of preference: the sky lights the mirror as the stars do."""


def wanted(conn: Connection, rules: Rules, item: Due) -> Wanted:
    """Say what the master of one configuration and night should be made from."""
    key = MasterKey.parse(item.key)
    current = products.current(conn, "master", item.key)
    family = str(key.configuration.for_kind("BIAS"))
    frames = frames_of(conn, key)
    usable = usable_frames(frames, rules.minimum(key.master_kind))
    if len(usable) < rules.minimum(key.master_kind):
        found = shortage(key, frames, usable, rules.minimum(key.master_kind))
        if current is not None or not usable:
            return Wanted(nothing=found, family=family)
        return Wanted(missing=found, family=family)
    earlier = [
        other
        for other in masters.pending(conn, key.master_kind, key.configuration)
        if other.night < key.night
    ]
    if earlier:
        reason = f"comparison with {earlier[-1]}, being made"
        return Wanted(missing=reason, pending=True, family=family)
    inputs = {row["product_id"] for row in usable}
    stale = ""
    if CALIBRATED_BY[key.master_kind]:
        chosen = choose_calset(
            conn,
            rules,
            CALIBRATED_BY[key.master_kind],
            key.configuration.for_kind("BIAS"),
            rules.middle(key),
            recorded=None if item.fresh else recorded_calset(conn, current),
            profile=key.master_kind.lower(),
        )
        if chosen.missing:
            return Wanted(missing=chosen.missing, pending=chosen.pending, family=family)
        inputs.add(chosen.calset_id)
        stale = chosen.stale
    before = masters.previous(conn, key)
    return Wanted(
        inputs=frozenset(inputs),
        evidence=frozenset() if before is None else frozenset({before}),
        megapixels=sum(row["nx"] * row["ny"] for row in usable) / 1e6,
        stale=stale,
        family=family,
    )


def frames_of(conn: Connection, key: MasterKey) -> list[dict[str, Any]]:
    """Return every frame of a master's configuration and night, flagged ones too."""
    wanted_frames = {
        "configuration": str(key.configuration),
        "night": key.night,
        "obstype": key.master_kind.lower(),
    }
    rows = conn.execute(queries.FRAMES_OF_MASTER, wanted_frames).mappings()
    return [dict(row) for row in rows]


def usable_frames(frames: list[dict[str, Any]], minimum: int) -> list[dict[str, Any]]:
    """Return the frames not flagged; of flats only one kind, sky before dome if enough."""
    good = [row for row in frames if row["flagged"] is None]
    groups = [[row for row in good if row["flat_kind"] == kind] for kind in FLAT_KINDS]
    groups = [group for group in groups if group]
    if not groups:
        return good
    enough = [group for group in groups if len(group) >= minimum]
    return enough[0] if enough else max(groups, key=len)


def shortage(
    key: MasterKey, frames: list[dict[str, Any]], usable: list[dict[str, Any]], minimum: int
) -> str:
    """Say that there are too few frames."""
    flagged = sum(row["flagged"] is not None for row in frames)
    note = f" ({flagged} flagged)" if flagged else ""
    return (
        f"{len(usable)} usable {key.master_kind.lower()} frames of {key.night}{note}, "
        f"at least {minimum} expected"
    )
