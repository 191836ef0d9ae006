"""Settings of the services over releases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VoSettings:
    """What the administrator of an archive decides."""

    base_url: str = ""
    """Address under which the world sees the archive; empty takes it from the request."""
    default_records: int = 100_000
    """Rows of an answer if the client names no MAXREC."""
    max_records: int = 1_000_000
    """Rows of an answer at the most, whatever MAXREC says."""
    workers: int = 4
    """Requests that read the database at the same instant."""
    max_streams: int = 64
    """Answers under way at once; more are refused with 503 and may be asked for again."""
    max_streams_per_client: int = 8
    """The same from one address, so that nobody takes them all."""
    send_timeout_s: float = 60.0
    """A client that takes no piece of its answer for so long has gone: the answer is cut."""
