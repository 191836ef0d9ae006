"""The page of masters: what is due, what holds when, and every master by its state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import BadInput
from tesela.flow.plan.needs import VALID, MasterNeed, needs
from tesela.products.frame import night_of, night_span
from tesela.products.masterkind import KINDS
from tesela.web.portal import calibration_queries as queries
from tesela.web.portal import links, validity
from tesela.web.portal.calibration_queries import Chosen
from tesela.web.portal.configured import Configured
from tesela.web.portal.nights import parse_night
from tesela.web.portal.queries import Row
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import MASTER_STATES, master_state

ROWS_A_PAGE: Final = 200
GROUPS_SHOWN: Final = 120
_SHOWN_DAYS: Final = 400.0
_RECENT_NIGHTS: Final = 60
_SHOWN_NEEDS: Final = 60
_LONGEST: Final = 120


@dataclass
class Group:
    """The masters of one kind and configuration."""

    kind: str
    of: Configured
    states: Counter[str] = field(default_factory=Counter)
    """Of those that are served."""
    versions: Counter[str] = field(default_factory=Counter)
    """Of all that were made."""
    latest: str = ""

    @property
    def ordered(self) -> list[tuple[Any, int]]:
        """(state, number), the usual first."""
        return [(state, self.states[name]) for name, state in MASTER_STATES.items()
                if name in self.states]  # fmt: skip


def parse(query: Mapping[str, str]) -> Chosen:
    """Read an address; raise `BadInput` for a value that cannot be."""
    kind, state = query.get("kind", ""), query.get("state", "")
    for name, value, known in (("kind", kind, KINDS), ("state", state, MASTER_STATES)):
        if value and value not in known:
            raise BadInput(
                name, found=repr(value[:40]), expected=f"one of {', '.join(known)}", do="correct it"
            )
    for name in ("filter", "detector"):
        if len(query.get(name, "")) > _LONGEST or not query.get(name, "").isprintable():
            raise BadInput(
                name, found="no name", expected="a name of those listed", do="correct it"
            )
    night = query.get("night", "").strip()
    return Chosen(kind, state, query.get("filter", ""), query.get("detector", ""),
                  parse_night(night) if night else "")  # fmt: skip


def address(chosen: Chosen, page: int = 1, **changes: str) -> str:
    """The address of the list with something changed."""
    other = replace(chosen, **changes)
    return links.masters(
        kind=other.kind, state=other.state, filter=other.filter, detector=other.detector,
        night=other.night, page="" if page == 1 else str(page),
    )  # fmt: skip


def page(site: OpenSite, conn: Connection, chosen: Chosen, number: int) -> dict[str, Any]:
    """What the page of masters shows."""
    every = grouped(queries.groups(conn))
    shown = [one for one in every if _fits(one, chosen) and (chosen.state or one.states)]
    latest = queries.latest_night(conn)
    configurations = sorted({one.of.text for one in shown})
    rows, total = [], 0
    if configurations:
        offset = (number - 1) * ROWS_A_PAGE
        rows = queries.listed(conn, chosen, configurations, limit=ROWS_A_PAGE, offset=offset)
        total = queries.count_listed(conn, chosen, configurations)
    return {
        "chosen": chosen,
        "address": lambda page=1, **changes: address(chosen, page, **changes),
        "is_any": bool(every),
        "choices": _choices(every, chosen, site.bands),
        "due": due(site, conn, latest),
        "latest": latest,
        **overview(site, conn, shown[:GROUPS_SHOWN], latest),
        "hidden_groups": max(0, len(shown) - GROUPS_SHOWN),
        "masters": [listed(site, row) for row in rows],
        "total": total,
        "page": number,
        "pages": max(1, -(-total // ROWS_A_PAGE)),
    }


def grouped(rows: Sequence[Row]) -> list[Group]:
    """Groups in the order in which kinds are needed."""
    found: dict[tuple[str, str], Group] = {}
    for row in rows:
        pair = row["master_kind"], row["configuration"]
        one = found.setdefault(pair, Group(pair[0], Configured(pair[1])))
        one.versions[row["state"]] += row["n"]
        if row["is_current"]:
            one.states[row["state"]] += row["n"]
        one.latest = max(one.latest, row["latest"])
    order = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(found.values(), key=lambda one: (order.get(one.kind, 99), one.of.text))


def _fits(one: Group, chosen: Chosen) -> bool:
    return (
        chosen.kind in ("", one.kind)
        and chosen.filter in ("", one.of.filter)
        and chosen.detector in ("", one.of.detector)
        and (not chosen.state or chosen.state in one.versions)
    )


def _choices(every: Sequence[Group], chosen: Chosen, bands: Sequence[str]) -> dict[str, Any]:
    """What can be filtered by, with the number of masters each choice would leave."""

    def count(attribute: str) -> Counter[str]:
        relaxed, found = replace(chosen, **{attribute: "", "night": ""}), Counter[str]()
        for one in every:
            if _fits(one, relaxed):
                n = one.versions[relaxed.state] if relaxed.state else one.states.total()
                name = one.kind if attribute == "kind" else getattr(one.of, attribute)
                if n:
                    found[name] += n
        return found

    kinds, filters, detectors = count("kind"), count("filter"), count("detector")
    states: Counter[str] = Counter()
    for one in every:
        if _fits(one, replace(chosen, state="")):
            states.update(one.versions)
    places = {band: place for place, band in enumerate(bands)}
    of_filter = {name: next(o.of for o in every if o.of.filter == name) for name in filters if name}
    in_order = sorted(of_filter, key=lambda f: (places.get(of_filter[f].band(bands), 99), f))
    return {
        "kinds": [(kind, kinds[kind]) for kind in KINDS if kind in kinds],
        "states": [(s, states[name]) for name, s in MASTER_STATES.items() if name in states],
        "filters": [
            (name, of_filter[name].band(bands), of_filter[name].is_narrow(bands), filters[name])
            for name in in_order
        ],
        "detectors": [
            (name, next(o.of.detector_words for o in every if o.of.detector == name), n)
            for name, n in sorted(detectors.items())
        ],
    }


def instant_of(site: OpenSite, night: str) -> float:
    """MJD of the midnight of a night at the first camera's site."""
    longitude = next(iter(site.rules.longitude_deg.values()), 0.0)
    return night_span(night, longitude)[0] + 0.5


def due(site: OpenSite, conn: Connection, latest: str) -> dict[str, Any]:
    """What a frame of the latest night would lack, for all that was observed shortly before."""
    if not latest:
        return {"rows": [], "n": 0, "more": 0}
    mjd = instant_of(site, latest)
    longitude = next(iter(site.rules.longitude_deg.values()), 0.0)
    found = needs(conn, site.rules, mjd, since=night_of(mjd - _RECENT_NIGHTS, longitude))
    wanting = [need for need in found if need.state != VALID]
    # What stops frames comes first, then what is taken from elsewhere.
    wanting.sort(key=lambda need: (bool(need.master), not need.is_required))
    return {
        "rows": [_due(need, site.bands) for need in wanting[:_SHOWN_NEEDS]],
        "n": len(found),
        "more": max(0, len(wanting) - _SHOWN_NEEDS),
    }


def _due(need: MasterNeed, bands: Sequence[str]) -> dict[str, Any]:
    of = Configured(need.configuration)
    key, _, version = need.master.rpartition(" version ")
    blocks = not need.master and need.is_required
    return {
        "need": need,
        "of": of,
        "band": of.band(bands),
        "narrow": of.is_narrow(bands),
        "tone": "bad" if blocks and need.state == "missing" else "warn",
        "shape": "cross" if blocks and need.state == "missing" else "triangle",
        "word": need.state if need.master or need.is_required else f"{need.state}, not required",
        "key": key,
        "version": version,
        "url": links.product("master", key) if key else "",
    }


def marks_of(site: OpenSite, kind: str, camera: str, latest: str) -> list[validity.Mark]:
    """What was done to telescope or camera, and the latest night."""
    found = [
        validity.Mark(at, f"{what.what}, {what.at}")
        for at, what in site.rules.calendar.interventions(kind, camera)
    ]
    if latest:
        found.append(validity.Mark(instant_of(site, latest), f"latest night, {latest}", True))
    return found


def overview(
    site: OpenSite, conn: Connection, shown: Sequence[Group], latest: str
) -> dict[str, Any]:
    """One line a kind and configuration, all on one axis of time."""
    if not shown or not latest:
        return {"groups": [], "axis": None}
    now = instant_of(site, latest)
    configurations = {one.of.text for one in shown}
    held: dict[tuple[str, str], list[validity.Span]] = {}
    for row in queries.certified_between(
        conn, now - _SHOWN_DAYS, now + _SHOWN_DAYS, configurations
    ):
        span = validity.Span(row["valid_begin"], row["valid_end"])
        held.setdefault((row["master_kind"], row["configuration"]), []).append(span)
    spans = [span for one in held.values() for span in one]
    axis = validity.Axis.around(
        min((span.begin for span in spans), default=now),
        max((span.end for span in spans), default=now),
        most_days=_SHOWN_DAYS,
        now=now,
    )
    lines = []
    for n, one in enumerate(shown):
        last = queries.latest_of(conn, one.kind, one.of.text)
        marks = marks_of(site, one.kind, one.of.camera, latest)
        title = f"When {one.kind} of {one.of.text} holds"
        bar = validity.row(f"held{n}", title, held.get((one.kind, one.of.text), []), marks, axis)
        lines.append({
            "group": one,
            "says": KINDS[one.kind].says if one.kind in KINDS else "",
            "band": one.of.band(site.bands),
            "narrow": one.of.is_narrow(site.bands),
            "last": None if last is None else listed(site, last),
            "bar": bar,
            "url": links.masters(kind=one.kind, filter=one.of.filter, detector=one.of.detector),
        })  # fmt: skip
    return {"groups": lines, "axis": (validity.day(axis.begin), validity.day(axis.end))}


def listed(site: OpenSite, row: Row) -> dict[str, Any]:
    """A master as its line in a table shows it."""
    of, kind = Configured(row["configuration"]), row["master_kind"]
    return {
        **row,
        "of": of,
        "band": of.band(site.bands),
        "narrow": of.is_narrow(site.bands),
        "state": master_state(row["state"], row["reason"]),
        "warnings": json.loads(row["warnings_json"] or "[]"),
        "url": links.product("master", row["key"]),
        "begin": validity.day(row["valid_begin"]),
        "end": validity.day(row["valid_end"]),
        "wanted": wanted(site, kind),
    }


def wanted(site: OpenSite, kind: str) -> int:
    """Frames of a good master of a kind."""
    usual = KINDS[kind].wanted if kind in KINDS else 1
    return site.survey.calibration.wanted.get(kind, usual)
