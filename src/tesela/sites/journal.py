"""What was found of the files of one shipment: written as each is done, read after a crash.

They stay where nothing else knows of the files: at an archive, which has no ledger, and of what a
core keeps for others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from tesela.errors import BadInput
from tesela.ledger.clock import to_unix
from tesela.products import paths
from tesela.products.files import make_folder
from tesela.sites.receipt import VERIFIED, Found

_DONE, _REFUSED = "done_mjd", "refused_manifest"


class Journal:
    """A line of JSON for each file, and one when the receipt is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Found] = {}
        self.done_mjd: float | None = None
        self.refused: str | None = None
        """SHA-256 of a manifest that was refused."""
        if path.is_file():
            for entry in _lines(path):
                if isinstance(entry, Found):
                    self.found[entry.file.path] = entry
                elif isinstance(entry, str):
                    self.refused = entry
                else:
                    self.done_mjd = entry

    def add(self, founds: list[Found]) -> None:
        """Note what became of the files of a product."""
        self._write("".join(json.dumps(found.as_dict()) + "\n" for found in founds))
        self.found.update({found.file.path: found for found in founds})

    def done(self, at_mjd: float) -> None:
        """Note that all is said."""
        self._write(json.dumps({_DONE: at_mjd}) + "\n")
        self.done_mjd = at_mjd

    def refuse(self, sha256: str) -> None:
        """Note that a manifest was refused, so that it is said once."""
        self._write(json.dumps({_REFUSED: sha256}) + "\n")
        self.refused = sha256

    def _write(self, text: str) -> None:
        make_folder(self.path.parent)
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())


def kept_files(site: Path, since_mjd: float = 0.0) -> Iterator[Found]:
    """Yield every file that the site verified and keeps, from all journals written since.

    A file that came twice is given twice.
    """
    folder = paths.journal(site, "sender", "shipment").parent.parent
    for path in sorted(folder.glob("*/*.jsonl")):
        if path.stat().st_mtime < to_unix(since_mjd):
            continue
        for entry in _lines(path):
            if isinstance(entry, Found) and entry.state == VERIFIED and entry.kept:
                yield entry


def is_kept(site: Path, place: str, sha256: str) -> bool:
    """Whether the site once verified a file of this checksum, and keeps it at this place."""
    folder = paths.journal(site, "sender", "shipment").parent.parent
    quoted = json.dumps(place)
    for path in folder.glob("*/*.jsonl"):
        if quoted in path.read_text(encoding="utf-8", errors="replace"):
            for entry in _lines(path):
                if isinstance(entry, Found) and (entry.state, entry.kept) == (VERIFIED, place):
                    return entry.sha256 == sha256
    return False


def _lines(path: Path) -> Iterator[Found | float | str]:
    """What the lines say; one that a crash cut off is nothing."""
    with path.open(encoding="utf-8", errors="replace") as handle:
        for line in handle:
            try:
                entry = json.loads(line)
                if _DONE in entry:
                    yield float(entry[_DONE])
                elif _REFUSED in entry:
                    yield str(entry[_REFUSED])
                else:
                    yield Found.of(entry, path.name)
            except (ValueError, TypeError, LookupError, BadInput):
                continue
