"""Files of a folder into which others write: read without following a link out of it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from tesela.errors import BadInput

_PIECE: Final = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_inside(folder: Path, path: str) -> BinaryIO:
    """Open a regular file below a folder, by its relative path.

    Raises `BadInput` if a part of the path is a link, or the file a pipe or device; `OSError` if it
    is not there or cannot be read.
    """
    *above, name = PurePosixPath(path).parts
    at = os.open(folder, _FOLDER)
    try:
        for part in above:
            below = os.open(part, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        file = os.open(name, _FILE, dir_fd=at)
    except OSError as error:
        if is_link(folder, path):
            raise BadInput(path, found="a symbolic link", expected="a file") from error
        raise
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise BadInput(path, found="a pipe, a device or a folder", expected="a file")
    return os.fdopen(file, "rb")


def read_inside(folder: Path, path: str, most: int) -> bytes:
    """Read a small file below a folder, a byte more than `most` at the most."""
    with open_inside(folder, path) as handle:
        return handle.read(most + 1)


def hash_inside(folder: Path, path: str) -> str:
    """SHA-256 of a file below a folder. Raises as `open_inside`."""
    digest = hashlib.sha256()
    with open_inside(folder, path) as handle:
        while piece := handle.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def copy_hashed(source: BinaryIO, target: Path) -> str:
    """Copy an open file to a new name; returns the SHA-256 of what was written there."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        while piece := source.read(_PIECE):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def shown(path: str) -> str:
    """A name that others chose, as text that does no harm on a terminal or in a ledger."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def is_link(folder: Path, path: str) -> bool:
    """Whether a path below a folder leads through a symbolic link, or is one."""
    at = folder
    for part in PurePosixPath(path).parts:
        at /= part
        if at.is_symlink():
            return True
    return False
