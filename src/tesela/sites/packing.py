"""What of a product goes into a shipment, and where its files lie."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tesela.errors import BadInput, ProductError
from tesela.ledger import replicas
from tesela.ledger.products import File as Entry
from tesela.products import paths
from tesela.sites import manifest, releases
from tesela.sites.manifest import File


@dataclass(frozen=True)
class Packed:
    """A product, ready to go: its files as the manifest has them, and where each lies."""

    product_id: int
    files: tuple[File, ...]
    sources: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)


def pack(site: Path, row: Mapping[str, Any]) -> Packed:
    """Pack a product, a row of `replicas.unsent`.

    Nothing is read: a file that is not what its checksum says is found by who gets it. Raises
    `ProductError` if one is missing, of another size than was noted, or cannot be verified.
    """
    files, sources = [], []
    for path, sha256, size in _entries(site, row):
        source = site / path  # of an absolute path, that alone
        if not sha256:
            raise ProductError(
                path, found="no checksum in the ledger", expected="one, to verify copies with"
            )
        named = _name_there(path, row)
        entry = {
            "path": named, "size": _size(source, size), "sha256": sha256, "kind": row["kind"],
            "key": row["key"], "version": row["version"],
        }  # fmt: skip
        try:
            files.append(manifest.check_file(f"{row['kind']} {row['key']}", entry))
        except BadInput as error:  # no other site would take it
            raise ProductError(str(error)) from error
        sources.append(source)
    return Packed(row["id"], tuple(files), tuple(sources))


def _entries(site: Path, row: Mapping[str, Any]) -> Iterator[Entry]:
    """Files that go: of a raw frame itself alone, for its picture is made again where it comes."""
    main, *others = replicas.files_of(row)
    if row["kind"] == manifest.RELEASE:
        yield from releases.files_of(site, main)
        return
    yield main
    if row["kind"] != manifest.RAW:
        yield from others


def _name_there(path: str, row: Mapping[str, Any]) -> str:
    """The path in the manifest; a frame that stays where the camera wrote it has one too."""
    if row["kind"] == manifest.RAW and Path(path).is_absolute():
        return paths.raw(str(row["night"]), Path(path).name).as_posix()
    return path


def _size(source: Path, noted: int) -> int:
    try:
        found = source.stat()
    except OSError as error:
        raise ProductError(
            str(source), found=error.strerror or str(error), expected="a file of ours",
            do="`tesela audit --repair` fetches it from another site",
        ) from error  # fmt: skip
    if not stat.S_ISREG(found.st_mode) or (noted and found.st_size != noted):
        raise ProductError(
            str(source), found=f"{found.st_size} bytes", expected=f"a file of {noted} bytes",
            do="`tesela audit --repair` fetches it from another site",
        )  # fmt: skip
    return found.st_size
