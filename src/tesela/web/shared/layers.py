"""Where the boxes of a graph in columns go: few crossings, neighbours beside each other.

The scheme is that of Sugiyama, Tagawa & Toda 1981, IEEE Trans. SMC 11, 109: a line over several
columns gets a place in each, columns are put in order by the means of their neighbours, and then
moved towards them.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_SWEEPS: Final = 12
_THROUGH: Final = 8.0
"""Height that a line takes in a column it only passes."""


@dataclass(frozen=True)
class Layout:
    """Vertical places, in units of the picture; the uppermost edge is at 0."""

    middle: Mapping[Hashable, float]
    """Of boxes."""
    ways: Mapping[tuple[Hashable, Hashable], tuple[float, ...]]
    """Of each line, its places in the columns between its ends."""
    height: float


def arrange(
    columns: Mapping[Hashable, int],
    lines: Sequence[tuple[Hashable, Hashable]],
    *,
    height: float,
    gap: float,
) -> Layout:
    """Find a place for each box.

    Parameters
    ----------
    columns : mapping
        Column of each box, from 0.
    lines : sequence of (from, to)
        Each leads to a column further right.
    height, gap : float
        Of a box, and the least between two.
    """
    order: list[list[Hashable]] = [[] for _ in range(max(columns.values()) + 1)]
    for box, column in columns.items():
        order[column].append(box)
    sizes: dict[Hashable, float] = dict.fromkeys(columns, height)
    ways: dict[tuple[Hashable, Hashable], list[Hashable]] = {}
    left: dict[Hashable, list[Hashable]] = {}
    right: dict[Hashable, list[Hashable]] = {}
    for begin, end in lines:
        places = [("way", begin, end, n) for n in range(columns[begin] + 1, columns[end])]
        ways[begin, end] = list(places)
        for place in places:
            order[place[3]].append(place)
            sizes[place] = _THROUGH
        chain = [begin, *places, end]
        for a, b in itertools.pairwise(chain):
            right.setdefault(a, []).append(b)
            left.setdefault(b, []).append(a)
    _sort(order, left, right)
    middle = _place(order, sizes, gap, left, right)
    top = min(middle[one] - sizes[one] / 2 for one in middle)
    middle = {one: y - top for one, y in middle.items()}
    return Layout(
        {box: middle[box] for box in columns},
        {line: tuple(middle[one] for one in through) for line, through in ways.items()},
        max(middle[one] + sizes[one] / 2 for one in middle),
    )


def _sort(
    order: list[list[Hashable]],
    left: Mapping[Hashable, list[Hashable]],
    right: Mapping[Hashable, list[Hashable]],
) -> None:
    """Order each column by the mean place of its neighbours; keep the order that crosses least."""
    best, fewest = [list(column) for column in order], _crossings(order, right)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        beside = left if rightwards else right
        for n in range(len(order)) if rightwards else reversed(range(len(order))):
            at = {
                one: (k + 0.5) / len(column)
                for column in order[max(0, n - 1) : n + 2]
                for k, one in enumerate(column)
            }

            def mean(one: Hashable, at: Mapping[Hashable, float] = at) -> float:
                others = [at[other] for other in beside.get(one, ())]  # noqa: B023 - used at once
                return sum(others) / len(others) if others else at[one]

            order[n].sort(key=mean)
        crossed = _crossings(order, right)
        if crossed < fewest:
            best, fewest = [list(column) for column in order], crossed
    order[:] = best


def _crossings(order: Sequence[list[Hashable]], right: Mapping[Hashable, list[Hashable]]) -> int:
    total = 0
    for column, following in itertools.pairwise(order):
        at = {one: k for k, one in enumerate(following)}
        seen: list[int] = []
        for one in column:
            ends = [at[other] for other in right.get(one, ())]
            total += sum(end < before for end in ends for before in seen)
            seen += ends
    return total


def _place(
    order: Sequence[list[Hashable]],
    sizes: Mapping[Hashable, float],
    gap: float,
    left: Mapping[Hashable, list[Hashable]],
    right: Mapping[Hashable, list[Hashable]],
) -> dict[Hashable, float]:
    """Move each column towards its neighbours, its order and the gaps kept."""
    middle: dict[Hashable, float] = {}
    for column in order:
        y = 0.0
        for one in column:
            middle[one] = y + sizes[one] / 2
            y += sizes[one] + gap
        for one in column:
            middle[one] -= y / 2
    for sweep in range(2 * _SWEEPS):
        for column in order if sweep % 2 else reversed(order):
            wanted = []
            for one in column:
                others = [*left.get(one, ()), *right.get(one, ())]
                mean = sum(middle[other] for other in others) / max(len(others), 1)
                wanted.append(mean if others else middle[one])
            middle |= zip(column, _apart(wanted, [sizes[one] for one in column], gap))
    return middle


def _apart(wanted: Sequence[float], sizes: Sequence[float], gap: float) -> list[float]:
    """The places nearest to the wanted ones, in least squares, that keep order and gaps.

    Neighbours that would overlap become a block at the mean of what its members want.
    """
    offsets = [0.0]
    for one, following in itertools.pairwise(sizes):
        offsets.append(offsets[-1] + one / 2 + gap + following / 2)
    blocks: list[tuple[float, int]] = []  # mean of wanted less offset, and how many
    for want, offset in zip(wanted, offsets):
        mean, n = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, m = blocks.pop()
            mean, n = (before * m + mean * n) / (m + n), m + n
        blocks.append((mean, n))
    starts = [mean for mean, n in blocks for _ in range(n)]
    return [start + offset for start, offset in zip(starts, offsets)]
