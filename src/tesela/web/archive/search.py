"""Search by position: the form, its results sorted and paged over the whole of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tesela.errors import BadInput
from tesela.sciencedb.release import Release
from tesela.vo.cone import searchable
from tesela.web.archive import downloads, listing, objects, position
from tesela.web.archive.context import Archive, Missing, is_alias, object_path
from tesela.web.shared.pages import is_fragment

_DEFAULT_SHOW = "summary"
_MAX_PAGE = 10**6


@dataclass(frozen=True)
class Query:
    """What a form asks for."""

    text: str = ""
    radius: str = "1"
    unit: str = "arcmin"
    table: str = "objects"
    show: str = _DEFAULT_SHOW
    sort: str = "distance"
    descending: bool = False
    page: int = 1
    duplicates: bool = False
    """Also the second of sources that overlapping tiles see twice."""

    def address(self, **changes: Any) -> str:
        """The query as the part of an address behind `?`, with changes."""
        return urlencode(replace(self, **changes)._items())

    def _items(self) -> list[tuple[str, str]]:
        items = [
            ("pos", self.text),
            ("radius", self.radius),
            ("unit", self.unit),
            ("table", self.table),
            ("show", self.show),
            ("sort", self.sort),
            ("order", "down" if self.descending else "up"),
        ]
        if self.duplicates:
            items.append(("duplicates", "1"))
        return [*items, ("page", str(self.page))] if self.page > 1 else items


def tables(release: Release) -> list[str]:
    """Tables of a release that can be searched by position."""
    return list(searchable(release))


def parse(params: Mapping[str, str], known: Sequence[str]) -> Query:
    """Read a query about one of the known tables; `BadInput` says which part makes no sense."""
    table = params.get("table", known[0] if known else "")
    if table not in known:
        expected = ", ".join(known) or "none: this release has no table on the sky"
        raise BadInput(f"table {table[:20]!r}", found="no such table", expected=expected)
    order = params.get("order", "up")
    if order not in {"up", "down"}:
        raise BadInput(f"order {order[:20]!r}", expected="up or down")
    page = params.get("page", "1")
    if not (page.isascii() and page.isdigit() and 1 <= int(page[:9]) <= _MAX_PAGE):
        raise BadInput(f"page {page[:20]!r}", expected="a whole number from 1")
    return Query(
        text=params.get("pos", "")[:200],
        radius=params.get("radius", "1"),
        unit=params.get("unit", "arcmin"),
        table=table,
        show=params.get("show", _DEFAULT_SHOW),
        sort=params.get("sort", "distance"),
        descending=order == "down",
        page=int(page[:9]),
        duplicates=params.get("duplicates", "") == "1",
    )


def routes(archive: Archive) -> list[Route]:
    """Routes of the form, its results and its files."""
    return [
        Route("/{release}/search", partial(_page, archive)),
        *(
            Route(f"/{{release}}/search.{kind}", partial(_download, archive, kind))
            for kind in downloads.KINDS
        ),
    ]


def _page(archive: Archive, request: Request) -> Response:
    release = archive.release(request)
    model = release.model
    if is_alias(request):
        return RedirectResponse(f"/{model.name}/search?{request.url.query}".rstrip("?"), 307)
    known = tables(release)
    context: dict[str, Any] = {"query": Query(), "found": None, "problem": ""}
    status = 200
    try:
        query = parse(request.query_params, known)
        query = replace(query, show=_set_of_columns(release, query))
        context["query"] = query
        if query.text.strip():
            named = _named(release, query)
            if named:
                return _go(request, named)
            with archive.searches.place():
                context["found"] = _results(archive, release, query)
    except BadInput as error:
        context["problem"], status = str(error), 400
    except Missing as error:
        context["problem"], status = f"{error.sentence} {error.do}", 404
    context |= {
        "tables": known,
        "units": tuple(position.UNITS),
        "shows": {table: listing.choices(release, table) for table in known},
        "examples": _examples(release),
        "base": archive.base_url(request),
        "kinds": downloads.KINDS,
    }
    template = "search_fragment.html" if is_fragment(request) else "search.html"
    response = archive.render(request, template, release, context)
    response.status_code = status
    return response


def _set_of_columns(release: Release, query: Query) -> str:
    """The set asked for, or the summary if the set belongs to another table than the query's."""
    sets = {table: {key for key, _ in listing.choices(release, table)} for table in tables(release)}
    elsewhere = any(query.show in keys for keys in sets.values())
    return _DEFAULT_SHOW if elsewhere and query.show not in sets[query.table] else query.show


def _named(release: Release, query: Query) -> str:
    """Path of the page of the source if the text is the name of one."""
    if position.source_name(query.text) is None:
        return ""
    number = objects.find(release, query.text.strip())
    if release.by_id("objects", number, ["source_id"]) is None:
        raise Missing(
            f"Release {release.model.name} has no source {number}.",
            "Type a position to see what is there.",
        )
    return object_path(release.model, number)


def _go(request: Request, path: str) -> Response:
    """Lead the browser to another page, from a fragment too."""
    if is_fragment(request):
        return Response(status_code=200, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


def _cone(query: Query) -> tuple[float, float, float]:
    ra, dec = position.position(query.text)
    return ra, dec, position.radius_deg(query.radius, query.unit)


def _results(archive: Archive, release: Release, query: Query) -> dict[str, Any]:
    """Rows of the page asked for, and what is said about all of them."""
    ra, dec, radius = _cone(query)
    shown = listing.columns(release, query.table, query.show)
    limit = archive.settings.search_rows
    found = listing.Listing(
        release, query.table, shown, (ra, dec, radius), limit=limit, duplicates=query.duplicates
    )
    rows, total = found.page(query.sort, query.descending, query.page, archive.settings.page_rows)
    pages = max(1, -(-total // archive.settings.page_rows))
    if query.page > pages:
        raise BadInput(f"page {query.page}", found=f"{pages} pages", expected=f"1 to {pages}")
    return {
        "rows": rows,
        "columns": shown,
        "total": total,
        "cut": found.cut,
        "once": found.once,
        "maxrec": found.read if found.read > archive.settings.vo.default_records else None,
        "limit": limit,
        "pages": pages,
        "ra": ra,
        "dec": dec,
        "radius_deg": radius,
    }


def _examples(release: Release) -> list[str]:
    """Positions to begin with: centres of tiles."""
    return [f"{t.ra_deg:.4f} {t.dec_deg:+.4f}" for t in release.model.tiles[:3]]


def _require_few(
    release: Release, query: Query, cone: tuple[float, float, float], limit: int
) -> None:
    """Refuse a file that would end before its rows do: nobody would notice."""
    number = release.table(query.table).id_column
    found = sum(len(b) for b in release.cone(query.table, *cone, [number], limit=limit + 1))
    if found > limit:
        raise BadInput(
            f"file of {query.table} within {query.radius} {query.unit}",
            found=f"more than {limit} rows",
            expected="a smaller radius",
            do=f"or take the whole catalogue from /{release.model.name}/hats/{query.table}/",
        )


def _download(archive: Archive, kind: str, request: Request) -> Response:
    release = archive.release(request)
    query = parse(request.query_params, tables(release))
    query = replace(query, show=_set_of_columns(release, query))
    cone = _cone(query)
    every = request.query_params.get("columns", "shown") == "all"
    if every:
        names = [c.name for c in release.table(query.table).columns]
    else:
        names = listing.names(release, query.table, query.show)

    def find() -> downloads.Found:
        _require_few(release, query, cone, archive.settings.vo.max_records)
        return downloads.Found(release, query.table, names, cone, duplicates=query.duplicates)

    return downloads.response(find, kind, f"{release.model.name}-{query.table}", archive.downloads)
