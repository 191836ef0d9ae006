"""Reading raw frames as telescopes write them: plain, gzipped or tile-compressed FITS."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products.files import plain_name

Judge = Callable[[Mapping[str, Any], tuple[int, int]], None]
"""Called with the cards and (ny, nx); raises `BadInput` to refuse a file before its pixels."""

_SUFFIXES = (".fits.fz", ".fits.gz", ".fit.gz", ".fits", ".fit", ".fts")


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


def read(path: Path, judge: Judge | None = None) -> tuple[dict[str, Any], NDArray[np.uint16]]:
    """Cards and pixels of the first two-dimensional image of a file.

    Returns the cards by name (HIERARCH without that word) and the pixels as
    (ny, nx) uint16. `judge` sees cards and size before a pixel is read, so that a header that
    claims a huge image costs neither time nor memory. Raises `BadInput` if the file is empty, no
    FITS, truncated, damaged, without an image, or of another type of pixel.
    """
    _refuse_what_is_no_fits(path)
    try:
        with plain_name(path) as name, fitsio.FITS(name) as fits:
            hdu = next((h for h in fits if h.has_data() and h.get_exttype() == "IMAGE_HDU"), None)
            if hdu is None or len(hdu.get_dims()) != 2:
                raise BadInput(
                    path.name,
                    found="no two-dimensional image",
                    expected="a raw frame in the first image extension",
                    do="check what the camera wrote",
                )
            header = _cards(hdu, fits[0])
            if judge is not None:
                ny, nx = hdu.get_dims()
                judge(header, (ny, nx))
            _refuse_wrong_checksum(path, hdu, header)
            pixels = hdu.read()
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            path.name,
            found=f"truncated or damaged file ({reason[:120]})",
            expected="a whole FITS file",
            do="copy it again from the telescope",
        ) from error
    return header, _as_uint16(path, pixels)


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


def _cards(hdu: Any, primary: Any) -> dict[str, Any]:
    cards: dict[str, Any] = {}
    for part in (primary, hdu):
        for record in part.read_header().records():
            name = record.get("name")
            if name and name not in ("COMMENT", "HISTORY"):
                cards[str(name).upper()] = record["value"]
    return cards


def _refuse_wrong_checksum(path: Path, hdu: Any, header: dict[str, Any]) -> None:
    if "DATASUM" not in header:
        return
    try:
        hdu.verify_checksum()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            path.name,
            found=f"{' '.join(str(error).split())}: the content contradicts CHECKSUM or DATASUM",
            expected="the checksum that the file states",
            do="copy it again from the telescope",
        ) from error


def _as_uint16(path: Path, pixels: NDArray[Any]) -> NDArray[np.uint16]:
    if pixels.dtype.kind in "iu" and pixels.size:
        low, high = int(pixels.min()), int(pixels.max())
        if low == high:
            raise BadInput(
                path.name,
                found=f"every pixel is {low}",
                expected="an exposed or read-out frame",
                do="check the read-out of that exposure",
            )
        if low >= 0 and high <= 65535:
            return np.ascontiguousarray(pixels, dtype=np.uint16)
        found = f"pixels from {low} to {high}"
    else:
        found = f"pixels of type {pixels.dtype.name}"
    raise BadInput(
        path.name,
        found=found,
        expected="unsigned 16-bit integers as a camera writes them",
        do="ingest raw frames only; processed images do not come in here",
    )
