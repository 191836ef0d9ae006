"""Masters that are combined from raw frames: which frames of the period are used."""

from __future__ import annotations

import statistics
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.master_images import Sources
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.spread import in_turns
from tesela.ledger import queries
from tesela.ledger.keys import MasterKey
from tesela.ledger.tasks import Due
from tesela.products.masterkind import IMAGES, KINDS, RAW

RAMP_LEVELS, RAMP_RANGE = 6, 8.0
"""Dome flats are a ramp if they have so many exposure times, over such a range."""

Frame = dict[str, Any]


def is_evidence(master_kind: str) -> bool:
    """Whether a kind has its frames as evidence: what was learned of the camera from the sky must
    not be remade, and a month of images with it, for a verdict on one image."""
    kind = KINDS[master_kind]
    return kind.source == IMAGES or kind.obstype == "science"


def sources(conn: Connection, rules: Rules, key: MasterKey, _item: Due, _known: Known) -> Sources:
    """Say which raw frames a master is combined from."""
    frames = frames_of(conn, rules, key)
    usable = usable_frames(rules, key, frames)
    minimum = rules.minimum(key.master_kind)
    if not usable or len(usable) < minimum:
        return Sources(missing=shortage(key, frames, usable, minimum), n=len(usable))
    ids = frozenset(row["product_id"] for row in usable)
    from_science = is_evidence(key.master_kind)
    return Sources(
        inputs=frozenset() if from_science else ids,
        evidence=ids if from_science else frozenset(),
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
