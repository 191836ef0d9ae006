"""New files of a folder, each given once, when it is complete: never half of one.

Looking again and again works on every file system; notices of the kernel do not come from the
machine that writes to a shared disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tesela.products.complete import is_being_written, is_whole
from tesela.products.rawfile import looks_like_fits

Known = Callable[[list[Path]], set[Path]]
"""Of files that were there before, those that need not be looked at."""


@dataclass(frozen=True)
class Waits:
    """How long a file is waited for."""

    settle_s: float = 1.0
    """It has not changed for this long."""
    give_up_s: float = 120.0
    """One that is not whole and has not changed for this long is told of, and watched on."""
    poll_s: float = 0.5
    """Between two looks at the folder."""


@dataclass(frozen=True)
class Arrival:
    """A file that is complete, or that was given up: then `problem` says why."""

    path: Path
    mtime: float
    """Unix time of its last change: when it was closed."""
    problem: str = ""


@dataclass
class _Pending:
    """A file as it was last seen."""

    size: int
    mtime: float
    since: float
    """When it was first seen so, by our own clock."""
    given_up: bool = False


@dataclass
class Arrivals:
    """The FITS files of a folder and those below it, or files that were named.

    Parameters
    ----------
    folder : Path or None
    files : tuple of Path
    known : function
        Asked once, of the files that the folder holds at the first look.
    """

    folder: Path | None = None
    files: tuple[Path, ...] = ()
    known: Known = lambda _: set()
    waits: Waits = field(default_factory=Waits)
    clock: Callable[[], float] = time.monotonic
    _done: set[Path] = field(default_factory=set)
    _pending: dict[Path, _Pending] = field(default_factory=dict)
    _is_first: bool = True

    def poll(self) -> list[Arrival]:
        """Look once; files that became complete, or were given up, since the last look."""
        present = [path for path in self._present() if path not in self._done]
        if self._is_first:
            self._is_first = False
            old = self.known([path for path in present if path not in self.files])
            self._done |= old
            present = [path for path in present if path not in old]
        for gone in self._pending.keys() - set(present):
            del self._pending[gone]  # removed or renamed while it was written: it never came
        found = [self._judge(path) for path in present]
        return [arrival for arrival in found if arrival is not None]

    @property
    def waiting(self) -> int:
        """Files that are there and neither complete nor given up."""
        return sum(not one.given_up for one in self._pending.values())

    def _present(self) -> Iterator[Path]:
        yield from self.files
        if self.folder is not None:
            yield from _files_below(self.folder)

    def _judge(self, path: Path) -> Arrival | None:
        now = self.clock()
        try:
            found = path.stat()
        except OSError as error:
            return self._passed_over(path, f"cannot be read: {error.strerror or error}")
        if not stat.S_ISREG(found.st_mode):
            # Opening a pipe waits for whoever writes into it: for ever, if nobody does.
            return self._passed_over(path, "not a regular file")
        seen = self._pending.get(path)
        if seen is None or (seen.size, seen.mtime) != (found.st_size, found.st_mtime):
            self._pending[path] = _Pending(found.st_size, found.st_mtime, now)
            return None
        quiet_s = now - seen.since
        if quiet_s < self.waits.settle_s or seen.given_up:
            return None
        if self._is_complete(path, found):
            del self._pending[path]
            self._done.add(path)
            return Arrival(path, found.st_mtime)
        if quiet_s < self.waits.give_up_s:
            return None
        seen.given_up = True  # should it change after all, it is looked at again
        problem = f"not whole: {found.st_size} bytes, unchanged for {quiet_s:.0f} s"
        return Arrival(path, found.st_mtime, problem)

    def _passed_over(self, path: Path, problem: str) -> Arrival | None:
        """Of a folder a file may go as it came, or be none; one that was named is missed."""
        self._pending.pop(path, None)
        if path not in self.files:
            return None
        self._done.add(path)
        return Arrival(path, 0.0, problem)

    def _is_complete(self, path: Path, found: os.stat_result) -> bool:
        """Whether it is whole, closed, and still what it was before that was looked up."""
        try:
            if not is_whole(path) or is_being_written(path):
                return False
            again = path.stat()
        except OSError:
            return False
        return (again.st_size, again.st_mtime) == (found.st_size, found.st_mtime)


_HIDDEN: Final = "."


def _files_below(folder: Path) -> Iterator[Path]:
    """FITS files of a folder and its folders by name, without asking for anything but names."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # a disk that is away for a moment
    for entry in entries:
        if entry.name.startswith(_HIDDEN):
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(Path(entry.path))
            elif looks_like_fits(Path(entry.name)):
                yield Path(entry.path)


def newest_first(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """The order in which an observer wants to see them."""
    return sorted(arrivals, key=lambda arrival: -arrival.mtime)
