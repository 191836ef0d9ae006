"""Whether a file is all there: FITS says in its headers how long it has to be."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK: Final = 2880
_CARD: Final = 80
_LONGEST: Final = 400
"""Blocks of a header; a longer one is none."""


def is_whole(path: Path) -> bool:
    """Whether a FITS file, plain or gzipped, ends where its own headers say, with an image in it.

    It says nothing of the pixels, and nothing of extensions that are still to come: whoever watches
    a file has to see besides that it does not grow. Raises `OSError` if it cannot be read.
    """
    if path.name.casefold().endswith(".gz"):
        # Only reading it to the end tells; a part of one ends early.
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) as packed:
            return _ends_well(packed, None)  # type: ignore[arg-type]  # it reads and seeks
        return False
    with path.open("rb") as plain:
        return _ends_well(plain, os.fstat(plain.fileno()).st_size)


def _ends_well(file: BinaryIO, size: int | None) -> bool:
    place, data = 0, 0
    while (header := _header(file)) is not None:
        cards, length = header
        n_bytes = _data_bytes(cards)
        if n_bytes is None:
            return False
        place += length + -(-n_bytes // _BLOCK) * _BLOCK
        data += n_bytes
        if size is not None and place > size:
            return False
        file.seek(place)
        if size is None and file.tell() < place:
            return False  # a seek in packed data stops at its end
    if file.tell() != place:
        return False  # a part of a header
    return data > 0 and (size is None or size == place)


def _header(file: BinaryIO) -> tuple[dict[str, str], int] | None:
    """Cards by keyword and the length in bytes; None at the end of the file, or if it ends within
    (then the place is beyond what was counted)."""
    cards: dict[str, str] = {}
    for n in range(1, _LONGEST + 1):
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            return None
        for card in _cards(block):
            name = card[:8].rstrip()
            if name == "END":
                return cards, n * _BLOCK
            if card[8:10] == "= ":
                cards.setdefault(name, card[10:].partition("/")[0].strip())
    return None


def _cards(block: bytes) -> Iterator[str]:
    text = block.decode("latin-1")
    return (text[i : i + _CARD] for i in range(0, _BLOCK, _CARD))


def _data_bytes(cards: dict[str, str]) -> int | None:
    """Bytes of the data behind a header; None if it makes no sense, as before it is finished."""
    try:
        n_axes = int(cards["NAXIS"])
        total = abs(int(cards["BITPIX"])) // 8 if n_axes else 0
        for axis in range(1, n_axes + 1):
            total *= int(cards[f"NAXIS{axis}"])
        if "XTENSION" in cards and n_axes:
            unit = abs(int(cards["BITPIX"])) // 8
            total = int(cards.get("GCOUNT", "1")) * (total + unit * int(cards.get("PCOUNT", "0")))
    except (KeyError, ValueError):
        return None
    return total if total >= 0 else None


def is_being_written(path: Path) -> bool:
    """Whether a process on this machine has the file open for writing, where that can be told.

    Other people's processes, those of other machines and systems without /proc tell nothing: False.
    """
    try:
        own = path.stat()
        processes = [entry for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return False
    return any(_writes(Path(process.path), own) for process in processes)


def _writes(process: Path, own: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for entry in os.scandir(process / "fd"):
            with contextlib.suppress(OSError):
                found = entry.stat()  # follows the link, also to a file that was renamed
                if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino):
                    flags = (process / "fdinfo" / entry.name).read_text().split("flags:")[1]
                    if int(flags.split()[0], 8) & os.O_ACCMODE != os.O_RDONLY:
                        return True
    return False
