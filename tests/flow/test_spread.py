"""Some of many, evenly."""

from __future__ import annotations

import pytest

from tesela.flow.plan.spread import in_turns, spread


@pytest.mark.parametrize(
    ("n", "most", "chosen"),
    [
        (0, 3, []),
        (2, 3, [0, 1]),
        (5, 5, [0, 1, 2, 3, 4]),
        (9, 3, [0, 4, 8]),
        (9, 1, [0]),
        (9, 0, []),
    ],
)
def test_first_and_last_are_among_them(n: int, most: int, chosen: list[int]) -> None:
    assert spread(range(n), most) == chosen


def test_small_groups_give_all_and_large_ones_what_is_left() -> None:
    items = [f"{name}{i:02d}" for name, n in (("a", 20), ("b", 2), ("c", 1)) for i in range(n)]
    chosen = in_turns(items, lambda item: item[0], 9)
    assert chosen == sorted(chosen)
    assert [sum(item[0] == name for item in chosen) for name in "abc"] == [6, 2, 1]
    assert {"a00", "a19"} <= set(chosen)


@pytest.mark.parametrize("most", [0, 1, 3, 100])
def test_never_more_than_asked_nor_than_there_are(most: int) -> None:
    items = list(range(7))
    assert len(in_turns(items, lambda i: i % 3, most)) == min(most, 7)
