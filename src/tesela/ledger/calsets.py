"""Sets of masters as products: the same choice is the same product."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import products, queries
from tesela.ledger.keys import Configuration, calset_key
from tesela.ledger.parts import ask


def ensure(
    conn: Connection,
    configuration: Configuration,
    profile: str,
    members: Iterable[Mapping[str, Any]],
) -> int:
    """Return the id of the calset of these masters, made if it was never chosen before.

    Parameters
    ----------
    members : iterable of rows
        Each with `product_id`, `key` and `version`.
    """
    chosen = list(members)
    key = calset_key(configuration, profile, (f"{m['key']}#{m['version']}" for m in chosen))
    found = products.current(conn, "calset", key)
    if found is not None:
        return int(found["id"])
    new = products.NewProduct(kind="calset", key=key, version=1)
    return products.insert(conn, new, [(m["product_id"], "input") for m in chosen])


def members_of(conn: Connection, ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """Return the masters of calsets, by the ids of these."""
    found: dict[int, list[dict[str, Any]]] = {one: [] for one in ids}
    for row in ask(conn, queries.INPUTS_OF_MANY, ids):
        found[row.pop("product")].append(row)
    return found


def members(conn: Connection, calset_id: int) -> list[dict[str, Any]]:
    """Return the masters of a calset: id, key, version, path, ..."""
    return products.inputs(conn, calset_id)
