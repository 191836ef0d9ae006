"""Text is sent compressed; what is compressed already, or is streamed as data, is left as it is."""

from __future__ import annotations

import zlib
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TYPES: Final = frozenset(
    {"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"}
)
"""What our pages are made of. Tables and images have formats of their own that are small."""
LEAST_BYTES: Final = 500
_LEVEL: Final = 6
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS


class Compressed:
    """Compress answers of these types with gzip, where the client takes it (RFC 9110, 12.5.3)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepts = _accepts(Headers(scope=scope).get("accept-encoding", ""))
        await self.app(scope, receive, _Sender(send, accepts=accepts))


def _accepts(header: str) -> bool:
    """True if `gzip` is named and not refused by a weight of zero."""
    for part in header.split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


class _Sender:
    """Holds the head of an answer back until its first piece tells whether it is worth the work."""

    def __init__(self, send: Send, *, accepts: bool) -> None:
        self._send, self._accepts = send, accepts
        self._head: Message | None = None
        self._gzip: Any = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _compressible(message):
                self._head = message
                return
        elif self._head is not None:
            head, self._head = self._head, None
            self._begin(head, message)
            await self._send(head)
        if self._gzip is not None:
            message = self._squeezed(message)
        await self._send(message)

    def _begin(self, head: Message, first: Message) -> None:
        headers = MutableHeaders(raw=head["headers"])
        headers.add_vary_header("Accept-Encoding")
        if not self._accepts or not _worth(first, headers):
            return
        headers["Content-Encoding"] = "gzip"
        del headers["Content-Length"]
        tag = headers.get("etag")
        if tag and not tag.startswith("W/"):
            headers["ETag"] = f"W/{tag}"  # other bytes than the file's, the same content
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_BITS)

    def _squeezed(self, message: Message) -> Message:
        body = self._gzip.compress(message.get("body", b""))
        if not message.get("more_body", False):
            body += self._gzip.flush()
        return {**message, "body": body}


def _compressible(head: Message) -> bool:
    headers = Headers(raw=head.setdefault("headers", []))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    whole = head["status"] not in {204, 206, 304}
    return whole and kind in TYPES and "content-encoding" not in headers


def _worth(first: Message, headers: Headers) -> bool:
    """False for short answers, and for those without body: a HEAD must not tell of another one."""
    length = len(first.get("body", b""))
    return length > 0 and (first.get("more_body", False) or length >= LEAST_BYTES)
