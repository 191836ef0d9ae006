"""A file on its way: whole, the part that is asked for, or word that the client has it already.

The file is opened before anything is promised of it, and what is open is sent: nothing that is
done to names meanwhile leads elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tesela.errors import ProductError

_CHUNK: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def answer(
    request: Request, handle: BinaryIO, *, tag: str, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Send an open file, which is closed in the end whatever happens.

    Parameters
    ----------
    handle : binary file
        Unbuffered, of a regular file.
    tag : str
        Changes with the content; becomes the ETag.

    A `Range` of one part is answered with that part (206), or with 416 if it lies beyond the end;
    others are not heeded, as RFC 9110 allows. `If-Range` and `If-None-Match` are.
    """
    try:
        size = os.fstat(handle.fileno()).st_size
        strong = f'"{tag}"'
        said = {**headers, "ETag": strong, "Accept-Ranges": "bytes"}
        known = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
        if strong in known or f"W/{strong}" in known or "*" in known:
            handle.close()
            return Response(status_code=304, headers=said)
        begin, end = 0, size
        part = request.headers.get("range")
        if part is not None and request.headers.get("if-range", strong) == strong:
            found = _part(part, size)
            if found == (0, 0):
                handle.close()
                return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
            begin, end = found or (begin, end)
            if found:
                said["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        said["Content-Length"] = str(end - begin)
        status = 206 if "Content-Range" in said else 200
        if request.method == "HEAD":
            handle.close()
            return Response(status_code=status, headers=said, media_type=media_type)
        return _Sent(handle, begin, end, status, said, media_type)
    except BaseException:
        handle.close()
        raise


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """Begin and end of the part that is asked for; (0, 0) if there is nothing there; None if it
    is not understood."""
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:  # the last so many bytes
        return (max(0, size - int(last)), size) if int(last) and size else (0, 0)
    begin, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < begin:
        return None
    return (begin, end) if begin < size else (0, 0)


class _Sent(StreamingResponse):
    """Some bytes of an open file."""

    def __init__(
        self,
        handle: BinaryIO,
        begin: int,
        end: int,
        status: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        self._handle, self._begin, self._end = handle, begin, end
        super().__init__(self._pieces(), status, headers, media_type)

    async def _pieces(self) -> AsyncIterator[bytes]:
        at, number = self._begin, self._handle.fileno()
        while at < self._end:
            wanted = min(_CHUNK, self._end - at)
            piece = await anyio.to_thread.run_sync(os.pread, number, wanted, at)
            if not piece:  # what was promised cannot be kept: the connection ends
                raise ProductError(
                    "file",
                    found=f"that it became shorter than {self._end} bytes while it was sent",
                    expected="a file that does not change",
                )
            at += len(piece)
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, then close."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._handle.close()
