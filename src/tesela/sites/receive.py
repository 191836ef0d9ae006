"""Taking in what other sites sent: each file is hashed here, and kept or refused.

The inbox belongs to the senders: nothing in it is believed, followed or run.

    SENDER/SHIPMENT/manifest.json, files/...     what a site sends
    SENDER/receipts/SHIPMENT.json                what it fetches
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tesela.config.site import SITE_NAME
from tesela.errors import BadInput, LedgerLost, TransferError
from tesela.ledger import events, shipments
from tesela.ledger.clock import now_mjd
from tesela.products import paths
from tesela.products.files import make_folder, sha256_of
from tesela.products.lock import only_one
from tesela.sites import inside, manifest, receipt
from tesela.sites.inside import shown
from tesela.sites.installation import Installation
from tesela.sites.journal import Journal
from tesela.sites.keep import Keeper
from tesela.sites.manifest import File, Manifest
from tesela.sites.receipt import DAMAGED, MISSING, REFUSED, VERIFIED, Found, Receipt

LATER: Final = "later"
SETTLE_S: Final = 60.0
"""What is not as announced and has not changed for this long stays so."""
_MOST_STRANGERS: Final = 100
_FIRST_DELAY_S, _LONGEST_DELAY_S = 5.0, 600.0


@dataclass(frozen=True)
class Told:
    """What became of a product, or of a shipment as a whole."""

    sender: str
    shipment: str
    kind: str
    key: str
    outcome: str
    """verified, refused, damaged, missing; or later: it will be tried again."""
    bytes: int = 0
    reason: str = ""


@dataclass(frozen=True)
class _Place:
    """A shipment in the inbox."""

    sender: str
    shipment: str
    folder: Path


class Receiver:
    """Works through the inbox; of all processes of a site one at a time."""

    def __init__(self, here: Installation, keeper: Keeper, settle_s: float = SETTLE_S) -> None:
        self.here, self.keeper, self.settle_s = here, keeper, settle_s
        self._later: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._stuck: set[str] = set()
        self._read: dict[str, tuple[tuple[int, ...], Manifest]] = {}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Receiver]:
        """Hold the inbox. Raises `Busy` if another process has it."""
        try:
            make_folder(paths.transfer_folder(self.here.folder))
            make_folder(self.here.inbox)
        except OSError as error:
            raise TransferError(f"site {self.here.name}", found=str(error)) from error
        lock = paths.receive_lock(self.here.folder)
        with only_one(lock, "one process that receives"):
            yield self

    def once(self) -> Iterator[Told]:
        """Take in all that is there, product by product."""
        for place in self._shipments():
            if place.shipment in self._stuck:
                continue
            try:
                yield from self._take(place)
            except (OSError, LedgerLost) as error:  # the disk of the inbox, or ours
                if self._is_news((place.shipment, "", "")):
                    yield Told(place.sender, place.shipment, "", "", LATER, reason=str(error))

    def waiting(self) -> list[dict[str, Any]]:
        """Shipments in the inbox, with how many of their files are not there yet."""
        found = []
        for place in self._shipments():
            row = {"site": place.sender, "shipment": place.shipment, "files": 0, "missing": 0}
            try:
                made = self._manifest(place)
                done = Journal(self._journal(place)).found
                row["files"] = len(made.files)
                row["missing"] = sum(
                    file.path not in done and self._size(place, file) != file.size
                    for file in made.files
                )
                row["reason"] = ""
            except (BadInput, OSError) as error:
                row["reason"] = str(error)
            found.append(row)
        return found

    # -- one shipment -------------------------------------------------------------------------

    def _shipments(self) -> Iterator[_Place]:
        for sender in _folders(self.here.inbox):
            if SITE_NAME.fullmatch(sender.name):
                for folder in _folders(sender):
                    if manifest.is_name(folder.name):
                        yield _Place(sender.name, folder.name, folder)

    def _manifest(self, place: _Place) -> Manifest:
        """Read a manifest, once until it is another: that of a release may have 100 000 files."""
        there = (place.folder / manifest.NAME).lstat()
        identity = (there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
        known = self._read.get(place.shipment)
        if known is None or known[0] != identity:
            known = self._read[place.shipment] = (identity, self._read_manifest(place))
        return known[1]

    def _read_manifest(self, place: _Place) -> Manifest:
        text = inside.read_inside(place.folder, manifest.NAME, manifest.MOST_BYTES)
        return manifest.read(text, shipment=place.shipment, sender=place.sender, to=self.here.name)

    def _journal(self, place: _Place) -> Path:
        return paths.journal(self.here.folder, place.sender, place.shipment)

    def _take(self, place: _Place) -> Iterator[Told]:
        try:
            made = self._manifest(place)
        except FileNotFoundError:  # it has not come yet, or was going when we died
            if Journal(self._journal(place)).done_mjd is not None:
                self._clear(place)
            return
        except BadInput as error:
            if self._is_settled(place.folder / manifest.NAME):
                yield from self._refuse(place, str(error))
            return
        journal = Journal(self._journal(place))
        if journal.done_mjd is None:
            for files in made.products().values():
                if all(self._is_known(journal, file) for file in files):
                    continue
                told = self._product(place, made, files, journal)
                if told is not None:
                    yield told
            if not all(self._is_known(journal, file) for file in made.files):
                return
        yield from self._finish(place, made, journal)

    def _is_known(self, journal: Journal, file: File) -> bool:
        found = journal.found.get(file.path)
        return found is not None and found.file == file

    def _product(
        self, place: _Place, made: Manifest, files: list[File], journal: Journal
    ) -> Told | None:
        """Look at one product; None while its files are on their way."""
        if made.purpose == manifest.VERIFY:
            founds = self._look_again(place, files)
        elif not all(self._is_there(place, file) for file in files):
            return None
        else:
            which = (place.shipment, files[0].kind, files[0].key)
            if not self._is_time(which):
                return None
            try:
                self._check_room(sum(file.size for file in files))
                founds = self._keep(place, files)
            except OSError as error:
                if not self._is_news(which):
                    return None
                return _told(place, files, LATER, str(error))
            self._later.pop(which, None)
        journal.add(founds)
        worst = max(founds, key=lambda found: _ORDER.index(found.state))
        return _told(place, files, worst.state, worst.reason)

    def _keep(self, place: _Place, files: list[File]) -> list[Found]:
        """Hash the files of a product, and keep them if all are right."""
        founds = [self._hashed(place, file) for file in files]
        if any(found.state != VERIFIED for found in founds):
            return [_spoilt(found) for found in founds]
        try:
            kept = self.keeper.keep(place.sender, files, place.folder / manifest.FILES)
        except BadInput as error:
            return [Found(found.file, REFUSED, found.sha256, str(error)) for found in founds]
        return [
            Found(found.file, VERIFIED, found.sha256, kept=where)
            for found, where in zip(founds, kept)
        ]

    def _hashed(self, place: _Place, file: File) -> Found:
        try:
            sha256 = inside.hash_inside(place.folder, f"{manifest.FILES}/{file.path}")
        except BadInput as error:
            return Found(file, REFUSED, reason=str(error))
        if sha256 != file.sha256:
            reason = f"{file.path}: sha256 {sha256[:12]} came, expected {file.sha256[:12]}"
            return Found(file, DAMAGED, sha256, reason)
        size = self._size(place, file)
        if size != file.size:
            return Found(file, DAMAGED, sha256, f"{file.path}: {size} bytes, not {file.size}")
        return Found(file, VERIFIED, sha256)

    def _look_again(self, place: _Place, files: list[File]) -> list[Found]:
        """Hash what is kept of a product. Nothing is changed: the sender may be wrong."""
        founds = []
        for file in files:
            where = self.keeper.place(place.sender, file)
            try:
                sha256 = sha256_of(self.here.folder / where) if where else ""
            except OSError:
                sha256 = ""
            if sha256 == file.sha256:
                founds.append(Found(file, VERIFIED, sha256, kept=where))
            elif not sha256:
                founds.append(Found(file, MISSING, reason=f"no readable copy of {file.path}"))
            else:
                reason = f"our copy of {file.path} has sha256 {sha256[:12]}"
                founds.append(Found(file, DAMAGED, sha256, reason))
        return founds

    def _is_there(self, place: _Place, file: File) -> bool:
        """Whether a file came, or will stay as it is: rsync gives a name to whole files only, but
        others copy as well."""
        path = place.folder / manifest.FILES / file.path
        if inside.is_link(place.folder, f"{manifest.FILES}/{file.path}"):
            return True  # and is refused
        size = self._size(place, file)
        return size == file.size or (size is not None and self._is_settled(path))

    def _size(self, place: _Place, file: File) -> int | None:
        try:
            return (place.folder / manifest.FILES / file.path).lstat().st_size
        except OSError:
            return None

    def _is_settled(self, path: Path) -> bool:
        try:
            return time.time() - path.lstat().st_ctime > self.settle_s
        except OSError:
            return False

    # -- the end of one -----------------------------------------------------------------------

    def _finish(self, place: _Place, made: Manifest, journal: Journal) -> Iterator[Told]:
        """Answer with the receipt, and empty the inbox of the shipment."""
        at_mjd = journal.done_mjd if journal.done_mjd is not None else now_mjd()
        founds = tuple(
            journal.found[file.path] for file in made.files if file.path in journal.found
        )
        strangers = tuple(
            itertools.islice(_strangers(place.folder / manifest.FILES, made), _MOST_STRANGERS)
        )
        answer = Receipt(
            place.shipment, place.sender, self.here.name, at_mjd, founds, strangers=strangers
        )
        if journal.done_mjd is None:
            self._enter(place, made, founds)
            journal.done(at_mjd)
        receipt.leave(place.folder.parent, answer)
        for name in strangers:
            yield Told(
                place.sender, place.shipment, "", name, REFUSED, reason="not in the manifest"
            )
        self._clear(place)
        if place.shipment in self._stuck:
            reason = "its folder cannot be removed from the inbox"
            yield Told(place.sender, place.shipment, "", "", LATER, reason=reason)
        elif self._is_known_elsewhere(made):
            journal.path.unlink(missing_ok=True)

    def _is_known_elsewhere(self, made: Manifest) -> bool:
        """Whether a journal need not stay: what it says is in the ledger, or in another."""
        in_ledger = all(file.kind == manifest.RAW for file in made.files)
        return made.purpose == manifest.VERIFY or (self.here.ledger is not None and in_ledger)

    def _clear(self, place: _Place) -> None:
        self._read.pop(place.shipment, None)
        shutil.rmtree(place.folder, ignore_errors=True)
        if place.folder.exists():
            self._stuck.add(place.shipment)

    def _enter(self, place: _Place, made: Manifest, founds: Sequence[Found]) -> None:
        if self.here.ledger is None:
            return
        bad = [found for found in founds if found.state != VERIFIED]
        with self.here.ledger.write() as conn:
            shipments.put(
                conn, place.shipment, direction=shipments.IN, site=place.sender,
                state=shipments.SENT, files=len(made.files), n_bytes=made.n_bytes,
                packed_mjd=made.packed_mjd,
            )  # fmt: skip
            detail = f"{len(bad)} files not taken: {bad[0].reason}" if bad else ""
            state = shipments.FAILED if bad else shipments.VERIFIED
            shipments.end(conn, place.shipment, state, detail)

    def _refuse(self, place: _Place, reason: str) -> Iterator[Told]:
        """Refuse a shipment whole, once; its files stay until a person has looked at them."""
        journal = Journal(self._journal(place))
        try:
            sha256 = inside.hash_inside(place.folder, manifest.NAME)
        except BadInput:
            sha256 = ""
        if journal.refused == sha256:
            return
        answer = Receipt(place.shipment, place.sender, self.here.name, now_mjd(), refused=reason)
        receipt.leave(place.folder.parent, answer)
        if self.here.ledger is not None:
            with self.here.ledger.write() as conn:
                events.record(conn, "shipment refused", key=place.shipment, detail=reason)
        journal.refuse(sha256)
        note = f"{reason}; look at {place.folder} and remove it"
        yield Told(place.sender, place.shipment, "", "", REFUSED, reason=note)

    # -- room, and patience -------------------------------------------------------------------

    def _check_room(self, n_bytes: int) -> None:
        free = shutil.disk_usage(self.here.folder).free
        if free - n_bytes < self.here.settings.keep_free_gb * 1e9:
            raise OSError(
                f"{self.here.folder}: {free / 1e9:.1f} GB free; expected {n_bytes / 1e9:.1f} GB "
                f"and keep_free_gb = {self.here.settings.keep_free_gb:g}; it goes on when there is "
                "room"
            )

    def _is_time(self, which: tuple[str, str, str]) -> bool:
        return time.monotonic() >= self._later.get(which, (0, 0.0))[1]

    def _is_news(self, which: tuple[str, str, str]) -> bool:
        """Count a failure: the next try waits longer; whether it is the first."""
        tries = self._later.get(which, (0, 0.0))[0] + 1
        delay_s = min(_FIRST_DELAY_S * 2 ** (tries - 1), _LONGEST_DELAY_S)
        self._later[which] = (tries, time.monotonic() + delay_s)
        return tries == 1


_ORDER = (VERIFIED, MISSING, REFUSED, DAMAGED)


def _spoilt(found: Found) -> Found:
    if found.state != VERIFIED:
        return found
    return Found(found.file, REFUSED, found.sha256, "another file of the product is not right")


def _told(place: _Place, files: Sequence[File], outcome: str, reason: str = "") -> Told:
    n_bytes = sum(file.size for file in files)
    kind, key, _ = files[0].product
    return Told(place.sender, place.shipment, kind, key, outcome, n_bytes, reason)


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder, by name; links to folders are none."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))


def _strangers(folder: Path, made: Manifest) -> Iterator[str]:
    """Files of a shipment that its manifest does not name; hidden ones are rsync's."""
    known = {file.path for file in made.files}
    for above, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        links = [name for name in names if stat.S_ISLNK((Path(above) / name).lstat().st_mode)]
        for name in (*files, *links):
            path = (Path(above) / name).relative_to(folder).as_posix()
            if not name.startswith(".") and path not in known:
                yield shown(path)
