"""What a coadd is made from: every valid reduced image that touches its tile in its band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.batch import Known
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.wanted import Wanted
from tesela.ledger import queries
from tesela.ledger.keys import split_coadd_key
from tesela.ledger.tasks import Due


@dataclass(frozen=True)
class Candidate:
    """A frame of the tile and what it means for the coadd."""

    name: str
    reduced_id: int | None
    """Set only if it goes in."""
    excluded: str = ""
    """Why it is left out."""
    awaited: str = ""
    """Why the coadd waits for it."""
    megapixels: float = 0.0


def wanted(conn: Connection, _rules: Rules, item: Due, _known: Known) -> Wanted:
    """Say what the coadd of one tile and band should be made from."""
    found = candidates(conn, item.key)
    awaited = [c for c in found if c.awaited]
    if awaited:
        names = ", ".join(c.name for c in awaited[:3]) + (" ..." * (len(awaited) > 3))
        return Wanted(missing=f"{len(awaited)} frames being reduced: {names}", pending=True)
    chosen = [c for c in found if c.reduced_id is not None]
    if not chosen:
        return Wanted(nothing=f"none of its {len(found)} frames has a valid reduced image")
    return Wanted(
        inputs=frozenset(c.reduced_id for c in chosen if c.reduced_id is not None),
        megapixels=sum(c.megapixels for c in chosen),
    )


def candidates(conn: Connection, key: str) -> list[Candidate]:
    """Return every frame of a coadd's tile and band, in the order of names."""
    tile, band = split_coadd_key(key)
    rows = conn.execute(queries.FRAMES_OF_TILE, {"tile": tile, "band": band}).mappings()
    return [_judge(dict(row)) for row in rows]


def _judge(row: dict[str, Any]) -> Candidate:
    name = row["name"]
    if row["flagged"] is not None:
        return Candidate(name, None, excluded=f"flagged: {row['flagged']}")
    if row["dirty_why"] is not None:
        return Candidate(name, None, awaited=f"due: {row['dirty_why']}")
    if row["task_state"] in ("ready", "running"):
        return Candidate(name, None, awaited=f"its reduction is {row['task_state']}")
    if row["waiting_reason"] is not None and row["waiting_pending"]:
        return Candidate(name, None, awaited=row["waiting_reason"])
    if row["reduced_id"] is None or row["unsound"] is not None:
        reason = row["waiting_reason"] or row["task_reason"] or "not reduced"
        state = row["task_state"] if row["task_state"] in ("skipped", "dead") else "waits"
        # An older image is no substitute once a master behind it was condemned.
        old = f"; its image was made with {row['unsound']}, not valid" if row["unsound"] else ""
        return Candidate(name, None, excluded=f"{state}: {reason}{old}")
    if row["passed"] is not None and not row["passed"]:
        return Candidate(name, None, excluded=f"quality: {row['quality_reason']}")
    return Candidate(name, row["reduced_id"], megapixels=row["nx"] * row["ny"] / 1e6)
