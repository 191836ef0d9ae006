"""Files of raw frames, opened for sending: only where frames lie, and never through a link."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from urllib.parse import quote

from tesela.errors import ProductError

_FOLDER: Final = "raw"
_TYPES: Final = {".gz": "application/gzip", ".bz2": "application/x-bzip2"}
_PLAIN_NAME: Final = re.compile(r"[\w.+-]+", re.ASCII)


def open_raw(site: Path, path: str, size: int) -> BinaryIO:
    """Open a frame's file.

    Parameters
    ----------
    path : str
        As the ledger has it: below `raw` of the site, or whole for a frame that was left where it
        was. `raw` itself may be a link to another disk; below it nothing may be.
    size : int
        Bytes that it should have; 0: not known.

    Raises `ProductError` if it is missing, is no regular file of frames, or has another size.
    """
    given = PurePosixPath(path)
    if given.is_absolute():
        root, target = Path("/"), Path(path)
    else:
        root, target = (site / _FOLDER).resolve(), site / path
    try:
        resolved = target.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # a loop of links is a RuntimeError
        raise _missing(path) from None
    below = root.joinpath(*given.parts[1:]) if not given.is_absolute() else target
    if not resolved.is_relative_to(root) or resolved != below or ".." in given.parts:
        raise ProductError(
            path,
            found="a link, or a place outside the folder of raw frames",
            expected="a file below raw/, with no link on the way",
            do="tell the operator: `tesela audit` has more",
        )
    try:
        # A pipe would be waited for, so it is not; a link put here just now is not followed.
        number = os.open(resolved, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _missing(path) from None
    try:
        _check(path, os.fstat(number), size)
    except ProductError:
        os.close(number)
        raise
    return open(number, "rb", buffering=0)  # noqa: PTH123 - who sends it closes it


def _missing(path: str) -> ProductError:
    return ProductError(
        path,
        found="no file that can be read",
        expected="the raw frame",
        do="tell the operator: `tesela audit` finds what is missing",
    )


def _check(path: str, found: os.stat_result, size: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ProductError(path, found="no regular file", expected="the raw frame")
    if size and found.st_size != size:
        raise ProductError(
            path,
            found=f"{found.st_size} bytes",
            expected=f"{size}, as when it came in",
            do="tell the operator: the file is damaged, `tesela audit` has more",
        )


def media_type(path: str) -> str:
    """Media type of a frame's file."""
    return _TYPES.get(PurePosixPath(path).suffix.lower(), "application/fits")


def disposition(path: str) -> str:
    """The header that has a browser keep the file under its own name."""
    name = PurePosixPath(path).name
    if _PLAIN_NAME.fullmatch(name):
        return f'attachment; filename="{name}"'
    safe = name.encode("utf-8", "surrogateescape")
    return f"attachment; filename*=UTF-8''{quote(safe, safe='')}"
