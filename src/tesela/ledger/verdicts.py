"""Human judgements. They attach to (kind, key), so they outlive every version."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.ledger import events, queries, schema
from tesela.ledger.clock import now_mjd


def standing(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return the verdict in force, or None."""
    row = conn.execute(queries.STANDING_VERDICT, {"kind": kind, "key": key}).mappings().first()
    return None if row is None else dict(row)


def set_bad(conn: Connection, kind: str, key: str, *, reason: str, comment: str, who: str) -> None:
    """Condemn (kind, key); it must not be condemned already."""
    found = standing(conn, kind, key)
    if found:
        raise LedgerError(
            f"{kind} {key}",
            found=f"flagged already by {found['who']} ({found['reason']})",
            expected="no verdict in force",
            do="unflag it first to change the reason",
        )
    row = {"kind": kind, "key": key, "value": "bad", "reason": reason, "comment": comment}
    conn.execute(schema.verdict.insert().values(**row, who=who, set_mjd=now_mjd()))
    detail = f"{reason}: {comment}" if comment else reason
    events.record(conn, "flagged", kind=kind, key=key, detail=detail, who=who)


def withdraw(conn: Connection, kind: str, key: str, *, who: str) -> None:
    """Take the verdict in force back; it stays in the history."""
    found = standing(conn, kind, key)
    if found is None:
        raise NotFound(
            f"{kind} {key}", found="no verdict in force", do="see `tesela history` for the past"
        )
    conn.execute(
        schema.verdict.update()
        .where(schema.verdict.c.id == found["id"])
        .values(withdrawn_mjd=now_mjd(), withdrawn_by=who)
    )
    events.record(conn, "unflagged", kind=kind, key=key, who=who)
