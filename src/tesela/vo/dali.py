"""Parameters of VO requests.

Source: DALI 1.1 (IVOA Recommendation 2017-05-17), sections 3 and 4. Names of parameters do not
mind upper or lower case, all of ours have one value, and parameters that a service does not know
are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tesela.errors import BadInput

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_SHOWN = 60

VOTABLE = "application/x-votable+xml"
_VOTABLE_TYPES = ("votable", VOTABLE, "text/xml", "application/xml")
_SHORT = {"votable/td": "TABLEDATA", "votable/b2": "BINARY2"}


class Parameters:
    """The parameters of one request."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name.upper(), []).append(value)

    def text(self, name: str) -> str | None:
        """The value of a parameter, None if it is absent or empty.

        Raises `BadInput` if there are several.
        """
        values = self._values.get(name, [])
        if len(values) > 1:
            raise BadInput(name, found=f"{len(values)} values", expected="one")
        return values[0] if values and values[0].strip() else None

    def number(self, name: str, *, low: float, high: float, meaning: str) -> float:
        """A decimal number that must be there, low <= number <= high."""
        value = self.text(name)
        wanted = f"{meaning}, {low:g} to {high:g}" if math.isfinite(high - low) else meaning
        if value is None:
            raise BadInput(name, found="nothing", expected=wanted)
        if not _NUMBER.fullmatch(value.strip()):
            raise BadInput(name, found=quoted(value), expected=f"{wanted}, as 123.45")
        number = float(value)
        if not low <= number <= high:
            raise BadInput(name, found=quoted(value), expected=wanted)
        return number

    def integer(self, name: str, default: int) -> int:
        """A whole number, not negative."""
        value = self.text(name)
        if value is None:
            return default
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit()):
            raise BadInput(name, found=quoted(value), expected="a whole number, 0 or more")
        # More digits than this is a number above every limit; Python would refuse thousands.
        return int(digits) if len(digits) < 19 else 10**18

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """One of a few words."""
        value = self.text(name)
        if value is None:
            return default
        known = tuple(choices)
        word = value.replace(" ", "+")  # in an address a plus sign stands for a blank
        if word in known:
            return word
        raise BadInput(name, found=quoted(value), expected=" or ".join(known))


@dataclass(frozen=True)
class ResponseFormat:
    """How the answer is written."""

    media_type: str
    serialisation: str


def response_format(parameters: Parameters, default_type: str) -> ResponseFormat:
    """What RESPONSEFORMAT asks for: VOTable in one of two serialisations.

    `votable`, `votable/td`, `votable/b2`, or a media type of VOTable, which may have the
    parameter `serialization=TABLEDATA` or `BINARY2` (the default).
    """
    asked = parameters.text("RESPONSEFORMAT")
    if asked is None:
        return ResponseFormat(default_type, "BINARY2")
    # In an address a plus sign stands for a blank, and clients forget to write it as %2B.
    words = [w.strip() for w in asked.strip().replace("x-votable xml", "x-votable+xml").split(";")]
    kind = words[0].lower()
    if kind in _SHORT and len(words) == 1:
        return ResponseFormat(VOTABLE, _SHORT[kind])
    options = {k.strip().lower(): v.strip() for k, _, v in (w.partition("=") for w in words[1:])}
    serialisation = options.pop("serialization", "BINARY2").upper()
    options.pop("content", None)
    options.pop("version", None)
    if kind not in _VOTABLE_TYPES or serialisation not in ("BINARY2", "TABLEDATA") or options:
        raise BadInput(
            "RESPONSEFORMAT",
            found=quoted(asked),
            expected=f"votable, or {VOTABLE};serialization=BINARY2 or TABLEDATA",
        )
    return ResponseFormat(VOTABLE if kind == "votable" else kind, serialisation)


def quoted(value: str) -> str:
    """What a client sent, as it may be shown in a message."""
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
