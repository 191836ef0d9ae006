"""Shipments to and from other sites."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.ledger import schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.insert import insert_once
from tesela.ledger.queries import sites as queries

OUT: Final = "out"
IN: Final = "in"
PACKED, SENT, VERIFIED, FAILED = "packed", "sent", "verified", "failed"


def put(
    conn: Connection,
    shipment: str,
    *,
    direction: str,
    site: str,
    state: str,
    files: int,
    n_bytes: int,
    packed_mjd: float,
) -> None:
    """Enter a shipment; of a known one its state, files and bytes are written anew."""
    row = {
        "id": shipment, "direction": direction, "site": site, "state": state, "files": files,
        "bytes": n_bytes, "packed_mjd": packed_mjd,
    }  # fmt: skip
    insert_once(conn, schema.shipment, row, ["id"], update=["state", "files", "bytes"])


def end(conn: Connection, shipment: str, state: str, detail: str = "") -> None:
    """Say how a shipment ended."""
    table = schema.shipment
    values = {"state": state, "detail": detail, "ended_mjd": now_mjd()}
    conn.execute(table.update().where(table.c.id == shipment).values(**values))


def under_way(conn: Connection) -> list[dict[str, Any]]:
    """Return how many shipments, files and bytes are on their way, by direction, site and state."""
    return [dict(row) for row in conn.execute(queries.SHIPMENTS_UNDER_WAY).mappings()]


def latest(
    conn: Connection, direction: str, site: str, state: str, limit: int = 1
) -> list[dict[str, Any]]:
    """Return the latest shipments of a site in a state."""
    asked = {"direction": direction, "site": site, "state": state, "limit": limit}
    return [dict(row) for row in conn.execute(queries.LATEST_SHIPMENTS, asked).mappings()]
