"""Codes and numbers of a source, said in words."""

from __future__ import annotations

import math
from typing import Any, Final

from tesela.products.columns import MASKED, MEASURED, NOT_DETECTED, NOT_OBSERVED
from tesela.products.maskbit import MEANING

STATUS: Final = {
    MEASURED: "measured",
    NOT_DETECTED: "not detected",
    NOT_OBSERVED: "not observed",
    MASKED: "masked",
}

FLAGS: Final = {
    1: "neighbour or bad pixels bias the flux",
    2: "blended with another source",
    4: "saturated",
    8: "truncated at the edge",
    16: "aperture incomplete",
}
"""Bits of the column `flags`."""


def flags(value: Any) -> list[str]:
    """Sentences for the bits of `flags`; empty if nothing is wrong or nothing is known."""
    return _bits(value, FLAGS)


def mask_flags(value: Any) -> list[str]:
    """Sentences for the bits of `mask_flags`; that a source is a source needs no word."""
    known = {int(bit): text for bit, text in MEANING.items() if bit.name != "OBJECT"}
    return _bits(value, known, ignore=sum(int(b) for b in MEANING if b.name == "OBJECT"))


def _bits(value: Any, known: dict[int, str], ignore: int = 0) -> list[str]:
    if absent(value):
        return []
    bits = int(value) & ~ignore
    found = [text for bit, text in known.items() if bits & bit]
    rest = bits & ~sum(known)
    return [*found, f"code {rest}"] if rest else found


def status(value: Any) -> str:
    """Word for a code of `status`."""
    return "" if absent(value) else STATUS.get(int(value), f"code {int(value)}")


def star_or_galaxy(probability: Any) -> str:
    """What a probability to be point-like means, with reserve."""
    if absent(probability):
        return "not classified"
    if probability >= 0.9:
        return "point-like"
    if probability <= 0.1:
        return "extended"
    return "point-like or extended: not certain"


def absent(value: Any) -> bool:
    """True for NULL and NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or value != value  # noqa: PLR0124
