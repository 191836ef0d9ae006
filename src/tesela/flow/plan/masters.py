"""What a master is made from: raw frames, detrended images or other masters of its period."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan import master_images, master_parts
from tesela.flow.plan.choice import Chosen, choose_calset, is_sound, recorded_calset
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.spread import in_turns
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import masters, products, queries, verdicts
from tesela.ledger.keys import MasterKey
from tesela.ledger.tasks import Due
from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW

RAMP_LEVELS, RAMP_RANGE = 6, 8.0
"""Dome flats are a ramp if they have so many exposure times, over such a range."""

Frame = dict[str, Any]


def wanted(conn: Connection, rules: Rules, item: Due) -> Wanted:
    """Say what the master of one configuration and period should be made from."""
    key = MasterKey.parse(item.key)
    family = str(key.configuration.detector)
    if not rules.is_made(key.master_kind, key.configuration):
        return Wanted(keep=True)
    current = products.current(conn, "master", item.key)
    if current is not None and not item.fresh and _is_good_enough(conn, rules, key, current):
        return Wanted(inputs=products.input_ids(conn, current["id"]), family=family)
    earlier = [
        other
        for other in masters.pending(conn, key.master_kind, key.configuration)
        if other.night < key.night
    ]
    if earlier:
        reason = f"comparison with {earlier[-1]}, being made"
        return Wanted(missing=reason, pending=True, family=family)
    sources = _SOURCES[KINDS[key.master_kind].source](conn, rules, key)
    if sources.missing:
        nothing = not sources.pending and (current is not None or not sources.n)
        if nothing:
            return Wanted(nothing=sources.missing, family=family)
        return Wanted(missing=sources.missing, pending=sources.pending, family=family)
    chosen = _corrections(conn, rules, key, item, current, sources.mjd)
    if chosen.missing:
        return Wanted(missing=chosen.missing, pending=chosen.pending, family=family)
    calset = () if chosen.calset_id is None else (chosen.calset_id,)
    return Wanted(
        inputs=sources.inputs.union(calset),
        evidence=sources.evidence | _compared_with(conn, rules, key),
        grows_with=sources.evidence,
        megapixels=sources.megapixels,
        stale=chosen.stale,
        family=family,
    )


def _corrections(
    conn: Connection,
    rules: Rules,
    key: MasterKey,
    item: Due,
    current: dict[str, Any] | None,
    mjd: float | None,
) -> Chosen:
    """The masters that its frames are corrected with; those that it joins are no corrections."""
    if KINDS[key.master_kind].source == MASTERS:
        return Chosen()
    profile = key.master_kind.lower()
    return choose_calset(
        conn,
        rules,
        rules.needs(key.master_kind, key.configuration),
        key.configuration,
        rules.middle(key) if mjd is None else mjd,
        recorded=None if item.fresh else recorded_calset(conn, current, profile),
        profile=profile,
    )


def _compared_with(conn: Connection, rules: Rules, key: MasterKey) -> frozenset[int]:
    """The predecessor, and the first master since the last intervention."""
    noon = rules.validity(key).begin
    epoch, _ = rules.calendar.epoch(key.master_kind, key.configuration.camera, noon)
    found = (masters.previous(conn, key), masters.first_since(conn, key, epoch))
    return frozenset(i for i in found if i is not None)


def _is_good_enough(
    conn: Connection, rules: Rules, key: MasterKey, current: dict[str, Any]
) -> bool:
    """Whether a master is not made again because more frames came: it has as many as wanted, and
    none that was found bad since. A master of one night's own calibration frames takes them all.
    """
    kind = KINDS[key.master_kind]
    period = rules.calendar.period(kind.name, key.configuration.camera, key.night)
    is_of_one_night = period.end == rules.calendar.next_night(key.night)
    if is_of_one_night and kind.obstype in ("bias", "dark", "flat"):
        return False
    if masters.get(conn, current["id"])["n_frames"] < rules.wanted(key.master_kind):
        return False
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


# ---------------------------------------------------------------- raw frames


def _raw_frames(conn: Connection, rules: Rules, key: MasterKey) -> master_images.Sources:
    frames = frames_of(conn, rules, key)
    usable = usable_frames(rules, key, frames)
    minimum = rules.minimum(key.master_kind)
    if not usable or len(usable) < minimum:
        return master_images.Sources(missing=shortage(key, frames, usable, minimum), n=len(usable))
    ids = frozenset(row["product_id"] for row in usable)
    # Science frames are evidence: a verdict on one must not remake a whole night through what
    # was learned of the detector from it.
    is_evidence = KINDS[key.master_kind].obstype == "science"
    return master_images.Sources(
        inputs=frozenset() if is_evidence else ids,
        evidence=ids if is_evidence else frozenset(),
        megapixels=sum(row["nx"] * row["ny"] for row in usable) / 1e6,
        n=len(usable),
        mjd=statistics.median(row["mjd_start"] for row in usable),
    )


def frames_of(conn: Connection, rules: Rules, key: MasterKey) -> list[Frame]:
    """Return every frame of a master's configuration and period, flagged ones too."""
    kind = KINDS[key.master_kind]
    if kind.source != RAW:
        return []
    own = key.configuration
    period = rules.calendar.period(kind.name, own.camera, key.night)
    prefix = f"{own.telescope}.{own.camera}.{own.ccd}"
    exact = kind.is_per_filter or kind.obstype in ("bias", "dark")
    asked = {
        "low": str(own) if exact else f"{prefix}.",
        "high": str(own) if exact else f"{prefix}/",  # '/' follows '.'
        "first": period.first,
        "end": period.end,
        "obstype": kind.obstype,
    }
    rows = [dict(row) for row in conn.execute(queries.FRAMES_OF_MASTER, asked).mappings()]
    return [
        row
        for row in rows
        if row["configuration"].endswith(f".{own.readout_mode}")
        and (not kind.flat_kinds or row["flat_kind"] in kind.flat_kinds)
    ]


def usable_frames(rules: Rules, key: MasterKey, frames: list[Frame]) -> list[Frame]:
    """Return the frames that are used: none that is flagged; of ramps, one."""
    good = [row for row in frames if row["flagged"] is None]
    if key.master_kind == "LINEARITY":
        return _ramp(good)
    if KINDS[key.master_kind].obstype == "science":
        # Of many fields: what lies under a ghost in one is not there in the next.
        return in_turns(good, lambda row: row["object"], rules.wanted(key.master_kind))
    return good


def _ramp(frames: list[Frame]) -> list[Frame]:
    """The dome flats of one filter and one OBJECT with most exposure times, if they are a ramp."""
    groups: dict[tuple[str, str], list[Frame]] = {}
    for row in frames:
        groups.setdefault((row["configuration"], row["object"]), []).append(row)
    best: list[Frame] = max(
        groups.values(), key=lambda rows: len(_exposure_times(rows)), default=[]
    )
    times = _exposure_times(best)
    if len(times) < RAMP_LEVELS or max(times) < RAMP_RANGE * min(times):
        return []
    return best


def _exposure_times(frames: list[Frame]) -> set[float]:
    return {round(row["exptime_s"], 2) for row in frames if row["exptime_s"] > 0}


def shortage(key: MasterKey, frames: list[Frame], usable: list[Frame], minimum: int) -> str:
    """Say that there are too few frames."""
    if key.master_kind == "LINEARITY":
        return (
            f"no exposure ramp among {len(frames)} dome flats: at least {RAMP_LEVELS} exposure "
            f"times of one filter over a factor of {RAMP_RANGE:g} expected"
        )
    flagged = sum(row["flagged"] is not None for row in frames)
    note = f" ({flagged} flagged)" if flagged else ""
    kind = KINDS[key.master_kind]
    name = f"{kind.flat_kinds[0]} {kind.obstype}" if kind.flat_kinds else kind.obstype
    return f"{len(usable)} usable {name} frames of {key.night}{note}, at least {minimum} expected"


_SOURCES: dict[str, Callable[[Connection, Rules, MasterKey], master_images.Sources]] = {
    RAW: _raw_frames,
    IMAGES: master_images.sources,
    MASTERS: master_parts.sources,
}
