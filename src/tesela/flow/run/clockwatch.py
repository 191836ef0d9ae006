"""Noticing that somebody set the clock: leases, retries and quiet periods are told in its time."""

from __future__ import annotations

import time
from collections.abc import Callable

_SLACK_S = 30.0


class ClockWatch:
    """Compares the clock on the wall with one that only runs forward."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()

    def jumped_s(self) -> float:
        """Return by how much the clock was set since the last look; 0 where it was not."""
        now = self._wall() - self._steady()
        jumped = now - self._offset
        if abs(jumped) < _SLACK_S:
            return 0.0
        self._offset = now
        return jumped
