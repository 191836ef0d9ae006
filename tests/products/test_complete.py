"""A file is whole when it ends where its own headers say."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits

from tesela.products.complete import is_being_written, is_whole

BLOCK = 2880


def plain(folder: Path, n_images: int = 1) -> Path:
    path = folder / f"plain{n_images}.fits"
    pixels = np.arange(60 * 88, dtype=np.uint16).reshape(60, 88)
    more = [fits.ImageHDU(pixels) for _ in range(n_images - 1)]
    fits.HDUList([fits.PrimaryHDU(pixels), *more]).writeto(path)
    return path


def compressed(folder: Path) -> Path:
    path = folder / "packed.fits.fz"
    with fitsio.FITS(str(path), "rw") as file:
        file.write_image(np.arange(60 * 88, dtype=np.int32).reshape(60, 88), compress="rice")
    return path


def zipped(folder: Path) -> Path:
    path = folder / "zipped.fits.gz"
    path.write_bytes(gzip.compress(plain(folder).read_bytes()))
    return path


@pytest.mark.parametrize("make", [plain, compressed, zipped, lambda f: plain(f, 3)])
def test_whole_files_are_whole(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert is_whole(make(tmp_path))


@pytest.mark.parametrize("make", [plain, compressed, zipped])
def test_no_part_of_a_file_is_whole(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    content = make(tmp_path).read_bytes()
    part = tmp_path / ("part.fits.gz" if make is zipped else "part.fits")
    lengths = {0, 1, 79, 80, BLOCK - 1, BLOCK, BLOCK + 1, len(content) // 2, len(content) - 1}
    lengths |= set(range(0, len(content), BLOCK)) - {len(content)}
    for length in sorted(lengths):
        part.write_bytes(content[:length])
        assert not is_whole(part), f"{length} of {len(content)} bytes"


def test_more_than_the_headers_say_is_not_whole(tmp_path: Path) -> None:
    path = plain(tmp_path)
    with path.open("ab") as file:
        file.write(b"x" * 100)
    assert not is_whole(path)


def test_a_header_without_pixels_is_still_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(path)
    assert not is_whole(path)
    header = fits.PrimaryHDU(np.zeros((4, 4), np.int16)).header
    header["NAXIS2"] = 0  # as a library writes that fills it in at the end
    path.write_bytes(header.tostring().encode())
    assert not is_whole(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no frame at all", b"SIMPLE  =" + b" " * 5000, b"\x00" * 50000, b"\xff" * 9000],
)
def test_what_is_no_fits_is_not_whole(content: bytes, tmp_path: Path) -> None:
    for name in ("x.fits", "x.fits.gz"):
        (tmp_path / name).write_bytes(content)
        assert not is_whole(tmp_path / name)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        is_whole(tmp_path / "gone.fits")


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells")
def test_a_file_that_is_open_for_writing_is_told(tmp_path: Path) -> None:
    path = plain(tmp_path)
    assert not is_being_written(path)
    with path.open("rb"):
        assert not is_being_written(path)
    with path.open("ab"):
        assert is_being_written(path)
        renamed = path.rename(tmp_path / "renamed.fits")
        assert is_being_written(renamed)
    assert not is_being_written(renamed)
    assert not is_being_written(tmp_path / "gone.fits")
