"""Files of a product, served by name: only those that its row in the ledger lists."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError
from sqlalchemy.engine import Connection
from starlette.responses import FileResponse, Response

from tesela.errors import NotFound
from tesela.web.portal import calibration_queries, links
from tesela.web.portal.site import OpenSite

TYPES: Final[Mapping[str, str]] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".fits": "application/fits",
}
"""What is said of a file by its ending; of any other, that it is bytes."""
_UNKNOWN: Final = "application/octet-stream"
_KINDS: Final = ("master",)
"""Products whose files are served."""
_SMALL_PX: Final = 480
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_FOR_EVER: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True)
class Listed:
    """A file as the row of its product lists it."""

    path: str
    """Relative to the site."""
    checksum: str
    size: int
    url: str

    @property
    def name(self) -> str:
        """Without folders."""
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        """Name without its ending."""
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def small_url(self) -> str:
        """Address of a small copy of a picture."""
        return f"{self.url}&small=1"


def listed(row: Mapping[Any, Any]) -> list[Listed]:
    """The files of a version of a product (key, version, files_json), its image first."""
    return [
        Listed(
            path,
            checksum,
            int(size),
            links.file("master", row["key"], row["version"], PurePosixPath(path).name, checksum),
        )
        for path, checksum, size in json.loads(row["files_json"] or "[]")
    ]


def pages(row: Mapping[Any, Any]) -> list[Listed]:
    """The files about a version: plots, and the data beside them."""
    return [one for one in listed(row) if PurePosixPath(one.path).parent.suffix == ".pages"]


def find(conn: Connection, kind: str, key: str, version: str, name: str) -> Listed:
    """The file of that name of a version; raises `NotFound`."""
    row = None
    if kind in _KINDS and _VERSION.fullmatch(version):
        row = calibration_queries.file_row(conn, kind, key, int(version))
    found = [one for one in listed(row) if one.name == name] if row else []
    if len(found) != 1:
        raise NotFound(
            f"file {name} of {kind} {key} version {version}",
            found="no such file among those of the product",
            do="see the page of the product",
        )
    return found[0]


def path_of(site: OpenSite, file: Listed) -> Path:
    """Where a file lies; raises `NotFound` if it is gone or not a file of the site."""
    path = site.file(file.path)
    if not path.is_file():
        raise NotFound(file.path, found="no such file any more", do="run `tesela audit`")
    if not path.resolve().is_relative_to(site.folder):
        raise NotFound(file.path, found="a file outside the site", do="run `tesela doctor`")
    return path


def answer(site: OpenSite, file: Listed, query: Mapping[str, str]) -> Response:
    """The file, or the small copy of a picture if `small` is asked for."""
    path = path_of(site, file)
    versioned = query.get("v") == file.checksum[:12] != ""
    headers = {
        "Cache-Control": _FOR_EVER if versioned else "no-cache",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(file.name, safe='')}",
    }
    if "small" in query and file.suffix in (".png", ".jpg"):
        small = _small(path)
        if small is not None:
            return Response(small, media_type="image/png", headers=headers)
    return FileResponse(path, media_type=TYPES.get(file.suffix, _UNKNOWN), headers=headers)


def _small(path: Path) -> bytes | None:
    """A small copy of a picture; None for what is none."""
    try:
        with Image.open(path) as picture:
            picture.thumbnail((_SMALL_PX, _SMALL_PX), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "PNG")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    return buffer.getvalue()


def lines(site: OpenSite, file: Listed, most: int) -> tuple[str, bool]:
    """The first lines of a file of text, each whole, and whether they are all.

    So many bytes at the most; '' if it cannot be read.
    """
    try:
        with path_of(site, file).open("rb") as handle:
            content = handle.read(most + 1)
    except (OSError, NotFound):
        return "", False
    is_all = len(content) <= most
    if not is_all:
        content = content[: content.rfind(b"\n", 0, most) + 1]
    return content.decode("utf-8", "replace"), is_all
