"""Whether a master that exists is left as it is though more could go into it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_parts
from tesela.flow.plan.choice import is_sound
from tesela.flow.plan.rules import Rules
from tesela.ledger import calsets, frames, masters, products, verdicts
from tesela.ledger.keys import MasterKey
from tesela.products.masterkind import KINDS, MASTERS, RAW


def is_kept(conn: Connection, rules: Rules, key: MasterKey, current: dict[str, Any]) -> bool:
    """Whether a certified master is not made again because more frames came.

    It has as many as wanted, and none of its inputs was found bad since. A master of one night's
    own calibration frames takes them all; one that joins masters wants one of each kind and filter.
    """
    kind = KINDS[key.master_kind]
    found = masters.get(conn, current["id"])
    if found["state"] != "certified" or not _inputs_are_sound(conn, current):
        return False
    if kind.source == MASTERS:
        return master_parts.is_complete(conn, rules, key, current)
    period = rules.calendar.period(kind.name, key.configuration.camera, key.night)
    is_of_one_night = period.end == rules.calendar.next_night(key.night)
    if is_of_one_night and kind.source == RAW and kind.obstype != "science":
        return False
    return bool(found["n_frames"] >= rules.wanted(key.master_kind))


def _inputs_are_sound(conn: Connection, current: dict[str, Any]) -> bool:
    for row in products.inputs(conn, current["id"]):
        if row["role"] != "input":
            continue
        if row["kind"] == "raw" and verdicts.standing(conn, "raw", row["key"]) is not None:
            return False
        if row["kind"] == "calset" and not is_sound(conn, row["id"]):
            return False
        if row["kind"] == "master" and not masters.is_sound(conn, row["id"]):
            return False
    return True


def stale(conn: Connection, rules: Rules, key: MasterKey, current: dict[str, Any]) -> str:
    """Say why a master that is kept would be another if it were made today; '' if it would not."""
    period = rules.calendar.period(key.master_kind, key.configuration.camera, key.night)
    rows = products.inputs(conn, current["id"])
    for row in rows:
        if row["kind"] in ("raw", "detrended"):
            night = frames.get(conn, row["key"])["night"]
            if not period.first <= night < period.end:
                return f"it holds frames of {night}, and its period ended with {period.end}"
        if row["kind"] == "detrended" and not row["is_current"]:
            return f"the detrended image of {row['key']} was made anew"
    for row in rows:
        if row["role"] != "input" or row["kind"] not in ("calset", "master"):
            continue
        used = [row] if row["kind"] == "master" else calsets.members(conn, row["id"])
        for member in used:
            if masters.get(conn, member["id"])["state"] == "superseded":
                return f"{member['key']} version {member['version']} is superseded"
    return ""
