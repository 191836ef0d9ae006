"""Cards of a header by the names that a camera gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tesela.errors import BadInput

Header = Mapping[str, Any]
HOUR = 15
"""Degrees."""
_SEXAGESIMAL = re.compile(r"[:hdms°'\"\s]+")


def first(header: Header, names: Sequence[str]) -> tuple[str, Any]:
    """Name and value of the first card that says something; the first name and None if none."""
    for name in names:
        value = header.get(name.upper())
        if value is not None and str(value).strip() != "":
            return name, value
    return (names[0] if names else ""), None


def text(header: Header, names: Sequence[str]) -> str:
    """Value of the first card, without blanks around it; empty if there is none."""
    _, value = first(header, names)
    return "" if value is None else str(value).strip()


def number(
    header: Header, names: Sequence[str], where: str, *, required: bool = True
) -> float | None:
    """Value of the first card. Raises `BadInput` if it is no number or, where needed, missing."""
    name, value = first(header, names)
    if value is None:
        if not required:
            return None
        raise BadInput(
            where,
            found=f"no card {name}",
            expected="a number",
            do="complete the header, or name its card in the camera's [header]",
        )
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise BadInput(
            where, found=f"{name} = {value!r}", expected="a number", do="correct the header"
        )
    return found


def angle(
    header: Header, names: Sequence[str], where: str, *, sexagesimal: int, of_number: int
) -> float:
    """Degrees of a card: so many of each whole unit of sexagesimal text, or of a number.

    Sexagesimal are `12:34:56.7`, `12 34 56.7`, `12h34m56.7s` and `152d18m00s`; the letters h and d
    say hours and degrees whatever `sexagesimal` is. Raises `BadInput`.
    """
    name, value = first(header, names)
    parts = _sexagesimal(value)
    if len(parts) < 2:
        found = number(header, names, where)
        return math.nan if found is None else found * of_number
    try:
        fields = [float(part) for part in parts]
    except ValueError:
        fields = []
    if len(fields) not in (2, 3) or not all(0 <= field < 60 for field in fields[1:]):
        raise BadInput(
            where, found=f"{name} = {value!r}", expected="an angle", do="correct the header"
        )
    degrees = sum(field / 60**i for i, field in enumerate(fields)) * _unit(value, sexagesimal)
    return -degrees if value.strip().startswith("-") else degrees


def reading(header: Header, names: Sequence[str], *, sexagesimal: int, of_number: int) -> str:
    """The card that `angle` reads and its unit: `RA = '14:07:12' was read in hours`."""
    name, value = first(header, names)
    is_sexagesimal = len(_sexagesimal(value)) > 1
    unit = _unit(value, sexagesimal) if is_sexagesimal else of_number
    return f"{name} = {value!r} was read in {'hours' if unit == HOUR else 'degrees'}"


def _sexagesimal(value: Any) -> list[str]:
    """The fields of sexagesimal text; one or none of anything else."""
    if not isinstance(value, str):
        return []
    return _SEXAGESIMAL.split(value.strip().strip("hdms°'\"").lstrip("+-"))


def _unit(value: str, usual: int) -> int:
    """Degrees of the first field: as its letter says, if it has one."""
    if re.search("[d°]", value):
        return 1
    return HOUR if "h" in value else usual
