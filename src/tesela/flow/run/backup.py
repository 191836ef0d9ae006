"""A copy of the ledger as one consistent state, while work goes on; and back from it."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tesela.errors import ConfigError, LedgerError, TeselaError
from tesela.flow.run.lock import only_controller
from tesela.ledger.engine import Ledger, frozen_uri, is_frozen
from tesela.ledger.place import place_of
from tesela.products import paths
from tesela.products.files import publish, sha256_of, sync

_SUFFIX = {True: ".sqlite", False: ".dump"}


@dataclass(frozen=True)
class Backup:
    """A copy of a ledger, and a file beside it that holds its checksum (`sha256sum -c`)."""

    path: str
    sha256: str
    size: int
    revision: str


def backup(site: Path, folder: Path) -> Backup:
    """Write a copy of a site's ledger into a folder; its name tells the time (UTC).

    The folder is made if its parent is there; otherwise, or if it is a file, raises `ConfigError`.
    On PostgreSQL it is what `pg_dump --format=custom` writes.
    """
    place = place_of(site)
    revision = Ledger.revision_of(place)
    _make_folder(folder)
    now = dt.datetime.now(tz=dt.UTC)
    final = folder / f"ledger-{now:%Y%m%dT%H%M%SZ}{_SUFFIX[isinstance(place, Path)]}"
    part = final.with_name(f".{final.name}.part")
    try:
        if isinstance(place, Path):
            copy_sqlite(place, part)
        else:
            _postgresql("pg_dump", "--format=custom", "--file", part, "--dbname", _plain(place))
        sync(part)
        checksum, size = sha256_of(part), part.stat().st_size
        publish(part, final)
    finally:
        part.unlink(missing_ok=True)
    beside = final.with_name(f"{final.name}.sha256")
    beside.write_text(f"{checksum}  {final.name}\n")
    sync(beside)
    return Backup(str(final), checksum, size, revision)


def _make_folder(folder: Path) -> None:
    """Make the last folder of a path: more than one is missing where a disk is not mounted, and
    the copy would go to the disk that it shall be a copy of."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            str(folder), found="a file", expected="a folder", do="name the folder for the copy"
        )
    if not folder.exists() and not folder.absolute().parent.is_dir():
        raise ConfigError(
            str(folder),
            found=f"no folder {folder.absolute().parent}",
            expected="a folder, or a name in a folder that is there",
            do="mount the disk, or make the folder first",
        )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(
            str(folder),
            found=f"it cannot be made ({error.strerror})",
            expected="a folder that may be written to",
        ) from error


def restore(site: Path, copy: Path) -> str:
    """Put a copy back as the ledger of a site; returns where the one before is kept, '' if none.

    On SQLite the present file is moved aside, sound or not; whoever has it open would go on writing
    into that, so `LedgerError` is raised if anybody has. On PostgreSQL the database must be
    empty: make a new one, or drop it by hand. What was made since the copy has no row then:
    `tesela audit --sweep` moves it aside, and raw frames are taken in again by `tesela ingest`.
    """
    place = place_of(site)
    _check(copy)
    if not isinstance(place, Path):
        if Ledger.is_at(place):
            raise LedgerError(
                place,
                found="a ledger is there",
                expected="an empty database",
                do="make a new database and name it in site.toml, or drop this one by hand",
            )
        _postgresql(
            "pg_restore", "--exit-on-error", "--no-owner", "--single-transaction", "--dbname",
            _plain(place), copy,
        )  # fmt: skip
        return ""
    part = place.with_name(f".{place.name}.part")
    try:
        with only_controller(paths.lock_file(site)), _nobody_else(place):
            copy_sqlite(copy, part)
            sync(part)
            aside = _move_aside(place)
            part.replace(place)
            sync(place.parent)
    finally:
        part.unlink(missing_ok=True)
    return aside


_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""Bytes of its file that SQLite locks while it has a database open
(https://sqlite.org/src/file/src/os.h)."""


@contextlib.contextmanager
def _nobody_else(place: Path) -> Iterator[None]:
    """Hold the lock of a ledger's file that whoever has it open shares, sound or not: refuse if
    another process has it."""
    if not os.access(place, os.W_OK):  # none, or one that nobody of ours writes to
        yield
        return
    with place.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except (BlockingIOError, PermissionError):
            raise LedgerError(
                str(place),
                found="another process has it open",
                expected="that nothing else works on the site",
                do="stop its portal, `ingest`, `quicklook` and `transfer` first",
            ) from None
        yield


def _move_aside(place: Path) -> str:
    """Move the present ledger, with its write-ahead log, out of the way."""
    now = dt.datetime.now(tz=dt.UTC)
    aside = place.with_name(f"{place.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    for suffix in ("-wal", "-shm", ""):
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return str(aside) if aside.exists() else ""


def _opened(file: Path) -> sqlite3.Connection:
    if is_frozen(file):
        return sqlite3.connect(frozen_uri(file), uri=True)
    return sqlite3.connect(file)


def copy_sqlite(file: Path, copy: Path) -> None:
    """Copy a SQLite database as one consistent state, its write-ahead log included.

    Raises `LedgerError` if it is damaged: a copy of it would be none.
    """
    copy.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(_opened(file)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            found = target.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        copy.unlink(missing_ok=True)
        raise LedgerError(
            str(file),
            found=f"a damaged database ({found})",
            expected="a sound one",
            do="take an earlier backup",
        )


def _check(copy: Path) -> None:
    """Refuse a copy that is not there, or not what its checksum says."""
    if not copy.is_file():
        raise ConfigError(str(copy), found="no such file", expected="a backup of a ledger")
    beside = copy.with_name(f"{copy.name}.sha256")
    if beside.is_file():
        wanted = beside.read_text().split()[0]
        found = sha256_of(copy)
        if found != wanted:
            raise LedgerError(
                str(copy),
                found=f"checksum {found[:16]}",
                expected=f"{wanted[:16]}, as when it was written",
                do="take another backup: this one has changed",
            )


def _plain(url: str) -> str:
    """As PostgreSQL's own programs know it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def _postgresql(program: str, *words: object) -> None:
    found = shutil.which(program)
    if found is None:
        raise TeselaError(
            program,
            found="no such program",
            expected="the clients of PostgreSQL",
            do="install postgresql-client",
        )
    command = [found, *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise LedgerError(
            program,
            found=(done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1],
            expected="that it succeeds",
        )
