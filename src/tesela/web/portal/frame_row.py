"""A frame as a row or a picture of a list."""

from __future__ import annotations

from typing import Any

from tesela.ledger.clock import iso
from tesela.web.portal import links, timeline
from tesela.web.portal.pictures import Look
from tesela.web.portal.queries import Row
from tesela.web.portal.states import STATES


def shown(row: Row) -> dict[str, Any]:
    """A frame as its row and its picture show it."""
    warnings = row["warnings_json"] or "[]"
    flags = ["stale"] * bool(row["stale"]) + ["warnings"] * (warnings != "[]") + _quick(row)
    return {
        **row,
        "state": STATES[row["state"]],
        "time": iso(row["mjd_start"])[11:19],
        "flags": flags,
        "picture": links.picture("reduced", row["name"], row["checksum"][:12], Look()),
        "narrow": timeline.is_narrow(row["band"]),
    }


def _quick(row: Row) -> list[str]:
    """That the numbers are those of the quick look, and why it did not pass."""
    if row["look_passed"] is None:
        return []
    return ["quick look" if row["look_passed"] else f"quick look: {row['look_reason']}"]
