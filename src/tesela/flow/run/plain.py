"""What every product says of its making, and numbers without numpy's types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tesela.flow.run.steps import InputRef, Order
from tesela.products.environment import environment_now
from tesela.products.files import Card
from tesela.products.making import MEMBER, Making, Source


def making(order: Order, *, role: str = "") -> Making:
    """What the ledger knows of the making of an order's product, in this process; with `role` where
    its inputs are recorded as another than the worker gets them."""
    return Making(
        kind=order.kind,
        key=order.key,
        version=order.version,
        code=order.code_version,
        settings=order.settings_hash,
        environment=environment_now().hash,
        scope=order.scope,
        sources=tuple(source for ref in order.inputs for source in _sources(ref, role)),
    )


def _sources(ref: InputRef, role: str) -> Iterator[Source]:
    yield Source(role or ref.role, ref.kind, ref.key, ref.version)
    for member in ref.members:
        yield Source(MEMBER, member.kind, member.key, member.version)


def provenance(order: Order) -> list[Card]:
    """The same as cards for the product's own header."""
    return making(order).cards()


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
