"""Bringing the ledger of a site up to the tables of this version, with a copy kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tesela.flow.run.backup import copy_sqlite
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
        part = copy.with_name(f".{copy.name}.part")
        copy_sqlite(place, part)
        sync(part)
        part.replace(copy)
        sync(copy.parent)
        Ledger.migrate(place).close()
    return Upgrade(before, HEAD_REVISION, str(copy))
