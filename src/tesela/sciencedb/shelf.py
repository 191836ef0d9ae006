"""The folder of all releases: which there are, which are served, and the switch between them.

`published.json` names the served releases, the latest first. It is replaced by renaming a finished
file, so whoever reads it sees either the old state or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from tesela.errors import BadInput, ProductError
from tesela.products import files
from tesela.sciencedb.model import FILE
from tesela.sciencedb.release import Release

PUBLISHED = "published.json"
KEPT = 2
"""So many releases are served at a time."""
LATEST = "latest"
RESERVED = frozenset({LATEST, "static", "theme", "robots.txt", "favicon.ico"})
"""First parts of addresses that servers use for something else than a release."""
SUFFIXES = (".json", ".lock", ".part")
"""Ends of names of files that lie beside the releases."""
Identity = tuple[int, int]
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


def _allowed(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in RESERVED and not name.endswith(SUFFIXES)


def check_name(name: str) -> str:
    """Return the name if a release may be called so."""
    if not _allowed(name):
        raise BadInput(
            f"release {name!r}",
            found="not a name of a release",
            expected="up to 32 of a-z, 0-9, '_', '.', '-', the first a letter or digit, "
            f"the end none of {', '.join(SUFFIXES)}, and not {', '.join(sorted(RESERVED))}",
        )
    return name


class Shelf:
    """Releases in a folder; nothing is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Complete releases, the oldest first."""
        found = [
            path.parent.name for path in self.folder.glob(f"*/{FILE}") if _allowed(path.parent.name)
        ]
        return sorted(found, key=lambda name: (_created(self.folder / name / FILE), name))

    def path(self, name: str) -> Path:
        """Folder of a release; `BadInput` with the known names if there is none."""
        check_name(name)
        if not (self.folder / name / FILE).is_file():
            raise BadInput(
                f"release {name!r}",
                found="no such release",
                expected=", ".join(self.names()) or "a release: none has been built yet",
            )
        return self.folder / name

    def published(self) -> list[str]:
        """Names of the served releases, the latest first."""
        path = self.folder / PUBLISHED
        try:
            names = json.loads(path.read_text(encoding="utf-8"))["published"]
            return [check_name(name) for name in names]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, LookupError, BadInput) as error:
            raise ProductError(
                str(path),
                found=str(error),
                expected="names of releases",
                do="remove the file, publish again",
            ) from error

    def with_published(self, name: str) -> list[str]:
        """Names that would be served if `name` were published.

        Raises
        ------
        BadInput
            There is no such release.
        ProductError
            It does not open or has another name.
        """
        opened = Release.open(self.path(name))
        opened.close()
        if opened.model.name != name:
            raise ProductError(
                str(self.folder / name),
                found=f"release {opened.model.name}",
                expected="a folder of the release's name",
                do="do not rename releases",
            )
        return [name, *(n for n in self.published() if n != name)][:KEPT]

    def without_published(self, name: str) -> list[str]:
        """Names that would be served if `name` were withdrawn; `BadInput` if it is not served."""
        served = self.published()
        if name not in served:
            raise BadInput(
                f"release {name!r}", found="not published", expected=", ".join(served) or "none is"
            )
        return [n for n in served if n != name]

    def publish(self, name: str) -> list[str]:
        """Serve a release as the latest; the one before stays. Return the new list.

        Raises as `with_published`: nothing changes then.
        """
        with self._alone():
            return self._switch(self.with_published(name))

    def withdraw(self, name: str) -> list[str]:
        """Serve a release no more. Return the new list."""
        with self._alone():
            return self._switch(self.without_published(name))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for whoever changes the list now: two at once would lose what one of them did."""
        with (self.folder / f".{PUBLISHED}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # the system lets go of it however we end
            yield

    def _switch(self, names: list[str]) -> list[str]:
        text = json.dumps({"published": names}) + "\n"
        files.replace_text(self.folder / PUBLISHED, text)
        return names


def _created(path: Path) -> str:
    """When a release was made; empty for a damaged one, which says so when it is opened."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["created"])
    except (OSError, ValueError, TypeError, LookupError):
        return ""


class Served:
    """The published releases, opened when first asked for; threads may share it.

    A new `published.json` is noticed at the next call. A release that it names no more is let go
    and closes when the last request that holds it, or an answer of it, has ended.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._lock = threading.Lock()
        self._seen: Identity | None = None
        self._names: list[str] = []
        self._open: dict[str, tuple[Identity | None, Release]] = {}

    def names(self) -> list[str]:
        """Names of the served releases, the latest first."""
        with self._lock:
            self._look()
            return list(self._names)

    def get(self, name: str = LATEST) -> Release:
        """Return a published release, by its name or as `latest`.

        Raises
        ------
        BadInput
            It is not published: the message names those that are.
        ProductError
            It is damaged, or its folder is gone.
        """
        with self._lock:
            self._look()
            if name == LATEST and self._names:
                name = self._names[0]
            if name not in self._names:
                raise BadInput(
                    f"release {name!r}",
                    found="not published",
                    expected=", ".join(self._names) or "a release: none is published yet",
                )
            if name not in self._open:
                folder = self._folder(name)
                self._open[name] = (_identity(folder / FILE), Release.open(folder))
            return self._open[name][1]

    def _folder(self, name: str) -> Path:
        """Folder of a published release; that it is gone is the server's fault."""
        try:
            return self.shelf.path(name)
        except BadInput as error:
            raise ProductError(
                str(self.shelf.folder / name),
                found="no such release, though it is published",
                expected="the folder of a release",
                do="put it back, or withdraw the release",
            ) from error

    def _look(self) -> None:
        """Read `published.json` if it is another than last time, and let go what is served no more.

        A release that was withdrawn, built anew and published under its old name is another one.
        """
        seen = _identity(self.shelf.folder / PUBLISHED)
        if seen == self._seen and seen is not None:
            return
        self._names = self.shelf.published()
        self._open = {
            name: kept
            for name, kept in self._open.items()
            if name in self._names and kept[0] == _identity(self.shelf.folder / name / FILE)
        }
        self._seen = seen


def _identity(path: Path) -> Identity | None:
    """What tells a file from one that replaced it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
