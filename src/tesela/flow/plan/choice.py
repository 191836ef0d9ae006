"""Choosing the master that a frame uses, and telling why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import Rules
from tesela.ledger import calsets, masters, products
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.validity import Validity


@dataclass(frozen=True)
class Choice:
    """The master of one kind for one instant."""

    master_kind: str
    master: dict[str, Any] | None
    distance_days: float = 0.0
    """0 inside its interval; above, it is a fallback."""
    waits_for: tuple[MasterKey, ...] = ()
    """Masters under way that would be chosen instead if they are certified."""
    obstacles: tuple[str, ...] = ()
    """Without a master: those within reach that will not come by themselves, and why."""

    @property
    def is_ready(self) -> bool:
        """Whether a master is chosen and nothing under way could replace it."""
        return self.master is not None and not self.waits_for


def choose(
    conn: Connection, rules: Rules, master_kind: str, configuration: Configuration, mjd: float
) -> Choice:
    """Choose the certified master whose interval holds `mjd`, else the nearest within reach.

    Of two equally near the earlier is taken.
    """
    own = configuration.for_kind(master_kind)
    reach = rules.fallback_days(master_kind)
    best, distance = None, reach
    for row in masters.around(conn, master_kind, own, mjd):
        away = Validity(row["valid_begin"], row["valid_end"]).distance(mjd)
        if away <= reach and (best is None or away < distance):
            best, distance = row, away
    coming = tuple(
        key
        for key in masters.pending(conn, master_kind, own)
        if rules.validity(key).distance(mjd) <= distance
    )
    if best is None and not coming:
        given_up = masters.given_up(conn, master_kind, own)
        near = [(k, why) for k, why in given_up if rules.validity(k).distance(mjd) <= reach]
        near.sort(key=lambda pair: rules.validity(pair[0]).distance(mjd))
        return Choice(master_kind, None, obstacles=tuple(f"{k} {why}" for k, why in near))
    return Choice(master_kind, best, distance if best else 0.0, coming)


def missing_sentence(rules: Rules, configuration: Configuration, choice: Choice) -> str:
    """Say what a frame waits for; '' if the choice is ready."""
    if choice.waits_for:
        names = ", ".join(str(key) for key in choice.waits_for[:3])
        more = len(choice.waits_for) - 3
        return f"{choice.master_kind} being made: {names}" + (f" and {more} more" * (more > 0))
    if choice.master is None:
        own = configuration.for_kind(choice.master_kind)
        reach = rules.fallback_days(choice.master_kind)
        remedy = f"ingest its {choice.master_kind.lower()} frames"
        why = choice.obstacles[0] if choice.obstacles else remedy
        return f"no certified {choice.master_kind} of {own} within {reach:g} d; {why}"
    return ""


@dataclass(frozen=True)
class Chosen:
    """Calibrations for one key: a calset, or what is missing."""

    calset_id: int = 0
    missing: str = ""
    pending: bool = False
    stale: str = ""


def choose_calset(
    conn: Connection,
    rules: Rules,
    kinds: Iterable[str],
    configuration: Configuration,
    mjd: float,
    *,
    recorded: int | None,
    profile: str,
) -> Chosen:
    """Choose a calset: the recorded one while it is sound, else the best masters there are.

    A better master alone never replaces a recorded choice: it makes it stale.
    """
    choices = [choose(conn, rules, kind, configuration, mjd) for kind in kinds]
    rows = [choice.master for choice in choices if choice.master is not None]
    if recorded is not None and is_sound(conn, recorded):
        used = {row["id"] for row in calsets.members(conn, recorded)}
        better = [row for row in rows if row["product_id"] not in used]
        complete = all(choice.is_ready for choice in choices)
        names = ", ".join(f"{row['key']} version {row['version']}" for row in better)
        return Chosen(recorded, stale=f"nearer master: {names}" if better and complete else "")
    sentences = [missing_sentence(rules, configuration, choice) for choice in choices]
    missing = "; ".join(sentence for sentence in sentences if sentence)
    if missing:
        # One kind that cannot come keeps the frame waiting whatever else is under way.
        hopeless = any(c.master is None and not c.waits_for for c in choices)
        return Chosen(missing=missing, pending=not hopeless)
    return Chosen(calsets.ensure(conn, configuration, profile, rows))


def is_sound(conn: Connection, calset_id: int) -> bool:
    """Whether no master of a calset was found invalid or rejected."""
    return all(
        masters.get(conn, row["id"])["state"] in ("certified", "superseded")
        for row in calsets.members(conn, calset_id)
    )


def recorded_calset(conn: Connection, current: dict[str, Any] | None) -> int | None:
    """Return the calset a current version was made with, or None."""
    if current is None:
        return None
    found = [r["id"] for r in products.inputs(conn, current["id"]) if r["kind"] == "calset"]
    return found[0] if found else None
