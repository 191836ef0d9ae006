"""Outputs of a detector, and rectangles of pixels as FITS headers write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tesela.errors import ConfigError

_SECTION = re.compile(r"^\s*\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]\s*$")


@dataclass(frozen=True)
class Section:
    """A rectangle of pixels, 0-based and half-open (FITS sections are 1-based and closed)."""

    x0: int
    x1: int
    y0: int
    y1: int

    @classmethod
    def parse(cls, text: str, where: str = "section") -> Section:
        """Read `[x1:x2,y1:y2]` as FITS headers write it."""
        match = _SECTION.match(str(text))
        if match is None:
            raise ConfigError(where, found=repr(text), expected="[x1:x2,y1:y2]")
        x1, x2, y1, y2 = (int(group) for group in match.groups())
        if x1 < 1 or y1 < 1 or x2 < x1 or y2 < y1:
            raise ConfigError(where, found=repr(text), expected="1 <= x1 <= x2, 1 <= y1 <= y2")
        return cls(x1 - 1, x2, y1 - 1, y2)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of an image array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def overlaps(self, other: Section) -> bool:
        """Whether they share a pixel."""
        return (
            self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1
        )

    def fits(self) -> str:
        """As FITS headers write it."""
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


@dataclass(frozen=True)
class Amplifier:
    """One output of a detector and the part of the raw frame that it fills."""

    id: int
    data: Section
    """Where its light lies in the raw frame."""
    dest: Section
    """Where the data go in the trimmed image."""
    gain_e_per_adu: float
    readnoise_e: float
    saturation_adu: float
    """Raw level, overscan included, from which a pixel is saturated."""
    overscan: Section | None = None
    """Beside the data, over the same rows: the level of each row. A prescan may serve."""
    prescan: Section | None = None
    """Kept apart, not used."""
    parallel: Section | None = None
    """Above or below the data: one level for all rows, where there is no overscan."""
    flip_x: bool = False
    """The amplifier reads from high x to low x."""
    flip_y: bool = False
    """It reads from high y to low y."""
