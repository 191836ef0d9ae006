"""The masters of a quick look: the nearest there are, whatever their age; it never waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import Rules
from tesela.ledger import masters
from tesela.ledger.keys import Configuration
from tesela.products.masterkind import QUICK, STANDS_IN
from tesela.products.validity import Validity

_WITHOUT = {"BIAS": "no bias at all: the overscan alone is subtracted", "FLAT": "not flattened"}
"""What a frame is like without a master of a kind that every reduction has."""


@dataclass(frozen=True)
class Approximate:
    """Masters by the rules of the quick look."""

    masters: tuple[dict[str, Any], ...]
    """Rows with `product_id`, `key` and `version`."""
    warnings: tuple[str, ...]
    """What is lacking, and what no reduction would use."""


def nearest_masters(
    conn: Connection, rules: Rules, configuration: Configuration, mjd: float
) -> Approximate:
    """The certified master of each kind that is nearest to an instant.

    One since the last intervention comes first, but any will do, and what is under way is nothing
    yet. A master of tonight is seldom there, so only what lies beyond the reach of the reduction is
    a warning.
    """
    chosen, warnings = [], []
    for need in rules.corrections(QUICK, configuration):
        kind = need.master_kind
        row = _nearest(conn, rules, kind, configuration, mjd)
        if row is None and kind in STANDS_IN:
            row = _nearest(conn, rules, STANDS_IN[kind], configuration, mjd)
        if row is None:
            if kind in _WITHOUT:
                own = configuration.for_kind(kind)
                warnings.append(f"no certified {kind} of {own}: {_WITHOUT[kind]}")
            continue
        chosen.append(row)
        warnings += _beyond(rules, row, configuration, mjd)
    return Approximate(tuple(chosen), tuple(warnings))


def _nearest(
    conn: Connection, rules: Rules, kind: str, configuration: Configuration, mjd: float
) -> dict[str, Any] | None:
    own = configuration.for_kind(kind)

    def rank(row: dict[str, Any]) -> tuple[bool, float]:
        between = rules.calendar.crossed(kind, own.camera, row["valid_begin"], mjd)
        return bool(between), _away(row, mjd)

    return min(masters.around(conn, kind, own, mjd), key=rank, default=None)


def _away(row: dict[str, Any], mjd: float) -> float:
    return Validity(row["valid_begin"], row["valid_end"]).distance(mjd)


def _beyond(
    rules: Rules, row: dict[str, Any], configuration: Configuration, mjd: float
) -> list[str]:
    """Say why the reduction would not take a master."""
    kind, away = row["master_kind"], _away(row, mjd)
    between = rules.calendar.crossed(kind, configuration.camera, row["valid_begin"], mjd)
    said = f"{kind} of {row['night']}"
    found = [f"{said} is {away:.0f} days off"] if away > rules.fallback_days(kind) else []
    return [*found, *([f"{said} is from before {between}"] if between else [])]
