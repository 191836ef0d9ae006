"""The search for raw frames: one condition leads through an index, the others are checked.

Frames come in the order of (start of the exposure, exposure, frame). A statement looks at a
number of exposures that the leading condition gives, so it ends soon whatever is asked for and
however little is found.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Final

from sqlalchemy import TextClause, text

_LEADS: Final = {
    "name": "x.id IN (SELECT exposure_id FROM frame WHERE name = :name)",
    "exposure": "x.id IN (SELECT id FROM exposure WHERE name = :exposure"
    " UNION SELECT id FROM exposure WHERE key = :exposure)",
    "tile": "x.id IN (SELECT f.exposure_id FROM frame_tile ft"
    " JOIN frame f ON f.product_id = ft.frame_id WHERE ft.tile = :tile)",
    "cone": "x.dec_deg BETWEEN :dec_low AND :dec_high AND (x.ra_deg BETWEEN :ra_low AND :ra_high"
    " OR x.ra_deg BETWEEN :ra_low + 360 AND :ra_high + 360"
    " OR x.ra_deg BETWEEN :ra_low - 360 AND :ra_high - 360)",
    "night": "x.night = :night",
    "object": "x.object = :object",
    "project": "x.project = :project",
    "": "1 = 1",
}
"""Leading conditions, the first that is asked for leads. The last two go by time."""

_CHECKS: Final = {
    "name": "f.name = :name",
    "exposure": "(x.name = :exposure OR x.key = :exposure)",
    "tile": "EXISTS (SELECT 1 FROM frame_tile ft"
    " WHERE ft.frame_id = f.product_id AND ft.tile = :tile)",
    "night": "x.night = :night",
    "object": "x.object = :object",
    "project": "x.project = :project",
    "telescope": "x.telescope = :telescope",
    "camera": "x.camera = :camera",
    "obstype": "x.obstype = :obstype",
    "ccd": "f.ccd = :ccd",
    "band": "f.band = :band",
}
CHECKED: Final = tuple(_CHECKS)
"""What may be asked for by an equal word."""


def leading(asked: Collection[str]) -> str:
    """The condition that leads."""
    return next(name for name in _LEADS if name in asked or not name)


def _part(asked: Collection[str]) -> str:
    lead = leading(asked)
    # With a sign before it the column is no column to the planner: it cannot be tempted to go
    # through all exposures in the order of time where another index leads to the few in question.
    at = "x.mjd_start" if lead in ("project", "") else "+x.mjd_start"
    # What is not of the project has no part in it: where a page ends would tell that it exists.
    own = "AND x.project || '' = :project" if "project" in asked and lead != "project" else ""
    return f"""
    SELECT x.id, x.mjd_start FROM exposure x
    WHERE {_LEADS[lead]} {own}
      AND {at} >= :start AND {at} < :until AND ({at} > :start OR x.id >= :exposure_id)
    ORDER BY {at}, x.id
    """


@cache
def frames_found(asked: frozenset[str]) -> TextClause:
    """The statement that gives the next frames: what is asked for, by the names of its parts."""
    checks = "".join(f"\n      AND {_CHECKS[one]}" for one in CHECKED if one in asked)
    return text(f"""
    WITH part AS ({_part(asked)} LIMIT :window)
    SELECT part.mjd_start, part.id AS exposure_id, f.product_id, f.name, f.ccd, f.band,
           f.filter_serial, f.nx, f.ny, f.sha256, f.footprint_json, x.key AS exposure_key,
           x.name AS exposure, x.telescope, x.camera, x.night, x.obstype, x.flat_kind,
           x.readout_mode, x.exptime_s, x.ra_deg, x.dec_deg, x.airmass, x.object, x.project,
           p.path, p.files_json, p.made_mjd, p.dropped_mjd, v.reason AS flagged,
           r.version AS reduced_version, q.passed AS reduced_passed
    FROM part
    JOIN exposure x ON x.id = part.id
    JOIN frame f ON f.exposure_id = part.id
    JOIN product p ON p.id = f.product_id
    LEFT JOIN verdict v ON v.kind = 'raw' AND v.key = f.name AND v.withdrawn_mjd IS NULL
    LEFT JOIN product r ON r.kind = 'reduced' AND r.key = f.name AND r.is_current
    LEFT JOIN quality q ON q.product_id = r.id
    WHERE (part.id <> :exposure_id OR f.product_id > :product_id){checks}
    ORDER BY part.mjd_start, part.id, f.product_id LIMIT :limit
    """)


@cache
def edge_of_part(asked: frozenset[str]) -> TextClause:
    """The statement that gives the last exposure of a full part; nothing if it was the last one."""
    return text(f"{_part(asked)} LIMIT 1 OFFSET :window - 1")


RAW_FILE = text("""
    SELECT f.product_id, f.name, f.sha256, x.project, p.path, p.files_json, p.dropped_mjd
    FROM frame f
    JOIN exposure x ON x.id = f.exposure_id
    JOIN product p ON p.id = f.product_id
    WHERE f.name = :name
""")

REPLICAS = text("""
    SELECT site, checksum, verified_mjd FROM replica WHERE product_id = :product_id ORDER BY site
""")
