"""What the monitors follow: values of amplifiers by night, and what was judged of them.

A detector is a configuration without its filter, as text. A series is of one detector, quantity,
filter and source (the kind of the master or of the product it was measured on): levels of twilight
flats and of dome flats are two series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tesela.errors import NotFound
from tesela.ledger import queries, schema
from tesela.ledger.clock import now_mjd
from tesela.ledger.keys import Configuration, MasterKey
from tesela.products.monitor import QUANTITIES, AmpValue

Judged = tuple[AmpValue, int, str]
"""A value, its level (0 quiet, 1 warning, 2 alarm) and the reason of the level."""

_EVER = "9999-12-31"


@dataclass(frozen=True)
class AmpRow:
    """One quantity of one amplifier in one night; NaN where there is no value or no error."""

    detector: str
    filter: str
    source: str
    night: str
    amp: int
    metric: str
    value: float
    error: float
    n: int
    level: int
    reason: str
    product_id: int
    at_mjd: float


@dataclass(frozen=True)
class NightCount:
    """How many values a night has, and how many of them raised something."""

    night: str
    n: int
    warnings: int
    alarms: int


@dataclass(frozen=True)
class Followed:
    """One series there is."""

    detector: str
    filter: str
    source: str
    metric: str
    nights: int
    latest: str


def put(
    conn: Connection,
    product_id: int,
    configuration: Configuration,
    night: str,
    rows: Sequence[Judged],
) -> None:
    """Enter what a product says of a night, in place of what other versions of it said."""
    source = _source(conn, product_id)
    conn.execute(queries.FORGET_AMP_VALUES, {"product_id": product_id})
    common = {
        "detector": str(configuration.detector),
        "filter": configuration.filter,
        "source": source,
        "night": night,
        "product_id": product_id,
        "at_mjd": now_mjd(),
    }
    entries = [
        {
            **common,
            "amp": followed.amp,
            "metric": followed.metric,
            "value": _or_none(followed.value),
            "error": _or_none(followed.error),
            "n": followed.n,
            "level": int(level),
            "reason": reason,
        }
        for followed, level, reason in rows
    ]
    if entries:
        conn.execute(queries.PUT_AMP_VALUE, entries)


def series(
    conn: Connection,
    detector: str,
    metric: str = "",
    *,
    filter: str = "",  # noqa: A002 - the name of the column
    source: str = "",
    amp: int | None = None,
    since: str = "",
    before: str | None = None,
    limit: int = 60,
) -> list[AmpRow]:
    """Return the latest nights of a detector, the oldest first.

    Parameters
    ----------
    detector : str
        The configuration without its filter.
    metric, filter, source : str
        '' takes all of them, quantity after quantity; "-" is the filter of what has none.
    amp : int or None
        None takes all of them.
    since, before : str
        Nights [since, before). A series that may not cross an intervention begins after it.
    limit : int
        Nights of each quantity, at most: one that is known every month is not pushed out by what
        is known every night.

    Returns
    -------
    list of AmpRow
        Of products that are held to be good: neither retired nor of a rejected master.
    """
    asked = {"filter": filter or None, "source": source or None, "amp": amp}
    given = {name: value for name, value in asked.items() if value is not None}
    which = "".join(f" AND a.{name} = :{name}" for name in given)
    query = sa.text(queries.AMP_SERIES.format(which=which))
    common = {"detector": detector, "since": since, "before": before or _EVER, "limit": limit}
    found = []
    for one in [metric] if metric else sorted(QUANTITIES):
        rows = conn.execute(query, {**common, **given, "metric": one}).mappings()
        found += [_row(row) for row in rows]
    return found


def alerts(
    conn: Connection, since_night: str = "", *, detector: str = "", level: int = 1
) -> list[AmpRow]:
    """Return what was raised since a night, of at least a level, the latest night first."""
    wanted = {"since": since_night, "detector": detector, "level": level}
    return [_row(row) for row in conn.execute(queries.AMP_ALERTS, wanted).mappings()]


def nights(conn: Connection, *, detector: str = "", limit: int = 400) -> list[NightCount]:
    """Return the latest nights with values, the latest first."""
    wanted = {"detector": detector, "limit": limit}
    rows = conn.execute(queries.AMP_NIGHTS, wanted).mappings()
    return [NightCount(**row) for row in rows]


def followed(conn: Connection, since_night: str = "") -> list[Followed]:
    """Return the series that have a value since a night."""
    rows = conn.execute(queries.AMP_FOLLOWED, {"since": since_night}).mappings()
    return [Followed(**row) for row in rows]


def _source(conn: Connection, product_id: int) -> str:
    table = schema.product
    columns = (table.c.kind, table.c.key)
    row = conn.execute(table.select().with_only_columns(*columns).where(table.c.id == product_id))
    found = row.first()
    if found is None:
        raise NotFound(f"product {product_id}", found="no such product")
    return MasterKey.parse(found.key).master_kind if found.kind == "master" else str(found.kind)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _row(row: RowMapping) -> AmpRow:
    fields: dict[str, Any] = {name: row[name] for name in AmpRow.__dataclass_fields__}
    for name in ("value", "error"):
        fields[name] = math.nan if fields[name] is None else fields[name]
    return AmpRow(**fields)
