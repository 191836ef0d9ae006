"""What every product says of its making, and numbers without numpy's types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tesela.flow.run.steps import Order
from tesela.products.files import Card


def provenance(order: Order) -> list[Card]:
    """What the ledger knows of the making, in the product's own header; no dates, so that the
    same inputs give the same bytes."""
    cards: list[Card] = [
        ("TSL CODE", order.code_version, "version of tesela"),
        ("TSL SETTINGS", order.settings_hash, "fingerprint of the step's settings"),
        ("TSL VERSION", order.version, "version of this product"),
    ]
    flat = [member for ref in order.inputs for member in (ref, *ref.members)]
    for n, ref in enumerate(flat, 1):
        cards.append((f"TSL SRC{n}", f"{ref.kind} {ref.key} v{ref.version}"[:68], ref.role))
    return cards


def plain(value: Any) -> Any:
    """Metrics without numpy's types; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
