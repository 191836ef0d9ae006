"""What is known of one frame or product: versions, inputs, users, measurements, history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.flow.plan import why
from tesela.flow.plan.rules import Rules
from tesela.ledger import history, products
from tesela.ledger.clock import iso
from tesela.web.portal import links
from tesela.web.portal.queries import Row

_SHOWN_INPUTS: Final = 40
_SHOWN_USERS: Final = 12
_SHOWN_REJECTED: Final = 6


def inputs(conn: Connection, product_id: int) -> list[dict[str, Any]]:
    """What a version was made from; a set of masters is followed by its masters.

    Of a kind with many (the coadds of a release) the first are given, with `more` beside the last.
    """
    found: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    for row in products.inputs(conn, product_id):
        seen[row["kind"]] += 1
        if seen[row["kind"]] > _SHOWN_INPUTS:
            found[-1]["more"] = seen[row["kind"]] - _SHOWN_INPUTS
            continue
        found.append(_linked(row))
        if row["kind"] == "calset":
            found += [
                {**_linked(member), "inside": True} for member in products.inputs(conn, row["id"])
            ]
    return found


def _linked(row: Row) -> dict[str, Any]:
    return {**row, "inside": False, "more": 0, "url": links.product(row["kind"], row["key"])}


def users(conn: Connection, kind: str, key: str) -> list[dict[str, Any]]:
    """What is served and was made from this, directly or not: kind, n and the first of them.

    Left out are what carries the same name, which the page shows itself, and sets of masters.
    """
    keys: dict[str, list[str]] = {}
    for user_kind, user_key in products.users(conn, kind, key):
        if user_kind != "calset" and user_key != key:
            keys.setdefault(user_kind, []).append(user_key)
    return [
        {
            "kind": user_kind,
            "n": len(found),
            "first": [(k, links.product(user_kind, k)) for k in found[:_SHOWN_USERS]],
        }
        for user_kind, found in keys.items()
    ]


def past(conn: Connection, key: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(versions, everything that happened in the order of time) of all that carries a key."""
    found = history.of_key(conn, key)
    happened = [*_of_events(found["events"]), *_of_attempts(found["attempts"])]
    happened += [
        {
            "mjd": row["made_mjd"],
            "what": f"version {row['version']} of {row['kind']} made",
            "detail": "; ".join(row["changes"]),
        }
        for row in found["versions"]
    ]
    happened.sort(key=lambda entry: entry["mjd"])
    versions = [
        {
            **row,
            "made": iso(row["made_mjd"]),
            "files": json.loads(row["files_json"]),
            "operations": json.loads(row["operations_json"]),
        }
        for row in found["versions"]
    ]
    return versions, [{**entry, "time": iso(entry["mjd"])} for entry in happened]


def of_exposure(conn: Connection, key: str) -> list[dict[str, Any]]:
    """Everything that happened to an exposure and its frames, in the order of time."""
    found = history.of_exposure(conn, key)
    return [
        {
            "time": iso(row["at_mjd"]),
            "what": f"{row['kind']} {row['what']}" + (f" by {row['who']}" if row["who"] else ""),
            "detail": ": ".join(part for part in (row["key"], row["detail"]) if part),
        }
        for row in found["events"]
    ]


def _of_events(events: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        {
            "mjd": row["at_mjd"],
            "what": f"{row['kind']} {row['what']}" + (f" by {row['who']}" if row["who"] else ""),
            "detail": row["detail"],
        }
        for row in events
    ]


def _of_attempts(attempts: Iterable[Row]) -> list[dict[str, Any]]:
    found = []
    for row in attempts:
        took = "" if row["seconds"] is None else f"{row['seconds']:.1f} s"
        memory = "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f} MB"
        reason = row["log"].strip().splitlines()[-1] if row["log"].strip() else ""
        outcome = row["outcome"] + (f" ({row['fault_class']})" if row["fault_class"] else "")
        found.append(
            {
                "mjd": row["started_mjd"],
                "what": f"attempt {row['number']} of {row['step']}: {outcome}",
                "detail": ", ".join(part for part in (took, memory, reason) if part),
            }
        )
    return found


def calibrations(conn: Connection, rules: Rules, name: str) -> list[dict[str, Any]]:
    """Which masters a frame would use and why not the others, the nearest misses only."""
    found = []
    for need in why.calibrations(conn, rules, name):
        # Of another CCD, filter or mode: never a candidate, and most of a camera's masters.
        misses = [row for row in need["rejected"] if not row["reason"].startswith("other ")]
        found.append({**need, "rejected": misses[:_SHOWN_REJECTED], "misses": len(misses)})
    return found
