"""The manifest of a shipment: which files it has. Whoever reads one believes nothing in it."""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from tesela.config.site import SITE_NAME
from tesela.errors import BadInput
from tesela.products.rawfile import frame_name

NAME: Final = "manifest.json"
FILES: Final = "files"
"""Folder of a shipment that holds its files."""
FORMAT: Final = 1
MOST_BYTES: Final = 64 << 20
"""Of the JSON."""
MOST_FILES: Final = 300_000
COPY, VERIFY = "copy", "verify"
"""What a shipment is for: to bring files, or to have copies hashed again that are there."""
RAW, RELEASE = "raw", "release"

_SHIPMENT = re.compile(r"[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{1,32}\.\d{8}T\d{9}\.[0-9a-f]{8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RELEASE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_PART = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,199}")
"""Of a path. None begins with a dot: `..` is none, and hidden names belong to rsync and to us."""
_MOST_PARTS = 16
_MOST_SIZE = 1 << 50
_LONGEST = 300


@dataclass(frozen=True)
class File:
    """A file of a product. Those of one product stand together, the main one first."""

    path: str
    """Relative to the site that sent it: `raw/NIGHT/NAME`, `products/...`, `releases/NAME/...`."""
    size: int
    """Bytes."""
    sha256: str
    kind: str
    key: str
    version: int

    @property
    def product(self) -> tuple[str, str, int]:
        """Kind, key and version."""
        return self.kind, self.key, self.version


@dataclass(frozen=True)
class Manifest:
    """What a shipment holds."""

    shipment: str
    sender: str
    to: str
    packed_mjd: float
    files: tuple[File, ...]
    purpose: str = COPY

    @property
    def n_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    def products(self) -> dict[tuple[str, str, int], list[File]]:
        """Files by product, the main one first."""
        found: dict[tuple[str, str, int], list[File]] = {}
        for file in self.files:
            found.setdefault(file.product, []).append(file)
        return found

    def text(self) -> str:
        """The JSON."""
        content = {
            "format": FORMAT,
            "shipment": self.shipment,
            "from": self.sender,
            "to": self.to,
            "packed_mjd": self.packed_mjd,
            "purpose": self.purpose,
            "files": [vars(file) for file in self.files],
        }
        return json.dumps(content, indent=1) + "\n"


def new_name(sender: str, to: str) -> str:
    """Return the name of a new shipment; those of one way sort by time."""
    now_ns = time.time_ns()
    at = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9))
    return f"{sender}.{to}.{at}{now_ns // 10**6 % 1000:03d}.{secrets.token_hex(4)}"


def is_name(name: str) -> bool:
    """Whether a name is that of a shipment."""
    return bool(_SHIPMENT.fullmatch(name))


def read(text: bytes, *, shipment: str, sender: str, to: str) -> Manifest:
    """Read the manifest in the folder `shipment` of the site `sender`, in the inbox of `to`.

    Raises `BadInput` for anything that is not exactly as we would write it: it is refused whole.
    """
    content = load_object(text, f"manifest of {shipment}")
    where = _Where(f"manifest of {shipment}")
    if content.get("format") != FORMAT:
        raise where.bad(content.get("format"), f"format {FORMAT}")
    for name, expected in (("shipment", shipment), ("from", sender), ("to", to)):
        if content.get(name) != expected:
            raise where.bad(content.get(name), f"{name} = {expected!r}")
    if content.get("purpose") not in (COPY, VERIFY):
        raise where.bad(content.get("purpose"), f"{COPY} or {VERIFY}")
    listed = content.get("files")
    if not isinstance(listed, list) or len(listed) > MOST_FILES:
        raise where.bad(
            f"{len(listed)} files" if isinstance(listed, list) else listed,
            f"a list of at most {MOST_FILES} files",
        )
    files = tuple(_file(where, entry) for entry in listed)
    _check_names(where, files)
    return Manifest(
        shipment, sender, to, number(where.what, content.get("packed_mjd")), files,
        content["purpose"],
    )  # fmt: skip


def load_object(text: bytes, what: str) -> Mapping[str, Any]:
    """Read a JSON object of a foreign site; raises `BadInput` for anything else."""
    if len(text) > MOST_BYTES:
        raise BadInput(what, found=f"{len(text)} bytes", expected=f"at most {MOST_BYTES}")
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(what, found=f"no JSON ({error})", expected="a JSON object") from None
    if not isinstance(content, dict):
        raise BadInput(what, found=type(content).__name__, expected="a JSON object")
    return content


def number(what: str, value: Any) -> float:
    """Return a finite number; raises `BadInput`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(what, found=repr(value)[:_LONGEST], expected="a finite number")
    return float(value)


def check_file(what: str, entry: Any) -> File:
    """Read one file of a manifest or receipt; raises `BadInput` if anything about it is odd."""
    return _file(_Where(what), entry)


@dataclass(frozen=True)
class _Where:
    """What is read, for the sentence that refuses it."""

    what: str

    def bad(self, found: Any, expected: str) -> BadInput:
        said = found if isinstance(found, str) else repr(found)
        return BadInput(self.what, found=said[:_LONGEST], expected=expected)


def _file(where: _Where, entry: Any) -> File:
    if not isinstance(entry, dict):
        raise where.bad(entry, "an object for each file")
    path, size, sha256 = entry.get("path"), entry.get("size"), entry.get("sha256")
    kind, key, version = entry.get("kind"), entry.get("key"), entry.get("version")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise where.bad(sha256, "a SHA-256 in 64 hexadecimal digits")
    for name, value, most in (("size", size, _MOST_SIZE), ("version", version, 1 << 31)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < most:
            raise where.bad(value, f"{name}, a whole number below {most}")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise where.bad(kind, "a kind of product")
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST or not key.isprintable():
        raise where.bad(key, "the key of a product")
    file = File(_path(where, path), int(size), sha256, kind, key, int(version))  # type: ignore[arg-type]
    if not _is_place_of(file):
        raise where.bad(file.path, f"a path where files of {kind} {key} are kept")
    return file


def _path(where: _Where, path: Any) -> str:
    """A plain relative path: nothing absolute, hidden, climbing, empty or unprintable."""
    parts = path.split("/") if isinstance(path, str) else []
    if not 1 < len(parts) <= _MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise where.bad(path, "a relative path without '..', hidden names or odd characters")
    try:
        "/".join(parts).encode("utf-8")
    except UnicodeEncodeError:
        raise where.bad(repr(path), "a path in UTF-8") from None
    return "/".join(parts)


def _is_place_of(file: File) -> bool:
    """Whether the path is one that products of this kind have: nothing else is ever written to."""
    parts = PurePosixPath(file.path).parts
    if file.kind == RAW:
        is_named = frame_name(PurePosixPath(parts[-1])) == file.key  # type: ignore[arg-type]
        return len(parts) == 3 and parts[0] == "raw" and is_named
    if file.kind == RELEASE:
        is_name = bool(_RELEASE.fullmatch(file.key)) and not file.key.endswith(
            (".json", ".lock", ".part")
        )
        return is_name and len(parts) > 2 and parts[:2] == ("releases", file.key)
    return len(parts) > 2 and parts[0] == "products"


def _check_names(where: _Where, files: Iterable[File]) -> None:
    """No name twice, none that is also a folder, and each product in one piece."""
    seen: set[str] = set()
    folders: set[str] = set()
    done: set[tuple[str, str, int]] = set()
    last = None
    for file in files:
        if file.path in seen:
            raise where.bad(file.path, "each path once")
        seen.add(file.path)
        folders.update(str(parent) for parent in PurePosixPath(file.path).parents)
        if file.product != last and file.product in done:
            raise where.bad(f"{file.kind} {file.key}", "the files of a product together")
        done.add(file.product)
        last = file.product
    for path in seen & folders:
        raise where.bad(path, "a path that is not a folder too")


def check_site_name(what: str, name: Any) -> str:
    """Return the name of a site; raises `BadInput`."""
    if not isinstance(name, str) or not SITE_NAME.fullmatch(name):
        raise BadInput(what, found=repr(name)[:_LONGEST], expected="the name of a site")
    return name
