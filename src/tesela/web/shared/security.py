"""Headers and host names: what a browser may do with our pages, and who we say we are."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


def policy(*, sky_viewer: bool = False) -> str:
    """Content-Security-Policy of a page.

    Scripts and styles come from our own files alone: no page has inline scripts or styles. The
    sky viewer compiles WebAssembly that it carries as a data: URL and writes styles of its own, so
    its page, and only that, is allowed to.
    """
    wasm, style, data = ("", "", "")
    if sky_viewer:
        wasm, style, data = " 'wasm-unsafe-eval'", " 'unsafe-inline'", " data:"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{wasm}",
            f"style-src 'self'{style}",
            "img-src 'self' data:" + (" blob:" if sky_viewer else ""),
            f"connect-src 'self'{data}",
            "worker-src 'self'" + (" blob:" if sky_viewer else ""),
            "font-src 'self'" + data,
            "form-action 'self'",
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
        )
    )


HEADERS: Final = {
    "Content-Security-Policy": policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Give every answer the headers above, unless the answer set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; answers are streamed as they come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=_raw(message))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)


class SecureApp(Starlette):
    """An application whose every answer has the headers, those for crashes included.

    Starlette answers a crash outside of all middleware that an application is given.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Put the headers around all else."""
        return SecurityHeaders(super().build_middleware_stack())


def _raw(message: Message) -> MutableMapping[str, Any]:
    message.setdefault("headers", [])
    return message


def allowed_hosts(base_urls: Iterable[str] = (), hosts: Iterable[str] = ()) -> list[str]:
    """Host names that a server answers to: this machine's loopback and the configured addresses.

    Refusing others keeps a page of somebody else's, whose name was made to point to this machine,
    from reading what is served here.

    Parameters
    ----------
    base_urls : iterable of str
        Addresses by which users reach the server; empty ones name no host.
    hosts : iterable of str
        Further names, or numeric addresses with or without brackets.
    """
    names = [*LOOPBACK]
    for host in (*(urlsplit(url).hostname or "" for url in base_urls), *hosts):
        # As a browser writes it: an address of IPv6 stands in brackets.
        written = f"[{host}]" if ":" in host and not host.startswith("[") else host
        if written and written not in names:
            names.append(written)
    return names
