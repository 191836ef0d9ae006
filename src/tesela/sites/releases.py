"""The files of a release, as it lists them itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tesela.errors import ProductError
from tesela.ledger.products import File

_SUMS = "sha256sums.txt"
"""List of the many small files of the image survey, beside them."""


def files_of(site: Path, main: File) -> Iterator[File]:
    """Yield every file of a release, `release.json` first: paths relative to the site.

    Files of its image survey have no size noted (0). Raises `ProductError` if the lists are not
    readable.
    """
    yield main
    folder = PurePosixPath(main[0]).parent
    try:
        listed = json.loads((site / main[0]).read_text(encoding="utf-8"))["files"]
        for entry in listed:
            yield str(folder / entry["path"]), str(entry["sha256"]), int(entry["size"])
        for entry in listed:
            if PurePosixPath(entry["path"]).name == _SUMS:
                yield from _summed(site, folder / entry["path"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise ProductError(
            main[0],
            found=f"{type(error).__name__}: {error}",
            expected="a release that lists its files",
            do="restore it from a copy",
        ) from error


def _summed(site: Path, sums: PurePosixPath) -> Iterator[File]:
    for line in (site / sums).read_text(encoding="utf-8").splitlines():
        sha256, _, name = line.partition("  ")
        yield str(sums.parent / name), sha256, 0
