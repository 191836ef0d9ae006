"""For programs: search for raw frames, and fetch them. Each asks with a token.

What an account may not read does not exist for it: a frame of another project and a frame that
nobody took are answered alike.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tesela.errors import BadInput, ProductError, TeselaError
from tesela.ledger import frame_search
from tesela.ledger.accounts import Account
from tesela.ledger.clock import iso
from tesela.ledger.frame_search import Row, Search
from tesela.web.portal import frame_query, raw_files
from tesela.web.portal.gatekeeper import Gatekeeper, Refusal
from tesela.web.portal.site import OpenSite
from tesela.web.shared import sendfile

PREFIX: Final = "/api"
_LIST: Final = f"{PREFIX}/frames"
_FACTS: Final = (
    "name", "exposure", "night", "mjd_start", "exptime_s", "telescope", "camera", "ccd", "band",
    "filter_serial", "obstype", "flat_kind", "readout_mode", "object", "project", "ra_deg",
    "dec_deg", "airmass", "nx", "ny", "sha256",
)  # fmt: skip
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Api:
    """What answers the requests of programs."""

    def __init__(self, site: OpenSite, gatekeeper: Gatekeeper | None = None) -> None:
        self.site = site
        self.gatekeeper = gatekeeper or Gatekeeper()
        self.reach_deg = frame_query.reach_deg(site.cameras.values())

    def frames(self, request: Request) -> Response:
        """The frames that fit, in the order of time."""
        with self.site.ledger.read() as conn:
            account = self.gatekeeper.account(conn, request)
            query = frame_query.parse(request.query_params, self.reach_deg)
            projects = _projects(account, query.search)
            found = frame_search.find(
                conn, query.search, projects, after=query.after, limit=query.limit
            )
        following = None
        if found.after is not None:
            asked = {**request.query_params, "after": str(found.after)}
            following = f"{_LIST}?{urlencode(asked)}"
        answer = {"frames": [self._shown(row) for row in found.rows], "next": following}
        return JSONResponse(answer, headers=_NO_STORE)

    def _shown(self, row: Row) -> dict[str, Any]:
        dropped = row["dropped_mjd"]
        return {
            **{name: row[name] for name in _FACTS},
            "start": iso(row["mjd_start"]),
            "arrived": iso(row["made_mjd"]),
            "bytes": frame_search.bytes_of(row["path"], row["files_json"])
            or self._size(row["path"]),
            "flagged": row["flagged"],
            "reduced": None
            if row["reduced_version"] is None
            else {"version": row["reduced_version"], "passed": bool(row["reduced_passed"])},
            "dropped": None if dropped is None else iso(dropped),
            "file": f"{_LIST}/{quote(row['name'], safe='')}/file",
        }

    def _size(self, path: str) -> int | None:
        """Of a frame that came in before sizes were recorded."""
        try:
            return self.site.file(path).stat().st_size
        except (OSError, ValueError):
            return None

    def file(self, request: Request) -> Response:
        """A frame's file."""
        name = str(request.path_params["name"])
        with self.site.ledger.read() as conn:
            account = self.gatekeeper.account(conn, request)
            row = _readable(conn, account, name)
        if row["dropped_mjd"] is not None:
            raise Refusal(410, *_dropped(row))
        handle = raw_files.open_raw(self.site.folder, row["path"], row["bytes"])
        digest = base64.b64encode(bytes.fromhex(row["sha256"])).decode()
        return sendfile.answer(
            request,
            handle,
            tag=row["sha256"],
            media_type=raw_files.media_type(row["path"]),
            headers={
                "Cache-Control": "private, no-cache",
                "Content-Disposition": raw_files.disposition(row["path"]),
                "Repr-Digest": f"sha-256=:{digest}:",
            },
        )


def _projects(account: Account, search: Search) -> tuple[str, ...] | None:
    """The projects whose frames are meant, None for all; raises `Refusal` if none may be read."""
    if account.sees_all:
        return None
    if not account.projects:
        raise Refusal(
            403, f"account {account.name} is a member of no project", "ask the operator for one"
        )
    wanted = search.words.get("project")
    if wanted is not None and not account.may_read(wanted):
        raise Refusal(
            403,
            f"account {account.name} is not a member of project {wanted}",
            f"leave it out, or choose of {', '.join(account.projects)}",
        )
    return account.projects


def _readable(conn: Connection, account: Account, name: str) -> Row:
    row = frame_search.raw_file(conn, name) if name.isprintable() else None
    if row is None or not account.may_read(row["project"]):
        raise Refusal(
            404, "there is no frame of this name in your projects", f"search with {_LIST}?name=..."
        )
    return row


def _dropped(row: Row) -> tuple[str, str]:
    message = f"the file of {row['name']} was removed here on {iso(row['dropped_mjd'])[:10]}"
    if not row["replicas"]:
        return f"{message}; no other copy is recorded", "ask the operator"
    copies = ", ".join(
        f"{one['site']} (verified {iso(one['verified_mjd'])[:10]})" for one in row["replicas"]
    )
    return f"{message}; a copy is at {copies}", "ask there"


def create(site: OpenSite) -> Starlette:
    """Make the part of the portal that answers programs, for the address `PREFIX`."""
    api = Api(site)
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Refusal: _refused,
        HTTPException: _http_error,
        BadInput: _bad_request,
        TeselaError: _fault,
        DatabaseError: _fault,
        500: _crash,
    }
    app = Starlette(
        routes=[Route("/frames", api.frames), Route("/frames/{name}/file", api.file)],
        exception_handlers=handlers,
    )
    app.router.redirect_slashes = False
    app.state.api = api
    return app


def _error(status: int, message: str, do: str, **headers: str) -> JSONResponse:
    content = {"error": {"status": status, "message": message, "do": do}}
    return JSONResponse(content, status, headers={**_NO_STORE, **headers})


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for it
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tesela"'
    if error.wait_s:
        headers["Retry-After"] = str(error.wait_s)
    return _error(error.status, error.message, error.do, **headers)


async def _bad_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BadInput)  # noqa: S101 - registered for it
    message = f"{error.what}: {error.found}; expected {error.expected}"
    return _error(400, message, error.do or "correct the address")


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    messages = {404: "there is nothing at this address", 405: f"{request.method} is not possible"}
    headers = dict(getattr(error, "headers", None) or {})
    message = messages.get(status, str(getattr(error, "detail", "")))
    return _error(status, message, f"ask {_LIST}, or {_LIST}/NAME/file", **headers)


async def _fault(_request: Request, error: Exception) -> Response:
    """A ledger that does not answer, of which no more is told, or a file that is not as it was."""
    if isinstance(error, ProductError):
        message = f"the file is not as it should be: {error.found}; expected {error.expected}"
        return _error(503, message, error.do or "tell the operator")
    return _error(503, "the ledger cannot be read now", "try again later")


async def _crash(_request: Request, _error_: Exception) -> Response:
    return _error(500, "the server failed; the reason is in its log", "tell the operator")
