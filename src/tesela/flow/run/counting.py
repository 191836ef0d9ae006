"""Keeping the counts that people look at, in the background."""

from __future__ import annotations

import threading

from tesela.errors import LedgerLost
from tesela.ledger import tallies
from tesela.ledger.engine import Ledger


class Counting:
    """Counts anew when it is time; a ledger that is small is counted by who looks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._busy: threading.Thread | None = None

    def look(self) -> None:
        """See whether it is time, and return at once."""
        if self._busy is not None and self._busy.is_alive():
            return
        with self._ledger.read() as conn:
            due = not tallies.is_small(conn) and tallies.is_due(conn)
        if due:
            self._busy = threading.Thread(target=self._count, daemon=True, name="counting")
            self._busy.start()

    def _count(self) -> None:
        try:
            tallies.refresh(self._ledger)
        except LedgerLost:
            return  # the next look tries again
