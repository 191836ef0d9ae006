"""What may be begun: less of a step that is limited, nothing of one that is paused."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy.engine import Connection

from tesela.ledger import counts, pauses


def rooms(
    conn: Connection, steps: Collection[str], limits: Mapping[str, int], room: int
) -> dict[str, int]:
    """Return how many tasks of each step may be begun where there is room for so many in all."""
    running = counts.running_by_step(conn)
    paused = pauses.paused_steps(conn)
    return {
        name: max(0, min(room, limits.get(name, room) - running.get(name, 0)))
        if name in limits
        else room
        for name in steps
        if not pauses.is_paused(paused, name)
    }


def held(conn: Connection, steps: Collection[str], limits: Mapping[str, int]) -> list[str]:
    """Say what is due and may not be begun, and why."""
    reasons = {
        name: f"`limits.{name}` of site.toml is 0" for name, limit in limits.items() if limit == 0
    }
    for one in pauses.in_force(conn):
        if one.project == pauses.ALL:
            names = steps if one.step == pauses.ALL else (one.step,)
            reasons |= dict.fromkeys(names, f"{one.name} is paused by {one.who}: {one.reason}")
    due = counts.ready_by_step(conn) if reasons else {}
    return [
        f"{due[name]} of step {name} due and held: {reason}"
        for name, reason in reasons.items()
        if due.get(name)
    ]
