"""The public archive as an application: pages over the published releases, and the services."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tesela.errors import TeselaError
from tesela.sciencedb.shelf import Served, Shelf
from tesela.vo.routes import routes as vo_routes
from tesela.web.archive import cutouts, home, objects, search, sky
from tesela.web.archive.context import Archive, Missing
from tesela.web.archive.gate import Busy
from tesela.web.archive.settings import ArchiveSettings
from tesela.web.shared.compress import Compressed
from tesela.web.shared.pages import Pages
from tesela.web.shared.security import SecureApp, allowed_hosts

_LOG = logging.getLogger(__name__)
_RETRY_S = 30


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
        lifespan=partial(_warm, archive),
        routes=[
            Route("/robots.txt", _robots),
            *pages.routes(),
            Route("/latest", partial(_latest, archive)),
            *vo_routes(served, settings.vo),
            *search.routes(archive),
            *sky.routes(archive),
            *cutouts.routes(archive),
            *objects.routes(archive),
            *home.routes(archive),
        ],
        middleware=[
            Middleware(Compressed),
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
        ],
        exception_handlers={
            **pages.error_handlers(),
            TeselaError: partial(_damaged, pages),
            Missing: partial(_missing, pages),
            Busy: partial(_busy, pages),
        },
    )


@contextlib.asynccontextmanager
async def _warm(archive: Archive, _app: Starlette) -> AsyncIterator[None]:
    """Open the releases and compile the templates before the first request comes."""
    await run_in_threadpool(_open, archive)
    yield


def _open(archive: Archive) -> None:
    archive.pages.compile()
    with contextlib.suppress(TeselaError):  # a damaged shelf has pages that say so
        for name in archive.served.names():
            with contextlib.suppress(TeselaError):
                archive.served.get(name)


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


async def _damaged(pages: Pages, request: Request, error: Exception) -> Response:
    """Which file is damaged and how is for the log, not for the world."""
    name = str(request.path_params.get("release", ""))[:40]
    _LOG.error("release %r: %s", name, request.url.path, exc_info=error)
    what = f"Release {name} is damaged" if name else "The archive is damaged"
    return pages.error(
        request,
        503,
        f"{what}: this page cannot be made. The operator finds the reason in the log.",
        do="Tell whoever runs this archive, and try again later.",
        links=(("The releases", "/"),),
    )


async def _busy(pages: Pages, request: Request, _error: Exception) -> Response:
    answer = pages.error(
        request,
        503,
        "As many searches and downloads are under way as this server can hold.",
        do="Please ask again in a minute.",
    )
    answer.headers["Retry-After"] = str(_RETRY_S)
    return answer
