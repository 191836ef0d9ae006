"""Files that nobody knows: found under raw/ and products/, and swept on request."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tesela.ledger import events
from tesela.sites.aside import set_aside
from tesela.sites.inside import shown
from tesela.sites.installation import Installation

AGE_S: Final = 3600.0
"""What is younger may belong to work that has not been committed yet."""
_FOLDERS = ("raw", "products")
_TEMPORARY = re.compile(r"\..+\.part|\..+\.[A-Za-z0-9]{6}")
"""Names of ours and of rsync while a file is written."""
_ADDING = ".adding-"


@dataclass(frozen=True)
class Orphan:
    """A file without a row."""

    path: str
    """Relative to the site."""
    bytes: int
    is_temporary: bool
    """Left by work that was cut off: it is of no use to anybody."""


def find(site: Path, known: Container[str], before: float) -> Iterator[Orphan]:
    """Yield files that are in no ledger and were there before a Unix time."""
    for top in _FOLDERS:
        ahead = [site / top]
        while ahead:
            folder = ahead.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue  # none, or gone meanwhile
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    ahead.append(Path(entry.path))
                elif (found := _orphan(site, entry, known, before)) is not None:
                    yield found


def _orphan(
    site: Path, entry: os.DirEntry[str], known: Container[str], before: float
) -> Orphan | None:
    path = Path(entry.path).relative_to(site)
    if path.as_posix() in known:
        return None
    try:
        there = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    # A new name, as committed work gives, changes the time of the inode alone.
    if max(there.st_mtime, there.st_ctime) > before - AGE_S:
        return None
    in_work = any(part.startswith(_ADDING) for part in path.parts)
    return Orphan(path.as_posix(), there.st_size, in_work or bool(_TEMPORARY.fullmatch(path.name)))


def sweep(here: Installation, orphan: Orphan) -> str:
    """Remove a temporary file, move any other into the quarantine; returns what was done."""
    if orphan.is_temporary:
        (here.folder / orphan.path).unlink(missing_ok=True)
        done = "removed"
    else:
        done = f"moved to {set_aside(here.folder, orphan.path)}"
    if here.ledger is not None:
        with here.ledger.write() as conn:
            events.record(conn, "orphan swept", key=shown(orphan.path), detail=shown(done))
    return done
