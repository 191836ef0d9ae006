"""Files put aside and put back: nothing is destroyed, nothing overwritten without a check."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tesela.errors import ProductError
from tesela.products import paths
from tesela.products.files import make_folder, publish, sync
from tesela.sites.inside import copy_hashed


def set_aside(site: Path, path: str) -> str:
    """Move a file of a site into its quarantine; returns its path there, relative to the site."""
    source = site / path
    target = _place(site, path)
    make_folder(target.parent)
    try:
        source.rename(target)
    except OSError:  # another file system
        with source.open("rb") as handle:
            copy_hashed(handle, target)
        sync(target)
        source.unlink()
    sync(target.parent)
    return target.relative_to(site).as_posix()


def put_in_place(site: Path, path: str, source: BinaryIO, sha256: str) -> None:
    """Copy an open file to its place in the site, where no file is, and only if it is right.

    Raises `ProductError` if it has another checksum or the place is taken; `OSError` if it cannot
    be written.
    """
    final = site / path
    with temporary_beside(final) as temporary:
        found = copy_hashed(source, temporary)
        _check(path, found, sha256)
        sync(temporary)
        publish(temporary, final)


def put_back(site: Path, path: str, source: BinaryIO, sha256: str) -> str:
    """Put a sound copy where the file is damaged or gone, in one step; returns where the damaged
    one is now, '' if there was none.

    Raises as `put_in_place`; then all is as before.
    """
    final = site / path
    if not os.path.lexists(final):
        put_in_place(site, path, source, sha256)
        return ""
    with temporary_beside(final) as temporary:
        found = copy_hashed(source, temporary)
        _check(path, found, sha256)
        sync(temporary)
        kept = _place(site, path)
        make_folder(kept.parent)
        with contextlib.suppress(OSError):  # another file system: the damaged bytes are no loss
            os.link(final, kept, follow_symlinks=False)
        temporary.replace(final)
        sync(final.parent)
    return kept.relative_to(site).as_posix() if os.path.lexists(kept) else ""


@contextlib.contextmanager
def temporary_beside(final: Path) -> Iterator[Path]:
    """A temporary name beside a file, removed in the end if it still is there."""
    make_folder(final.parent)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _check(path: str, found: str, expected: str) -> None:
    if found != expected:
        raise ProductError(
            path,
            found=f"a copy with sha256 {found[:12]}",
            expected=expected[:12],
            do="nothing was changed",
        )


def _place(site: Path, path: str) -> Path:
    """A free name in the quarantine, with the day in it."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    wanted = paths.quarantine_folder(site) / day / path
    place, n = wanted, 1
    while os.path.lexists(place):
        n += 1
        place = wanted.with_name(f"{wanted.name}.{n}")
    return place
