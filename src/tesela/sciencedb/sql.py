"""The SQL that a release is asked with: names, types and the cone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tesela.sciencedb.arrow import HEALPIX
from tesela.sciencedb.model import ColumnModel
from tesela.sky import healpix

MOST_CLUSTERS = 8
_GAP = 8  # a gap is read through if it is shorter than this many times what is wanted

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


def text(value: str) -> str:
    """A string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def sql_type(column: ColumnModel) -> str:
    """DuckDB's name of a column's type."""
    kind = _TYPES[column.dtype]
    return f"{kind}[{column.length}]" if column.is_vector else kind


def names(columns: Iterable[str]) -> str:
    """A list of columns."""
    return ", ".join(quoted(name) for name in columns)


def clusters(ranges: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Half-open ranges of cells joined to a few, which are read whole.

    One range that spans the gaps prunes best, unless a gap is long: a small cone at a corner of
    HEALPix's base cells has cells at opposite ends of the order.
    """
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    wanted = int((ranges[:, 1] - ranges[:, 0]).sum())
    longest = np.argsort(gaps, kind="stable")[::-1][: MOST_CLUSTERS - 1]
    cuts = sorted(int(g) for g in longest if gaps[g] > _GAP * wanted)
    first, last = [0, *(c + 1 for c in cuts)], [*cuts, len(ranges) - 1]
    return [(int(ranges[a, 0]), int(ranges[b, 1])) for a, b in zip(first, last)]


def in_clusters(select: str, parts: Sequence[tuple[int, int]], condition: str = "true") -> str:
    """The rows of `select` in any of the clusters, in their order."""
    return " UNION ALL ".join(
        f"{select} WHERE {HEALPIX} BETWEEN {start} AND {stop - 1} AND {condition}"
        for start, stop in parts
    )


def in_cone(select: str, ra_deg: float, dec_deg: float, radius_deg: float) -> str:
    """The rows of `select` in a cone: clusters of cells, the cells, then the exact angle.

    Beyond 90 degrees the angle is taken from the opposite point, where it is small and exact.
    """
    if radius_deg >= 180.0:
        return select
    ranges = healpix.cone_ranges(ra_deg, dec_deg, radius_deg)
    cells = " OR ".join(f"{HEALPIX} BETWEEN {a} AND {b - 1}" for a, b in ranges.tolist())
    if radius_deg <= 90.0:
        inside = f"{haversine(ra_deg, dec_deg)} <= {_haversine(radius_deg)!r}"
    else:
        opposite = haversine(ra_deg + 180.0, -dec_deg)
        inside = f"{opposite} >= {_haversine(180.0 - radius_deg)!r}"
    return in_clusters(select, clusters(ranges), f"({cells}) AND {inside}")


def haversine(ra_deg: float, dec_deg: float) -> str:
    """Squared sine of half the angle between a row and a position: it grows with the angle."""
    return (
        f"(power(sin(radians(dec - ({dec_deg!r})) / 2), 2) + cos(radians(dec))"
        f" * {math.cos(math.radians(dec_deg))!r}"
        f" * power(sin(radians(ra - {ra_deg!r}) / 2), 2))"
    )


def _haversine(angle_deg: float) -> float:
    return math.sin(math.radians(angle_deg) / 2) ** 2
