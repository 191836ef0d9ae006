"""The seven codes of a pixel mask: the one registry, from which headers and legends are made."""

from __future__ import annotations

import enum


class MaskBit(enum.IntFlag):
    """What is wrong with a pixel. 0 means nothing is. The values are a promise: never renumber."""

    BAD = 1
    SATURATED = 2
    COSMIC_RAY = 4
    TRAIL = 8
    INTERPOLATED = 16
    HOLE = 32
    OBJECT = 64


MEANING: dict[MaskBit, str] = {
    MaskBit.BAD: "defect of the detector",
    MaskBit.SATURATED: "at or above full well, with its bleed",
    MaskBit.COSMIC_RAY: "cosmic ray",
    MaskBit.TRAIL: "trail of a satellite or aircraft",
    MaskBit.INTERPOLATED: "value is a guess (crosstalk not solvable)",
    MaskBit.HOLE: "no data in a fringe or background frame",
    MaskBit.OBJECT: "inside a detected source",
}

UNUSABLE = int(
    MaskBit.BAD
    | MaskBit.SATURATED
    | MaskBit.COSMIC_RAY
    | MaskBit.TRAIL
    | MaskBit.INTERPOLATED
    | MaskBit.HOLE
)
"""Pixels with any of these carry no measurement of the sky."""


def cards() -> list[tuple[str, int, str]]:
    """Header cards that tell the meaning of each code."""
    return [(f"MASK{bit.name}"[:8], int(bit), MEANING[bit]) for bit in MaskBit]
