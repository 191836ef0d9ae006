"""Templates, static files, the choice of theme and answers for errors."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tesela.errors import BadInput, ProductError, TeselaError
from tesela.web.shared import assets, show
from tesela.web.shared.security import policy

THEMES = ("auto", "light", "dark")
_COOKIE = "tesela-theme"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_IMMUTABLE = "public, max-age=31536000, immutable"
_MAX_FORM_BYTES = 8192
_FETCHED_TYPES = {".js": "text/javascript", ".txt": "text/plain"}


class Pages:
    """Pages of one portal.

    Parameters
    ----------
    portal : str
        `archive` or `portal`: a package `tesela.web.<portal>` with folders `templates` and
        `static`. Templates of it are named `<portal>/x.html`, shared ones `shared/x.html`.
    title : str
        Stands in the head of every page.
    navigation : sequence of (label, path)
        Links of every page; a page may give others as `navigation` in its context.
    """

    def __init__(
        self, portal: str, title: str, navigation: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.portal, self.title, self.navigation = portal, title, navigation
        self._files = {**_static("shared"), **_static(portal)}
        loaders = {
            name: PackageLoader(f"tesela.web.{name}", "templates") for name in ("shared", portal)
        }
        self.environment = Environment(
            loader=PrefixLoader(loaders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters.update(show.FILTERS)
        self.environment.globals["static"] = self.static_url
        self.environment.globals["vendor"] = vendor_url

    def static_url(self, name: str) -> str:
        """Address of one of our static files; it changes with the content."""
        return f"/static/{name}?v={self._files[name][1]}"

    def compile(self) -> None:
        """Compile all templates now rather than at the first request."""
        for name in self.environment.list_templates():
            self.environment.get_template(name)

    def render(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
        sky_viewer: bool = False,
    ) -> HTMLResponse:
        """A page, or a fragment if the template is one.

        Pages get `theme`, `portal`, `site_title`, `navigation`, `path` and `packages` (names of
        the browser packages at hand) beside what `context` says.
        """
        values: dict[str, Any] = {
            "theme": theme(request),
            "themes": THEMES,
            "portal": self.portal,
            "site_title": self.title,
            "navigation": self.navigation,
            "path": request.url.path,
            "here": _here(request),
            "packages": assets.available(),
            "footer": "",
            **(context or {}),
        }
        text = self.environment.get_template(template).render(values)
        headers = {"Vary": "HX-Request, Cookie", "Cache-Control": "no-cache"}
        if sky_viewer:
            headers["Content-Security-Policy"] = policy(sky_viewer=True)
        return HTMLResponse(text, status, headers)

    def routes(self) -> list[Route]:
        """Static files, browser packages and the choice of theme."""
        return [
            Route("/static/vendor/{name}", _vendor),
            Route("/static/{name}", self._serve_static),
            Route("/theme", _choose_theme, methods=["POST"]),
        ]

    def error_handlers(self) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
        """Handlers for `exception_handlers` of an application: pages that say what to do."""
        return {
            HTTPException: self._http_error,
            BadInput: self._our_error,
            TeselaError: self._our_error,
            500: self._crash,
        }

    def error(
        self, request: Request, status: int, sentence: str, *, do: str = "", links: Any = ()
    ) -> HTMLResponse:
        """A page for an error: what happened and where to go from here."""
        title = {400: "This cannot be answered", 404: "Not found"}.get(status, "Something is wrong")
        context = {"title": title, "sentence": sentence, "do": do, "links": links, "status": status}
        if is_fragment(request):
            return self.render(request, "shared/error_fragment.html", context, status=status)
        return self.render(request, "shared/error.html", context, status=status)

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = getattr(error, "detail", "")
        sentence = {
            404: f"There is no page {request.url.path}.",
            405: f"{request.method} is not possible here.",
        }.get(status, str(detail))
        answer = self.error(request, status, sentence, do="Start again from the first page.")
        # Those that the error itself tells, such as Allow of 405.
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    async def _our_error(self, request: Request, error: Exception) -> Response:
        # A damaged file of ours is the server's fault, and may be mended: 503.
        if isinstance(error, BadInput):
            status = 400
        else:
            status = 503 if isinstance(error, ProductError) else 500
        return self.error(request, status, str(error))

    async def _crash(self, request: Request, _error: Exception) -> Response:
        return self.error(
            request,
            500,
            "The server failed to make this page; the reason is in its log.",
            do="Try again; if it happens again, tell whoever runs this server what you did.",
        )

    async def _serve_static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        content, digest = self._files[name]
        versioned = request.query_params.get("v") == digest
        return Response(
            content,
            media_type=_TYPES["." + name.rpartition(".")[2]],
            headers={"Cache-Control": _IMMUTABLE if versioned else "no-cache"},
        )


def _static(portal: str) -> dict[str, tuple[bytes, str]]:
    """Content and hash of every static file of a portal."""
    found = {}
    for path in files(f"tesela.web.{portal}").joinpath("static").iterdir():
        if "." + path.name.rpartition(".")[2] in _TYPES:
            content = path.read_bytes()
            found[path.name] = (content, hashlib.sha256(content).hexdigest()[:12])
    return found


def is_fragment(request: Request) -> bool:
    """True if htmx asks for a part of the page.

    Going back in the history, and swaps of the whole body, need the whole page.
    """
    headers = request.headers
    return (
        headers.get("hx-request") == "true"
        and headers.get("hx-request-type", "partial") == "partial"
        and "hx-history-restore-request" not in headers
    )


def theme(request: Request) -> str:
    """The theme that a reader chose; `auto` follows the system."""
    chosen = request.cookies.get(_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def _here(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


async def _choose_theme(request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(413, "The form is too long.")
    form = parse_qs(body.decode("ascii", "replace"))
    chosen, back = form.get("theme", ["auto"])[0], form.get("back", ["/"])[0]
    # Only a path of ours: "//host" and "/\host" would lead elsewhere.
    safe = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    response = RedirectResponse(back if safe else "/", 303)
    response.set_cookie(
        _COOKIE,
        chosen if chosen in THEMES else "auto",
        max_age=31_536_000,
        httponly=True,
        samesite="lax",
    )
    return response


def _vendor(request: Request) -> Response:
    """A file of a browser package, if it is here and is what was pinned."""
    name = request.path_params["name"]
    path = assets.available().get(name)
    if path is None:
        raise HTTPException(404)
    versioned = request.query_params.get("v") == assets.version(name)
    headers = {
        "Cache-Control": _IMMUTABLE if versioned else "no-cache",
        "ETag": f'"{assets.version(name)}"',
    }
    if request.headers.get("if-none-match", "").removeprefix("W/") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    kind = _FETCHED_TYPES["." + name.rpartition(".")[2]]
    return FileResponse(path, media_type=kind, headers=headers)


def vendor_url(name: str) -> str:
    """Address of a file of a browser package; it changes with the version that is pinned."""
    return f"/static/vendor/{name}?v={assets.version(name)}"
