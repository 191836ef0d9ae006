"""Keeping the leases of a controller alive, however long it is busy otherwise."""

from __future__ import annotations

import threading

from tesela.errors import LedgerLost
from tesela.ledger import controllers, leases
from tesela.ledger.engine import Ledger


class Heartbeat(threading.Thread):
    """Renews leases every few seconds; while the database is away it tries on."""

    def __init__(self, ledger: Ledger, controller: str) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self._ledger, self._controller = ledger, controller
        self._ended = threading.Event()

    def run(self) -> None:
        """Renew until `end`."""
        while not self._ended.wait(leases.RENEW_S):
            try:
                with self._ledger.write(how="free") as conn:
                    now = leases.now(conn)
                    leases.renew(conn, self._controller, now)
                    controllers.seen(conn, self._controller, now)
            except LedgerLost:
                continue

    def end(self) -> None:
        """Stop renewing."""
        self._ended.set()
        self.join(timeout=2 * leases.RENEW_S)
