"""Raw files opened once: the same pixels whole and by rows, and none that was not checked."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from tesela.errors import BadInput
from tesela.products import rawfile, rawrows

SHAPE = (301, 53)  # rows of an odd number of pixels: words of the checksum span them
Pixels = NDArray[np.uint16]


def drawn() -> Pixels:
    return np.random.default_rng(1).integers(0, 65536, SHAPE).astype(np.uint16)


def plain(folder: Path, pixels: Pixels, *, checksum: bool = True) -> Path:
    path = folder / "frame.fits"
    header = fits.Header({"EXPTIME": 3.5})
    fits.PrimaryHDU(pixels, header=header).writeto(path, checksum=checksum)
    return path


def packed(folder: Path, pixels: Pixels) -> Path:
    source = plain(folder, pixels)
    path = source.with_suffix(".fits.gz")
    path.write_bytes(gzip.compress(source.read_bytes()))
    return path


def compressed(folder: Path, pixels: Pixels) -> Path:
    path = folder / "frame.fits.fz"
    with fitsio.FITS(str(path), "rw") as out:
        out.write(pixels, compress="rice", header={"EXPTIME": 3.5})
        out[-1].write_checksum()
    return path


def in_an_extension(folder: Path, pixels: Pixels) -> Path:
    path = folder / "frame.fits"
    header = fits.Header({"EXPTIME": 3.5})
    image = fits.ImageHDU(pixels, header=header)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=True)
    return path


FORMATS = [plain, packed, compressed, in_an_extension]


@pytest.mark.parametrize("write", FORMATS)
def test_rows_are_those_of_the_whole(tmp_path: Path, write: Callable[..., Path]) -> None:
    pixels = drawn()
    path = write(tmp_path, pixels)
    header, whole = rawfile.read(path)
    assert header["EXPTIME"] == 3.5
    assert whole.dtype == np.uint16
    assert np.array_equal(whole, pixels)
    with rawfile.open_rows(path) as rows:
        assert rows.shape == SHAPE
        assert rows.header == header
        for part in (slice(3, 9), slice(0, 1), slice(290, 400), slice(5, 5), slice(None)):
            got = rows[part]
            assert got.dtype == np.uint16
            assert np.array_equal(got, pixels[part])
        with pytest.raises(IndexError, match="step"):
            rows[::2]


@pytest.mark.parametrize("write", FORMATS)
def test_one_wrong_bit_is_told_by_the_first_rows(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    path = write(tmp_path, drawn())
    content = bytearray(
        gzip.decompress(path.read_bytes()) if write is packed else path.read_bytes()
    )
    content[len(content) // 2] ^= 0x10
    path.write_bytes(gzip.compress(content) if write is packed else content)
    with pytest.raises(BadInput, match="CHECKSUM or DATASUM"), rawfile.open_rows(path) as rows:
        rows[0:2]
    with pytest.raises(BadInput, match="CHECKSUM or DATASUM"):
        rawfile.read(path)


def test_a_file_with_many_ccds_is_not_half_read(tmp_path: Path) -> None:
    path = tmp_path / "exposure.fits"
    parts = [fits.ImageHDU(drawn()) for _ in range(3)]
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path)
    with pytest.raises(BadInput, match="3 images of one size; expected one file a CCD"):
        rawfile.read(path)


def test_a_small_picture_beside_the_frame_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    pixels = drawn()
    fits.HDUList([fits.PrimaryHDU(pixels), fits.ImageHDU(pixels[:9, :9])]).writeto(path)
    assert np.array_equal(rawfile.read(path)[1], pixels)


def test_a_changed_card_is_told_by_the_checksum(tmp_path: Path) -> None:
    path = plain(tmp_path, drawn())
    content = path.read_bytes()
    path.write_bytes(content.replace(b"3.5", b"9.5", 1))
    with pytest.raises(BadInput, match="CHECKSUM is not that"):
        rawfile.read(path)


def test_no_checksum_is_no_fault(tmp_path: Path) -> None:
    pixels = drawn()
    path = plain(tmp_path, pixels, checksum=False)
    with rawfile.open_rows(path) as rows:
        assert np.array_equal(rows[1:2], pixels[1:2])


@pytest.mark.parametrize("kind", [np.uint16, np.uint8])
def test_the_sums_of_the_primary_are_not_those_of_the_image(
    tmp_path: Path, kind: type[np.generic]
) -> None:
    """By the bytes of plain pixels, and through the library."""
    pixels = (drawn() % 251).astype(kind)
    primary = fits.PrimaryHDU()
    primary.add_checksum()
    path = tmp_path / "frame.fits"
    fits.HDUList([primary, fits.ImageHDU(pixels)]).writeto(path)
    assert "DATASUM" in fits.getheader(path, 0)
    header, whole = rawfile.read(path)
    assert "DATASUM" not in header
    assert np.array_equal(whole, pixels)


@pytest.mark.parametrize("missing", [1, 3000, 20000])
def test_a_truncated_file_is_refused(tmp_path: Path, missing: int) -> None:
    path = plain(tmp_path, drawn(), checksum=False)
    end = 2880 + 2 * SHAPE[0] * SHAPE[1]
    path.write_bytes(path.read_bytes()[: end - missing])
    with pytest.raises(BadInput, match="truncated"):
        rawfile.read(path)
    with pytest.raises(BadInput, match="truncated"), rawfile.open_rows(path) as rows:
        rows[0:3]


def test_a_constant_frame_is_refused(tmp_path: Path) -> None:
    path = plain(tmp_path, np.full(SHAPE, 1000, np.uint16))
    with pytest.raises(BadInput, match="every pixel is 1000"), rawfile.open_rows(path) as rows:
        rows[0:3]


def test_the_judge_sees_the_header_before_the_pixels(tmp_path: Path) -> None:
    def refuse(cards: object, shape: tuple[int, int]) -> None:
        assert shape == SHAPE
        raise BadInput("frame", found="too much of it")

    path = plain(tmp_path, np.full(SHAPE, 1000, np.uint16))
    with pytest.raises(BadInput, match="too much"), rawfile.open_rows(path, refuse):
        pass


def test_the_whole_is_read_and_summed_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain(tmp_path, drawn())
    got = []
    real = rawrows.os.preadv

    def counted(descriptor: int, buffers: list[memoryview], place: int) -> int:
        n = real(descriptor, buffers, place)
        got.append(n)
        return n

    monkeypatch.setattr(rawrows.os, "preadv", counted)
    with rawfile.open_rows(path) as rows:
        rows[:]
        assert sum(got) == 2 * SHAPE[0] * SHAPE[1]
        rows[10:20]
        assert sum(got) == 2 * (SHAPE[0] + 10) * SHAPE[1]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 2880])
def test_the_sum_of_parts_is_that_of_the_fits_standard(n: int) -> None:
    content = np.random.default_rng(n).integers(0, 256, 2880).astype(np.uint8)
    words = [int(word) for word in content.view(">u4")]
    expected = 0
    for word in words:
        expected += word
        expected = (expected & 0xFFFFFFFF) + (expected >> 32)
    total, place = 0, 0
    while place < content.size:
        total = rawrows._added(total, content[place : place + n], place)
        place += n
    assert total == expected


WIDE = rawfile.known(rawfile.Reading(floats=True))


@pytest.mark.parametrize("checksum", [True, False])
def test_floats_are_read_where_they_are_wanted(tmp_path: Path, checksum: bool) -> None:
    pixels = np.random.default_rng(4).normal(1000, 9, SHAPE).astype(np.float32)
    pixels[3, 5], pixels[4, 6] = np.nan, -np.inf
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(pixels).writeto(path, checksum=checksum)
    with pytest.raises(BadInput, match=r"pixels of type float32.*float_pixels = true"):
        rawfile.read(path)
    expected = np.where(np.isfinite(pixels), pixels, np.nan)
    _, got = rawfile.read(path, WIDE)
    assert got.dtype == np.float32
    assert np.array_equal(got, expected, equal_nan=True)
    with rawfile.open_rows(path, WIDE) as rows:
        assert np.array_equal(rows[2:9], expected[2:9], equal_nan=True)
        assert rows[5:5].dtype == np.float32


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full(SHAPE, np.nan, np.float32), "no number"),
        (np.full(SHAPE, 7.5, np.float32), "every pixel is 7.5"),
        (np.arange(SHAPE[0] * SHAPE[1], dtype=np.int64).reshape(SHAPE) << 20, "below 16 million"),
    ],
)
def test_floats_of_no_frame(tmp_path: Path, pixels: NDArray, words: str) -> None:
    fits.PrimaryHDU(pixels).writeto(tmp_path / "frame.fits")
    with pytest.raises(BadInput, match=words):
        rawfile.read(tmp_path / "frame.fits", WIDE)


def test_frames_of_16_bits_stay_what_they_are(tmp_path: Path) -> None:
    _, got = rawfile.read(plain(tmp_path, drawn()), WIDE)
    assert got.dtype == np.uint16


def test_a_large_double_is_no_number(tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).normal(1000, 9, SHAPE)
    pixels[0, 0] = 1e300
    fits.PrimaryHDU(pixels).writeto(tmp_path / "frame.fits")
    _, got = rawfile.read(tmp_path / "frame.fits", WIDE)
    assert np.isnan(got[0, 0])
    assert np.count_nonzero(np.isnan(got)) == 1


def test_outputs_lie_side_by_side(tmp_path: Path) -> None:
    pixels = drawn()
    images = [fits.ImageHDU(pixels + n, fits.Header({"GAIN": 1.0 + n})) for n in range(3)]
    path = tmp_path / "frame.fits"
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path, checksum=True)
    header, got = rawfile.read(path, rawfile.known(rawfile.Reading(images=3)))
    assert np.array_equal(got, np.hstack([pixels, pixels + 1, pixels + 2]))
    assert (header["GAIN"], header["EXT1 GAIN"], header["EXT3 GAIN"]) == (1.0, 1.0, 3.0)
    assert rawfile.read(path, rawfile.whatever)[1].shape == got.shape
    with pytest.raises(BadInput, match="3 images of one size; expected one file a CCD"):
        rawfile.read(path)
    content = bytearray(path.read_bytes())
    content[-SHAPE[1] * 100] ^= 0x10  # in the last of them
    path.write_bytes(content)
    with (
        pytest.raises(BadInput, match="CHECKSUM or DATASUM"),
        rawfile.open_rows(path, rawfile.whatever) as rows,
    ):
        rows[0:2]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "FITSIO status = 107: tried to move past end of file\n"
            "FITSIO status = 107: tried to move past end of file\n"
            "FITSIO status = 108: error reading from FITS file\n"
            "ffgcnn could not find column: ZBLANK\nError reading data buffer from file:\n",
            "(tried to move past end of file, error reading from FITS file)",
        ),
        ("word " * 40, "(" + "word " * 23 + "...)"),
        ("", "(OSError)"),
    ],
)
def test_a_refusal_ends_with_what_the_library_said_in_whole_words(said: str, words: str) -> None:
    with pytest.raises(BadInput) as told, rawfile._told_as_damage(Path("a.fits.fz")):
        raise OSError(said)
    start = "a.fits.fz: truncated or damaged file; expected a whole FITS file; "
    assert str(told.value) == f"{start}copy it again from the telescope {words}"
