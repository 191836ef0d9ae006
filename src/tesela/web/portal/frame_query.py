"""What the address of a search for frames asks for."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from starlette.datastructures import QueryParams

from tesela.cameras.camera import Camera
from tesela.cameras.checks import OBSTYPES
from tesela.errors import BadInput
from tesela.ledger.frame_search import CHECKED, Cone, Mark, Row, Search
from tesela.products.frame import mjd_of
from tesela.sky import footprint, tangent
from tesela.web.portal.nights import parse_night

USUAL_LIMIT, LARGEST_LIMIT = 100, 1000
LARGEST_RADIUS_DEG: Final = 5.0
_PLACE: Final = ("ra", "dec", "radius")
KNOWN: Final = (*CHECKED, "since", "until", *_PLACE, "limit", "after")
_OBSTYPES: Final = tuple(sorted(OBSTYPES))
_LONGEST: Final = 200
_NEAR_POLE_DEG: Final = 80.0
_CORNERS: Final = 4


@dataclass(frozen=True)
class FrameQuery:
    """A search, and the page of it that is wanted."""

    search: Search
    limit: int
    after: Mark | None


def parse(query: QueryParams, reach_deg: float) -> FrameQuery:
    """Read an address; raise `BadInput` for what is not understood.

    Parameters
    ----------
    reach_deg : float
        How far from a pointing a frame may reach.
    """
    values = _words(query)
    words = {name: values[name] for name in CHECKED if name in values}
    if "night" in words:
        parse_night(words["night"])
    if words.get("obstype", _OBSTYPES[0]) not in _OBSTYPES:
        raise _wrong("obstype", words["obstype"], f"one of {', '.join(_OBSTYPES)}")
    since, until = (_moment(name, values.get(name)) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise _wrong("since", values["since"], f"a time before until, {values['until']!r}")
    ends = {name: mjd for name, mjd in (("since", since), ("until", until)) if mjd is not None}
    limit = values.get("limit", str(USUAL_LIMIT))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= LARGEST_LIMIT):
        raise _wrong("limit", limit, f"1 to {LARGEST_LIMIT}")
    search = Search(words, **ends, cone=_cone(values, reach_deg))
    return FrameQuery(
        search, int(limit), Mark.parse(values["after"]) if "after" in values else None
    )


def _words(query: QueryParams) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in query.multi_items():
        if "token" in name.lower() or value.startswith("tsl_"):
            raise BadInput(
                "address",
                found="a token in it",
                expected="the token in the header `Authorization: Bearer tsl_...`",
                do="have it revoked: addresses are kept in logs and histories",
            )
        if name not in KNOWN:
            raise BadInput(
                "address", found=f"{name[:40]!r}", expected=", ".join(KNOWN), do="correct it"
            )
        if name in found:
            raise _wrong(name, f"{found[name]}, {value}", "one value")
        if not value or len(value) > _LONGEST or not value.isprintable():
            raise _wrong(name, value, f"1 to {_LONGEST} printable letters")
        found[name] = value
    return found


def _wrong(name: str, found: str, expected: str) -> BadInput:
    return BadInput(name, found=repr(found[:80]), expected=expected, do="correct it")


def _moment(name: str, text: str | None) -> float | None:
    """MJD of a date, of a time in UTC, or of an MJD as a number."""
    if text is None:
        return None
    try:
        is_date = "-" in text[1:]
        mjd = mjd_of(dt.datetime.fromisoformat(text)) if is_date else float(text)
    except (ValueError, OverflowError):
        mjd = math.nan
    if not 0 <= mjd < 1e6:
        raise _wrong(name, text, "a date such as 2017-07-03, a time such as 2017-07-03T21:30:00Z"
                     ", or an MJD")  # fmt: skip
    return mjd


def _cone(values: Mapping[str, str], reach_deg: float) -> Cone | None:
    given = [name for name in _PLACE if name in values]
    if not given:
        return None
    if "ra" not in given or "dec" not in given:
        raise BadInput(
            "position", found=", ".join(given), expected="ra and dec, and radius if not 0",
            do="give all in degrees",
        )  # fmt: skip
    ra = _number("ra", values["ra"], -360.0, 360.0) % 360.0
    dec = _number("dec", values["dec"], -90.0, 90.0)
    radius = _number("radius", values.get("radius", "0"), 0.0, LARGEST_RADIUS_DEG)
    height = radius + reach_deg
    is_near_pole = abs(dec) + height > _NEAR_POLE_DEG
    width = 360.0 if is_near_pole else height / math.cos(math.radians(abs(dec) + height))

    def accept(rows: Sequence[Row]) -> Sequence[bool]:
        return touched(rows, ra, dec, radius)

    return Cone(ra, dec, width, height, accept)


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise _wrong(name, text, f"{low:g} to {high:g} degrees")
    return value


def touched(rows: Sequence[Row], ra_deg: float, dec_deg: float, radius_deg: float) -> list[bool]:
    """Which frames have a part within a radius of a place, by their pointing."""
    corners = [json.loads(row["footprint_json"]) or [] for row in rows]
    usable = [n for n, one in enumerate(corners) if len(one) == _CORNERS]
    found = [False] * len(rows)
    if usable:
        places = np.array([corners[n] for n in usable], dtype=float)
        polygons = tangent.unit_vectors(places[..., 0], places[..., 1])
        near = footprint.distances_deg(polygons, ra_deg, dec_deg) <= radius_deg
        for n, is_near in zip(usable, near):
            found[n] = bool(is_near)
    return found


def reach_deg(cameras: Iterable[Camera]) -> float:
    """How far a CCD of any of these cameras reaches from the pointing."""
    farthest = 0.0
    for camera in cameras:
        offsets: list[Any] = [one.offset_arcmin for one in camera.detectors]
        away = max(math.hypot(*one) / 60 for one in (*offsets, camera.offset_arcmin))
        half = math.hypot(camera.nx, camera.ny) * camera.pixel_scale_arcsec / 3600 / 2
        farthest = max(farthest, away + half)
    return farthest
