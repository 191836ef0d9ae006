"""Noticing that the settings of a site were edited while a run goes on: it keeps those it began
with, so that no product is made with half of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tesela.flow.run.journal import Journal
from tesela.ledger import events
from tesela.ledger.engine import Ledger


class SettingsWatch:
    """Writes an event when one of the files changes, once for each change."""

    def __init__(self, files: Iterable[Path], ledger: Ledger, journal: Journal) -> None:
        self._files = tuple(files)
        self._ledger, self._journal = ledger, journal
        self._seen = self._state()

    def look(self) -> None:
        """Compare with the last look."""
        now = self._state()
        changed = [path.name for path in self._files if now[path] != self._seen[path]]
        self._seen = now
        if changed:
            text = f"{', '.join(changed)} edited: a run that goes on keeps what it began with"
            self._journal.write("settings changed", files=changed)
            with self._ledger.write() as conn:
                events.record(conn, "settings changed", detail=f"{text}; start it again to use it")

    def _state(self) -> dict[Path, tuple[int, int] | None]:
        return {path: _stamp(path) for path in self._files}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
