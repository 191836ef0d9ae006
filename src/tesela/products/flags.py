"""The bits of the column `flags`: the one registry, from which its description is made."""

from __future__ import annotations

import enum


class SourceFlag(enum.IntFlag):
    """What is wrong with a measurement. The values are a promise: never renumber."""

    NEIGHBOUR = 1
    BLENDED = 2
    SATURATED = 4
    TRUNCATED = 8
    APERTURE_INCOMPLETE = 16


MEANING: dict[SourceFlag, str] = {
    SourceFlag.NEIGHBOUR: "neighbour or bad pixels",
    SourceFlag.BLENDED: "blended",
    SourceFlag.SATURATED: "saturated",
    SourceFlag.TRUNCATED: "truncated",
    SourceFlag.APERTURE_INCOMPLETE: "aperture incomplete",
}
