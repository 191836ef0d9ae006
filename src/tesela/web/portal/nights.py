"""The calendar of nights, and a night as a report."""

from __future__ import annotations

import calendar
import contextlib
import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy.engine import Connection

from tesela.errors import BadInput, NotFound
from tesela.web.portal import calibration_queries, exposure, links, queries, timeline
from tesela.web.portal.alerts import shown_alerts
from tesela.web.portal.frame_row import shown
from tesela.web.portal.queries import Row, Selection
from tesela.web.portal.states import RANK, STATES

ROWS_A_PAGE: Final = 600
VIEWS: Final = ("table", "pictures", "exposures")
SHOWN_ALERTS: Final = 40
_TYPES: Final = ("science", "flat", "dark", "bias")
_MONTH = re.compile(r"(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])")
_NIGHT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class NightCounts:
    """Frames of a night by type, and by state."""

    night: str
    types: Mapping[str, int]
    states: Mapping[str, int]

    @property
    def total(self) -> int:
        """All frames."""
        return sum(self.types.values())

    @property
    def tone(self) -> str:
        """That of the state which wants attention most."""
        return STATES[max(self.states, key=RANK.__getitem__)].tone if self.states else "plain"

    @property
    def ordered(self) -> list[tuple[Any, int]]:
        """(state, number), the usual first."""
        return [(STATES[name], self.states[name]) for name in STATES if self.states.get(name)]

    @property
    def by_type(self) -> list[tuple[str, int]]:
        """(type, number), science first."""
        known = [kind for kind in _TYPES if kind in self.types]
        return [(kind, self.types[kind]) for kind in (*known, *sorted(set(self.types) - {*known}))]


def parse_month(text: str) -> str:
    """A month of the address; raise `BadInput` if it is none."""
    if not _MONTH.fullmatch(text):
        raise BadInput(
            "month",
            found=repr(text[:40]),
            expected="a month of a year from 1900, such as 2017-07",
            do="correct it",
        )
    return text


def parse_night(text: str) -> str:
    """A night of the address: an evening's date; raise `BadInput` if it is none."""
    if _NIGHT.fullmatch(text):  # the library also takes 20170703 and weeks
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(text).isoformat()
    raise BadInput(
        "night", found=repr(text[:40]), expected="a date such as 2017-07-03", do="correct it"
    )


def of_rows(rows: list[Row]) -> list[NightCounts]:
    """Counts of nights, latest first, from rows of night, obstype, state, n."""
    types: dict[str, Counter[str]] = {}
    states: dict[str, Counter[str]] = {}
    for row in rows:
        types.setdefault(row["night"], Counter())[row["obstype"]] += row["n"]
        states.setdefault(row["night"], Counter())[row["state"]] += row["n"]
    return [NightCounts(night, types[night], states[night]) for night in sorted(types)[::-1]]


def calendar_page(conn: Connection, wanted: str | None) -> dict[str, Any]:
    """What the first page shows: a month of nights, and which other months there are.

    Without a month asked for, the latest that has exposures.
    """
    months = queries.months(conn)
    month = parse_month(wanted) if wanted else next(reversed(months), None)
    if month is None:
        return {"months": {}, "month": None, "nights": [], "weeks": []}
    nights = of_rows(queries.month_counts(conn, month))
    known = {night.night: night for night in nights}
    year, number = int(month[:4]), int(month[5:])
    weeks = [
        [known.get(day.isoformat(), day) if day.month == number else None for day in week]
        for week in calendar.Calendar().monthdatescalendar(year, number)
    ]
    others = sorted(months)
    return {
        "months": months,
        "month": month,
        "title": f"{calendar.month_name[number]} {year}",
        "nights": nights,
        "weeks": weeks,
        "alerts": calibration_queries.alert_counts(conn, f"{month}-01", f"{month}-31"),
        "before": next((m for m in reversed(others) if m < month), None),
        "after": next((m for m in others if m > month), None),
    }


def page_number(query: Mapping[str, str]) -> int:
    """The `page` of an address, from 1; raise `BadInput` if it is no number."""
    page = query.get("page", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", page):
        raise BadInput("page", found=repr(page[:40]), expected="1, 2, 3 ...", do="correct it")
    return int(page)


@dataclass(frozen=True)
class View:
    """What the address of a night's page asks for."""

    chosen: Selection
    view: str = "table"
    page: int = 1

    @classmethod
    def of_query(cls, night: str, query: Mapping[str, str], bands: tuple[str, ...]) -> View:
        """Read an address; raise `BadInput` for a value that cannot be."""
        chosen = Selection(
            night,
            obstype=_one_of(query, "type", ("", *_TYPES)),
            band=_one_of(query, "band", ("", *bands)),
            state=_one_of(query, "state", ("", *STATES)),
            sort=_one_of(query, "sort", queries.SORTS),
            descending=_one_of(query, "dir", ("asc", "desc")) == "desc",
        )
        return cls(chosen, _one_of(query, "view", VIEWS), page_number(query))

    def url(self, **changes: Any) -> str:
        """The address of this page with something changed; a change goes to the first page."""
        own = {name: value for name, value in changes.items() if name in ("view", "page")}
        of_selection = {name: value for name, value in changes.items() if name not in own}
        other = replace(self, chosen=replace(self.chosen, **of_selection), **{"page": 1, **own})
        chosen = other.chosen
        parts = {
            "type": chosen.obstype,
            "band": chosen.band,
            "state": chosen.state,
            "sort": "" if chosen.sort == "time" else chosen.sort,
            "dir": "desc" if chosen.descending else "",
            "view": "" if other.view == "table" else other.view,
            "page": "" if other.page == 1 else str(other.page),
        }
        query = urlencode({name: value for name, value in parts.items() if value})
        return f"/night/{chosen.night}" + (f"?{query}" if query else "")

    def sort_url(self, sort: str) -> str:
        """The address sorted by a column; by the same column again, the other way round."""
        again = sort == self.chosen.sort
        return self.url(sort=sort, descending=again and not self.chosen.descending)


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """A value of the address, the first known one without it."""
    value = query.get(name, known[0])
    if value not in known:
        expected = ", ".join(word for word in known if word)
        raise BadInput(name, found=repr(value[:40]), expected=f"one of {expected}", do="correct it")
    return value


def night_page(conn: Connection, view: View, bands: tuple[str, ...]) -> dict[str, Any]:
    """What a night's page shows.

    Raises `NotFound` if no exposure of that night was taken in.
    """
    night = view.chosen.night
    before, after = queries.nights_around(conn, night)
    if not queries.is_night(conn, night):
        near = " and ".join(other for other in (before, after) if other)
        raise NotFound(
            f"night {night}",
            found="no exposure of it",
            expected=f"a night with exposures; the nearest: {near or 'none at all'}",
            do="choose one in the calendar",
        )
    rows = queries.night_counts(conn, night)
    return {
        "night": night,
        "before": before,
        "after": after,
        "counts": of_rows([{**row, "night": night} for row in rows])[0],
        "timeline": timeline.draw(night, queries.exposures(conn, night)),
        "alert_counts": calibration_queries.alert_counts(conn, night, night).get(night, {}),
        "alerts": shown_alerts(calibration_queries.alerts(conn, night, night, limit=SHOWN_ALERTS)),
        "masters_url": links.masters(night=night),
        **table_part(conn, view, bands, rows),
    }


def table_part(
    conn: Connection, view: View, bands: tuple[str, ...], counts: list[Row] | None = None
) -> dict[str, Any]:
    """The part of a night's page that filters and sorting change."""
    rows = queries.night_counts(conn, view.chosen.night) if counts is None else counts
    matching = sum(row["n"] for row in rows if _matches(row, view.chosen))
    many = queries.has_many_ccds(conn, view.chosen.night)
    return {
        "view": view,
        "choices": _choices(rows, view.chosen, bands),
        "narrow_bands": {band for band in bands if timeline.is_narrow(band)},
        "views": VIEWS if many or view.view == "exposures" else VIEWS[:-1],
        "matching": matching,
        "total": sum(row["n"] for row in rows),
        **(
            _exposures(conn, view)
            if view.view == "exposures"
            else _frames(conn, view, bands, matching)
        ),
    }


def _frames(conn: Connection, view: View, bands: tuple[str, ...], matching: int) -> dict[str, Any]:
    offset = (view.page - 1) * ROWS_A_PAGE
    found = queries.frames(conn, view.chosen, bands, limit=ROWS_A_PAGE, offset=offset)
    pages = max(1, -(-matching // ROWS_A_PAGE))
    return {"frames": [shown(row) for row in found], "pages": pages}


def _exposures(conn: Connection, view: View) -> dict[str, Any]:
    n = queries.count_exposures(conn, view.chosen)
    return {
        "frames": exposure.rows(conn, view.chosen, view.page),
        "n_exposures": n,
        "pages": max(1, -(-n // exposure.EXPOSURES_A_PAGE)),
    }


def _matches(row: Row, chosen: Selection) -> bool:
    return (
        chosen.obstype in ("", row["obstype"])
        and chosen.band in ("", row["band"])
        and chosen.state in ("", row["state"])
    )


def _choices(rows: list[Row], chosen: Selection, bands: tuple[str, ...]) -> dict[str, Any]:
    """What can be filtered by, with the number of frames each choice would leave."""

    def count(key: str, relaxed: Selection) -> dict[str, int]:
        found: Counter[str] = Counter()
        for row in rows:
            if _matches(row, relaxed):
                found[row[key]] += row["n"]
        return found

    types = count("obstype", replace(chosen, obstype=""))
    of_band = count("band", replace(chosen, band=""))
    states = count("state", replace(chosen, state=""))
    return {
        "types": [(kind, types[kind]) for kind in _TYPES if kind in types],
        "bands": [(band, of_band[band]) for band in bands if band in of_band],
        "states": [(state, states[name]) for name, state in STATES.items() if name in states],
    }
