"""Addresses of the services over releases, for any Starlette application to mount."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tesela.errors import BadInput, ProductError
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import LATEST, Served
from tesela.vo import cone, files, vosi, votable
from tesela.vo.dali import Parameters
from tesela.vo.settings import VoSettings
from tesela.vo.streaming import Full, Pool, TableResponse

_LOG = logging.getLogger(__name__)
_DAMAGED = "The release cannot be read at the moment; its keepers find the reason in their log"
_RETRY_S = 60


def routes(served: Served, settings: VoSettings) -> list[BaseRoute]:
    """Routes of cone search, VOSI and files of all published releases.

    `/{release}/vo/cone`, `/{release}/vo/cone/{table}`, `/{release}/vo/availability`,
    `/{release}/vo/capabilities`, `/{release}/vo/tables`, `/{release}/hips/...`,
    `/{release}/hats/...` and `/{release}/moc.fits`; the release is a name or `latest`.
    """
    service = _Service(served, settings)
    folders = [
        Route(f"/{{release}}/{name}/{{path:path}}", partial(service.file, folder=name))
        for name in ("hips", "hats")
    ]
    return [
        Route("/{release}/vo/cone", service.cone, methods=["GET"]),
        Route("/{release}/vo/cone/{table}", service.cone, methods=["GET"]),
        *folders,
        Route("/{release}/vo/availability", service.availability, methods=["GET"]),
        Route("/{release}/vo/capabilities", service.capabilities, methods=["GET"]),
        Route("/{release}/vo/tables", service.tables, methods=["GET"]),
        Route("/{release}/moc.fits", partial(service.file, folder=""), methods=["GET"]),
    ]


class _Service:
    """The requests that all releases have in common."""

    def __init__(self, served: Served, settings: VoSettings) -> None:
        self._served = served
        self._settings = settings
        self._pool = Pool(settings)

    async def cone(self, request: Request) -> Response:
        """Answer a cone search; what is wrong with it is told in a VOTable."""
        table = request.path_params.get("table", cone.DEFAULT_TABLE)
        try:
            release = await self._release(request)
            cone.table_of(release, table)
        except BadInput as error:
            return _refused(str(error), status=404)
        except ProductError:
            return _damaged(request)
        try:
            return await self._answer(request, release, table)
        except Full as error:
            message = f"{error}; please ask again in a minute"
            return _refused(message, status=503, headers={"Retry-After": str(_RETRY_S)})
        except BadInput as error:
            return _refused(str(error), status=200)  # as Cone Search 1.03 demands
        except ProductError:
            return _damaged(request)

    async def _answer(self, request: Request, release: Release, table: str) -> Response:
        """Begin the answer: its place among those under way is taken before any work is done."""
        query = cone.parse(Parameters(request.query_params.multi_items()), self._settings)
        with ExitStack() as ending:
            stream = self._pool.begin(request.client.host if request.client else "")
            ending.callback(stream.end)
            answer = await self._pool.run(partial(cone.Answer, release, table, query))
            ending.callback(answer.close)
            first = await self._pool.run(partial(next, answer))
            media_type = query.format.media_type
            if request.method == "HEAD":
                return Response(headers=dict(files.CORS), media_type=media_type)
            ending.pop_all()  # from here on the response ends both
            return TableResponse(stream, answer, first, media_type=media_type, headers=files.CORS)

    async def availability(self, request: Request) -> Response:
        """Tell whether a release answers."""
        try:
            await self._release(request)
        except BadInput as error:
            return _text(str(error), status=404)
        except ProductError:
            _LOG.exception("release %r", request.path_params["release"])
            return _xml(vosi.availability(_DAMAGED, available=False))
        return _xml(vosi.availability())

    async def capabilities(self, request: Request) -> Response:
        """Tell what the services are and where."""
        base = self._settings.base_url or str(request.base_url)
        url = f"{base.rstrip('/')}/{request.path_params['release']}/vo"
        return await self._describe(
            request, lambda release: vosi.capabilities(release, url, self._settings)
        )

    async def tables(self, request: Request) -> Response:
        """Tell the tables and their columns."""
        return await self._describe(request, vosi.tables)

    async def _describe(self, request: Request, describe: Callable[[Release], bytes]) -> Response:
        try:
            release = await self._release(request)
            return _xml(await self._pool.run(partial(describe, release)))
        except BadInput as error:
            return _text(str(error), status=404)
        except ProductError:
            return _damaged(request)

    async def file(self, request: Request, *, folder: str) -> Response:
        """Serve a file of HiPS, HATS or the MOC."""
        relative = f"{folder}/{request.path_params['path']}" if folder else "moc.fits"
        try:
            release = await self._release(request)
            path = await run_in_threadpool(files.locate, release.folder, relative)
        except BadInput as error:
            return _text(str(error), status=404)
        except ProductError:
            return _damaged(request)
        versioned = request.query_params.get("v") == files.stamp(release.model)
        immutable = versioned and request.path_params["release"] != LATEST
        return files.response(path, request.headers, immutable=immutable)

    async def _release(self, request: Request) -> Release:
        return await self._pool.run(partial(self._served.get, request.path_params["release"]))


def _refused(message: str, *, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(
        votable.error_document(message),
        status,
        headers={**files.CORS, **(headers or {})},
        media_type=cone.MEDIA_TYPE,
    )


def _damaged(request: Request) -> Response:
    """Files of a release are damaged: which ones is for the log, not for the world."""
    _LOG.exception("release %r", request.path_params["release"])
    return _refused(_DAMAGED, status=500)


def _xml(content: bytes) -> Response:
    return Response(content, headers=dict(files.CORS), media_type=vosi.MEDIA_TYPE)


def _text(message: str, *, status: int) -> Response:
    return PlainTextResponse(f"{message}\n", status, headers=dict(files.CORS))
