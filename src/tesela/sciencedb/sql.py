"""The SQL that a release is asked with: names, types and the cone."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tesela.sciencedb.arrow import HEALPIX
from tesela.sciencedb.model import ColumnModel
from tesela.sky import healpix

_TYPES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "str": "VARCHAR",
}


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def sql_type(column: ColumnModel) -> str:
    """DuckDB's name of a column's type."""
    kind = _TYPES[column.dtype]
    return f"{kind}[{column.length}]" if column.length > 1 else kind


def names(columns: Iterable[str], prefix: str = "") -> str:
    """A list of columns."""
    return ", ".join(f"{prefix}{quoted(name)}" for name in columns)


def cone_condition(ra_deg: float, dec_deg: float, radius_deg: float) -> str:
    """Condition that a row lies in a cone: ranges of cells, then the exact angle.

    Beyond 90 degrees the angle is taken from the opposite point, where it is small and exact.
    """
    if radius_deg >= 180.0:
        return "true"
    ranges = healpix.cone_ranges(ra_deg, dec_deg, radius_deg).tolist()
    cells = " OR ".join(f"{HEALPIX} BETWEEN {a} AND {b - 1}" for a, b in ranges)
    if radius_deg <= 90.0:
        inside = f"{haversine(ra_deg, dec_deg)} <= {_haversine(radius_deg)!r}"
    else:
        opposite = haversine(ra_deg + 180.0, -dec_deg)
        inside = f"{opposite} >= {_haversine(180.0 - radius_deg)!r}"
    return f"({cells}) AND {inside}"


def haversine(ra_deg: float, dec_deg: float) -> str:
    """Squared sine of half the angle between a row and a position: it grows with the angle."""
    return (
        f"(power(sin(radians(dec - {dec_deg!r}) / 2), 2) + cos(radians(dec))"
        f" * {math.cos(math.radians(dec_deg))!r}"
        f" * power(sin(radians(ra - {ra_deg!r}) / 2), 2))"
    )


def _haversine(angle_deg: float) -> float:
    return math.sin(math.radians(angle_deg) / 2) ** 2
