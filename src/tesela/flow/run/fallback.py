"""Calibrations used outside the time for which they were made: allowed, and never in silence."""

from __future__ import annotations

from dataclasses import dataclass

from tesela.flow.run.calibrations import members
from tesela.flow.run.steps import Order
from tesela.products.files import Card

_LONGEST = 56
"""Characters of a value that a card with such a long keyword holds."""


@dataclass(frozen=True)
class Fallback:
    """A master of an order's calset whose interval does not hold the frame."""

    master_kind: str
    night: str
    days: float
    """From the frame to the near end of the interval; positive."""
    is_older: bool
    """It was made before the frame."""
    crosses: str = ""
    """What was done to the telescope in between; '' if nothing."""

    def __str__(self) -> str:
        side = "after" if self.is_older else "before"
        across = f" and across {self.crosses}" if self.crosses else ""
        return (
            f"{self.master_kind} of {self.night} is used {self.days:.1f} days {side} its validity"
            f"{across}: fallback"
        )


def of_order(order: Order) -> list[Fallback]:
    """Return the fallbacks among the masters that an order's own frames are calibrated with."""
    return [
        Fallback(
            str(ref.facts["master_kind"]),
            str(ref.facts["night"]),
            float(ref.facts["distance_days"]),
            bool(ref.facts["is_older"]),
            str(ref.facts.get("crosses", "")),
        )
        for ref in members(order)
        if ref.facts.get("distance_days", 0.0) > 0
    ]


def cards(found: list[Fallback]) -> list[Card]:
    """What the header of an image says: the days of the farthest, and each with its master."""
    days = round(longest_days(found), 3)
    says = [f"{one.master_kind} of {one.night}" for one in found]
    across = [f", across {one.crosses}" if one.crosses else "" for one in found]
    return [
        ("TSL FALLBACK", days, "[d] beyond the validity of a calibration"),
        *(
            (f"TSL FALL{n}", f"{what}{where}"[:_LONGEST], "")
            for n, (what, where) in enumerate(zip(says, across), 1)
        ),
    ]


def longest_days(found: list[Fallback]) -> float:
    """Days of the farthest; 0 if every master holds."""
    return max((one.days for one in found), default=0.0)
