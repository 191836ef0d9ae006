"""Answers that are made while they are sent.

The pieces come from a thread, a few of which serve all requests: a slow reader holds a cursor, but
no thread. When the client goes away, or takes nothing for long, the query is given up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Protocol, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from tesela.vo.settings import VoSettings

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Answer(Protocol):
    """Pieces of an answer; may be given up."""

    def __iter__(self) -> Iterator[bytes]:
        """Itself."""

    def __next__(self) -> bytes:
        """The next piece."""

    def close(self) -> None:
        """Give up."""


class Full(Exception):
    """There is no place for one more answer; the text says why."""


class Pool:
    """The threads that read databases, and the answers under way. For one event loop."""

    def __init__(self, settings: VoSettings) -> None:
        self.settings = settings
        self._limiter: CapacityLimiter | None = None
        self._by_client: Counter[str] = Counter()

    @property
    def streams(self) -> int:
        """Answers under way."""
        return self._by_client.total()

    def begin(self, client: str) -> Stream:
        """Take a place among the answers under way; `Full` if there is none.

        Who got one must `end` it. Asking and taking are one act: nobody comes between.
        """
        if self.streams >= self.settings.max_streams:
            raise Full("As many answers are under way as this server can give")
        if self._by_client[client] >= self.settings.max_streams_per_client:
            raise Full("As many answers are under way as one client may have at once")
        self._by_client[client] += 1
        return Stream(self, partial(self._end, client))

    def _end(self, client: str) -> None:
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in one of the threads."""
        if self._limiter is None:  # made here, since it belongs to the loop that runs
            self._limiter = CapacityLimiter(self.settings.workers)
        return await to_thread.run_sync(function, limiter=self._limiter)


class Stream:
    """The place of an answer among those under way."""

    def __init__(self, pool: Pool, end: Callable[[], None]) -> None:
        self.pool = pool
        self.end = end
        """Give the place to others; once."""


class TableResponse(StreamingResponse):
    """An answer of which the first piece exists already, so that it is known to begin well.

    It ends `stream`, whatever its own end is.
    """

    def __init__(
        self,
        stream: Stream,
        answer: Answer,
        first: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self._stream, self._answer, self._first = stream, answer, first
        super().__init__(self._pieces(), media_type=media_type, headers=headers)

    async def _pieces(self) -> AsyncIterator[bytes]:
        piece: bytes | None = self._first
        while piece is not None:
            yield piece
            piece = await self._stream.pool.run(lambda: next(self._answer, None))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all, and give the query up at the end, whatever the end is."""
        pool = self._stream.pool

        async def in_time(message: Message) -> None:
            with anyio.move_on_after(pool.settings.send_timeout_s) as limit:
                await send(message)
            if limit.cancelled_caught:
                raise ClientDisconnect

        try:
            await super().__call__(scope, receive, in_time)
        except ClientDisconnect:
            _LOG.info("the client went away, or read nothing, before the end of its answer")
        finally:
            self._stream.end()
            with anyio.CancelScope(shield=True):
                await pool.run(self._answer.close)
