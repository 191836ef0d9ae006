"""Reference catalogues as versioned products."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy.engine import Connection

from tesela.ledger import events, products, schema


def add(
    conn: Connection,
    name: str,
    new: products.NewProduct,
    *,
    rows: int,
    columns: Iterable[str],
    origin: str,
) -> int:
    """Enter a version of the reference catalogue `name`; returns its id."""
    product_id = products.insert(conn, new)
    conn.execute(
        schema.refcat.insert().values(
            product_id=product_id,
            name=name,
            rows=rows,
            origin=origin,
            columns_json=json.dumps(list(columns)),
        )
    )
    detail = f"version {new.version}: {rows} rows from {origin}"
    events.record(conn, "reference catalogue added", kind="refcat", key=name, detail=detail)
    return product_id
