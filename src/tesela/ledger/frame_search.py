"""Finding raw frames among millions, page by page, and telling where their files are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Connection

from tesela.errors import BadInput
from tesela.ledger.queries import frame_search as queries

Row = dict[str, Any]
CHECKED: Final = queries.CHECKED
"""What may be asked for by an equal word."""
_LAST_ID: Final = 2**31 - 1
_FAR_MJD: Final = 1e9
_LARGEST_PART: Final = 16_000
_PARTS: Final = 5
"""Parts of exposures that one page may look at."""
_MARK: Final = re.compile(r"(-?[0-9.e+]{1,30})_([0-9]{1,10})_([0-9]{1,10})")


class Mark(NamedTuple):
    """A place in the order of frames: that of a frame, or behind all those of an exposure."""

    mjd: float
    exposure_id: int
    product_id: int

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read a mark written by `str`; raise `BadInput` if it is none."""
        found = _MARK.fullmatch(text)
        if found is not None:
            try:
                return cls(float(found[1]), int(found[2]), int(found[3]))
            except ValueError:
                pass
        raise BadInput(
            "after",
            found=repr(text[:40]),
            expected="the mark of an earlier answer",
            do="leave it out to begin, then follow `next`",
        )

    def __str__(self) -> str:
        return f"{self.mjd!r}_{self.exposure_id}_{self.product_id}"


_BEGIN: Final = Mark(-_FAR_MJD, 0, 0)


@dataclass(frozen=True)
class Cone:
    """Exposures whose pointing lies about a place, degrees; a frame is judged by `accept`."""

    ra_deg: float
    dec_deg: float
    half_width_deg: float
    """To either side in right ascension; 360 for all around."""
    half_height_deg: float
    accept: Callable[[Sequence[Row]], Sequence[bool]]
    """Which of these frames are meant, exactly."""


@dataclass(frozen=True)
class Search:
    """What is asked for; frames fit all of it."""

    words: Mapping[str, str] = field(default_factory=dict)
    """Equal to these; names of `CHECKED`."""
    since: float = -_FAR_MJD
    """Earliest start of the exposure, MJD."""
    until: float = _FAR_MJD
    """Its end, exclusive."""
    cone: Cone | None = None


@dataclass(frozen=True)
class Found:
    """A page of frames."""

    rows: list[Row]
    after: Mark | None
    """Where the next page begins; None if this is the last. A page may have few rows, or none,
    and still not be the last."""


def find(
    conn: Connection,
    search: Search,
    projects: Sequence[str] | None,
    *,
    after: Mark | None = None,
    limit: int = 100,
) -> Found:
    """Return frames in the order of time.

    Parameters
    ----------
    projects : sequence of str or None
        Only frames of these; None for all.
    after : Mark, optional
        The mark of the page before.
    """
    asked = [dict(search.words)]
    if projects is not None:
        wanted = search.words.get("project")
        asked = [{**search.words, "project": one} for one in projects if wanted in (None, one)]
    # Each project by itself: so the index of project and time gives the order, too.
    streams = [_stream(conn, search, words, after or _BEGIN, limit) for words in asked]
    end = min((one.after for one in streams if one.after is not None), default=None)
    rows = sorted(
        (row for one in streams for row in one.rows if end is None or _mark_of(row) <= end),
        key=_mark_of,
    )
    if len(rows) > limit:
        return Found(rows[:limit], _mark_of(rows[limit - 1]))
    return Found(rows, end)


def _mark_of(row: Row) -> Mark:
    return Mark(row["mjd_start"], row["exposure_id"], row["product_id"])


def _stream(
    conn: Connection, search: Search, words: Mapping[str, str], begin: Mark, limit: int
) -> Found:
    """The next frames of one project, or of all."""
    asked = frozenset((*words, *(("cone",) if search.cone else ())))
    statement, edge_of_part = queries.frames_found(asked), queries.edge_of_part(asked)
    rows: list[Row] = []
    mark, window = begin, limit + 1
    for _ in range(_PARTS):
        values = {**words, **_place(search.cone), **_range(search, mark), "window": window}
        batch = _LARGEST_PART if search.cone else limit + 1 - len(rows)
        found = [
            dict(row) for row in conn.execute(statement, {**values, "limit": batch}).mappings()
        ]
        rows += _accepted(search.cone, found)
        if len(found) == batch:
            mark = _mark_of(found[-1])
        else:
            edge = conn.execute(edge_of_part, values).first()
            if edge is None and len(rows) <= limit:
                return Found(rows, None)
            if edge is not None:
                mark = Mark(edge.mjd_start, edge.id, _LAST_ID)
        if len(rows) > limit:
            return Found(rows[:limit], _mark_of(rows[limit - 1]))
        window = min(4 * window, _LARGEST_PART)
    return Found(rows, mark)


def _range(search: Search, mark: Mark) -> dict[str, Any]:
    start = max(search.since, mark.mjd)
    is_within = start == mark.mjd
    return {
        "start": start,
        "until": search.until,
        "exposure_id": mark.exposure_id if is_within else 0,
        "product_id": mark.product_id if is_within else 0,
    }


def _place(cone: Cone | None) -> dict[str, float]:
    if cone is None:
        return {}
    return {
        "ra_low": cone.ra_deg - cone.half_width_deg,
        "ra_high": cone.ra_deg + cone.half_width_deg,
        "dec_low": cone.dec_deg - cone.half_height_deg,
        "dec_high": cone.dec_deg + cone.half_height_deg,
    }


def _accepted(cone: Cone | None, rows: list[Row]) -> list[Row]:
    if cone is None or not rows:
        return rows
    return [row for row, fits in zip(rows, cone.accept(rows)) if fits]


def raw_file(conn: Connection, name: str) -> Row | None:
    """Return what is needed to send a frame's file: path, bytes (0: not recorded), sha256, project,
    dropped_mjd, and `replicas` (site, checksum, verified_mjd); None for an unknown frame."""
    found = conn.execute(queries.RAW_FILE, {"name": name}).mappings().first()
    if found is None:
        return None
    replicas = conn.execute(queries.REPLICAS, {"product_id": found["product_id"]}).mappings()
    return {
        **found,
        "bytes": bytes_of(found["path"], found["files_json"]),
        "replicas": [dict(row) for row in replicas],
    }


def bytes_of(path: str, files_json: str) -> int:
    """Return the size of a product's main file as it was recorded, or 0."""
    return next((int(size) for name, _, size in json.loads(files_json) if name == path), 0)
