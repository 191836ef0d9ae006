"""What many orders share, opened once: masters of their calsets, reference catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tesela.flow.run.steps import InputRef, Order
from tesela.products.catalogue import Table, read_parquet
from tesela.products.images import Master
from tesela.products.masterkind import STANDS_IN


def masters_of(order: Order) -> dict[str, Master]:
    """Every master of the order's own calset by kind; one that stands in under the name of the
    kind that it stands in for."""
    found = {str(ref.facts["master_kind"]): ref for ref in members(order)}
    for kind, other in STANDS_IN.items():
        if kind not in found and other in found:
            found[kind] = found.pop(other)
    return {kind: read(ref.path) for kind, ref in found.items()}


def substitutes(order: Order) -> list[str]:
    """Say which masters stand in for others."""
    kinds = {str(ref.facts["master_kind"]): ref for ref in members(order)}
    return [
        f"{kinds[other].key} stands in for a {kind}, of which there is none"
        for kind, other in STANDS_IN.items()
        if kind not in kinds and other in kinds
    ]


def members(order: Order) -> Iterator[InputRef]:
    """Members of the calset that was chosen for this very product: a master that is built from
    images depends on their calsets too."""
    profile = order.key.split(".", 1)[0].lower() if order.kind == "master" else order.kind
    for calset in order.of_kind("calset"):
        if calset.key.split(".")[-2] == profile:
            yield from calset.members


@lru_cache(maxsize=8)
def read(path: str) -> Master:
    """A master's file; many frames share it, and a frame has up to eight of them."""
    return Master.read(Path(path))


@lru_cache(maxsize=2)
def refcat(path: str) -> Table:
    """A reference catalogue."""
    return read_parquet(Path(path))[0]
