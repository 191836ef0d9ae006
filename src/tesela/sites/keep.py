"""Where a site keeps what others send: in place by checksum, without a ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tesela.errors import BadInput, ProductError
from tesela.products import paths
from tesela.products.files import sha256_of
from tesela.sites import journal
from tesela.sites.aside import put_back, put_in_place
from tesela.sites.inside import open_inside
from tesela.sites.manifest import RELEASE, File


class Keeper(Protocol):
    """Keeps the files of a product; they were hashed, and are what the manifest says."""

    def keep(self, sender: str, files: Sequence[File], folder: Path) -> list[str]:
        """Keep a product whose files lie below `folder`; returns their paths, relative to the site.

        Raises `BadInput` if it is not taken for a reason that stays, `OSError` if it may be taken
        later (no room, a disk for reading only).
        """

    def place(self, sender: str, file: File) -> str:
        """Where a file is kept that was taken before, relative to the site; '' if it was not."""


class Places:
    """Keeps files under their own relative path, and overwrites none.

    A site with a ledger keeps apart, in `copies/SENDER`, what it did not make: the names of its own
    products are its own. Releases have their place on every shelf.
    """

    def __init__(self, site: Path, *, apart: bool) -> None:
        self.site, self.apart = site, apart

    def keep(self, sender: str, files: Sequence[File], folder: Path) -> list[str]:
        """Put each file in place, the main one last: who finds that finds the others too."""
        main, *others = files
        for file in (*others, main):
            self._put(self.place(sender, file), file, folder)
        return [self.place(sender, file) for file in files]

    def place(self, sender: str, file: File) -> str:
        """The path of the file at its origin, below `copies/SENDER` where that is asked for."""
        if self.apart and file.kind != RELEASE:
            return (paths.copies(sender) / file.path).as_posix()
        return file.path

    def _put(self, place: str, file: File, folder: Path) -> None:
        final = self.site / place
        if os.path.lexists(final):
            if final.is_symlink() or not final.is_file():
                raise _taken(place)
            if sha256_of(final) != file.sha256:
                self._mend(place, file, folder)
            return
        try:
            with open_inside(folder, file.path) as source:
                put_in_place(self.site, place, source, file.sha256)
        except (ProductError, FileExistsError, NotADirectoryError) as error:
            # It changed between hashing and copying, or another was faster.
            raise BadInput(place, found=str(error), do="nothing was overwritten") from error

    def _mend(self, place: str, file: File, folder: Path) -> None:
        """Put a sound copy in the place of one that we verified once and that is damaged since."""
        if not journal.is_kept(self.site, place, file.sha256):
            raise _taken(place)
        with open_inside(folder, file.path) as source:
            put_back(self.site, place, source, file.sha256)


class ByKind:
    """Hands each product to the keeper of its kind."""

    def __init__(self, keepers: Mapping[str, Keeper], others: Keeper) -> None:
        self.keepers, self.others = keepers, others

    def keep(self, sender: str, files: Sequence[File], folder: Path) -> list[str]:
        """As its keeper does."""
        return self._of(files[0]).keep(sender, files, folder)

    def place(self, sender: str, file: File) -> str:
        """As its keeper says."""
        return self._of(file).place(sender, file)

    def _of(self, file: File) -> Keeper:
        return self.keepers.get(file.kind, self.others)


def _taken(place: str) -> BadInput:
    return BadInput(
        place,
        found="another file of that name",
        expected="none, or the very same",
        do="nothing was overwritten",
    )
