"""Frames as they arrive: a folder that is watched, and what is complete in it is taken in."""

from __future__ import annotations

import threading
from pathlib import Path

from tesela.errors import ConfigError, LedgerLost
from tesela.flow.run.arrivals import Arrivals
from tesela.flow.run.ingest import Intake, take_in
from tesela.flow.run.journal import Journal
from tesela.flow.run.site import Site


class Watch:
    """Takes in the new frames of a folder, in the background: describing a frame takes seconds, and
    a controller has other things to do.

    What was there before is looked at too: frames that are known are recognised by their content,
    once in the life of this process.
    """

    def __init__(self, site: Site, folder: Path, journal: Journal) -> None:
        self._folder = folder if folder.is_absolute() else site.folder / folder
        if not self._folder.is_dir():
            raise ConfigError(
                str(self._folder), found="no folder", expected="one that frames come into",
                do="make it, or correct `arrivals` in site.toml",
            )  # fmt: skip
        self._intake = Intake.of(site)
        self._arrivals = Arrivals(self._folder)
        self._journal = journal
        self._left: list[Path] = []
        self._busy: threading.Thread | None = None

    def look(self) -> None:
        """Look once, and return at once."""
        if self._busy is None or not self._busy.is_alive():
            self._busy = threading.Thread(target=self._take_in, daemon=True, name="intake")
            self._busy.start()

    def _take_in(self) -> None:
        for arrival in self._arrivals.poll():
            if arrival.problem:
                self._journal.write("file not whole", path=str(arrival.path), error=arrival.problem)
            else:
                self._left.append(arrival.path)
        while self._left:
            try:
                result = next(iter(take_in(self._intake, [self._left[0]])))
            except LedgerLost:
                return  # it is taken in when the database is back
            self._left.pop(0)
            self._journal.write(f"frame {result.outcome}", path=result.path, said=result.message)
