"""What meets a condition: raw frames, products, tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tesela.ledger import stale
from tesela.ledger.parts import followed_by_index
from tesela.ledger.where import Condition
from tesela.ledger.where_columns import FRAME, PRODUCT, QUALITY, STEP

_STEP = """
    JOIN step s ON s.kind = p.kind
    LEFT JOIN step_settings o ON o.step = s.name AND o.scope = p.scope
"""
_QUALITY = " JOIN quality q ON q.product_id = p.id "
_DOES_NOT_WAIT = """
    NOT EXISTS (SELECT 1 FROM waiting w WHERE w.kind = p.kind AND w.key = p.key)
"""
_FEW = 20_000
"""So many are followed one by one; of more, whole tables are joined."""


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


@dataclass(frozen=True)
class Products:
    """Products that are served: of some kinds, with some keys, that meet a condition."""

    kinds: tuple[str, ...]
    keys: tuple[str, ...] = ()
    """Empty for any."""
    condition: Condition | None = None
    only_stale: bool = False
    steps: Mapping[str, stale.Now] | None = None
    """By which they are stale; None: as they were when a run or a plan began last."""

    def count(self, conn: Connection) -> dict[str, int]:
        """Return how many there are, by kind."""
        query, values = self._query(conn, "p.kind, COUNT(*) AS n")
        rows = conn.execute(sa.text(f"{query} GROUP BY p.kind"), values)
        return {row.kind: int(row.n) for row in rows}

    def parts(self, conn: Connection, after: int, most: int) -> list[dict[str, Any]]:
        """Return the next of them by their id: id, kind, key, version and why they are stale."""
        query, values = self._query(conn, "p.id, p.kind, p.key, p.version, p.why")
        query = f"{query} AND p.id > :after ORDER BY p.id LIMIT :most"
        rows = conn.execute(sa.text(query), {**values, "after": after, "most": most})
        return [dict(row) for row in rows.mappings()]

    def every(self, conn: Connection) -> list[dict[str, Any]]:
        """Return all of them in the order of kinds and keys."""
        query, values = self._query(conn, "p.id, p.kind, p.key, p.version, p.why")
        rows = conn.execute(sa.text(f"{query} ORDER BY p.kind, p.key"), values)
        return [dict(row) for row in rows.mappings()]

    def reach(self, conn: Connection, kinds: Collection[str]) -> list[dict[str, Any]]:
        """Return what these and all that is made from them come to: kind, n and megapixels, of
        some kinds."""
        seeds, values = self._query(conn, "p.id")
        of_kinds, more = _listed("made", kinds)
        query = f"""
            WITH RECURSIVE used(id) AS (
                {seeds}
              UNION
                SELECT e.product FROM used u CROSS JOIN edge e
                WHERE e.source = u.id AND e.role = 'input'
            )
            SELECT p.kind, COUNT(*) AS n, SUM(COALESCE(t.megapixels, 1.0)) AS megapixels
            FROM used u CROSS JOIN product p
            LEFT JOIN task t ON t.kind = p.kind AND t.key = p.key
            WHERE p.id = u.id AND p.is_current AND p.kind IN ({of_kinds})
            GROUP BY p.kind ORDER BY p.kind
        """
        few = sum(self.count(conn).values()) < _FEW
        with followed_by_index(conn, few):
            rows = conn.execute(sa.text(query), {**values, **more}).mappings()
            return [dict(row) for row in rows]

    def _query(self, conn: Connection, columns: str) -> tuple[str, dict[str, Any]]:
        source, values = self._source(conn)
        of_kinds, more = _listed("kind", self.kinds)
        values |= more
        which = f"p.kind IN ({of_kinds})"
        if self.keys:
            of_keys, more = _listed("key", self.keys)
            values |= more
            which += f" AND p.key IN ({of_keys})"
        if self.condition is not None:
            said, more = self.condition.sql(conn.dialect.name)
            values |= more
            which += f" AND {said}"
        if self.only_stale:
            which += f" AND {_DOES_NOT_WAIT}"
        joined = _of_frame("p", self.condition) + _more(self.condition)
        return f"SELECT {columns} FROM ({source}) p {joined} WHERE {which}", values

    def _source(self, conn: Connection) -> tuple[str, dict[str, Any]]:
        """The products to choose from, each with why it is stale.

        Where keys or a condition lead to them they are looked at one by one, else all that are
        stale are read from the indexes of the groups that are stale as a whole.
        """
        if not self.only_stale:
            return "SELECT product.*, '' AS why FROM product WHERE is_current", {}
        every = stale.stale_groups(conn, self.steps)
        groups = [(group, why) for group, why in every if group.kind in self.kinds]
        values: dict[str, Any] = {}
        for i, (group, why) in enumerate(groups):
            values |= {
                f"why{i}": why, f"kind_{i}": group.kind, f"scope{i}": group.scope,
                f"code{i}": group.code, f"set{i}": group.settings,
            }  # fmt: skip
        alike = [
            f"kind = :kind_{i} AND scope = :scope{i} AND code_version = :code{i}"
            f" AND settings_hash = :set{i}"
            for i in range(len(groups))
        ]
        if self.keys or self.condition is not None:
            whys = "".join(f" WHEN {is_so} THEN :why{i}" for i, is_so in enumerate(alike))
            any_of = "".join(f" OR ({is_so})" for is_so in alike)
            return (
                f"SELECT product.*, CASE WHEN stale <> '' THEN stale{whys} END AS why"
                f" FROM product WHERE is_current AND (stale <> ''{any_of})"
            ), values
        parts = ["SELECT product.*, stale AS why FROM product WHERE is_current AND stale <> ''"]
        parts += [
            f"SELECT product.*, CAST(:why{i} AS TEXT) AS why FROM product"
            f" WHERE is_current AND stale = '' AND {is_so}"
            for i, is_so in enumerate(alike)
        ]
        return " UNION ALL ".join(parts), values


def products(
    conn: Connection, kinds: Collection[str], condition: Condition | None = None
) -> list[tuple[str, str]]:
    """Return (kind, key) of the products of some kinds that are served and meet a condition."""
    found = Products(tuple(kinds), condition=condition).every(conn)
    return [(row["kind"], row["key"]) for row in found]


def failed_tasks(
    conn: Connection,
    states: Collection[str],
    condition: Condition | None = None,
    *,
    keys: Collection[str] = (),
    steps: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return the tasks of the states dead and skipped that meet a condition and have one of the
    keys and steps, where these are given: step, kind, key, state, attempts and reason."""
    of_states, values = _listed("state", states)
    which = f"t.state IN ('dead', 'skipped') AND t.state IN ({of_states})"
    if condition is not None:
        said, more = condition.sql(conn.dialect.name)
        which, values = f"{which} AND {said}", {**values, **more}
    for column, some in (("key", keys), ("step", steps)):
        if some:
            listed, more = _listed(column, some)
            which, values = f"{which} AND t.{column} IN ({listed})", {**values, **more}
    query = f"""
        SELECT t.step, t.kind, t.key, t.state, t.attempts, t.reason
        FROM task t {_of_frame("t", condition)} WHERE {which}
        ORDER BY t.state, t.step, t.key
    """
    return [dict(row) for row in conn.execute(sa.text(query), values).mappings()]


def _listed(name: str, values: Collection[str]) -> tuple[str, dict[str, Any]]:
    """Placeholders of a list, and what stands in their places."""
    bound = {f"{name}_in{i}": value for i, value in enumerate(values)}
    return ", ".join(f":{place}" for place in bound) or "NULL", bound


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
