"""Cone search: the rows of a table within an angle of a position.

Source: Simple Cone Search 1.03 (IVOA Recommendation 2008-02-22) with its errata 1 to 3; MAXREC and
RESPONSEFORMAT of DALI 1.1. The identifier and the position have the UCDs of 2002 and the identifier
is text, as 1.03 demands; `UCD=1+` gives today's UCDs and a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tesela.errors import BadInput
from tesela.sciencedb.model import TableModel
from tesela.sciencedb.release import Release, Result, check_cone
from tesela.vo import votable
from tesela.vo.dali import Parameters, ResponseFormat, response_format
from tesela.vo.settings import VoSettings

MEDIA_TYPE = "text/xml;content=x-votable"
"""Of an answer if the client asks for none: section 2 of Cone Search 1.03."""

DEFAULT_TABLE = "objects"

TABLES = {DEFAULT_TABLE: "cone", "detections": "cone/detections"}
"""Tables that can be searched, and where below `vo/`."""

_BRIEF = (
    "tile", "band", "ra", "dec", "is_primary", "mag_auto", "mag_auto_err", "prob_star", "photoz",
)  # fmt: skip


@dataclass(frozen=True)
class ConeQuery:
    """A checked request."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    verbosity: str
    """1: identifier, position and a few more; 2: the columns of the core; 3: all."""
    maxrec: int
    ucd1: bool
    format: ResponseFormat

    @property
    def metadata_only(self) -> bool:
        """No rows are asked for, but a description of the columns."""
        return self.radius_deg == 0 or self.maxrec == 0


def parse(parameters: Parameters, settings: VoSettings) -> ConeQuery:
    """Read RA, DEC, SR, VERB, MAXREC, RESPONSEFORMAT and UCD; `BadInput` names what is wrong."""
    ra_deg = parameters.number(
        "RA",
        low=-math.inf,
        high=math.inf,
        meaning="right ascension (ICRS) in decimal degrees, 0 to 360",
    )
    dec_deg = parameters.number(
        "DEC", low=-90.0, high=90.0, meaning="declination (ICRS) in decimal degrees"
    )
    radius_deg = parameters.number("SR", low=0.0, high=180.0, meaning="radius in decimal degrees")
    check_cone(ra_deg, dec_deg, radius_deg)
    return ConeQuery(
        ra_deg,
        dec_deg,
        radius_deg,
        parameters.choice("VERB", ("1", "2", "3"), "2"),
        min(parameters.integer("MAXREC", settings.default_records), settings.max_records),
        parameters.choice("UCD", ("1", "1+"), "1") == "1",
        response_format(parameters, MEDIA_TYPE),
    )


def column_names(table: TableModel, verbosity: str) -> list[str]:
    """Columns of an answer, in the order of the table."""
    if verbosity == "3":
        return [c.name for c in table.columns]
    if verbosity == "2":
        return [c.name for c in table.columns if c.family == "core"]
    return [c.name for c in table.columns if c.name == table.id_column or c.name in _BRIEF]


class Answer:
    """A cone search that is being answered: an iterator of bytes that can be given up."""

    def __init__(self, release: Release, table_name: str, query: ConeQuery) -> None:
        table = release.table(table_name)
        names = column_names(table, query.verbosity)
        self._release = release  # stays open as long as the answer
        self._result: Result | None = None
        rows: votable.Rows
        if query.metadata_only:
            rows = votable.NoRows(release.columns(table_name, names))
        else:
            rows = self._result = release.cone(
                table_name,
                query.ra_deg,
                query.dec_deg,
                query.radius_deg,
                names,
                limit=query.maxrec + 1,  # one more tells whether there are more
            )
        self._pieces = votable.stream(
            rows,
            _head(release, table, query),
            serialisation=query.format.serialisation,
            maxrec=query.maxrec,
        )

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Stop the query; more is not asked for."""
        if self._result is not None:
            self._result.close()


def _head(release: Release, table: TableModel, query: ConeQuery) -> votable.Head:
    model = release.model
    described = (
        f"{table.description}, {model.survey} {model.name}: within {query.radius_deg:g} degrees "
        f"of RA {query.ra_deg:.7f}, Dec {query.dec_deg:.7f} (ICRS). Vectors over bands are in the "
        "order of the INFO band_order. In vectors NULL is NaN, or the VALUES null of integers."
    )
    infos: Sequence[tuple[str, str]] = (
        ("standardID", "ivo://ivoa.net/std/ConeSearch"),
        ("survey", model.survey),
        ("release", model.name),
        ("band_order", " ".join(model.band_names)),
        ("MAXREC", str(query.maxrec)),
    )
    return votable.Head(table.name, described, tuple(infos), table.id_column, query.ucd1)


def searchable(release: Release) -> dict[str, str]:
    """Tables of a release that can be searched, and where below `vo/`."""
    on_sky = {table.name for table in release.model.tables if table.on_sky}
    return {table: path for table, path in TABLES.items() if table in on_sky}


def table_of(release: Release, name: str) -> str:
    """The table if it can be searched; `BadInput` with those that can."""
    known = searchable(release)
    if name not in known:
        raise BadInput(
            f"table {name!r}", found="not searchable", expected=", ".join(known) or "no table"
        )
    return name
