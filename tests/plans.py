"""How the database would answer: which tables it would read from end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def read_whole(conn: Connection, statement: sa.TextClause, values: Mapping[str, Any]) -> set[str]:
    """Tables that would be read from end to end, however large they grow.

    PostgreSQL reads small tables so by choice; here it does only where no index can help.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SET LOCAL enable_seqscan = off"))
        explained = sa.text(f"EXPLAIN (FORMAT JSON) {statement.text}")
        plan = conn.execute(explained, dict(values)).scalar()
        (top,) = json.loads(plan) if isinstance(plan, str) else plan
        return set(_sequential(top["Plan"]))
    found = set()
    for row in conn.execute(sa.text(f"EXPLAIN QUERY PLAN {statement.text}"), dict(values)):
        said = re.fullmatch(r"SCAN (\w+)( USING .*INDEX .*)?", row.detail)
        if said:
            found.add(said[1])
    return found - _made_up(statement.text)


def _sequential(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Alias"]
    for index in ("Index Scan", "Index Only Scan"):
        # An index without a condition is a way through the whole table, too.
        if node["Node Type"] == index and "Index Cond" not in node:
            yield node["Alias"]
    for below in node.get("Plans", ()):
        yield from _sequential(below)


def _made_up(text: str) -> set[str]:
    """Names of parts of the statement itself."""
    named = re.findall(r"(\w+)(?:\([\w, ]*\))? AS (?:NOT )?(?:MATERIALIZED )?\(", text)
    return {*named, *re.findall(r"\)\s+(?:AS\s+)?(\w+)", text)}
