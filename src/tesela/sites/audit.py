"""The audit: is every file there, of the right size, and of the right checksum?

    for fault in Audit(here, checksum=True).faults():
        ...

Nothing is changed: `repair` and `orphans` do that.
"""

from __future__ import annotations

import concurrent.futures as cf
import hashlib
import itertools
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tesela.ledger.products import File
from tesela.products.files import sha256_of
from tesela.sites.expected import Choice, Expected, expected, files_of
from tesela.sites.installation import Installation
from tesela.sites.manifest import RAW

Progress = Callable[[int], None]
"""Called with the number of products that were looked at."""
MISSING, SIZE, CHECKSUM, UNREADABLE = "missing", "size", "checksum", "unreadable"
_WINDOW: Final = 64
"""Products that threads hash at a time."""


@dataclass(frozen=True)
class Fault:
    """A file that is not as it should be."""

    kind: str
    key: str
    version: int
    path: str
    what: str
    """missing, size, checksum or unreadable."""
    found: str
    expected: str
    sha256: str
    """That it should have."""
    is_main: bool
    product_id: int | None

    def __str__(self) -> str:
        return f"{self.what}: {self.path}: {self.found}; expected {self.expected}"


class Names:
    """All paths that are known, eight bytes each: a set of them would not fit for a survey.

    Of 30 million paths one has the hash of an orphan with a chance of 2e-12; it is then overlooked.
    """

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._sorted: NDArray[np.uint64] | None = None

    def add(self, path: str) -> None:
        """Note a path."""
        self._hashes.append(_hash(path))

    def close(self) -> None:
        """All are known."""
        self._sorted = np.frombuffer(self._hashes, np.uint64)
        self._sorted.sort()  # in place: the array lends its memory

    def __contains__(self, path: object) -> bool:
        if self._sorted is None:
            self.close()
        hashes = self._sorted
        assert hashes is not None  # noqa: S101 - for the type checker
        wanted = np.uint64(_hash(str(path)))
        place = int(np.searchsorted(hashes, wanted))
        return place < len(hashes) and bool(hashes[place] == wanted)


def _hash(path: str) -> int:
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass
class Audit:
    """One look at the files of a site."""

    here: Installation
    choice: Choice = field(default_factory=Choice)
    checksum: bool = False
    """Read every byte; otherwise only sizes are compared."""
    threads: int = 2
    products: int = 0
    files: int = 0
    bytes: int = 0
    dropped: int = 0
    """Products whose files were removed on purpose: no fault."""
    unsummed: int = 0
    """Files without a checksum in the ledger."""
    names: Names = field(default_factory=Names)
    """Of all files that may be there, once `faults` has ended."""
    ended: float = 0.0
    """Unix time when all were looked at."""

    def faults(self, progress: Progress = lambda _: None) -> Iterator[Fault]:
        """Yield what is wrong, as it is found."""
        for one, its_files, found in self._checked(expected(self.here, self.choice)):
            self.products += 1
            progress(self.products)
            if one.is_dropped:
                self.dropped += 1
                self._name_dropped(one)
                continue
            for path, sha256, _ in its_files:
                self.names.add(path)
                self.unsummed += not sha256
            self.files += len(its_files)
            for fault, n_bytes in found:
                self.bytes += n_bytes
                if fault is not None:
                    yield fault
        self.ended = time.time()

    def _name_dropped(self, one: Expected) -> None:
        """What was removed may not be there again; what lies beside it, as a picture, may."""
        gone = {one.files[0][0]} if one.kind == RAW and one.files else set()
        for path, _, _ in one.files:
            if path not in gone:
                self.names.add(path)

    def _checked(
        self, items: Iterable[Expected]
    ) -> Iterator[tuple[Expected, list[File], list[tuple[Fault | None, int]]]]:
        if not self.checksum or self.threads < 2:
            yield from map(self._check, items)
            return
        items = iter(items)
        with cf.ThreadPoolExecutor(self.threads) as pool:  # hashing lets go of the interpreter
            while window := list(itertools.islice(items, _WINDOW)):
                yield from pool.map(self._check, window)

    def _check(self, one: Expected) -> tuple[Expected, list[File], list[tuple[Fault | None, int]]]:
        if one.is_dropped:
            return one, [], []
        its_files = list(files_of(self.here.folder, one))
        main = one.files[0][0]
        checked = []
        for file in its_files:
            said, n_bytes = check(self.here.folder, file, checksum=self.checksum)
            fault = None
            if said:
                what, found, wanted = said
                fault = Fault(
                    one.kind, one.key, one.version, file[0], what, found, wanted, file[1],
                    file[0] == main, one.product_id,
                )  # fmt: skip
            checked.append((fault, n_bytes))
        return one, its_files, checked


def check(site: Path, file: File, *, checksum: bool) -> tuple[tuple[str, str, str] | None, int]:
    """Look at one file: (what, found, expected) if it is not as it should be, and its bytes."""
    path, sha256, size = file
    try:
        there = (site / path).stat()
        if not stat.S_ISREG(there.st_mode):
            return (UNREADABLE, "no regular file", "a file"), 0
        if size and there.st_size != size:
            return (SIZE, f"{there.st_size} bytes", f"{size} bytes"), there.st_size
        if checksum and sha256 and (found := sha256_of(site / path)) != sha256:
            return (CHECKSUM, f"sha256 {found[:12]}", sha256[:12]), there.st_size
    except FileNotFoundError:
        return (MISSING, "no such file", "a file"), 0
    except OSError as error:
        return (UNREADABLE, error.strerror or str(error), "a file that can be read"), 0
    return None, there.st_size
