"""The reference catalogue that a product is made with."""

from __future__ import annotations

from typing import Any

from tesela.flow.plan.rules import Rules
from tesela.flow.plan.shelf import Shelf
from tesela.ledger import products
from tesela.ledger.tasks import Due


def reference(
    shelf: Shelf, rules: Rules, item: Due, current: dict[str, Any] | None
) -> tuple[set[int], str, str]:
    """Return (id of the reference catalogue, what is missing, what is stale).

    A product keeps the version it was made with until it is made afresh.
    """
    if not rules.refcat:
        return set(), "", ""
    newest = shelf.refcat(rules.refcat)
    if newest is None:
        return set(), f"no reference catalogue {rules.refcat}; add it with `refcat add`", ""
    if current is not None and not item.fresh:
        used = [r for r in products.inputs(shelf.conn, current["id"]) if r["kind"] == "refcat"]
        if used and used[0]["state"] == "valid" and used[0]["id"] != newest["id"]:
            stale = f"newer reference catalogue: {rules.refcat} version {newest['version']}"
            return {used[0]["id"]}, "", stale
    return {newest["id"]}, "", ""
