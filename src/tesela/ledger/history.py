"""The whole history of a key: what happened, and why each version was made."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import events, products


def of_key(conn: Connection, key: str) -> dict[str, list[dict[str, Any]]]:
    """Return the events, versions, attempts and verdicts of everything called `key`.

    Each version also has its `warnings`, and as `changes` the inputs that differ from those of the
    version before.
    """
    found = events.history(conn, key)
    before: dict[str, int] = {}
    for row in found["versions"]:
        row["warnings"] = json.loads(row.pop("warnings_json"))
        row["changes"] = products.changes(conn, row["id"], before.get(row["kind"]))
        before[row["kind"]] = row["id"]
    return found
