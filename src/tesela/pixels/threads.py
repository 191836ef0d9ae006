"""Sharing a frame between threads: bands of rows, whose results do not depend on their number.

A kernel that is compiled with ``nogil`` and writes only rows of its own gives the same bytes from
one thread and from several. One frame a core is still the rule in bulk work; two threads halve the
time from shutter to seeing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(function: Callable[[T], R], parts: Iterable[T], threads: int) -> list[R]:
    """Return `function(part)` of every part, in their order, on up to `threads` threads."""
    listed = list(parts)
    if threads <= 1 or len(listed) <= 1:
        return [function(part) for part in listed]
    with ThreadPoolExecutor(min(threads, len(listed))) as pool:
        return list(pool.map(function, listed))


def bands(n_rows: int, threads: int, *, align: int = 1) -> list[tuple[int, int]]:
    """Cut rows into bands [y0, y1) that begin at multiples of `align`: a few a thread, so that none
    waits long for the last."""
    if threads <= 1:
        return [(0, n_rows)]
    step = max(-(-n_rows // (4 * threads)), 1)
    step = -(-step // align) * align
    return [(y0, min(y0 + step, n_rows)) for y0 in range(0, n_rows, step)]
