"""Human judgements. They attach to (kind, key), so they outlive every version.

A verdict on a group (an exposure, a night, all that met a condition) is written on the group and on
each of its frames: who asks whether a frame is good asks for the verdict on the frame. The one on
the group is there for frames that come later, and to be taken back as one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy.engine import Connection

from tesela.errors import LedgerError, NotFound
from tesela.ledger import events, queries, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.parts import ask, parts
from tesela.ledger.queries import judging

EXPOSURE, NIGHT, WHERE = "exposure", "night", "where"
"""Kinds of groups: the key is that of the exposure, the date, or the condition."""
GROUPS = (EXPOSURE, NIGHT, WHERE)


def standing(conn: Connection, kind: str, key: str) -> dict[str, Any] | None:
    """Return the verdict in force, or None."""
    row = conn.execute(queries.STANDING_VERDICT, {"kind": kind, "key": key}).mappings().first()
    return None if row is None else dict(row)


def of_groups(conn: Connection, exposure: str, night: str) -> dict[str, Any] | None:
    """Return the verdict in force on an exposure (its key), else that on its night, or None."""
    asked = {"exposure": exposure, "night": night}
    row = conn.execute(judging.STANDING_OF_GROUPS, asked).mappings().first()
    return None if row is None else dict(row)


def standing_of(conn: Connection, kind: str, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the verdicts in force on any of the keys, by key."""
    return {row["key"]: dict(row) for row in ask(conn, judging.STANDING_OF_KEYS, keys, kind=kind)}


def set_bad(
    conn: Connection,
    kind: str,
    keys: str | Collection[str],
    *,
    reason: str,
    comment: str,
    who: str,
    at: float | None = None,
) -> None:
    """Condemn one product or many of a kind, of which none may be condemned already.

    `at` is the MJD that all verdicts of one act share.
    """
    chosen = [keys] if isinstance(keys, str) else list(keys)
    for key, found in standing_of(conn, kind, chosen).items():
        raise already(kind, key, found)
    if not chosen:
        return
    same = {"kind": kind, "value": "bad", "reason": reason, "comment": comment, "who": who}
    at = now_mjd() if at is None else at
    conn.execute(schema.verdict.insert(), [{**same, "key": key, "set_mjd": at} for key in chosen])
    detail = f"{reason}: {comment}" if comment else reason
    events.record_each(conn, "flagged", ((kind, key, detail) for key in chosen), who=who)


def withdraw(conn: Connection, kind: str, keys: str | Collection[str], *, who: str) -> None:
    """Take the verdicts in force on one product or many back; they stay in the history."""
    chosen = [keys] if isinstance(keys, str) else list(keys)
    found = standing_of(conn, kind, chosen)
    for key in chosen:
        if key not in found:
            raise not_judged(kind, key)
    for some in parts(chosen):
        values = {"kind": kind, "keys": some, "now": now_mjd(), "who": who}
        conn.execute(judging.WITHDRAW_OF_KEYS, values)
    events.record_each(conn, "unflagged", ((kind, key, "") for key in chosen), who=who)


def judged_at_once(conn: Connection, kind: str, head: dict[str, Any]) -> list[str]:
    """Return the keys of a kind that were condemned in the same act as a group, and still are."""
    wanted = {name: head[name] for name in ("who", "reason", "set_mjd")}
    return [str(row.key) for row in conn.execute(judging.JUDGED_AT_ONCE, {**wanted, "kind": kind})]


def came_with(head: dict[str, Any], row: Any) -> bool:
    """Whether the verdict on a member of a group came with that on the group, or because of it."""
    same = row["who"] == head["who"] and row["reason"] == head["reason"]
    return bool(same and row["set_mjd"] >= head["set_mjd"])


def already(kind: str, key: str, found: dict[str, Any]) -> LedgerError:
    """What to say where there is a verdict already."""
    return LedgerError(
        f"{kind} {key}",
        found=f"flagged already by {found['who']} ({found['reason']})",
        expected="no verdict in force",
        do="unflag it first to change the reason",
    )


def not_judged(kind: str, key: str) -> NotFound:
    """What to say where there is no verdict."""
    return NotFound(
        f"{kind} {key}", found="no verdict in force", do="see `tesela history` for the past"
    )
