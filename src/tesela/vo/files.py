"""Files of a release, served as they lie: HiPS, MOC, HATS.

A path of an address is taken apart and checked before the file system sees it, and what it leads
to must lie in the release. A release that was withdrawn and built anew under its name has other
files under the same paths: a copy may be kept unasked only where the address carries the version.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from starlette.responses import FileResponse, Response

from tesela.errors import BadInput
from tesela.sciencedb.model import ReleaseModel

CORS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Range, Content-Length, Accept-Ranges, ETag",
}
"""Published data may be read by pages of other sites."""

IMMUTABLE = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
"""A copy may be kept, and is asked about each time: 304 if it is still right."""
_TYPES = {
    ".fits": "application/fits",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".properties": "text/plain; charset=utf-8",
}
_PLAIN = ("properties",)
_LONGEST = 1024


def locate(folder: Path, path: str) -> Path:
    """The regular file at a relative path below `folder`.

    Raises `BadInput` if there is none, if a part of the path is empty, begins with a dot or holds
    a character that has no place in our names, or if a link leads out of the folder.
    """
    missing = BadInput(f"file {path[:_LONGEST]!r}", found="no such file", expected="a file's path")
    parts = path.split("/")
    printable = path.isascii() and path.isprintable() and "\\" not in path
    if not printable or len(path) > _LONGEST or any(not p or p.startswith(".") for p in parts):
        raise missing
    try:
        found = folder.joinpath(*parts).resolve(strict=True)
        inside = found.is_relative_to(folder.resolve()) and stat.S_ISREG(found.stat().st_mode)
    except OSError:
        raise missing from None
    if not inside:
        raise missing
    return found


def stamp(model: ReleaseModel) -> str:
    """Short text that changes when a release of the same name is built anew."""
    text = f"{model.name} {model.created} {model.code_version}"
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def response(
    path: Path, request_headers: Mapping[str, str], *, immutable: bool = False
) -> Response:
    """The file, or the part that Range asks for, or 304 if the client has it already.

    Parameters
    ----------
    path : Path
        Of `locate`.
    request_headers : mapping
        With names in lower case or without regard to case, as Starlette gives them.
    immutable : bool
        True only under an address that carries the `stamp` of the release and names it, not
        `latest`.
    """
    status = path.stat()
    tag = hashlib.sha256(f"{os.fspath(path)}\0{status.st_mtime_ns}\0{status.st_size}".encode())
    headers = {
        **CORS,
        "Cache-Control": IMMUTABLE if immutable else ASK_AGAIN,
        "ETag": f'"{tag.hexdigest()[:32]}"',
        "X-Content-Type-Options": "nosniff",
    }
    # A copy that was compressed on its way has the same tag, called weak (RFC 9110, 13.1.2).
    asked = request_headers.get("if-none-match", "").split(",")
    known = [word.strip().removeprefix("W/") for word in asked]
    if headers["ETag"] in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type=media_type(path.name), stat_result=status)


def media_type(name: str) -> str:
    """Media type of a file of a release, by its name."""
    if name in _PLAIN:
        return _TYPES[".txt"]
    return _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
