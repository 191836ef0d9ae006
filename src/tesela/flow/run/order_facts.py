"""What orders are written from: looked up for many inputs at once, and of each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import PROFILE_OF
from tesela.ledger import calsets, frames, masters, products
from tesela.products.frame import FrameFacts

Row = dict[str, Any]

_FACTS = tuple(FrameFacts.__dataclass_fields__)


class OrderFacts:
    """Frames, masters, calsets and measurements, as one transaction sees them."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._frames: dict[str, Row] = {}
        self._masters: dict[int, Row] = {}
        self._members: dict[int, list[Row]] = {}
        self._metrics: dict[int, Row] = {}

    def learn(self, rows: Iterable[Row], names: Collection[str] = ()) -> None:
        """Look up what is not known yet of inputs (rows of products) and of frames by name."""
        rows = list(rows)
        sets = {row["id"] for row in rows if row["kind"] == "calset"} - self._members.keys()
        self._members |= calsets.members_of(self._conn, sets)
        rows += [member for one in sets for member in self._members[one]]
        named = {row["key"] for row in rows if row["kind"] == "raw" or row["kind"] in PROFILE_OF}
        self._frames |= frames.several(self._conn, named.union(names) - self._frames.keys())
        wanted = {row["id"] for row in rows if row["kind"] == "master"}
        self._masters |= masters.several(self._conn, wanted - self._masters.keys())
        measured = {row["id"] for row in rows if row["kind"] not in ("raw", "calset", "refcat")}
        measured -= self._metrics.keys()
        found = products.metrics_of(self._conn, measured)
        self._metrics |= {one: found.get(one, {}) for one in measured}

    def frame(self, name: str) -> Row:
        """A frame with its exposure's facts."""
        return self._frames[name]

    def facts_of_frame(self, name: str) -> Row:
        """A frame as `FrameFacts.as_dict` gives it."""
        return {field: self._frames[name][field] for field in _FACTS}

    def master(self, product_id: int) -> Row:
        """A master's row."""
        return self._masters[product_id]

    def members(self, calset_id: int) -> list[Row]:
        """The masters of a calset."""
        return self._members[calset_id]

    def metrics(self, product_id: int) -> Row:
        """What was measured on a version; nothing on one that nobody judged."""
        return self._metrics[product_id]
