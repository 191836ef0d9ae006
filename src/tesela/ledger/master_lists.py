"""Lists of masters for people: those that are served and, where they ask, those that were."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger.keys import Configuration
from tesela.ledger.queries import master_lists as queries

STATES = ("proposed", "certified", "flagged", "superseded", "invalid", "rejected")
"""States of masters. One that a person flagged is served until the next run, which retires it; one
that was retired, without a successor, is invalid."""


def versions(
    conn: Connection, master_kind: str = "", state: str = "", key: str = ""
) -> list[dict[str, Any]]:
    """Return every version of the masters of a kind, state and key, '' for any, in the order of
    their keys; `is_current` tells those that are served."""
    wanted = {"master_kind": master_kind, "state": state, "key": key}
    return [dict(row) for row in conn.execute(queries.MASTER_VERSIONS, wanted).mappings()]


def latest_science_night(conn: Connection) -> str:
    """Return the last night with a science exposure, '' without any."""
    return str(conn.scalar(queries.LATEST_SCIENCE_NIGHT) or "")


def megapixels_of_ccd(conn: Connection, configuration: Configuration) -> float:
    """Return the size of the frames of a CCD, 0 if there are none."""
    prefix = f"{configuration.telescope}.{configuration.camera}.{configuration.ccd}"
    asked = {"low": f"{prefix}.", "high": f"{prefix}/"}  # '/' follows '.'
    return float(conn.scalar(queries.PIXELS_OF_CCD, asked) or 0) / 1e6
