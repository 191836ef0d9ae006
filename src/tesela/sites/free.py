"""Raw files deleted at the observatory, once two other sites have verified copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tesela.config.site import OBSERVATORY
from tesela.errors import ConfigError
from tesela.ledger import replicas
from tesela.ledger.clock import now_mjd
from tesela.ledger.engine import Ledger
from tesela.products.files import sha256_of, sync
from tesela.sites.installation import Installation

COPIES: Final = 2
"""Verified copies at other sites, at the least."""


@dataclass(frozen=True)
class Limits:
    """What may be freed."""

    older_days: float = 7.0
    """Taken in so long ago."""
    fresh_days: float = 90.0
    """Copies verified not longer ago than this."""

    @property
    def before_mjd(self) -> float:
        """Frames that were taken in before."""
        return now_mjd() - self.older_days

    @property
    def fresh_mjd(self) -> float:
        """Copies that were verified since."""
        return now_mjd() - self.fresh_days


@dataclass(frozen=True)
class Candidate:
    """A raw frame whose file may go."""

    product_id: int
    key: str
    path: str
    checksum: str
    copies: int
    bytes: int


@dataclass(frozen=True)
class Freed:
    """What became of one."""

    key: str
    bytes: int
    reason: str = ""
    """Why its file stays; '' if it is gone."""


def candidates(here: Installation, limits: Limits) -> Iterator[Candidate]:
    """Yield raw frames whose files may go, by the ledger; nothing is read of the files.

    Raises `ConfigError` if this is no observatory: a core keeps its frames.
    """
    ledger = _of_observatory(here)
    before_mjd, fresh_mjd = limits.before_mjd, limits.fresh_mjd
    with ledger.read() as conn:
        last = replicas.last_id(conn)
    for window in replicas.windows(0, last):
        with ledger.read() as conn:
            rows = replicas.freeable(
                conn, here.name, window, before_mjd=before_mjd, fresh_mjd=fresh_mjd, copies=COPIES
            )
        for row in rows:
            yield Candidate(
                row["id"], row["key"], row["path"], row["checksum"], row["copies"],
                _size(here.folder / row["path"]),
            )  # fmt: skip


def free(here: Installation, one: Candidate, limits: Limits, who: str) -> Freed:
    """Delete the file of a frame, if it is the one that was copied and the copies are still there.

    The ledger says first that it goes: should we die in between, the file is left, and the audit
    finds it.
    """
    ledger = _of_observatory(here)
    path = here.folder / one.path
    before = _identity(path)
    reason = _why_not(here, one, path)
    if reason:
        return Freed(one.key, 0, reason)
    row = {"id": one.product_id, "key": one.key, "path": one.path, "checksum": one.checksum}
    with ledger.write() as conn:
        may_go = replicas.drop(
            conn, row, here.name, fresh_mjd=limits.fresh_mjd, copies=COPIES, who=who
        )
    if not may_go:
        return Freed(one.key, 0, f"fewer than {COPIES} verified copies by now")
    try:
        if _identity(path) != before:
            return _kept(ledger, row, one, "another file took its place while it was read")
        path.unlink()
        sync(path.parent)
    except OSError as error:
        return _kept(ledger, row, one, f"it cannot be removed: {error.strerror or error}")
    return Freed(one.key, one.bytes)


def _why_not(here: Installation, one: Candidate, path: Path) -> str:
    """Why the file on the disk is not to be touched; '' if it is what was copied."""
    if Path(one.path).is_absolute() or not path.resolve().is_relative_to(here.folder.resolve()):
        return "it lies outside of the site, and is not ours to delete"
    try:
        if path.is_symlink():
            return "it is a link"
        found = sha256_of(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if found != one.checksum:
        return (
            f"it has sha256 {found[:12]}, the copies {one.checksum[:12]}: "
            "look at it, `tesela audit --checksum --kind raw`"
        )
    return ""


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        there = path.lstat()
    except OSError:
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns


def _kept(ledger: Ledger, row: dict[str, Any], one: Candidate, reason: str) -> Freed:
    with ledger.write() as conn:
        replicas.kept_after_all(conn, row, reason)
    return Freed(one.key, 0, reason)


def _of_observatory(here: Installation) -> Ledger:
    if here.settings.role != OBSERVATORY:
        raise ConfigError(
            f"site {here.name}",
            found=f"role {here.settings.role}",
            expected=f"role {OBSERVATORY}: no other deletes raw frames",
            do="run it at the observatory",
        )
    return here.its_ledger("which knows the copies")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
