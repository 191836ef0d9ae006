"""Which masters a frame taken at an instant would get, and which are due.

What the operator of a telescope asks in the afternoon: are there biases, flats, an illumination
since the baffle was moved?
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from tesela.flow.plan.choice import choose, missing_sentence
from tesela.flow.plan.rules import Rules
from tesela.flow.plan.shelf import Shelf
from tesela.ledger import masters, queries
from tesela.ledger.keys import Configuration
from tesela.products.masterkind import FULL, KINDS
from tesela.products.validity import Validity

VALID, COMING, FALLBACK, MISSING = "valid", "being made", "fallback", "missing"


@dataclass(frozen=True)
class MasterNeed:
    """One kind of master of one configuration at an instant."""

    master_kind: str
    configuration: str
    state: str
    """valid, being made, fallback or missing."""
    is_required: bool
    master: str
    """Key and version of the one that would be used; '' for none."""
    days: float
    """Left of its validity; outside of it negative, how far."""
    reason: str
    """What is due, '' if nothing."""


def needs(conn: Connection, rules: Rules, mjd: float, *, since: str = "") -> list[MasterNeed]:
    """Return the needs of every configuration of science frames taken since a night."""
    rows = conn.execute(queries.SCIENCE_CONFIGURATIONS, {"since": since})
    found: dict[tuple[str, str], MasterNeed] = {}
    for row in rows:
        configuration = Configuration(*row.configuration.split("."))
        for need in rules.corrections(FULL, configuration):
            own = str(configuration.for_kind(need.master_kind))
            if (need.master_kind, own) not in found:
                found[need.master_kind, own] = _need(
                    conn, rules, need.master_kind, configuration, mjd, need.is_required
                )
    order = list(KINDS)
    return sorted(found.values(), key=lambda n: (order.index(n.master_kind), n.configuration))


def _need(
    conn: Connection,
    rules: Rules,
    kind: str,
    configuration: Configuration,
    mjd: float,
    is_required: bool,
) -> MasterNeed:
    own = configuration.for_kind(kind)
    choice = choose(Shelf(conn), rules, kind, configuration, mjd)
    row = choice.master
    if row is None:
        state = COMING if choice.waits_for else MISSING
        reason = missing_sentence(rules, configuration, choice)
        return MasterNeed(kind, str(own), state, is_required, "", float("nan"), reason)
    used = masters.get(conn, row["product_id"])
    away = Validity(used["valid_begin"], used["valid_end"]).distance(mjd)
    days = used["valid_end"] - mjd if not away else -away
    said = []
    if away:
        where = (
            "before its validity begins"
            if mjd < used["valid_begin"]
            else "after its validity ended"
        )
        said.append(f"used {away:.1f} d {where}")
    if choice.crosses:
        said.append(f"none since {choice.crosses}")
    if choice.stands_in:
        said.append(f"a {row['master_kind']} stands in")
    if choice.waits_for:
        said.append(f"{choice.waits_for[0]} is being made")
    state = COMING if choice.waits_for else FALLBACK if said else VALID
    master = f"{row['key']} version {row['version']}"
    return MasterNeed(kind, str(own), state, is_required, master, days, "; ".join(said))
