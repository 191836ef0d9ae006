"""The application: addresses, and what answers each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy.exc import DatabaseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from tesela.errors import BadInput, LedgerError, NotFound, TeselaError
from tesela.ledger import frames
from tesela.ledger.clock import iso
from tesela.products import paths
from tesela.web.portal import (
    api,
    exposure,
    frame,
    lineage,
    links,
    master,
    masters,
    monitors,
    nights,
    pictures,
    product_files,
    product_queries,
    tile,
)
from tesela.web.portal.pictures import Look, Subject
from tesela.web.portal.queries import is_night
from tesela.web.portal.site import OpenSite, open_site
from tesela.web.shared.compress import Compressed
from tesela.web.shared.pages import Pages, is_fragment
from tesela.web.shared.security import SecureApp, allowed_hosts

NAVIGATION: Final = (
    ("Nights", "/"),
    ("Calibrations", "/masters"),
    ("Detectors", "/detectors"),
    ("Tiles", "/tiles"),
    ("Releases", "/releases"),
)
_FOR_EVER: Final = "private, max-age=31536000, immutable"
_LONGEST_NAME: Final = 200
_FOUND: Final = 50


@dataclass(frozen=True)
class PortalSettings:
    """How the portal is served."""

    base_url: str = ""
    """Address by which users reach it, beside those of this machine's loopback."""
    hosts: tuple[str, ...] = ()
    """Further host names that the server answers to."""
    keep_pictures: bool = True
    """Keep pictures in the site's folder `cache/pictures` once they are made."""
    pages: bool = True
    """Show the pages, which ask nobody who they are. Without them only programs with a token are
    answered."""


class Portal:
    """What answers the requests: a site and the pages that show it."""

    def __init__(self, site: OpenSite, settings: PortalSettings) -> None:
        self.site, self.settings = site, settings
        self.pages = Pages("portal", f"{site.survey.name} · Reduction Portal", NAVIGATION)
        self.cache = paths.pictures_folder(site.folder)

    def nights(self, request: Request) -> Response:
        """The calendar of a month."""
        with self.site.ledger.read() as conn:
            context = nights.calendar_page(conn, request.query_params.get("month"))
        return self.pages.render(request, "portal/nights.html", context)

    def night(self, request: Request) -> Response:
        """A night; its table alone if htmx asks."""
        name = nights.parse_night(request.path_params["night"])
        bands = self.site.bands
        view = nights.View.of_query(name, request.query_params, bands)
        part = is_fragment(request)
        with self.site.ledger.read() as conn:
            if part and is_night(conn, name):
                context = nights.table_part(conn, view, bands)
            else:
                context = nights.night_page(conn, view, bands)
        template = "portal/frames.html" if part else "portal/night.html"
        return self.pages.render(request, template, context)

    def frame(self, request: Request) -> Response:
        """A frame; its picture alone if htmx asks."""
        name = _name(request, "name")
        look = Look.of_query({"size": "1280", **request.query_params})
        raw = _is_raw(request)
        with self.site.ledger.read() as conn:
            context = frame.page(self.site, conn, name, look, raw=raw)
        template = "portal/picture.html" if is_fragment(request) else "portal/frame.html"
        return self.pages.render(request, template, context)

    def exposure(self, request: Request) -> Response:
        """An exposure of many CCDs."""
        with self.site.ledger.read() as conn:
            context = exposure.page(self.site, conn, _name(request, "name"))
        return self.pages.render(request, "portal/exposure.html", context)

    def header(self, request: Request) -> Response:
        """The cards of a reduced image."""
        with self.site.ledger.read() as conn:
            context = frame.header(self.site, conn, _name(request, "name"))
        return self.pages.render(request, "portal/header.html", context)

    def frame_picture(self, request: Request) -> Response:
        """A frame as JPEG."""
        look, name = Look.of_query(request.query_params), _name(request, "name")
        with self.site.ledger.read() as conn:
            subject = frame.subject(self.site, conn, name, raw=_is_raw(request))
        return self._picture(request, subject, look, name)

    def product_picture(self, request: Request) -> Response:
        """A master or coadd as JPEG."""
        look = Look.of_query(request.query_params)
        kind, key = _name(request, "kind"), _name(request, "key")
        with self.site.ledger.read() as conn:
            subject = tile.product_subject(self.site, conn, kind, key)
        return self._picture(request, subject, look, f"{kind} {key}")

    def _picture(self, request: Request, subject: Subject, look: Look, name: str) -> Response:
        cache = self.cache if self.settings.keep_pictures else None
        try:
            content = pictures.jpeg(subject, look, cache)
        except TeselaError as error:
            content = pictures.placeholder(f"no picture of {name}", error)
            return Response(
                content, media_type="image/svg+xml", headers={"Cache-Control": "no-store"}
            )
        # Only an address with the version of what it shows may be kept without asking again.
        versioned = request.query_params.get("v") == subject.version != ""
        kept = _FOR_EVER if versioned else "no-cache"
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": kept})

    def tiles(self, request: Request) -> Response:
        """The tiles that were observed."""
        number = nights.page_number(request.query_params)
        with self.site.ledger.read() as conn:
            context = tile.list_page(conn, number)
        return self.pages.render(request, "portal/tiles.html", context)

    def tile(self, request: Request) -> Response:
        """A tile in all bands."""
        with self.site.ledger.read() as conn:
            context = tile.page(self.site, conn, _name(request, "name"))
        return self.pages.render(request, "portal/tile.html", context)

    def product(self, request: Request) -> Response:
        """A master, coadd, catalogue ..."""
        kind, key = _name(request, "kind"), _name(request, "key")
        with self.site.ledger.read() as conn:
            found = master.page(self.site, conn, key) if kind == "master" else None
            if found is not None:
                return self.pages.render(request, "portal/master.html", found)
            context = tile.product_page(self.site, conn, kind, key)
        return self.pages.render(request, "portal/product.html", context)

    def lineage(self, request: Request) -> Response:
        """What a version was made from, or was made with it."""
        kind, key = _name(request, "kind"), _name(request, "key")
        with self.site.ledger.read() as conn:
            context = lineage.page(conn, kind, key, request.query_params)
        return self.pages.render(request, "portal/lineage.html", context)

    def lineage_picture(self, request: Request) -> Response:
        """The same as a file."""
        kind, key = _name(request, "kind"), _name(request, "key")
        with self.site.ledger.read() as conn:
            name, content = lineage.picture(conn, kind, key, request.query_params)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Cache-Control": "no-cache",
        }
        return Response(content, media_type="image/svg+xml", headers=headers)

    def product_file(self, request: Request) -> Response:
        """A file of a product: a plot about a master, the data beside it, its image."""
        kind, key, name = (_name(request, part) for part in ("kind", "key", "name"))
        with self.site.ledger.read() as conn:
            file = product_files.find(conn, kind, key, request.path_params["version"], name)
        return product_files.answer(self.site, file, request.query_params)

    def masters(self, request: Request) -> Response:
        """The calibration frames: what is due, what holds when, all of them."""
        chosen = masters.parse(request.query_params)
        number = nights.page_number(request.query_params)
        with self.site.ledger.read() as conn:
            context = masters.page(self.site, conn, chosen, number)
        return self.pages.render(request, "portal/masters.html", context)

    def detectors(self, request: Request) -> Response:
        """The detectors that are followed, and the latest alerts."""
        with self.site.ledger.read() as conn:
            context = monitors.list_page(conn)
        return self.pages.render(request, "portal/detectors.html", context)

    def detector(self, request: Request) -> Response:
        """What is followed of a detector."""
        view = monitors.View.of_query(_name(request, "name"), request.query_params)
        with self.site.ledger.read() as conn:
            context = monitors.page(self.site, conn, view)
        return self.pages.render(request, "portal/detector.html", context)

    def detector_values(self, request: Request) -> Response:
        """The values of one series as CSV."""
        view = monitors.View.of_query(_name(request, "name"), request.query_params)
        with self.site.ledger.read() as conn:
            name, text = monitors.values_csv(conn, view, request.query_params)
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(text, media_type="text/csv", headers=headers)

    def releases(self, request: Request) -> Response:
        """What was built and what is published."""
        with self.site.ledger.read() as conn:
            context = tile.releases_page(self.site, conn)
        return self.pages.render(request, "portal/releases.html", context)

    def find(self, request: Request) -> Response:
        """Go to what carries a name, or list what begins with it."""
        words = request.query_params.get("q", "").strip()[:_LONGEST_NAME]
        with self.site.ledger.read() as conn:
            found = product_queries.names_like(conn, words, _FOUND) if words else []
            exact = next((pair for pair in found if pair[1] == words), None)
            if exact is None and words and is_night(conn, words):
                return RedirectResponse(links.night(words), 303)
            if exact is None and (keys := product_queries.exposures_named(conn, words)):
                if len(keys) == 1:
                    return RedirectResponse(links.exposure(keys[0]), 303)
                found = [*(("exposure", key) for key in keys), *found]
            kinds = ("master", "coadd", "release", "refcat")
            if exact is None and (of := product_queries.kinds_of(conn, words, kinds)):
                return RedirectResponse(links.product(of[0], words), 303)
            refused = [
                {**row, "at": iso(row["at_mjd"])}
                for row in (frames.refusals(conn, words)[:_FOUND] if not found else ())
            ]
        if exact is not None:
            return RedirectResponse(links.any_name(*exact), 303)
        listed = [(k, n, links.any_name(k, n)) for k, n in found]
        context = {"words": words, "found": listed, "limit": _FOUND, "refused": refused}
        return self.pages.render(request, "portal/find.html", context)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """A page for a name that the ledger does not have."""
        return self.pages.error(request, 404, str(error), links=NAVIGATION)

    async def unreadable(self, request: Request, error: Exception) -> Response:
        """A page for a ledger that cannot be read."""
        reason = getattr(error, "found", "") or str(getattr(error, "orig", error))
        return self.pages.error(
            request,
            503,
            f"The ledger cannot be read: {reason}.",
            do="Try again; if it lasts, run `tesela doctor` and look at the disk.",
        )


def _name(request: Request, part: str) -> str:
    """A name in the path; raise `BadInput` if it cannot be one."""
    name = str(request.path_params[part])
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadInput(
            part, found=repr(name[:40]), expected=f"a name of at most {_LONGEST_NAME} letters",
            do="correct the address",
        )  # fmt: skip
    return name


def _is_raw(request: Request) -> bool:
    """Whether the raw frame is asked for though there is a reduced image."""
    value = request.query_params.get("of", "reduced")
    if value not in ("raw", "reduced"):
        raise BadInput("of", found=repr(value[:40]), expected="raw or reduced", do="correct it")
    return value == "raw"


def create_app(site_folder: Path, settings: PortalSettings | None = None) -> Starlette:
    """Make the application that shows a site.

    Raises `ConfigError` or `LedgerError` if there is no site in the folder.
    """
    chosen = settings or PortalSettings()
    portal = Portal(open_site(site_folder), chosen)
    answers: Mapping[str, Callable[[Request], Response]] = {
        "/": portal.nights,
        "/night/{night}": portal.night,
        "/exposure/{name}": portal.exposure,
        "/frame/{name}": portal.frame,
        "/frame/{name}/header": portal.header,
        "/frame/{name}/picture.jpg": portal.frame_picture,
        "/tiles": portal.tiles,
        "/tile/{name}": portal.tile,
        "/product/{kind}/{key}": portal.product,
        "/product/{kind}/{key}/picture.jpg": portal.product_picture,
        "/product/{kind}/{key}/files/{version}/{name}": portal.product_file,
        "/lineage/{kind}/{key}": portal.lineage,
        "/lineage/{kind}/{key}/picture.svg": portal.lineage_picture,
        "/masters": portal.masters,
        "/detectors": portal.detectors,
        "/detector/{name}": portal.detector,
        "/detector/{name}/values.csv": portal.detector_values,
        "/releases": portal.releases,
        "/find": portal.find,
    }
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        **portal.pages.error_handlers(),
        NotFound: portal.not_found,
        DatabaseError: portal.unreadable,
        LedgerError: portal.unreadable,
    }
    routes: list[BaseRoute] = [Mount(api.PREFIX, api.create(portal.site))]
    if chosen.pages:
        routes += [Route(path, answer) for path, answer in answers.items()]
        routes += portal.pages.routes()
    app = SecureApp(
        routes=routes,
        middleware=[
            Middleware(
                TrustedHostMiddleware,
                allowed_hosts=allowed_hosts((chosen.base_url,), chosen.hosts),
                www_redirect=False,
            ),
            Middleware(Compressed),
        ],
        exception_handlers=handlers,
    )
    app.state.portal = portal
    return app
