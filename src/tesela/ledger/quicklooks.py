"""Quick looks in the ledger: what they are compared with, and what they said."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import queries
from tesela.ledger.queries import status

_LATEST = 200
_FEWEST = 5
_CLEAR = 90.0


def usual_zeropoint(conn: Connection, configuration: str, mjd: float) -> float | None:
    """The zero point (mag) of a clear night: the 90th percentile of the latest 200 frames of a
    configuration before an instant; None where there are fewer than five."""
    wanted = {"configuration": configuration, "mjd": mjd, "limit": _LATEST}
    import numpy as np  # here: who looks at a list of quick looks needs none of it

    values = [row.zeropoint_mag for row in conn.execute(queries.ZERO_POINTS, wanted)]
    return float(np.percentile(values, _CLEAR)) if len(values) >= _FEWEST else None


def without_reduction(conn: Connection, night: str, limit: int = 100) -> list[dict[str, Any]]:
    """Frames of a night that were looked at and are not reduced yet, with the outcome and what was
    measured: those that did not pass, then the others, of each the latest first."""
    rows = conn.execute(status.LOOKED_AT, {"night": night, "limit": limit}).mappings()
    return [{**row, "passed": bool(row["passed"])} for row in rows]
