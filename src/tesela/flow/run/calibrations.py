"""What many orders share, opened once: masters of their calsets, reference catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tesela.cameras import Camera
from tesela.flow.run.steps import InputRef, Order
from tesela.products.catalogue import Table, read_parquet
from tesela.products.images import Master
from tesela.products.masterkind import STANDS_IN
from tesela.stages.reduce import Calset, approximate


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


def read(path: str) -> Master:
    """A master's file."""
    return Master.read(Path(path))


def calset_of(order: Order, camera: Camera, name: str) -> Calset:
    """What the order's frame is corrected with; kept for the next one, which mostly has the same.

    One calset is kept and no master: a plane of each would be most of a worker's memory.
    """
    key = (order.kind, tuple(ref.path for ref in members(order)), camera)
    for known, calset in _KEPT:
        if known == key:
            return calset
    _KEPT.clear()  # before the next is read, or both would be there at once
    # What the survey requires was waited for: what lacks now it goes without.
    made = approximate(masters_of(order), camera, name, order.kind)
    _KEPT.append((key, made))
    return _KEPT[0][1]


_KEPT: list[tuple[tuple[str, tuple[str, ...], Camera], Calset]] = []


@lru_cache(maxsize=2)
def refcat(path: str) -> Table:
    """A reference catalogue."""
    return read_parquet(Path(path))[0]
