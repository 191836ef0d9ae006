"""Codes of sources in words."""

from __future__ import annotations

import math

import pytest

from tesela.products import maskbit
from tesela.products.columns import DUAL, MASKED, MEASURED, NOT_DETECTED, NOT_OBSERVED
from tesela.web.archive import words


def test_every_bit_of_the_flags_is_told_as_the_table_of_columns_tells_it() -> None:
    described = DUAL["flags"].description
    for bit in words.FLAGS:
        assert f"{bit} " in described
    assert len(words.FLAGS) == described.count(",") + 1
    assert words.flags(2 | 16) == [words.FLAGS[2], words.FLAGS[16]]
    assert words.flags(64) == ["code 64"]


def test_nothing_known_is_nothing_said() -> None:
    for absent in (None, math.nan, 0):
        assert words.flags(absent) == []
        assert words.mask_flags(absent) == []


def test_that_a_source_is_a_source_needs_no_word() -> None:
    both = int(maskbit.MaskBit.OBJECT | maskbit.MaskBit.TRAIL)
    assert words.mask_flags(both) == [maskbit.MEANING[maskbit.MaskBit.TRAIL]]


def test_every_status_has_a_word() -> None:
    said = {words.status(c) for c in (MEASURED, NOT_DETECTED, NOT_OBSERVED, MASKED)}
    assert said == {"measured", "not detected", "not observed", "masked"}
    assert words.status(9) == "code 9"
    assert words.status(None) == ""


@pytest.mark.parametrize(("probability", "text"), [
    (0.99, "point-like"), (0.02, "extended"), (0.5, "not certain"), (None, "not classified"),
    (math.nan, "not classified"),
])  # fmt: skip
def test_a_probability_is_no_verdict(probability: float | None, text: str) -> None:
    assert text in words.star_or_galaxy(probability)
