"""Choosing some of many, evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """Return at the most so many of the items, evenly spaced, first and last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[0]]
    last = len(items) - 1
    return [items[round(i * last / (most - 1))] for i in range(most)]
