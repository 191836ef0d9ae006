"""What meets a condition: raw frames, products, tasks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger.where import Condition
from tesela.ledger.where_columns import FRAME, PRODUCT, QUALITY, STEP

_STEP = """
    JOIN step s ON s.kind = p.kind
    LEFT JOIN step_settings o ON o.step = s.name AND o.scope = p.scope
"""
_QUALITY = " JOIN quality q ON q.product_id = p.id "


def frames(conn: Connection, condition: Condition) -> list[str]:
    """Return the names of the raw frames that meet a condition, in order."""
    joined = ""
    if PRODUCT in condition.groups:
        joined += " JOIN product p ON p.kind = 'reduced' AND p.key = f.name AND p.is_current "
    which, values = condition.sql(conn.dialect.name)
    query = f"""
        SELECT f.name FROM exposure x JOIN frame f ON f.exposure_id = x.id {joined}
        {_more(condition)}
        WHERE {which} ORDER BY f.name
    """
    return [str(row.name) for row in conn.execute(sa.text(query), values)]


def products(
    conn: Connection, kinds: Collection[str], condition: Condition | None = None
) -> list[tuple[str, str]]:
    """Return (kind, key) of the products of some kinds that are served and meet a condition."""
    which, values = condition.sql(conn.dialect.name) if condition else ("1 = 1", {})
    joined = _of_frame("p", condition) + _more(condition)
    query = f"""
        SELECT p.kind, p.key FROM product p {joined}
        WHERE p.is_current AND p.kind IN :kinds AND {which} ORDER BY p.kind, p.key
    """
    asked = sa.text(query).bindparams(sa.bindparam("kinds", expanding=True))
    rows = conn.execute(asked, {**values, "kinds": sorted(kinds)})
    return [(str(row.kind), str(row.key)) for row in rows]


def failed_tasks(
    conn: Connection, states: Collection[str], condition: Condition | None = None
) -> list[dict[str, Any]]:
    """Return the tasks of the states dead and skipped that meet a condition: step, kind, key,
    state, attempts and reason."""
    which, values = condition.sql(conn.dialect.name) if condition else ("1 = 1", {})
    query = f"""
        SELECT t.step, t.kind, t.key, t.state, t.attempts, t.reason
        FROM task t {_of_frame("t", condition)}
        WHERE t.state IN ('dead', 'skipped') AND t.state IN :states AND {which}
        ORDER BY t.state, t.step, t.key
    """
    asked = sa.text(query).bindparams(sa.bindparam("states", expanding=True))
    rows = conn.execute(asked, {**values, "states": sorted(states)}).mappings()
    return [dict(row) for row in rows]


def _of_frame(table: str, condition: Condition | None) -> str:
    """Join the frame that a product or task is of."""
    if condition is None or FRAME not in condition.groups:
        return ""
    return (
        f" JOIN frame f ON f.name = {table}.key AND {table}.kind IN ('reduced', 'detrended')"
        " JOIN exposure x ON x.id = f.exposure_id "
    )


def _more(condition: Condition | None) -> str:
    groups = condition.groups if condition else frozenset()
    return (_QUALITY if QUALITY in groups else "") + (_STEP if STEP in groups else "")
