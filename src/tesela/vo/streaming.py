"""Answers that are made while they are sent.

The pieces come from a thread, a few of which serve all requests: a slow reader holds a cursor, but
no thread. When the client goes away the query is given up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

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


class Pool:
    """The threads that read databases, and the number of answers under way."""

    def __init__(self, workers: int, max_streams: int) -> None:
        self._workers = workers
        self._max_streams = max_streams
        self._limiter: CapacityLimiter | None = None
        self.streams = 0

    @property
    def full(self) -> bool:
        """As many answers are under way as may be."""
        return self.streams >= self._max_streams

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in one of the threads."""
        if self._limiter is None:  # made here, since it belongs to the loop that runs
            self._limiter = CapacityLimiter(self._workers)
        return await to_thread.run_sync(function, limiter=self._limiter)


class TableResponse(StreamingResponse):
    """An answer of which the first piece exists already, so that it is known to begin well."""

    def __init__(
        self,
        pool: Pool,
        answer: Answer,
        first: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self._pool, self._answer, self._first = pool, answer, first
        super().__init__(self._pieces(), media_type=media_type, headers=headers)

    async def _pieces(self) -> AsyncIterator[bytes]:
        piece: bytes | None = self._first
        while piece is not None:
            yield piece
            piece = await self._pool.run(lambda: next(self._answer, None))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all, and give the query up at the end, whatever the end is."""
        self._pool.streams += 1
        try:
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            _LOG.info("the client went away before the end of its answer")
        finally:
            self._pool.streams -= 1
            with anyio.CancelScope(shield=True):
                await self._pool.run(self._answer.close)
