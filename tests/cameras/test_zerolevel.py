"""Headers say what was done with the overscan, amplifier by amplifier, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tesela.cameras import Camera, Section, load, zerolevel
from tesela.products.images import card_dict, operation_cards

STRIP = Section(0, 10, 0, 10)


def camera(*sections: str) -> Camera:
    """An amplifier for each word, with that section alone."""
    usual = replace(load("t80cam").amplifiers[0], overscan=None, parallel=None, prescan=None)
    outputs = [
        replace(usual, id=n, **({name: STRIP} if name else {}))
        for n, name in enumerate(sections, 1)
    ]
    return replace(load("t80cam"), amplifiers=tuple(outputs))


@pytest.mark.parametrize(
    ("sections", "method"),
    [
        (("overscan", "overscan"), "clipped mean of rows, smoothed"),
        (("parallel", "parallel"), "one level, of rows above or below the data"),
    ],
)
def test_the_method_is_that_of_the_camera_and_the_level_the_median(
    sections: tuple[str, ...], method: str
) -> None:
    levels = np.array([1001.0, 1005.0])
    cards = card_dict(operation_cards([zerolevel.operation(camera(*sections), levels)]))
    assert cards == {
        "TSL OP1 NAME": "overscan",
        "TSL OP1 METHOD": method,
        "TSL OP1 LEVEL_ADU": 1003.0,
    }


def test_without_a_strip_no_level_is_claimed() -> None:
    done = zerolevel.operation(camera("", "prescan"), np.zeros(2))
    assert done.parameters == {"source": "none"}, "as of every step that is left out"


def test_amplifiers_that_differ_are_listed() -> None:
    of_some = camera("overscan", "parallel", "", "overscan")
    done = zerolevel.operation(of_some, np.array([900.0, 1100.0, 0.0, 1000.0]))
    assert done.parameters["level_adu"] == 1000.0
    assert done.parameters["rows"] == [1, 4]
    assert done.parameters["one_level"] == [2]
    assert done.parameters["none"] == [3]
    for name in (zerolevel.ROWS, zerolevel.ONE_LEVEL, zerolevel.NOTHING):
        assert name in done.parameters["method"]
