"""Choosing the master that a frame uses, and telling why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import Need, Rules
from tesela.flow.plan.shelf import Shelf
from tesela.ledger import calsets, masters, products
from tesela.ledger.keys import Configuration, MasterKey, is_of_profile
from tesela.products.masterkind import IMAGES, KINDS, MASTERS, RAW, STANDS_IN
from tesela.products.validity import Validity

_REMEDIES = {
    RAW: "ingest frames for its {}",
    IMAGES: "calibration.{} of survey.toml names the frames it is built from",
    MASTERS: "it is made of other masters",
}


@dataclass(frozen=True)
class Choice:
    """The master of one kind for one instant."""

    master_kind: str
    master: dict[str, Any] | None
    distance_days: float = 0.0
    """0 inside its interval; above, it is a fallback."""
    crosses: str = ""
    """What was done to the telescope between the master and the instant; '' if nothing."""
    stands_in: bool = False
    """It is of the kind that is taken where there is none of this one."""
    waits_for: tuple[MasterKey, ...] = ()
    """Masters under way that would be chosen instead if they are certified."""
    obstacles: tuple[str, ...] = ()
    """Without a master: those within reach that will not come by themselves, and why."""

    @property
    def is_ready(self) -> bool:
        """Whether a master is chosen and nothing under way could replace it."""
        return self.master is not None and not self.waits_for


def choose(
    shelf: Shelf, rules: Rules, master_kind: str, configuration: Configuration, mjd: float
) -> Choice:
    """Choose the certified master whose interval holds `mjd`, else the nearest within reach.

    One of the same epoch, with no intervention between, comes before any other; some kinds may
    not cross an intervention at all. Of two equally near the earlier is taken. Where there is
    none, the kind that stands in is looked for in the same way.
    """
    found = _choose_one(shelf, rules, master_kind, configuration, mjd)
    other = STANDS_IN.get(master_kind)
    if found.master is None and other and rules.is_made(other, configuration):
        second = _choose_one(shelf, rules, other, configuration, mjd)
        if second.master is not None or (second.waits_for and not found.waits_for):
            waits_for = found.waits_for + second.waits_for
            return replace(second, master_kind=master_kind, stands_in=True, waits_for=waits_for)
    return found


def _choose_one(
    shelf: Shelf, rules: Rules, master_kind: str, configuration: Configuration, mjd: float
) -> Choice:
    own = configuration.for_kind(master_kind)
    reach = rules.fallback_days(master_kind)
    best, best_rank, crosses = None, (True, reach), ""
    for row in shelf.around(master_kind, own, mjd):
        away = Validity(row["valid_begin"], row["valid_end"]).distance(mjd)
        between = rules.calendar.crossed(master_kind, own.camera, row["valid_begin"], mjd)
        if away > reach or (between and not KINDS[master_kind].crosses_interventions):
            continue
        if best is None or (bool(between), away) < best_rank:
            best, best_rank, crosses = row, (bool(between), away), between
    pending = shelf.pending(master_kind, own)
    ranked = [
        (rank, key)
        for key in pending
        for rank in [_rank(rules, key, mjd)]
        if rank[1] <= reach and _may_be_used(rules, key, mjd)
    ]
    nearest = min((rank for rank, _ in ranked), default=best_rank)
    # Of several under way only the best is waited for: should it fail, all look again.
    coming = tuple(key for rank, key in ranked if rank == nearest and rank <= best_rank)
    if best is None and not coming:
        given_up = masters.given_up(shelf.conn, master_kind, own)
        near = [
            (k, why)
            for k, why in given_up
            if rules.validity(k).distance(mjd) <= reach and _may_be_used(rules, k, mjd)
        ]
        near.sort(key=lambda pair: rules.validity(pair[0]).distance(mjd))
        return Choice(master_kind, None, obstacles=tuple(f"{k} {why}" for k, why in near))
    distance = best_rank[1] if best else 0.0
    return Choice(master_kind, best, distance, crosses, waits_for=coming)


def _may_be_used(rules: Rules, key: MasterKey, mjd: float) -> bool:
    """Whether no intervention that its kind may not cross lies between a master and an instant."""
    crosses, _ = _rank(rules, key, mjd)
    return not crosses or KINDS[key.master_kind].crosses_interventions


def _rank(rules: Rules, key: MasterKey, mjd: float) -> tuple[bool, float]:
    """How good a master would be: of another epoch or not, then the distance in days."""
    validity = rules.validity(key)
    camera = key.configuration.camera
    between = rules.calendar.crossed(key.master_kind, camera, validity.begin, mjd)
    return bool(between), validity.distance(mjd)


def missing_sentence(rules: Rules, configuration: Configuration, choice: Choice) -> str:
    """Say what a frame waits for; '' if the choice is ready."""
    if choice.waits_for:
        names = ", ".join(str(key) for key in choice.waits_for[:3])
        more = len(choice.waits_for) - 3
        return f"{choice.master_kind} being made: {names}" + (f" and {more} more" * (more > 0))
    if choice.master is None:
        own = configuration.for_kind(choice.master_kind)
        reach = rules.fallback_days(choice.master_kind)
        remedy = _REMEDIES[KINDS[choice.master_kind].source].format(choice.master_kind.lower())
        why = choice.obstacles[0] if choice.obstacles else remedy
        return f"no certified {choice.master_kind} of {own} within {reach:g} d; {why}"
    return ""


@dataclass(frozen=True)
class Chosen:
    """Calibrations for one key: a calset, or what is missing."""

    calset_id: int | None = None
    """None where nothing is needed or, of what may lack, nothing is there."""
    missing: str = ""
    pending: bool = False
    stale: str = ""


def choose_calset(
    shelf: Shelf,
    rules: Rules,
    needs: Iterable[Need],
    configuration: Configuration,
    mjd: float,
    *,
    recorded: int | None,
    profile: str,
) -> Chosen:
    """Choose a calset: the recorded one while it is sound, else the best masters there are.

    A better master alone never replaces a recorded choice: it makes it stale.
    """
    needs = tuple(needs)
    choices = [choose(shelf, rules, need.master_kind, configuration, mjd) for need in needs]
    rows = [choice.master for choice in choices if choice.master is not None]
    if recorded is not None and is_sound(shelf.conn, recorded):
        used = {row["id"] for row in calsets.members(shelf.conn, recorded)}
        better = [row for row in rows if row["product_id"] not in used]
        complete = all(
            choice.is_ready or not (need.is_required or choice.waits_for)
            for need, choice in zip(needs, choices)
        )
        names = ", ".join(f"{row['key']} version {row['version']}" for row in better)
        stale = f"nearer master: {names}" if better and complete else ""
        return Chosen(recorded, stale=stale or _of_another_epoch(shelf.conn, rules, recorded, mjd))
    lacking = [
        (need.is_required and choice.master is None and not choice.waits_for, sentence)
        for need, choice in zip(needs, choices)
        if need.is_required or choice.waits_for
        for sentence in [missing_sentence(rules, configuration, choice)]
        if sentence
    ]
    # One kind that cannot come keeps the frame waiting, whatever else is under way.
    hopeless = [sentence for cannot_come, sentence in lacking if cannot_come]
    if lacking:
        said = hopeless or [sentence for _, sentence in lacking]
        return Chosen(missing="; ".join(said), pending=not hopeless)
    return Chosen(shelf.calset(configuration, profile, rows) if rows else None)


def _of_another_epoch(conn: Connection, rules: Rules, calset_id: int, mjd: float) -> str:
    """Say which master of a calset lies beyond an intervention that it may not cross."""
    if not rules.calibration.interventions:
        return ""
    for member in calsets.members(conn, calset_id):
        row = masters.get(conn, member["id"])
        kind, camera = row["master_kind"], row["configuration"].split(".")[1]
        between = rules.calendar.crossed(kind, camera, row["valid_begin"], mjd)
        if between and not KINDS[kind].crosses_interventions:
            return f"{member['key']} is of another epoch: {between}"
    return ""


def is_sound(conn: Connection, calset_id: int) -> bool:
    """Whether no master of a calset was found invalid or rejected."""
    return all(masters.is_sound(conn, row["id"]) for row in calsets.members(conn, calset_id))


def recorded_calset(conn: Connection, current: dict[str, Any] | None, profile: str) -> int | None:
    """Return the calset of a profile that a current version was made with, or None."""
    if current is None:
        return None
    rows = products.inputs(conn, current["id"])
    found = [r["id"] for r in rows if r["kind"] == "calset" and is_of_profile(r["key"], profile)]
    return found[0] if found else None
