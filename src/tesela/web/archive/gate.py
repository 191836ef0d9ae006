"""A bound on what is answered at once: each search holds rows in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """As much is under way as the server can hold; may be asked for again."""


class Gate:
    """A number of places; threads may share it.

    Parameters
    ----------
    places : int
    wait_s : float
        How long `enter` waits for a place.
    """

    def __init__(self, places: int, *, wait_s: float = 0.0) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._wait_s = wait_s

    def enter(self) -> None:
        """Take a place; `Busy` if none becomes free in time."""
        if not self._places.acquire(timeout=self._wait_s):
            raise Busy

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while something is made."""
        self.enter()
        try:
            yield
        finally:
            self.leave()
