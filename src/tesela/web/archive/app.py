"""The public archive as an application: pages over the published releases, and the services."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes as vo_routes
from tesela.web.archive import home, objects, search, sky
from tesela.web.archive.context import Archive, Missing
from tesela.web.archive.settings import ArchiveSettings
from tesela.web.shared.pages import Pages
from tesela.web.shared.security import SecureApp, allowed_hosts


def create_app(shelf_folder: Path, settings: ArchiveSettings | None = None) -> Starlette:
    """Make the application that serves the releases in a folder.

    Parameters
    ----------
    shelf_folder : Path
        The folder of all releases; what `published.json` there names is served, and a change of it
        is noticed without a restart.
    settings : ArchiveSettings, optional

    Returns
    -------
    Starlette
        Answers to the names of the loopback, to the host of `base_url` and to `hosts`.
    """
    settings = settings or ArchiveSettings()
    served = Served(Shelf(shelf_folder))
    pages = Pages("archive", settings.title)
    archive = Archive(served, pages, settings)
    hosts = allowed_hosts([settings.base_url], settings.hosts)
    return SecureApp(
        routes=[
            Route("/robots.txt", _robots),
            *pages.routes(),
            Route("/latest", partial(_latest, archive)),
            *vo_routes(served, settings.vo),
            *search.routes(archive),
            *sky.routes(archive),
            *objects.routes(archive),
            *home.routes(archive),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        ],
        exception_handlers={
            **pages.error_handlers(),
            Missing: partial(_missing, pages),
        },
    )


def _latest(archive: Archive, _request: Request) -> Response:
    names = archive.served.names()
    return RedirectResponse(f"/{names[0]}/" if names else "/", 307)


def _robots(_request: Request) -> Response:
    """Searching machines may read pages, but not search or download."""
    return PlainTextResponse(
        "User-agent: *\nDisallow: /*/search\nDisallow: /*/vo/\nDisallow: /*/hips/\n"
        "Disallow: /*/hats/\nDisallow: /*/object/\n"
    )


async def _missing(pages: Pages, request: Request, error: Any) -> Response:
    return pages.error(request, 404, error.sentence, do=error.do, links=error.links)
