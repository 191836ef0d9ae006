"""Counts and lists for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

from tesela.ledger import amp_quality, exposures, master_lists, queries, quicklooks, tasks

_NIGHTS = 5
_ALERT_NIGHTS = 3


def overview(conn: Connection) -> dict[str, Any]:
    """Return counts of nights, products and tasks, exposures of the latest nights without some of
    their CCDs, quick looks of frames that are not reduced yet, masters that a person has to judge,
    reasons of waiting, what is flagged, was refused (latest first), ended badly, came with
    warnings, is stale, and what the monitors raised in the latest nights.
    """
    return {
        "nights": _nights(conn),
        "incomplete": exposures.incomplete(conn, _NIGHTS),
        "quick_looks": quicklooks.without_reduction(conn, _NIGHTS),
        "products": {row["kind"]: row["n"] for row in _rows(conn, queries.COUNT_PRODUCTS)},
        "tasks": _rows(conn, queries.COUNT_TASKS),
        "proposed": proposed(conn),
        "waiting": waiting(conn),
        "flagged": _rows(conn, queries.STANDING_VERDICTS),
        "refused": _rows(conn, queries.REFUSED),
        "ended_badly": [{**row, "do": advice(row["key"])} for row in tasks.ended_badly(conn)],
        "warnings": warnings(conn),
        "stale": stale(conn),
        "alerts": _alerts(conn),
    }


def _alerts(conn: Connection) -> list[dict[str, Any]]:
    """What was raised in the latest nights with values, alarms first."""
    latest = amp_quality.nights(conn, limit=_ALERT_NIGHTS)
    if not latest:
        return []
    found = [asdict(row) for row in amp_quality.alerts(conn, latest[-1].night)]
    return sorted(found, key=lambda row: (-row["level"], row["night"]))


def proposed(conn: Connection) -> list[dict[str, Any]]:
    """Return kind, key, version and reason of masters that a person has to certify or reject."""
    return [
        {name: row[name] for name in ("master_kind", "key", "version", "reason")}
        for row in master_lists.versions(conn, state="proposed")
        if row["is_current"]
    ]


def waiting(conn: Connection) -> list[dict[str, Any]]:
    """Return why products wait, the most frequent first: kind, reason, n, served, example."""
    return _rows(conn, queries.WAITING_REASONS)


def stale(conn: Connection) -> list[dict[str, Any]]:
    """Return the products that a newer choice, other code or other settings left behind."""
    return _rows(conn, queries.STALE)


def due_tasks(conn: Connection) -> list[dict[str, Any]]:
    """Return the tasks ready or running, with why."""
    return _rows(conn, queries.READY_TASKS)


def advice(key: str) -> str:
    """Say what a person can do about a dead or skipped task."""
    return f"when that is mended, `tesela retry {key}`"


def warnings(conn: Connection) -> list[dict[str, Any]]:
    """Return the warnings of the products that are served, grouped."""
    return grouped(
        (row["kind"], row["key"], text)
        for row in _rows(conn, queries.WARNED)
        for text in json.loads(row["warnings_json"])
    )


def grouped(warned: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return warnings (kind, key, text) as kind, text, n and an example, most frequent first."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for kind, key, text in warned:
        group = {"kind": kind, "text": text, "n": 0, "example": key}
        groups.setdefault((kind, text), group)["n"] += 1
    return sorted(groups.values(), key=lambda group: -int(group["n"]))


def _nights(conn: Connection) -> list[dict[str, Any]]:
    """The latest nights: frames and exposures by kind, and how many were reduced."""
    found: dict[str, dict[str, Any]] = {}
    for row in conn.execute(queries.NIGHTS, {"limit": _NIGHTS}).mappings():
        new = {"night": row["night"], "frames": {}, "exposures": {}, "reduced": 0}
        night = found.setdefault(row["night"], new)
        night["frames"][row["obstype"]] = row["n"]
        night["exposures"][row["obstype"]] = row["exposures"]
        night["reduced"] += row["reduced"]
    return list(found.values())


def _rows(conn: Connection, query: TextClause) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(query).mappings()]
