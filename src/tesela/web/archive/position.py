"""What people type for a place on the sky: positions, radii, names of sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tesela.errors import BadInput

UNITS: Final = {"arcsec": 1 / 3600, "arcmin": 1 / 60, "deg": 1.0}
"""Degrees in each unit of an angle."""

_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)"
_SECONDS = r"\d{1,2}(?:\.\d*)?"
_DECIMAL = re.compile(
    rf"([+-]?{_UNSIGNED})\s*[°d]?[\s,;]+([+-]?)\s*({_UNSIGNED})\s*[°d]?", re.ASCII
)
_SEXAGESIMAL = re.compile(
    rf"(\d{{1,2}})(?:\s*[h:]\s*|\s+)(\d{{1,2}})(?:\s*[m:′']\s*|\s+)({_SECONDS})\s*s?"
    rf"[\s,;]*([+-])?\s*(\d{{1,2}})(?:\s*[d:°]\s*|\s+)(\d{{1,2}})(?:\s*[m:′']\s*|\s+)({_SECONDS})"
    r"\s*[s″\"]?",
    re.ASCII,
)
_SOURCE = re.compile(r"\d{1,19}", re.ASCII)
_TILE_SOURCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*?)\s*-\s*(\d{1,9})", re.ASCII)
_MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{NO-BREAK SPACE}": " "})
_EXPECTED = "decimal degrees as `150.1163 +2.2058` or `10:00:27.9 +02:12:21` (ICRS)"


@dataclass(frozen=True)
class SourceName:
    """A source by its number, or by tile and number in it."""

    number: int
    tile: str = ""


def position(text: str) -> tuple[float, float]:
    """Right ascension and declination in degrees from what was typed.

    Decimal degrees or hours, minutes, seconds and degrees, minutes, seconds; separated by blanks,
    commas, colons or letters.

    Raises
    ------
    BadInput
        It is neither, or no place on the sky.
    """
    plain = text.translate(_MINUS).strip()
    shown = plain[:60]
    decimal = _DECIMAL.fullmatch(plain)
    if decimal:
        ra, dec = float(decimal[1]), float(decimal[2] + decimal[3])
    else:
        ra, dec = _sexagesimal(plain, shown)
    if not 0 <= ra < 360:
        hint = f"did you mean {ra % 360:g}?" if -180 <= ra <= 360 else ""
        raise BadInput(
            f"position {shown!r}", found=f"ra {ra:g}", expected="0 <= ra < 360 degrees", do=hint
        )
    if not -90 <= dec <= 90:
        raise BadInput(f"position {shown!r}", found=f"dec {dec:g}", expected="-90 to 90 degrees")
    return ra, dec


def _sexagesimal(plain: str, shown: str) -> tuple[float, float]:
    match = _SEXAGESIMAL.fullmatch(plain)
    if not match:
        found = "nothing" if not plain else "something else"
        raise BadInput(f"position {shown!r}", found=found, expected=_EXPECTED)
    hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3])
    degrees, arcmin, arcsec = int(match[5]), int(match[6]), float(match[7])
    if hours >= 24 or max(minutes, seconds, arcmin, arcsec) >= 60:
        raise BadInput(
            f"position {shown!r}",
            found="hours of 24 or more, or minutes or seconds of 60 or more",
            expected=_EXPECTED,
        )
    sign = -1 if match[4] == "-" else 1
    ra = 15 * (hours + minutes / 60 + seconds / 3600)
    return ra, sign * (degrees + arcmin / 60 + arcsec / 3600)


def source_name(text: str) -> SourceName | None:
    """A source's name (`1000000017`, `SIM-00001-17`), None if the text is something else.

    Two numbers with a blank between them are a position, whatever their signs: `10 -30`.
    """
    plain = text.translate(_MINUS).strip()
    if _DECIMAL.fullmatch(plain):
        return None
    if _SOURCE.fullmatch(plain):
        number = int(plain)
        return SourceName(number) if number < 2**63 else None
    match = _TILE_SOURCE.fullmatch(plain)
    return SourceName(int(match[2]), match[1]) if match else None


def radius_deg(text: str, unit: str) -> float:
    """Radius of a cone in degrees.

    Raises
    ------
    BadInput
        It is no number, or not within 0 ... 180 degrees, or the unit is unknown.
    """
    if unit not in UNITS:
        raise BadInput(f"unit {unit[:20]!r}", found="no such unit", expected=", ".join(UNITS))
    plain = text.strip().replace(",", ".")
    if not re.fullmatch(r"\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", plain, re.ASCII):
        raise BadInput(
            f"radius {text[:20]!r}", found="no positive number", expected="a number such as 1.5"
        )
    degrees = float(plain) * UNITS[unit]
    if not 0 < degrees <= 180:
        raise BadInput(
            f"radius {plain[:20]} {unit}", expected="more than 0 and at most 180 degrees"
        )
    return degrees
