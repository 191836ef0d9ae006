"""Bringing the ledger of a site up to the tables of this version, with a copy kept."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tesela.flow.run.lock import only_controller
from tesela.ledger.engine import HEAD_REVISION, Ledger
from tesela.ledger.place import place_of
from tesela.products import paths
from tesela.products.files import sync


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did: revisions, and the copy of the ledger before it ('' if none)."""

    before: str
    after: str
    copy: str = ""


def upgrade(site: Path, *, dry_run: bool = False) -> Upgrade:
    """Upgrade the ledger of a site that no controller works on; its rows stay.

    Raises `Busy` while a controller runs, `LedgerError` if there is no ledger or it is of a newer
    version.
    """
    place = place_of(site)
    before = Ledger.revision_of(place)
    if before == HEAD_REVISION or dry_run:
        return Upgrade(before, HEAD_REVISION)
    if not isinstance(place, Path):  # the whole change is one transaction, alone
        Ledger.migrate(place).close()
        return Upgrade(before, HEAD_REVISION)
    with only_controller(paths.lock_file(site)):
        copy = place.with_name(f"{place.name}.before-{HEAD_REVISION}")
        _copy(place, copy)
        Ledger.migrate(place).close()
    return Upgrade(before, HEAD_REVISION, str(copy))


def _copy(file: Path, copy: Path) -> None:
    """Copy a database as one consistent state, its write-ahead log included."""
    part = copy.with_name(f".{copy.name}.part")
    part.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(file)) as source,
        contextlib.closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    sync(part)
    part.replace(copy)
    sync(copy.parent)
