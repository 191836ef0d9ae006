"""Flags mean the same wherever they are set, read and described."""

from __future__ import annotations

import pytest

from tesela.pixels import apertures, detect
from tesela.products.columns import DETECTIONS, DUAL, SINGLE
from tesela.products.flags import MEANING, SourceFlag


@pytest.mark.parametrize("flag", SourceFlag)
def test_algorithms_set_the_registered_bits(flag: SourceFlag) -> None:
    """They may not import the registry, and have the numbers themselves."""
    assert getattr(detect, f"FLAG_{flag.name}") == flag
    assert getattr(apertures, f"FLAG_{flag.name}", flag) == flag


@pytest.mark.parametrize("table", [SINGLE, DUAL, DETECTIONS])
def test_every_bit_is_described(table: dict) -> None:
    for flag in SourceFlag:
        assert f"{int(flag)} {MEANING[flag]}" in table["flags"].description
