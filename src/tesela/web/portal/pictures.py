"""Pictures of frames, masters and coadds: made on demand, kept under what they show.

A product's file is never overwritten, so a picture is kept under its checksum for ever.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
import textwrap
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tesela.errors import BadInput, ProductError, TeselaError
from tesela.pixels import thumbnail
from tesela.products import files, paths, preview, rawfile
from tesela.products.maskbit import UNUSABLE

_Value = TypeVar("_Value")

SIZES: Final = (160, 320, 640, 1280, 2048)
"""Longest side, pixels: few, so that the pictures kept are few."""
Stretch = Literal["asinh", "linear"]
STRETCHES: Final[tuple[Stretch, ...]] = ("asinh", "linear")
Mask = Literal["defects", "all", "none"]
MASKS: Final[tuple[Mask, ...]] = ("defects", "all", "none")
"""Codes of the mask that are coloured. `defects` leaves out OBJECT, which is nothing bad and would
cover the sources that one looks at."""

_RENDERING: Final = "4"
"""Part of a kept picture's name: another number where pictures are to look otherwise."""
_JPEG_QUALITY = 85
_CHECKSUM = re.compile(r"[0-9a-f]{16,64}")
_AT_WORK = threading.BoundedSemaphore(2)
"""A full-size frame takes half a gigabyte while it is read."""


@dataclass(frozen=True)
class Look:
    """How a picture is to look."""

    stretch: Stretch = "asinh"
    mask: Mask = "defects"
    size: int = 320

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> Look:
        """Read `stretch`, `mask` and `size` of an address; raise `BadInput` for other values."""
        sizes = {str(size): size for size in SIZES}
        return cls(
            _one_of("stretch", query.get("stretch", "asinh"), {word: word for word in STRETCHES}),
            _one_of("mask", query.get("mask", "defects"), {word: word for word in MASKS}),
            _one_of("size", query.get("size", "320"), sizes),
        )

    @property
    def query(self) -> str:
        """The inverse of `of_query`."""
        return f"stretch={self.stretch}&mask={self.mask}&size={self.size}"


def _one_of(name: str, value: str, known: Mapping[str, _Value]) -> _Value:
    """What a word of an address means; raise `BadInput` for a word that is not known."""
    if value not in known:
        raise BadInput(
            name, found=repr(value[:40]), expected=" or ".join(known), do="correct the address"
        )
    return known[value]


@dataclass(frozen=True)
class Subject:
    """The file that a picture shows."""

    kind: str
    """raw, reduced, quicklook, master or coadd."""
    path: Path
    checksum: str
    small: Path | None = None
    """The small picture that was made with it, if there is one."""

    @classmethod
    def of(cls, folder: Path, row: Mapping[str, Any]) -> Subject:
        """That of a product's row; its paths are relative to the site's folder, or whole."""
        paths_ = [path for path, _, _ in json.loads(row["files_json"])]
        small = next((folder / path for path in paths_ if path.endswith(".jpg")), None)
        return cls(row["kind"], folder / row["path"], row["checksum"], small)

    @property
    def version(self) -> str:
        """Stands in the picture's address: another file, another address."""
        return self.checksum[:12]


KINDS: Final = ("raw", "reduced", "quicklook", "master", "coadd")
"""Kinds of products that are images, or have pictures of one."""
_SMALL_PX: Final = {
    "raw": paths.RAW_PICTURE_PX,
    "reduced": paths.PICTURE_PX,
    "quicklook": paths.PICTURE_PX,
}
"""Longest side of the small picture that is made with a product."""


def jpeg(subject: Subject, look: Look, cache: Path | None) -> bytes:
    """The picture as JPEG, from the folder `cache` (None: keep nothing) if it is there.

    Raises `TeselaError` (a missing, damaged or unknown file) with the reason.
    """
    if subject.kind not in KINDS:
        raise BadInput(subject.kind, found="no image", expected=" or ".join(KINDS))
    kept = _kept_name(subject, look, cache)
    if kept is not None:
        with contextlib.suppress(OSError):  # not there, or not ours to read: it is made anew
            return kept.read_bytes()
    with _AT_WORK:
        content = _beside(subject, look) or _encode(_render(subject, look))
    if kept is not None:
        _keep(kept, content)
    return content


def _beside(subject: Subject, look: Look) -> bytes | None:
    """The picture that was made with the product, made smaller, where it serves.

    A damaged one is no harm: the pixels are still there.
    """
    default = look.stretch == "asinh" and (look.mask == "defects" or subject.kind == "raw")
    if subject.small is None or not default or look.size > _SMALL_PX.get(subject.kind, 0):
        return None
    with contextlib.suppress(OSError), Image.open(subject.small) as picture:
        picture.thumbnail((look.size, look.size), Image.Resampling.BOX)
        return _encode(np.asarray(picture.convert("RGB")))
    return None


def _kept_name(subject: Subject, look: Look, cache: Path | None) -> Path | None:
    if cache is None or not _CHECKSUM.fullmatch(subject.checksum):
        return None
    name = f"{subject.checksum}-{_RENDERING}-{look.stretch}-{look.mask}-{look.size}.jpg"
    return cache / name[:2] / name


def _keep(name: Path, content: bytes) -> None:
    """Keep a picture; a folder that cannot be written costs speed, not the answer."""
    with contextlib.suppress(OSError):
        name.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=name.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
            Path(temporary).replace(name)
        finally:
            Path(temporary).unlink(missing_ok=True)


def _render(subject: Subject, look: Look) -> NDArray[np.uint8]:
    image, mask = _previewed(subject, look) or _read(subject)
    if look.mask == "none":
        mask = None
    elif look.mask == "defects" and mask is not None:
        mask = mask & np.uint8(UNUSABLE)
    return thumbnail.render(image, mask, max_px=look.size, stretch=look.stretch)


def _previewed(subject: Subject, look: Look) -> preview.Level | None:
    """A level of the preview that the reduction wrote: a hundredth of the pixels. Without one, as
    after the first versions of the pipeline, all are read."""
    if subject.kind == "quicklook":
        return preview.read(paths.preview(subject.path), look.size)  # there is nothing else
    if subject.kind != "reduced":
        return None
    with contextlib.suppress(ProductError):
        return preview.read(paths.preview(subject.path), look.size)
    return None


def _read(subject: Subject) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    if subject.kind == "raw":
        _, pixels = rawfile.read(subject.path, rawfile.whatever)
        return pixels.astype(np.float32), None
    names = ["IMAGE", "MASK"] + (["COUNT"] if subject.kind == "coadd" else [])
    data = files.read_fits(subject.path, names).data
    image = data["IMAGE"]
    if "COUNT" in data:
        image = np.where(data["COUNT"] > 0, image, np.float32(np.nan))
    return image, data["MASK"]


def _encode(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def placeholder(title: str, error: TeselaError) -> bytes:
    """An SVG that says why there is no picture."""
    reason = "; ".join(part for part in (error.found, error.do) if part) or str(error)
    lines = textwrap.wrap(reason, 44)[:6]
    rows = "".join(
        f'<text x="160" y="{170 + 20 * n}">{escape(line)}</text>' for n, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320" width="320" height="320">'
        f"<title>{escape(title)}</title>"
        '<rect width="320" height="320" fill="#181828"/>'
        '<path d="M135 70h50v50h-50z M135 120l50 -50" fill="none" stroke="#ff8c8c" '
        'stroke-width="3"/>'
        '<g fill="#e8ebf0" font-family="sans-serif" font-size="13" text-anchor="middle">'
        f'<text x="160" y="145" font-weight="bold">no picture</text>{rows}</g></svg>'
    ).encode()
