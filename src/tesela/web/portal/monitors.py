"""The pages of detectors: what the monitors follow of each, and what they raised."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy.engine import Connection

from tesela.errors import BadInput, NotFound
from tesela.ledger import amp_quality
from tesela.ledger.amp_quality import AmpRow
from tesela.ledger.keys import NO_FILTER
from tesela.products.monitor import QUANTITIES
from tesela.quality.bands import settings_of
from tesela.quality.series import tabulate
from tesela.web.portal import calibration_queries as queries
from tesela.web.portal import detector_plots, links
from tesela.web.portal.alerts import shown_alerts
from tesela.web.portal.configured import Configured
from tesela.web.portal.nights import parse_night
from tesela.web.portal.queries import Row
from tesela.web.portal.site import OpenSite
from tesela.web.portal.states import LEVELS

NIGHTS: Final = (30, 60, 120, 240)
"""How many nights a page may show."""
_USUAL: Final = 60
_RECENT_DAYS: Final = 120
_SHOWN_ALERTS: Final = 60
_LONGEST: Final = 120


@dataclass(frozen=True)
class View:
    """What the address of a detector's page asks for."""

    detector: str
    filter: str = ""
    """'' shows the one that raised most."""
    nights: int = _USUAL
    until: str = ""
    """The last night; '' is the latest."""

    @classmethod
    def of_query(cls, detector: str, query: Mapping[str, str]) -> View:
        """Read an address; raise `BadInput` for a value that cannot be."""
        nights, until = query.get("nights", str(_USUAL)), query.get("until", "").strip()
        if nights not in map(str, NIGHTS):
            raise BadInput(
                "nights", found=repr(nights[:40]), expected=" or ".join(map(str, NIGHTS)),
                do="correct it",
            )  # fmt: skip
        name = query.get("filter", "")
        if len(name) > _LONGEST or not name.isprintable():
            raise BadInput("filter", found="no name", expected="a filter's name", do="correct it")
        return cls(detector, name, int(nights), parse_night(until) if until else "")

    def url(self, **changes: Any) -> str:
        """The address of this page with something changed."""
        other = {**asdict(self), **changes}
        nights = "" if other["nights"] == _USUAL else str(other["nights"])
        return links.detector(
            self.detector, filter=other["filter"], nights=nights, until=other["until"]
        )


def list_page(conn: Connection) -> dict[str, Any]:
    """Every detector that was followed lately, and the latest alerts of all."""
    latest = queries.last_followed(conn)
    if not latest:
        return {"latest": "", "detectors": [], "alerts": [], "since": ""}
    since = (dt.date.fromisoformat(latest) - dt.timedelta(days=_RECENT_DAYS)).isoformat()
    return {
        "latest": latest,
        "since": since,
        "detectors": [
            {**row, "of": Configured(row["detector"]), "url": links.detector(row["detector"])}
            for row in queries.detectors(conn, since)
        ],
        "alerts": shown_alerts(queries.alerts(conn, since, latest, limit=_SHOWN_ALERTS)),
    }


def page(site: OpenSite, conn: Connection, view: View) -> dict[str, Any]:
    """What a detector's page shows; raises `NotFound` if nothing of it is followed."""
    nights = queries.followed_nights(conn, view.detector, view.until, view.nights)
    if not nights:
        every = queries.followed_nights(conn, view.detector, "", 1)
        raise NotFound(
            f"detector {view.detector}",
            found=f"no value until {view.until}" if every else "nothing that is followed of it",
            do="see the detectors",
        )
    of, first, last = Configured(view.detector), nights[0], nights[-1]
    series = queries.series_between(conn, view.detector, first, last)
    filters = _filters(series)
    through = view.filter or max(filters, key=lambda name: filters[name], default="")
    shown = [row for row in series if row["filter"] in (NO_FILTER, through)
             and row["metric"] in QUANTITIES]  # fmt: skip
    worst = {
        (row["night"], row["amp"]): row["level"]
        for row in queries.worst_levels(conn, view.detector, first, last)
    }
    raised = shown_alerts(queries.alerts(conn, first, last, detector=view.detector, limit=400))
    return {
        "view": view,
        "of": of,
        "first": first,
        "last": last,
        "n_nights": len(nights),
        "later": bool(queries.followed_nights(conn, view.detector, "", 1) != [last]),
        "earlier": _earlier(conn, view, first),
        "choices": NIGHTS,
        "filters": [_filter_choice(site, view, name, filters[name], through) for name in filters],
        "heat_map": detector_plots.heat_map(nights, worst),
        "alerts": raised[:_SHOWN_ALERTS],
        "n_alerts": len(raised),
        "levels": LEVELS,
        "plots": [
            _plot(site, conn, view, row, (first, last), raised, n) for n, row in enumerate(shown)
        ],
    }


def _earlier(conn: Connection, view: View, first: str) -> str:
    """The last night before those shown, '' if there is none."""
    before = (dt.date.fromisoformat(first) - dt.timedelta(days=1)).isoformat()
    return next(iter(queries.followed_nights(conn, view.detector, before, 1)), "")


def _filters(series: Sequence[Row]) -> dict[str, int]:
    """Filters with a value, and how much was raised of each."""
    found: dict[str, int] = {}
    for row in series:
        if row["filter"] != NO_FILTER:
            found[row["filter"]] = found.get(row["filter"], 0) + int(row["raised"] or 0)
    return found


def _filter_choice(
    site: OpenSite, view: View, name: str, raised: int, through: str
) -> dict[str, Any]:
    of = Configured(view.detector.replace(f".{NO_FILTER}.", f".{name}."))
    return {
        "name": name,
        "band": of.band(site.bands),
        "narrow": of.is_narrow(site.bands),
        "raised": raised,
        "url": view.url(filter=name),
        "is_on": name == through,
    }


def _plot(
    site: OpenSite,
    conn: Connection,
    view: View,
    row: Row,
    nights: tuple[str, str],
    raised: Sequence[Mapping[str, Any]],
    number: int,
) -> dict[str, Any]:
    """One series, drawn with the limits of every night."""
    settings = settings_of(site.survey.monitors)
    metric, through, source = row["metric"], row["filter"], row["source"]
    rows = _rows(conn, view, metric, through, source, nights[1], extra=settings.window)
    table = tabulate(rows)
    where = {
        (one["night"], one["amp"]): (one["url"], one["reason"])
        for one in raised
        if (one["metric"], one["filter"], one["source"]) == (metric, through, source)
    }
    camera = Configured(view.detector).camera
    drawn = detector_plots.with_bands(
        metric, table, nights[0], _epochs(site, source, camera, table.nights), settings, where
    )
    places = detector_plots.layout(site.cameras.get(camera), table.amps)
    quantity = QUANTITIES[metric]
    title = f"{quantity.says}{f' [{quantity.unit}]' if quantity.unit else ''}"
    return {
        "metric": metric,
        "title": f"{metric.replace('_', ' ')}: {title}",
        "source": source,
        "filter": "" if through == NO_FILTER else through,
        "raised": int(row["raised"] or 0),
        "is_judged": settings.band(metric) is not None,
        "svg": detector_plots.quantity(drawn, places, f"plot{number}", f"{title}, from {source}"),
        "data": _data_url(view, metric, through, source),
    }


def _rows(
    conn: Connection,
    view: View,
    metric: str,
    through: str,
    source: str,
    last: str,
    *,
    extra: int = 0,
) -> list[AmpRow]:
    after = (dt.date.fromisoformat(last) + dt.timedelta(days=1)).isoformat()
    return amp_quality.series(
        conn, view.detector, metric, filter=through, source=source, before=after,
        limit=view.nights + extra,
    )  # fmt: skip


def _epochs(site: OpenSite, source: str, camera: str, nights: Sequence[str]) -> list[int]:
    """Which epoch each night is of: nights are compared with those of their own alone."""
    calendar = site.rules.calendar
    moments = [at for at, _ in calendar.interventions(source, camera)]
    return [sum(at <= calendar.noon(camera, night) for at in moments) for night in nights]


def _data_url(view: View, metric: str, through: str, source: str) -> str:
    base = links.detector(view.detector).partition("?")[0]
    return links.with_query(
        f"{base}/values.csv",
        {"metric": metric, "filter": through, "source": source, "until": view.until,
         "nights": str(view.nights)},
    )  # fmt: skip


def values_csv(conn: Connection, view: View, query: Mapping[str, str]) -> tuple[str, str]:
    """(name, text) of the values of one series, as its plot shows them."""
    metric, source = query.get("metric", ""), query.get("source", "")
    if metric not in QUANTITIES:
        raise BadInput(
            "metric", found=repr(metric[:40]), expected=f"one of {', '.join(QUANTITIES)}",
            do="correct it",
        )  # fmt: skip
    if not re.fullmatch(r"[A-Za-z]{1,40}", source):
        raise BadInput("source", found=repr(source[:40]), expected="a kind", do="correct it")
    last = view.until or queries.last_followed(conn) or "1900-01-01"
    rows = _rows(conn, view, metric, view.filter or NO_FILTER, source, last)
    if not rows:
        raise NotFound(f"{metric} of {view.detector}", found="no value", do="see the detectors")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("night", "amp", metric, "error", "frames", "level", "reason"))
    for row in rows:
        numbers = [
            f"{value:.9g}" if math.isfinite(value) else "" for value in (row.value, row.error)
        ]
        writer.writerow((row.night, row.amp, *numbers, row.n, row.level, row.reason))
    return f"{source}-{metric}.csv", out.getvalue()
