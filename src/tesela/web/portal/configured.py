"""A configuration as the pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tesela.ledger.keys import NO_FILTER
from tesela.web.portal.timeline import is_narrow


@dataclass(frozen=True)
class Configured:
    """The parts of a configuration as text; whole in `detector` if it is not of that form."""

    text: str

    @property
    def _parts(self) -> list[str]:
        parts = self.text.split(".")
        return parts if len(parts) == 5 else []

    @property
    def camera(self) -> str:
        """Of the camera."""
        return self._parts[1] if self._parts else ""

    @property
    def filter(self) -> str:
        """The physical filter, '' where none matters."""
        return self._parts[3] if self._parts and self._parts[3] != NO_FILTER else ""

    @property
    def detector(self) -> str:
        """The configuration without its filter."""
        parts = self._parts
        return ".".join((*parts[:3], NO_FILTER, parts[4])) if parts else self.text

    @property
    def detector_words(self) -> str:
        """As people say it."""
        parts = self._parts
        return f"{parts[0]} {parts[1]} CCD {parts[2]}, {parts[4]}" if parts else self.text

    def band(self, bands: Sequence[str]) -> str:
        """The band of the filter, '' if it is none of the survey's."""
        name = self.filter
        fits = [band for band in bands if name == band or name.startswith(f"{band}_")]
        return max(fits, key=len, default="")

    def is_narrow(self, bands: Sequence[str]) -> bool:
        """Whether that is a narrow one."""
        band = self.band(bands)
        return bool(band) and is_narrow(band)
