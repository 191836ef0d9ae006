"""Choosing some of many, evenly."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at the most so many of the items, evenly spaced, first and last among them."""
    if len(items) <= most:
        return list(items)
    if most <= 1:
        return list(items[:most])
    last = len(items) - 1
    return [items[round(i * last / (most - 1))] for i in range(most)]


def in_turns(items: Sequence[T], group: Callable[[T], Hashable], most: int) -> list[T]:
    """Return at the most so many of the items, as evenly as can be from every group and, within a
    group, evenly spaced; in their order."""
    groups: dict[Hashable, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(group(item), []).append(i)
    shares = dict.fromkeys(groups, 0)
    left = min(most, len(items))
    while left:
        for name, members in groups.items():
            if left and shares[name] < len(members):
                shares[name] += 1
                left -= 1
    chosen = [i for name, members in groups.items() for i in spread(members, shares[name])]
    return [items[i] for i in sorted(chosen)]
