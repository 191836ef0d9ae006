"""Half-open intervals of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tesela.errors import TeselaError


@dataclass(frozen=True, order=True)
class Validity:
    """The interval [begin, end) in MJD (UTC), to a microsecond; infinite ends are allowed."""

    begin: float
    end: float

    def __post_init__(self) -> None:
        if math.isnan(self.begin) or math.isnan(self.end) or self.end <= self.begin:
            raise TeselaError(
                "validity", found=f"[{self.begin}, {self.end})", expected="begin before end"
            )

    def contains(self, mjd: float) -> bool:
        """Whether the instant lies in it; the end does not."""
        return self.begin <= mjd < self.end

    def overlaps(self, other: Validity) -> bool:
        """Whether they share an instant; intervals that only touch do not."""
        return self.begin < other.end and other.begin < self.end

    def distance(self, mjd: float) -> float:
        """Days from the instant to the nearest end, 0 inside."""
        return max(self.begin - mjd, 0.0, mjd - self.end)
