"""The whole history of a key: what happened, and why each version was made."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, exposures, products, provenance, replicas


def of_key(conn: Connection, key: str) -> dict[str, list[dict[str, Any]]]:
    """Return the events, versions, attempts, verdicts and copies of everything called `key`.

    Each version also has its `warnings`, whether it `passed` (None if nothing was judged, with
    `quality_reason` if not), as `changes` the inputs that differ from those of the version before,
    as `differences` code, settings and libraries that do, and as `libraries` what its `environment`
    is made of (None if that was not kept).
    """
    found = events.history(conn, key)
    found["copies"] = replicas.of_key(conn, key)
    before: dict[str, dict[str, Any]] = {}
    libraries: dict[str, dict[str, str] | None] = {}
    for row in found["versions"]:
        row["warnings"] = json.loads(row.pop("warnings_json"))
        row["passed"] = None if row["passed"] is None else bool(row["passed"])
        last = before.get(row["kind"])
        row["changes"] = products.changes(conn, row["id"], None if last is None else last["id"])
        row["differences"] = provenance.differences(conn, row, last)
        digest = row["environment"]
        if digest not in libraries:
            libraries[digest] = provenance.environment_of(conn, digest)
        row["libraries"] = libraries[digest]
        before[row["kind"]] = row
    return found


def of_exposure(conn: Connection, name: str) -> dict[str, list[dict[str, Any]]]:
    """Return the events and verdicts of an exposure and of all its frames, in order of time.

    Each list is empty if there is no such exposure. Versions, attempts, copies are of the frames.
    """
    exposure = exposures.find(conn, name)
    if exposure is None:
        return {"events": [], "versions": [], "attempts": [], "verdicts": [], "copies": []}
    frames = exposures.frames_of(conn, exposure["id"])
    found = [events.history(conn, key) for key in (exposure["key"], *(f["name"] for f in frames))]
    return {
        "events": sorted((e for one in found for e in one["events"]), key=lambda e: e["at_mjd"]),
        "versions": [],
        "attempts": [],
        "verdicts": sorted(
            (v for one in found for v in one["verdicts"]), key=lambda v: v["set_mjd"]
        ),
        "copies": [],
    }
