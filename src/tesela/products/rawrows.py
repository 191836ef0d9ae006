"""Where the rows of a raw frame come from: the bytes of a plain file, or the FITS library.

Plain files of unsigned 16-bit integers are read by their bytes, so that one pass gives the pixels
and the sum that CHECKSUM and DATASUM state. Everything else goes through the library. Pixels of
other types, where they are allowed, come out as float32, what is no finite number as NaN.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import fitsio
import numpy as np
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products.files import plain_name
from tesela.products.rawparts import ANY, Reading, Stacked, stacked_cards

_CHUNK_ROWS = 256
_SHORT, _UNSIGNED_SHORT = 16, 20  # CFITSIO's codes of pixels as stored and as meant
_ALL_ONES = 0xFFFFFFFF
_EXACT = 1 << 24
"""Integers beyond it are not all float32."""
Pixels = NDArray[np.uint16] | NDArray[np.float32]
_NO_VALUES = ("COMMENT", "HISTORY")
_SUMS = ("CHECKSUM", "DATASUM")


Judge = Callable[[Mapping[str, Any], tuple[int, int]], Reading]
"""Called with the cards and (ny, nx) of the first image, before the pixels.

Returns how they are read; raises `BadInput` to refuse a file."""


class Source(Protocol):
    """An open image of (ny, nx) uint16, or float32 where that is allowed and needed."""

    header: dict[str, Any]
    shape: tuple[int, int]
    is_wide: bool
    """Whether pixels may be other than 16-bit integers."""

    def rows(self, y0: int, y1: int) -> Pixels:
        """Rows [y0, y1), not checked."""

    def whole(self) -> Pixels:
        """All rows, checked."""

    def check(self) -> None:
        """Raise `BadInput` if the content is not what a camera writes or what its sums state."""


def open_source(
    path: Path, stack: contextlib.ExitStack, judge: Judge | None, *, unpack: bool
) -> Source:
    """Open the first image of a file, or as many as the camera writes, until `stack` ends.

    `unpack` writes a gzipped file to a temporary one first; otherwise the library holds all of it
    in memory. Raises `BadInput` if there is no two-dimensional image, or as many alike as the
    camera does not write.
    """
    is_gzip = path.name.casefold().endswith(".gz")
    if is_gzip and unpack:
        copy = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".fits"))  # noqa: SIM115 - the stack closes it
        with gzip.open(path) as packed:
            shutil.copyfileobj(packed, copy, 1 << 20)
        copy.flush()
        name = copy.name
    else:
        name = stack.enter_context(plain_name(path))
    opened = stack.enter_context(contextlib.closing(fitsio.FITS(name)))
    images = [h for h in opened if h.has_data() and h.get_exttype() == "IMAGE_HDU"]
    alike = [h for h in images if h.get_dims() == images[0].get_dims()]
    is_several = len(alike) > 1
    if not images or len(images[0].get_dims()) != 2:
        raise BadInput(
            path.name,
            found="no two-dimensional image",
            expected="a raw frame in the first image extension",
            do="check what the camera wrote",
        )
    parts = [_Library(path, opened, hdu) for hdu in alike]
    first = parts[0]
    header = stacked_cards([one.header for one in parts]) if is_several else first.header
    reading = judge(header, first.shape) if judge is not None else Reading()
    if reading.images not in (ANY, len(parts)):
        _refuse_number(path, len(parts), reading.images)
    for one in parts:
        one.is_wide, one.is_part = reading.floats, is_several
    if is_several:
        return Stacked(parts)
    info = images[0].get_info()
    is_plain = (info["img_type"], info["img_equiv_type"]) == (_SHORT, _UNSIGNED_SHORT)
    if (is_gzip and not unpack) or images[0].is_compressed() or not is_plain:
        return first
    source = _Plain(path, opened, images[0], Path(name))
    opened.close()
    stack.callback(os.close, source.descriptor)
    return source


def _refuse_number(path: Path, found: int, wanted: int) -> None:
    # Taking the first would lose the other CCDs of an exposure without a word.
    raise BadInput(
        path.name,
        found=f"{found} images of one size",
        expected="one file a CCD" if wanted == 1 else f"{wanted}, one an output",
        do="split it, and end the name of each file with - and its CCD; if they are the outputs of "
        "one CCD, say images = their number in the camera's description",
    )


class _Library:
    """Through CFITSIO: compressed images, images in memory, other types of pixel."""

    def __init__(self, path: Path, opened: Any, hdu: Any) -> None:
        self.path, self._hdu = path, hdu
        self.header = _cards(hdu, opened[0])
        ny, nx = hdu.get_dims()
        self.shape = int(ny), int(nx)
        self.is_wide = self.is_part = False
        self._stored = hdu.get_info()["img_equiv_type"]

    def rows(self, y0: int, y1: int) -> Pixels:
        if y0 == y1:
            return self._given(np.empty((0, self.shape[1]), np.uint16))
        return self._given(self._hdu[y0:y1, :])

    def whole(self) -> Pixels:
        self._refuse_wrong_checksum()
        pixels = self._hdu.read()
        seen = _Seen(self.path, is_wide=self.is_wide, is_part=self.is_part)
        seen.add(pixels)
        seen.judge()
        return self._given(pixels)

    def _given(self, pixels: NDArray[Any]) -> Pixels:
        if not self.is_wide or self._stored == _UNSIGNED_SHORT:
            return np.ascontiguousarray(pixels, np.uint16)
        with np.errstate(over="ignore"):  # a double too large for a float is infinite, so NaN
            numbers = np.ascontiguousarray(pixels, np.float32)
        if pixels.dtype.kind == "f":
            numbers[~np.isfinite(numbers)] = np.nan
        return numbers

    def check(self) -> None:
        self._refuse_wrong_checksum()
        seen = _Seen(self.path, is_wide=self.is_wide, is_part=self.is_part)
        for y0, y1 in _chunks(self.shape[0]):
            seen.add(self._hdu[y0:y1, :])
        seen.judge()

    def _refuse_wrong_checksum(self) -> None:
        if "DATASUM" not in self.header:
            return
        try:
            self._hdu.verify_checksum()
        except (OSError, ValueError, RuntimeError) as error:
            _refuse_sum(self.path, " ".join(str(error).split()), error)


class _Plain:
    """Big-endian integers with an offset of 32768, as they lie in the file."""

    def __init__(self, path: Path, opened: Any, hdu: Any, place: Path) -> None:
        self.path = path
        self.is_wide = False  # nor need it be
        self.header = _cards(hdu, opened[0])
        ny, nx = hdu.get_dims()
        self.shape = int(ny), int(nx)
        places = hdu.get_offsets()
        self._start, self._header_start = int(places["data_start"]), int(places["header_start"])
        self.descriptor = os.open(place, os.O_RDONLY)

    def rows(self, y0: int, y1: int) -> NDArray[np.uint16]:
        pixels = np.empty((y1 - y0, self.shape[1]), np.uint16)
        self._read(pixels, y0)
        _to_native(pixels)
        return pixels

    def whole(self) -> NDArray[np.uint16]:
        pixels = np.empty(self.shape, np.uint16)
        self._pass(pixels[y0:y1] for y0, y1 in _chunks(self.shape[0]))
        return pixels

    def check(self) -> None:
        chunk = np.empty((min(_CHUNK_ROWS, self.shape[0]), self.shape[1]), np.uint16)
        self._pass(chunk[: y1 - y0] for y0, y1 in _chunks(self.shape[0]))

    def _pass(self, parts: Iterator[NDArray[np.uint16]]) -> None:
        """Fill the parts, in order, with all rows and judge them."""
        seen, total, y0 = _Seen(self.path), 0, 0
        for part in parts:
            self._read(part, y0)
            if "DATASUM" in self.header:
                total = _added(total, part.reshape(-1).view(np.uint8), 2 * y0 * self.shape[1])
            _to_native(part)
            seen.add(part)
            y0 += len(part)
        if "DATASUM" in self.header:
            self._compare(total)
        seen.judge()

    def _read(self, pixels: NDArray[np.uint16], y0: int) -> None:
        whole = memoryview(pixels.reshape(-1).view(np.uint8).data)
        place = self._start + 2 * y0 * self.shape[1]
        done = 0
        while done < len(whole):
            got = os.preadv(self.descriptor, [whole[done:]], place + done)
            if not got:
                raise OSError(f"the file ends {len(whole) - done} bytes too early")
            done += got

    def _compare(self, total: int) -> None:
        stated = str(self.header["DATASUM"]).strip()
        if stated and stated != str(total):
            _refuse_sum(self.path, f"DATASUM = {stated}, the pixels give {total}", None)
        if not str(self.header.get("CHECKSUM", "")).strip():
            return
        head = os.pread(self.descriptor, self._start - self._header_start, self._header_start)
        if _added(total, np.frombuffer(head, np.uint8), 0) not in (0, _ALL_ONES):
            _refuse_sum(self.path, "CHECKSUM is not that of header and pixels", None)


class _Seen:
    """What the pixels of an image are, as they pass."""

    def __init__(self, path: Path, *, is_wide: bool = False, is_part: bool = False) -> None:
        self._path, self._type = path, np.dtype(np.uint16)
        self._is_wide, self._is_part = is_wide, is_part
        self._low, self._high = math.inf, -math.inf

    def add(self, pixels: NDArray[Any]) -> None:
        self._type = pixels.dtype
        if pixels.dtype.kind == "f":
            pixels = pixels[np.isfinite(pixels)]
        if pixels.size and pixels.dtype.kind in "iuf":
            self._low = min(self._low, pixels.min().item())
            self._high = max(self._high, pixels.max().item())

    def judge(self) -> None:
        """Raise `BadInput` unless they are those of an exposed frame, in the type allowed."""
        is_integer, is_float = self._type.kind in "iu", self._type.kind == "f"
        found = f"pixels of type {self._type.name}"
        is_even = self._low >= self._high
        if is_even and self._is_part and (is_integer or self._is_wide):
            return  # an output may be dead: the others are not
        if (is_integer or (is_float and self._is_wide)) and is_even:
            raise BadInput(
                self._path.name,
                found=f"every pixel is {self._low}" if self._low == self._high else "no number",
                expected="an exposed or read-out frame",
                do="check the read-out of that exposure",
            )
        if is_integer:
            low, high = (-_EXACT, _EXACT) if self._is_wide else (0, 65535)
            if low <= self._low and self._high <= high:
                return
            found = f"pixels from {self._low} to {self._high}"
        elif is_float and self._is_wide:
            return
        raise BadInput(
            self._path.name,
            found=found,
            expected="integers below 16 million, or floats"
            if self._is_wide
            else "unsigned 16-bit integers as a camera writes them",
            do="ingest raw frames only: processed images do not come in here; if the camera writes"
            " such frames, say float_pixels = true in its description",
        )


def _chunks(ny: int) -> Iterator[tuple[int, int]]:
    return ((y, min(y + _CHUNK_ROWS, ny)) for y in range(0, ny, _CHUNK_ROWS))


def _to_native(pixels: NDArray[np.uint16]) -> None:
    """From big-endian signed with an offset to native unsigned, in place."""
    if np.little_endian:
        pixels.byteswap(inplace=True)
    pixels ^= np.uint16(0x8000)


def _added(total: int, content: NDArray[np.uint8], place: int) -> int:
    """The FITS checksum `total` of what came before with `content`, which begins at `place`.

    Ones' complement addition of big-endian 32-bit words.
    """
    lead, tail = place % 4, -(place + content.size) % 4
    if lead or tail:
        content = np.concatenate([np.zeros(lead, np.uint8), content, np.zeros(tail, np.uint8)])
    return _folded(total + int(content.view(">u4").sum(dtype=np.uint64)))


def _folded(number: int) -> int:
    while number >> 32:
        number = (number & _ALL_ONES) + (number >> 32)
    return number


def _refuse_sum(path: Path, found: str, error: Exception | None) -> None:
    raise BadInput(
        path.name,
        found=f"{found}: the content contradicts CHECKSUM or DATASUM",
        expected="the checksum that the file states",
        do="copy it again from the telescope",
    ) from error


def _cards(hdu: Any, primary: Any) -> dict[str, Any]:
    """Those of the primary and of the image, whose sums are its own alone."""
    cards: dict[str, Any] = {}
    for part, left_out in ((primary, (*_NO_VALUES, *_SUMS)), (hdu, _NO_VALUES)):
        for record in part.read_header().records():
            name = record.get("name")
            if name and name not in left_out:
                cards[str(name).upper()] = record["value"]
    return cards
