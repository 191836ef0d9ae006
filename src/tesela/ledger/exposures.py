"""Exposures: the frames that were read at once, one a CCD.

Frames of an exposure share telescope, camera, time and pointing; each has a CCD and a physical
filter of its own.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import Duplicate, LedgerError, NotFound
from tesela.ledger import queries, schema, verdicts
from tesela.ledger.insert import insert_once
from tesela.products.frame import FrameFacts

KIND = verdicts.EXPOSURE
"""What verdicts and events of an exposure are filed under, by its key."""

_POINTING_DEG, _CLOCK_DAYS, _SHUTTER_S = 0.1, 10.0 / 86400.0, 0.1
_SHARED = {
    "obstype": 0.0,
    "flat_kind": 0.0,
    "readout_mode": 0.0,
    "night": 0.0,
    "mjd_start": _CLOCK_DAYS,
    "exptime_s": _SHUTTER_S,
    "ra_deg": _POINTING_DEG,
    "dec_deg": _POINTING_DEG,
    "project": 0.0,
}
"""What the frames of an exposure share, and how much they may differ."""


def key_of(facts: FrameFacts) -> str:
    """Return the key of a frame's exposure: telescope, camera and name."""
    return f"{facts.telescope}.{facts.camera}.{facts.exposure or facts.name}"


def put(conn: Connection, facts: FrameFacts) -> int:
    """Return the id of a frame's exposure, made by the first of its frames."""
    key = key_of(facts)
    here = _by_key(conn, key)
    if here is not None:
        return int(here["id"])
    insert_once(conn, schema.project, {"name": facts.project}, ["name"])
    row = {
        "key": key,
        "name": facts.exposure or facts.name,
        "telescope": facts.telescope,
        "camera": facts.camera,
        "ccds_json": json.dumps(facts.ccds),
        "night": facts.night,
        "obstype": facts.obstype,
        "flat_kind": facts.flat_kind,
        "readout_mode": facts.readout_mode,
        "mjd_start": facts.mjd_start,
        "exptime_s": facts.exptime_s,
        "ra_deg": facts.ra_deg,
        "dec_deg": facts.dec_deg,
        "airmass": facts.airmass,
        "object": facts.object,
        "project": facts.project,
    }
    insert_once(conn, schema.exposure, row, ["key"])
    found = _by_key(conn, key)
    if found is None:
        raise LedgerError(key, found="no row after insert")
    return int(found["id"])


def check(conn: Connection, facts: FrameFacts) -> None:
    """Refuse a frame that contradicts the exposure it names, or whose CCD is there already.

    A flagged frame gives its place to another: that of a corrected header. Raises `Duplicate`.
    """
    known = _by_key(conn, key_of(facts))
    if known is None:
        return
    for name, tolerance in _SHARED.items():
        ours, theirs = getattr(facts, name), known[name]
        if ours == theirs or (tolerance and _is_near(name, ours, theirs, tolerance)):
            continue
        raise Duplicate(
            facts.name,
            found=f"{name} = {ours}, but {theirs} in exposure {known['key']} that is here",
            expected="frames of one name with one exposure's facts",
            do="rename it if it is another exposure; nothing was taken in",
        )
    for row in frames_of(conn, known["id"]):
        if row["ccd"] == facts.ccd and not row["flagged"]:
            raise Duplicate(
                facts.name,
                found=f"CCD {facts.ccd} of exposure {known['key']}, which is here as {row['name']}",
                expected="one frame a CCD",
                do="correct the header that names the wrong CCD or exposure; if that is the other"
                " frame's, `tesela flag` it first; nothing was taken in",
            )


def _is_near(name: str, ours: float | None, theirs: float | None, tolerance: float) -> bool:
    if ours is None or theirs is None:
        return False
    away = abs(ours - theirs)
    return (min(away, 360 - away) if name == "ra_deg" else away) <= tolerance


def find(conn: Connection, name: str) -> dict[str, Any] | None:
    """Return an exposure by its name or its key, with `ccds` as a list, or None.

    Raises `LedgerError` if several cameras have one of that name: then the key tells them apart.
    """
    by_key = _by_key(conn, name)
    if by_key is not None:
        return by_key
    rows = conn.execute(queries.EXPOSURES_OF_NAME, {"name": name}).mappings().all()
    if len(rows) > 1:
        raise LedgerError(
            name,
            found=f"{len(rows)} exposures of that name",
            expected=" or ".join(row["key"] for row in rows),
            do="give one of these",
        )
    return _read(rows[0]) if rows else None


def of_night(conn: Connection, name: str, night: str) -> dict[str, Any] | None:
    """Return an exposure of a night by its name, the first of them, or None."""
    rows = conn.execute(queries.EXPOSURES_OF_NAME, {"name": name}).mappings()
    return next((_read(row) for row in rows if row["night"] == night), None)


def get(conn: Connection, name: str) -> dict[str, Any]:
    """Return an exposure by name or key; raise `NotFound` if no frame of it was taken in."""
    found = find(conn, name)
    if found is None:
        raise NotFound(
            name, found="no exposure of that name", do="check the name, see `tesela status`"
        )
    return found


def frames_of(conn: Connection, exposure_id: int) -> list[dict[str, Any]]:
    """Return the frames of an exposure in the order of CCDs: name, ccd, band, filter_serial,
    flagged (a reason, or None)."""
    wanted = {"exposure_id": exposure_id}
    return [dict(row) for row in conn.execute(queries.FRAMES_OF_EXPOSURE, wanted).mappings()]


def missing(exposure: dict[str, Any], here: list[dict[str, Any]]) -> list[str]:
    """Return the CCDs of which an exposure has no frame yet; none where they are not known."""
    arrived = {row["ccd"] for row in here}
    return [ccd for ccd in exposure["ccds"] if ccd not in arrived]


def incomplete(conn: Connection, night: str) -> list[dict[str, Any]]:
    """Return the exposures of a night of which frames are missing: one may be of a dead CCD, so
    those that lack the same are told together.

    Each has `exposure` (the first of them), `night`, `expected` and `arrived` (numbers), `missing`
    (CCDs), and `n`, how many exposures they are.
    """
    here: dict[str, list[str]] = {}
    should: dict[str, list[str]] = {}
    for row in conn.execute(queries.CCDS_OF_NIGHT, {"night": night}):
        if row.name not in should:
            should[row.name] = json.loads(row.ccds_json)
        here.setdefault(row.name, []).append(row.ccd)
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, ccds in should.items():
        arrived = set(here[name])
        absent = [ccd for ccd in ccds if ccd not in arrived]
        if absent:
            first = {
                "exposure": name,
                "night": night,
                "expected": len(ccds),
                "arrived": len(ccds) - len(absent),
                "missing": absent,
                "n": 0,
            }
            groups.setdefault(tuple(absent), first)["n"] += 1
    return list(groups.values())


def take_verdict(conn: Connection, facts: FrameFacts) -> None:
    """Flag a frame that comes after its exposure, or its night, was flagged."""
    judged = verdicts.of_groups(conn, key_of(facts), facts.night)
    if judged is not None:
        same = {name: judged[name] for name in ("reason", "comment", "who")}
        verdicts.set_bad(conn, "raw", facts.name, **same)


def _by_key(conn: Connection, key: str) -> dict[str, Any] | None:
    query = schema.exposure.select().where(schema.exposure.c.key == key)
    row = conn.execute(query).mappings().first()
    return None if row is None else _read(row)


def _read(row: Any) -> dict[str, Any]:
    found = dict(row)
    found["ccds"] = json.loads(found.pop("ccds_json"))
    return found
