"""Reading and writing files so that a crash never leaves half of one.

Writers make the whole file under the name they are given (a temporary one), flush it to the disk
and only then return; `publish` gives it its final name and never overwrites.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import struct
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tesela.errors import ProductError

Card = tuple[str, Any, str]
"""Keyword, value, comment."""

_STRUCTURAL = re.compile(
    r"^(SIMPLE|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|XTENSION|TFIELDS|T(FORM|TYPE|UNIT|DIM|NULL|SCAL"
    r"|ZERO)\d+|BSCALE|BZERO|EXTNAME|CHECKSUM|DATASUM|Z(IMAGE|TENSION|BITPIX|NAXIS\d*|TILE\d+|"
    r"CMPTYPE|NAME\d+|VAL\d+|PCOUNT|GCOUNT|QUANTIZ|DITHER0|SIMPLE|EXTEND|BLANK|HECKSUM|DATASUM)|"
    r"THEAP|COMMENT|HISTORY|CONTINUE|LONGSTRN|)$"
)

_EXPRESSION = re.compile(r"[\[\](){}]")


@dataclass
class Hdu:
    """One extension: an image array or a table (structured array), with its cards."""

    name: str
    data: NDArray[Any]
    cards: Sequence[Card] = ()
    compress: bool = False
    """Tile compression: lossless for integers; for floats `step` says how coarse."""
    step: float = 0.0
    """Floats are stored in multiples of this, dithered so that means keep their value."""


@dataclass
class FitsFile:
    """What `read_fits` gives: arrays and cards by extension name."""

    data: dict[str, NDArray[Any]] = field(default_factory=dict)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_fits(path: Path, hdus: Sequence[Hdu]) -> None:
    """Write a FITS file with checksums and flush it to the disk.

    Raises `ProductError` if the name is taken.
    """
    if path.exists():
        raise ProductError(str(path), found="a file of that name", do="nothing is overwritten")
    with plain_name(path) as name, fitsio.FITS(name, "rw") as fits:
        for hdu in hdus:
            header = [_record(path, *card) for card in hdu.cards]
            if hdu.data.dtype.names:
                fits.write_table(hdu.data, extname=hdu.name, header=header)
            else:
                fits.write_image(
                    np.ascontiguousarray(hdu.data),
                    extname=hdu.name,
                    header=header,
                    **_compression(hdu),
                )
            fits[-1].write_checksum()
    sync(path)


_LONGEST_TEXT = 58
"""Letters that fit one card with any short keyword."""
_SEED = 1
"""Of the dither: the same pixels give the same bytes."""


def _compression(hdu: Hdu) -> dict[str, Any]:
    """Of whole numbers, masks above all, gzip is smaller than RICE and as fast."""
    if not hdu.compress:
        return {}
    if hdu.data.dtype.kind != "f":
        return {"compress": "gzip"}
    if not hdu.step > 0:
        return {"compress": "gzip_2", "qlevel": None}
    # A negative level is a step; a positive one would have the library measure the noise of every
    # row, which takes three times as long. The second method of dithering keeps zeros.
    return {
        "compress": "rice",
        "qlevel": -hdu.step,
        "qmethod": "SUBTRACTIVE_DITHER_2",
        "dither_seed": _SEED,
    }


def _record(path: Path, name: str, value: Any, comment: str) -> dict[str, Any]:
    """A card as the library takes it.

    The library breaks a long text of a keyword that has a space and not more than eight letters.
    """
    if " " in name and len(name) <= 8 and isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ProductError(
            f"{path.name}, card {name}",
            found=f"a text of {len(value)} letters",
            expected=f"{_LONGEST_TEXT}, or a keyword of more than eight letters",
        )
    return {"name": name, "value": _plain(value), "comment": comment}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def replace_text(path: Path, text: str) -> None:
    """Give a file new content in one step: readers see the old or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def write_jpeg(path: Path, picture: NDArray[np.uint8], quality: int = 85) -> None:
    """Write an RGB picture (h, w, 3), first row at the top, and flush it to the disk."""
    Image.fromarray(np.ascontiguousarray(picture)).save(path, "JPEG", quality=quality)
    sync(path)


def read_fits(path: Path, names: Sequence[str] | None = None) -> FitsFile:
    """Read the named extensions (all by default) and every extension's cards.

    Images come back in native byte order. Raises `ProductError` if the file is missing, damaged
    or lacks an extension.
    """
    if not path.is_file():
        raise ProductError(
            str(path),
            found="no such file",
            expected="a file of ours",
            do="`tesela audit --repair` fetches it from another site, `tesela restore` makes it "
            "again",
        )
    result = FitsFile()
    try:
        with plain_name(path) as plain, fitsio.FITS(plain) as fits:
            for hdu in fits:
                name = hdu.get_extname()
                if not name:
                    continue
                result.cards[name] = header_cards(hdu)
                if names is None or name in names:
                    result.data[name] = hdu.read()
    except (OSError, ValueError) as error:
        raise ProductError(
            str(path),
            found=str(error),
            expected="a whole FITS file",
            do="`tesela audit --checksum --repair` fetches it from another site; or move it away, "
            "and `tesela restore` makes it again",
        ) from error
    missing = set(names or ()) - set(result.data)
    if missing:
        raise ProductError(
            str(path), found=f"no extension {', '.join(sorted(missing))}", expected="our format"
        )
    return result


def image_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes (ny, nx) of the images of a file, by extension name, without their pixels.

    Raises `ProductError` if the file is missing or damaged.
    """
    try:
        with plain_name(path) as plain, fitsio.FITS(plain) as fits:
            return {
                hdu.get_extname(): tuple(hdu.get_dims())
                for hdu in fits
                if hdu.get_extname() and isinstance(hdu, fitsio.hdu.ImageHDU)
            }
    except (OSError, ValueError) as error:
        raise ProductError(str(path), found=str(error), expected="a whole FITS file") from error


def header_cards(hdu: Any) -> dict[str, Any]:
    """Cards of an open extension but for those that describe how it is stored."""
    header = hdu.read_header()
    return {
        record["name"]: record["value"]
        for record in header.records()
        if record.get("name") and not _STRUCTURAL.match(record["name"])
    }


@contextlib.contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """A name of the file without brackets, which the FITS library takes for an expression."""
    if not _EXPRESSION.search(str(path)):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "file.fits"
        link.symlink_to(path.resolve())
        yield str(link)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces of 1 MiB.

    Raises `OSError` for a pipe or device, which could be read for ever.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no regular file")
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def data_hash(arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of pixels and columns, in the order of their names; no dates, no text.

    Parameters
    ----------
    arrays : mapping
        Pixels and columns.
    numbers : mapping, optional
        What gives them their meaning, such as a zero point; taken with the 12 digits that survive
        any header. None and what is not finite count alike.
    """
    digest = hashlib.sha256()
    for name, number in sorted((numbers or {}).items()):
        value = math.nan if number is None else float(f"{float(number):.12g}")
        finite = value if math.isfinite(value) else math.nan
        digest.update(f"{name}=".encode() + struct.pack("<d", finite))
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind == "O":
            array = array.astype("U")
        little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        digest.update(f"{name}:{little.dtype.str}:{little.shape};".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, so that their names outlive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync(path.parent)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its final name, atomically, refusing to overwrite.

    If the final name already is this very file (a crash came between the two steps), it is kept.
    """
    make_folder(final.parent)
    try:
        os.link(temporary, final)
    except FileExistsError:
        if not temporary.samefile(final):
            raise ProductError(
                str(final), found="a file of that name", do="nothing is overwritten"
            ) from None
    sync(final.parent)
    temporary.unlink()


@contextlib.contextmanager
def atomic_copy_target(final: Path) -> Iterator[Path]:
    """A temporary name beside `final`; published when the block ends well, removed otherwise."""
    make_folder(final.parent)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield temporary
        sync(temporary)
        publish(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def quiet_fits() -> Iterator[None]:
    """Foreign headers are full of small sins; those that matter are checked by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
