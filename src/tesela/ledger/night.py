"""One night as it is told in the morning: what was observed, what became of it, how good it was."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.engine import Connection

from tesela.errors import NotFound
from tesela.ledger import exposures, verdicts
from tesela.ledger.causes import alike
from tesela.ledger.clock import iso
from tesela.ledger.parts import followed_by_index
from tesela.ledger.queries import night as queries
from tesela.ledger.queries import tallies

MEASURES = ("fwhm_arcsec", "sky_e", "zeropoint_mag")
"""What is told of each band, as medians."""

_SAMPLE = 20_000
"""Products of the survey among which images are looked for, to compare a night with."""

Row = dict[str, Any]


def latest(conn: Connection) -> str:
    """Return the last night with a frame; raises `NotFound` without any."""
    found = conn.scalar(queries.LATEST)
    if not found:
        raise NotFound("--last", found="no frame yet", do="`tesela ingest` takes some in")
    return str(found)


def summary(conn: Connection, night: str) -> dict[str, Any]:
    """Return what is known of a night.

    Returns
    -------
    dict
        `night`; `observed` (frames, exposures, first and last MJD by type and band), `open_s`
        (exposure of the science), `incomplete` (see `exposures.incomplete`); `science` (numbers of
        its frames by what became of them) and `reasons` (state, reason, n, example); `bands`
        (medians of the night and of the survey); `masters` and `masters_missing`; `tiles`; `work`
        (attempts, core hours, failures by class); `alerts`; `verdict` (on the night, or None).

    Raises
    ------
    NotFound
        If there is no frame of that night.
    """
    with followed_by_index(conn):
        observed = _rows(conn, queries.OBSERVED, night)
        if not observed:
            raise NotFound(
                night,
                found="no frame of that night",
                expected="a night such as 2017-07-03",
                do="see `tesela status` for the latest nights",
            )
        outcomes = _rows(conn, queries.OUTCOMES, night)
        return {
            "night": night,
            "verdict": verdicts.standing(conn, verdicts.NIGHT, night),
            "observed": observed,
            "open_s": float(conn.scalar(queries.OPEN_SECONDS, {"night": night}) or 0.0),
            "incomplete": exposures.incomplete(conn, night),
            "science": _summed(outcomes),
            "reasons": alike((row for row in outcomes if row["reason"]), "state"),
            "bands": _bands(conn, night),
            "masters": _rows(conn, queries.MASTERS, night),
            "masters_missing": _masters_missing(conn, night),
            "tiles": _tiles(conn, night),
            "work": _work(conn, night),
            "alerts": _rows(conn, queries.ALERTS, night),
        }


def _rows(conn: Connection, query: TextClause, night: str) -> list[Row]:
    return [dict(row) for row in conn.execute(query, {"night": night}).mappings()]


def _summed(outcomes: Iterable[Row]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in outcomes:
        found[row["state"]] = found.get(row["state"], 0) + row["n"]
    return found


def _bands(conn: Connection, night: str) -> list[Row]:
    """Medians by band, and those of the survey where it has at least five images of the band."""
    here = _by_band(conn.execute(queries.MEASURED, {"night": night}).mappings())
    last = int(conn.scalar(tallies.LAST_PRODUCT) or 0)
    asked = {"step": max(last // _SAMPLE, 1), "last": last}
    everywhere = _by_band(conn.execute(queries.SAMPLE, asked).mappings())
    return [
        {
            "band": band,
            "images": max(map(len, values.values())),
            **{name: _median(values[name], 1) for name in MEASURES},
            "survey": {
                name: _median(everywhere.get(band, {}).get(name, []), 5) for name in MEASURES
            },
        }
        for band, values in sorted(here.items())
    ]


def _by_band(rows: Iterable[Any]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values = found.setdefault(row["band"], {name: [] for name in MEASURES})
        for name in MEASURES:
            if row[name] is not None:
                values[name].append(row[name])
    return found


def _median(values: list[float], fewest: int) -> float | None:
    return statistics.median(values) if len(values) >= fewest else None


def _masters_missing(conn: Connection, night: str) -> list[Row]:
    like = f"%.{night.replace('-', '')}"
    rows = conn.execute(queries.MASTERS_FAILED, {"like": like}).mappings()
    return [dict(row) for row in rows]


def _tiles(conn: Connection, night: str) -> dict[str, int]:
    """Numbers of tiles, of coadds (tiles and bands), and of those that stand as they will; of those
    for which frames are planned, how many have as many."""
    rows = _rows(conn, queries.TILES, night)
    planned = [row for row in rows if row["planned"] is not None]
    complete = [
        row
        for row in planned
        if row["coadd_id"] is not None
        and conn.scalar(queries.FRAMES_OF_COADD, {"coadd": row["coadd_id"]}) >= row["planned"]
    ]
    return {
        "tiles": len({row["tile"] for row in rows}),
        "coadds": len(rows),
        "made": sum(row["coadd_id"] is not None and not row["is_open"] for row in rows),
        "under_way": sum(bool(row["is_open"]) for row in rows),
        "planned": len(planned),
        "complete": len(complete),
    }


def _work(conn: Connection, night: str) -> dict[str, Any]:
    """Attempts at the images and masters of the night: coadds are of many nights."""
    rows = [
        row
        for query in (queries.ATTEMPTS_OF_FRAMES, queries.ATTEMPTS_OF_MASTERS)
        for row in _rows(conn, query, night)
    ]
    begun = [row["first"] for row in rows if row["first"] is not None]
    ended = [row["last"] for row in rows if row["last"] is not None]
    return {
        "attempts": sum(row["n"] for row in rows),
        "core_hours": sum(float(row["seconds"] or 0.0) for row in rows) / 3600.0,
        "begun": iso(min(begun)) if begun else None,
        "ended": iso(max(ended)) if ended else None,
        "failed": [
            {
                "step": row["step"],
                "fault_class": row["fault_class"],
                "n": row["n"],
                "example": row["example"],
                "said": (row["log"] or "").partition("\n")[0],
            }
            for row in rows
            if row["outcome"] == "failed"
        ],
    }
