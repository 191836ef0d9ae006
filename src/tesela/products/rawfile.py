"""Reading raw frames as telescopes write them: plain, gzipped or tile-compressed FITS."""

from __future__ import annotations

import gzip
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tesela.errors import BadInput
from tesela.products.rawparts import ANY, Reading
from tesela.products.rawrows import Judge, Pixels, Source, open_source

_SUFFIXES = (".fits.fz", ".fits.gz", ".fit.gz", ".fits", ".fit", ".fts")
_LONGEST = 120
"""Characters of what a library says of a file."""


def frame_name(path: Path) -> str:
    """Name of the frame: that of the file without its FITS ending."""
    lower = path.name.casefold()
    for suffix in _SUFFIXES:
        if lower.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def looks_like_fits(path: Path) -> bool:
    """Whether the name ends as FITS files do."""
    return path.name.casefold().endswith(_SUFFIXES)


def known(reading: Reading) -> Judge:
    """The judge of a frame whose camera is known and that was taken in before."""
    return lambda _header, _shape: reading


def whatever(_header: Mapping[str, Any], _shape: tuple[int, int]) -> Reading:
    """The judge who takes all: to look at a frame, whoever's it is."""
    return Reading(floats=True, images=ANY)


def read(path: Path, judge: Judge | None = None) -> tuple[dict[str, Any], Pixels]:
    """Cards and pixels of the first two-dimensional image of a file, or of all its outputs.

    Returns the cards by name (HIERARCH without that word) and the pixels as (ny, nx) uint16; or,
    where `judge` allows it and they are of another type, float32 with NaN for what is no number.
    `judge` sees cards and size before a pixel is read, so that a header that
    claims a huge image costs neither time nor memory. Raises `BadInput` if the file is empty, no
    FITS, truncated, damaged, without an image, or of another type of pixel.
    """
    with _opened(path, judge, unpack=False) as rows:
        return rows.header, rows.read()


def open_rows(path: Path, judge: Judge | None = None) -> AbstractContextManager[RawRows]:
    """A raw frame, opened once to be read whole and by bands of rows, closed at the end.

    A gzipped file, which has no rows to jump to, is unpacked once into the folder for temporary
    files. Raises `BadInput` as `read` does; what only the pixels can tell is told when the first of
    them are read.
    """
    return _opened(path, judge, unpack=True)


@contextmanager
def _opened(path: Path, judge: Judge | None, *, unpack: bool) -> Iterator[RawRows]:
    _refuse_what_is_no_fits(path)
    with ExitStack() as stack:
        with _told_as_damage(path):
            source = open_source(path, stack, judge, unpack=unpack)
        yield RawRows(path, source)


class RawRows:
    """The rows of an open raw frame: `rows[y0:y1]` reads them, native, uint16 (or float32, as of
    `read`).

    No pixel leaves it unchecked: the whole image is read once to be compared with CHECKSUM and
    DATASUM, with no second pass where the first slice is the whole image of an uncompressed file.
    Memory: the slice alone.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self.header = source.header
        self.shape = source.shape
        """(ny, nx)."""
        self._source = source
        self._is_checked = False

    def read(self) -> Pixels:
        """The whole image."""
        with _told_as_damage(self.path):
            if self._is_checked:
                return self._source.rows(0, self.shape[0])
            pixels = self._source.whole()
        self._is_checked = True
        return pixels

    def __getitem__(self, rows: slice) -> Pixels:
        """Rows [y0, y1) as (y1 - y0, nx)."""
        y0, y1, step = rows.indices(self.shape[0])
        if step != 1:
            raise IndexError(f"rows with a step of {step}: they are read in order, one by one")
        if (y0, y1) == (0, self.shape[0]):
            return self.read()
        with _told_as_damage(self.path):
            if not self._is_checked:
                self._source.check()
                self._is_checked = True
            return self._source.rows(y0, max(y0, y1))


@contextmanager
def _told_as_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise BadInput(
            path.name,
            found="truncated or damaged file",
            expected="a whole FITS file",
            do=f"copy it again from the telescope ({_last_words(error)})",
        ) from error


def _last_words(error: Exception) -> str:
    """What was said of a file that cannot be read: of FITSIO its errors, without the notes of its
    inner functions; whole words."""
    said = [
        line.partition(": ")[2]
        for line in str(error).splitlines()
        if line.startswith("FITSIO status")
    ]
    words = ", ".join(dict.fromkeys(said)) or str(error) or type(error).__name__
    return textwrap.shorten(words, _LONGEST, placeholder=" ...")


def _refuse_what_is_no_fits(path: Path) -> None:
    if not path.is_file():
        raise BadInput(path.name, found="no such file", expected="a FITS file", do="check the path")
    if path.stat().st_size == 0:
        raise BadInput(path.name, found="an empty file", expected="a FITS file", do="copy it again")
    try:
        opener = gzip.open if path.name.casefold().endswith(".gz") else open
        with opener(path, "rb") as handle:
            start = handle.read(2880)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(
            path.name,
            found=f"unreadable file ({error})",
            expected="a FITS file",
            do="copy it again",
        ) from error
    if not start.startswith(b"SIMPLE  ="):
        raise BadInput(
            path.name,
            found=f"a file that begins with {start[:8]!r}",
            expected="a FITS file, which begins with SIMPLE",
            do="remove it from the folder or convert it",
        )
    if len(start) < 2880:
        raise BadInput(
            path.name,
            found=f"truncated file: {len(start)} bytes",
            expected="a whole FITS file",
            do="copy it again from the telescope",
        )
