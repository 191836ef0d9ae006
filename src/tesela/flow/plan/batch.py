"""What is known of the keys that the planner looks at together: asked for many of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tesela.flow.plan.rules import PROFILE_OF
from tesela.flow.plan.shelf import Shelf
from tesela.ledger import frames, products, tasks, verdicts

Row = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What the ledger says of one key."""

    current: Row | None
    """The version that is served."""
    task: Row | None
    flagged: Row | None
    """The verdict in force on it."""
    waits: tasks.Due | None
    """What was asked of it when it began to wait."""
    frame: Row | None
    """Of an image, with `flagged`, the verdict on it or None."""
    shelf: Shelf


class Batch:
    """The keys of one transaction, each of which is in it once.

    What planning one of them writes changes nothing that is held here of another, except for the
    `shelf`: the planner says when that is to be forgotten.
    """

    def __init__(self, conn: Connection, items: Iterable[tasks.Due]) -> None:
        self._conn = conn
        self.shelf = Shelf(conn)
        keys: dict[str, list[str]] = {}
        for item in items:
            keys.setdefault(item.kind, []).append(item.key)
        self._current = {kind: products.several_current(conn, kind, k) for kind, k in keys.items()}
        self._tasks = {kind: tasks.several(conn, kind, k) for kind, k in keys.items()}
        self._flagged = {kind: verdicts.standing_of(conn, kind, k) for kind, k in keys.items()}
        self._waiting = {kind: tasks.waiting_among(conn, kind, k) for kind, k in keys.items()}
        images = {key for kind in PROFILE_OF for key in keys.get(kind, ())}
        self._frames = frames.several(conn, images)
        bad = verdicts.standing_of(conn, "raw", images)
        for name, frame in self._frames.items():
            frame["flagged"] = bad.get(name)

    def known(self, item: tasks.Due) -> Known:
        """What is known of one of them."""
        kind, key = item.kind, item.key
        return Known(
            current=self._current[kind].get(key),
            task=self._tasks[kind].get(key),
            flagged=self._flagged[kind].get(key),
            waits=self._waiting[kind].get(key),
            frame=self._frames.get(key) if kind in PROFILE_OF else None,
            shelf=self.shelf,
        )

    def forget_masters(self) -> None:
        """Masters may have changed: look them up again."""
        self.shelf = Shelf(self._conn)
