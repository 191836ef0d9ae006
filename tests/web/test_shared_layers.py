"""Places of boxes in columns."""

from __future__ import annotations

import itertools
import random

import pytest

from tesela.web.shared.layers import arrange

HEIGHT, GAP = 50.0, 12.0


def graph(seed: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    rng = random.Random(seed)
    columns = {f"b{k}": rng.randrange(6) for k in range(rng.randrange(1, 40))}
    lines = [
        (a, b)
        for a, b in itertools.permutations(columns, 2)
        if columns[a] < columns[b] and rng.random() < 0.1
    ]
    return columns, lines


@pytest.mark.parametrize("seed", range(12))
def test_boxes_keep_apart_and_begin_at_the_top(seed: int) -> None:
    columns, lines = graph(seed)
    found = arrange(columns, lines, height=HEIGHT, gap=GAP)
    assert set(found.middle) == set(columns)
    assert set(found.ways) == set(lines)
    for column in set(columns.values()):
        ys = sorted(found.middle[box] for box in columns if columns[box] == column)
        for a, b in itertools.pairwise(ys):
            assert b - a >= HEIGHT + GAP - 1e-6
    assert min(found.middle.values()) >= HEIGHT / 2 - 1e-6
    assert max(found.middle.values()) <= found.height - HEIGHT / 2 + 1e-6
    for (begin, end), way in found.ways.items():
        assert len(way) == columns[end] - columns[begin] - 1
        for n, y in enumerate(way, columns[begin] + 1):
            for box in (one for one in columns if columns[one] == n):
                assert abs(found.middle[box] - y) > HEIGHT / 2, "no line through a box"


def test_a_chain_is_level() -> None:
    columns = {k: k for k in range(5)}
    found = arrange(columns, [(k, k + 1) for k in range(4)], height=HEIGHT, gap=GAP)
    assert set(found.middle.values()) == {HEIGHT / 2}
    assert found.height == HEIGHT


@pytest.mark.parametrize("seed", range(6))
def test_a_tree_has_no_crossing(seed: int) -> None:
    rng = random.Random(seed)
    columns, lines = {0: 0}, []
    for k in range(1, 25):
        parent = rng.choice([box for box in columns if columns[box] < 4])
        columns[k] = columns[parent] + 1
        lines.append((parent, k))
    boxes = list(columns)
    rng.shuffle(boxes)
    found = arrange({box: columns[box] for box in boxes}, lines, height=HEIGHT, gap=GAP)
    for (a, b), (c, d) in itertools.combinations(lines, 2):
        if columns[a] == columns[c] and a != c:
            assert (found.middle[a] < found.middle[c]) == (found.middle[b] < found.middle[d])


def test_a_user_lies_in_the_middle_of_what_it_is_made_of() -> None:
    columns = {**{f"raw{k}": 0 for k in range(5)}, "master": 1}
    lines = [(f"raw{k}", "master") for k in range(5)]
    found = arrange(columns, lines, height=HEIGHT, gap=GAP)
    assert found.middle["master"] == pytest.approx(found.height / 2)


def test_the_same_graph_has_the_same_picture() -> None:
    columns, lines = graph(3)
    assert arrange(columns, lines, height=9, gap=1) == arrange(columns, lines, height=9, gap=1)
