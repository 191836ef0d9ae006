"""The masters and reference catalogues that the frames of a night choose among: looked up once for
all that want the same, as long as nothing changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tesela.ledger import calsets, masters, products
from tesela.ledger.keys import Configuration, MasterKey

Row = dict[str, Any]


class Shelf:
    """Answers from the ledger as it was when they were first asked for."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._around: dict[tuple[str, str], list[tuple[float, float, list[Row]]]] = {}
        self._pending: dict[tuple[str, str], list[MasterKey]] = {}
        self._calsets: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self._refcats: dict[str, Row | None] = {}

    def around(self, master_kind: str, own: Configuration, mjd: float) -> Sequence[Row]:
        """The certified masters that hold at an instant, and the nearest on either side."""
        spans = self._around.setdefault((master_kind, str(own)), [])
        for begin, end, rows in spans:
            if begin <= mjd < end:
                return rows
        rows = masters.around(self.conn, master_kind, own, mjd)
        begins = [row["valid_begin"] for row in rows]
        begin = max((b for b in begins if b <= mjd), default=float("-inf"))
        end = min((b for b in begins if b > mjd), default=float("inf"))
        spans.append((begin, end, rows))
        return rows

    def pending(self, master_kind: str, own: Configuration) -> Sequence[MasterKey]:
        """The masters under way."""
        asked = (master_kind, str(own))
        if asked not in self._pending:
            self._pending[asked] = masters.pending(self.conn, master_kind, own)
        return self._pending[asked]

    def calset(
        self, configuration: Configuration, profile: str, chosen: Sequence[Mapping[str, Any]]
    ) -> int:
        """The id of the calset of these masters, made if it was never chosen before."""
        asked = (str(configuration), profile, tuple(row["product_id"] for row in chosen))
        if asked not in self._calsets:
            self._calsets[asked] = calsets.ensure(self.conn, configuration, profile, chosen)
        return self._calsets[asked]

    def refcat(self, name: str) -> Row | None:
        """The version of a reference catalogue that is served, or None."""
        if name not in self._refcats:
            self._refcats[name] = products.current(self.conn, "refcat", name)
        return self._refcats[name]
