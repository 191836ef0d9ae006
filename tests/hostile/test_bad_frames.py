"""A folder full of bad frames: the good one comes in, each other is refused with one sentence."""

from __future__ import annotations

import os
import sqlite3
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tesela.products.files import sha256_of
from verbs import tesela, well

from .conftest import Given, altered, copied


def spoil(folder: Path, given: Given) -> dict[str, str]:
    """Fill a folder; returns what the sentence about each bad file must say."""
    folder.mkdir()
    copied(given.bias, folder / "good.fits")
    science, whole = given.science, given.science.read_bytes()
    (folder / "text.fits").write_text("Dear observer, this is no image.\n" * 200)
    (folder / "empty.fits").touch()
    (folder / "short.fits").write_bytes(whole[:1000])
    (folder / "half.fits").write_bytes(whole[: len(whole) // 2])
    (folder / "headless.fits").write_bytes(whole[2880:])
    (folder / "packed.fits.gz").write_bytes(b"\x1f\x8b\x08\x00" + whole[:5000])
    fits.PrimaryHDU().writeto(folder / "nothing.fits")
    fits.PrimaryHDU(np.zeros((3, 4, 5), np.uint16)).writeto(folder / "cube.fits")
    header = fits.getheader(science)
    shape = fits.getdata(science).shape
    fits.PrimaryHDU(np.zeros(shape, np.float32), header).writeto(folder / "float.fits")
    fits.PrimaryHDU(np.full(shape, 777, np.uint16), header).writeto(folder / "flatline.fits")
    fits.PrimaryHDU(np.ones((100, 90), np.uint16), header).writeto(folder / "window.fits")
    fits.PrimaryHDU(fits.getdata(science), header).writeto(folder / "sum.fits", checksum=True)
    summed = bytearray((folder / "sum.fits").read_bytes())
    summed[-5000] ^= 1
    (folder / "sum.fits").write_bytes(summed)
    altered(science, folder / "camera.fits", INSTRUME="Kodak Instamatic")
    altered(science, folder / "filter.fits", FILTER="cling film")
    altered(science, folder / "kind.fits", IMAGETYP="SELFIE")
    altered(science, folder / "category.fits", OAJ__DPR__CATG="CALIBRATION")
    altered(science, folder / "clock.fits", **{"MJD-OBS": 57000.0})
    altered(science, folder / "yesterday.fits", **{"DATE-OBS": "yesterday"})
    altered(science, folder / "time.fits", EXPTIME=-40.0)
    altered(science, folder / "longbias.fits", IMAGETYP="BIAS", OAJ__DPR__CATG="CALIBRATION")
    altered(science, folder / "pole.fits", DEC=123.0)
    altered(science, folder / "section.fits", OAJ__DET__OUT3__IMSC="[1:99999,1:577]")
    altered(science, folder / "gain.fits", OAJ__DET__OUT3__GAIN=0.0)
    altered(science, folder / "unnamed.fits", without=("INSTRUME",))
    copied(given.bias, folder / "sub" / "copy-of-good.fits")
    altered(given.bias, folder / "sub" / "good.fits")
    copied(science, folder / "my image.fits")
    copied(science, folder / "two\nlines.fits")
    copied(science, folder / "-rf.fits")
    copied(science, folder / "año.fits")
    return {
        "text.fits": "begins with b'Dear obs'",
        "empty.fits": "an empty file",
        "short.fits": "truncated file: 1000 bytes",
        "half.fits": "truncated or damaged",
        "headless.fits": "expected a FITS file, which begins with SIMPLE",
        "packed.fits.gz": "unreadable file",
        "nothing.fits": "no two-dimensional image",
        "cube.fits": "no two-dimensional image",
        "float.fits": "pixels of type float32",
        "flatline.fits": "every pixel is 777",
        "window.fits": "90x100 pixels; expected 1296x1170 for mini80",
        "sum.fits": "contradicts CHECKSUM or DATASUM",
        "camera.fits": "'Kodak Instamatic', an unknown camera; expected INSTRUME = Mini80",
        "filter.fits": "unknown filter FILTER = 'cling film'; expected one of rSDSS",
        "kind.fits": "IMAGETYP = 'SELFIE'; expected one of BIAS",
        "category.fits": "OAJ DPR CATG = 'CALIBRATION'; expected OAJ DPR CATG = 'SCIENCE'",
        "clock.fits": "MJD-OBS = 57000.0; expected the same instant within 60 s",
        "yesterday.fits": "DATE-OBS = 'yesterday'; expected a date and time like",
        "time.fits": "EXPTIME = -40.0; expected seconds >= 0",
        "longbias.fits": "a bias frame with EXPTIME",
        "pole.fits": "Dec = 123.0 degrees; expected",
        "section.fits": "expected a section of a 1296x1170 frame",
        "gain.fits": "gain 0.0",
        "unnamed.fits": "no card INSTRUME",
        "copy-of-good.fits": "the same content as frame good",
        "sub/good.fits": "other content",
        "my image.fits": "not safe",
        "two\nlines.fits": "not safe",
        "-rf.fits": "not safe",
        "año.fits": "not safe",
    }


def files_of(site: Path) -> dict[str, str]:
    """Hashes of what lies in a site, without the ledger."""
    return {
        str(path.relative_to(site)): sha256_of(path)
        for path in site.rglob("*")
        if path.is_file() and not path.name.startswith("ledger.sqlite")
    }


def test_one_good_frame_among_all_the_bad_ones(tmp_path: Path, site: Path, given: Given) -> None:
    folder = tmp_path / "night"
    expected = spoil(folder, given)
    said = tesela("ingest", folder, "--site", site, "--json")
    assert said.code == 2
    results = {row["path"].removeprefix(f"{folder}/"): row for row in said.data}
    assert [path for path, row in results.items() if row["outcome"] == "taken"] == ["good.fits"]
    for name, sentence in expected.items():
        row = results.get(name) or results[f"sub/{name}"]
        assert row["outcome"] == "refused", name
        assert sentence in row["message"], name
        assert "\n" not in row["message"], name
        # It names the file, by its name or, for a content known already, by its frame.
        assert Path(name).stem in row["message"] or repr(Path(name).name) in row["message"]
    assert len(results) == 1 + len(expected)
    with sqlite3.connect(site / "ledger.sqlite") as ledger:
        refused = dict(ledger.execute("SELECT path, reason FROM refused"))
        frames = [name for (name,) in ledger.execute("SELECT name FROM frame")]
    assert frames == ["good"]
    assert refused == {
        row["path"]: row["message"] for row in said.data if row["outcome"] == "refused"
    }
    assert [path for path in files_of(site) if path.startswith("raw/")] == [
        "raw/2017-07-03/good.fits"
    ]


def test_a_refusal_is_told_in_the_history(tmp_path: Path, site: Path, given: Given) -> None:
    bad = altered(given.science, tmp_path / "odd.fits", FILTER="cling film")
    said = tesela("ingest", bad, "--site", site)
    assert said.code == 2
    assert said.out.count("cling film") == 1
    assert "0 frames taken in, 0 known already, 1 refused" in said.out
    history = well("history", bad, "--site", site).out
    assert "ingest refused" in history
    assert "cling film" in history


def test_nothing_is_overwritten_and_known_frames_are_no_fault(
    tmp_path: Path, site: Path, given: Given
) -> None:
    well("ingest", given.bias, given.science, "--site", site)
    before = files_of(site)
    again = tesela("ingest", given.bias, given.science, "--site", site)
    assert again.code == 0
    assert "0 frames taken in, 2 known already, 0 refused" in again.out
    impostor = tmp_path / "impostor"
    impostor.mkdir()
    altered(given.science, impostor / given.science.name)
    copied(given.bias, impostor / "alias.fits")
    assert tesela("ingest", impostor, "--site", site).code == 2
    assert files_of(site) == before


def test_a_file_nobody_knows_in_the_archive_is_left_alone(site: Path, given: Given) -> None:
    stray = site / "raw" / "2017-07-03" / given.bias.name
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"precious")
    said = tesela("ingest", given.bias, "--site", site)
    assert said.code == 2
    assert "nothing was overwritten" in said.out
    assert stray.read_bytes() == b"precious"


def test_a_refused_frame_comes_in_once_its_header_is_corrected(
    tmp_path: Path, site: Path, given: Given
) -> None:
    path = altered(given.science, tmp_path / "late.fits", FILTER="rSDS")
    assert tesela("ingest", path, "--site", site).code == 2
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["FILTER"] = "rSDSS"
    well("ingest", path, "--site", site)
    assert "is current" in well("why", "late", "--site", site).out


def test_folders_links_and_loops_named_as_frames(tmp_path: Path, site: Path, given: Given) -> None:
    folder = tmp_path / "odd"
    (folder / "folder.fits").mkdir(parents=True)
    copied(given.bias, folder / "folder.fits" / "inside.fits")
    (folder / "loop.fits").symlink_to(folder / "loop.fits")
    (folder / "again").symlink_to(folder)
    (folder / "link.fits").symlink_to(given.science)
    said = tesela("ingest", folder, "--site", site, "--json")
    taken = {Path(row["path"]).name for row in said.data if row["outcome"] == "taken"}
    assert taken == {"inside.fits", "link.fits"}
    # A link is taken in as the file it stands for, whatever becomes of the link.
    (archived,) = (site / "raw").rglob("link.fits")
    assert not archived.is_symlink()
    assert archived.read_bytes() == given.science.read_bytes()


@pytest.mark.timeout(30)
def test_a_pipe_is_refused_not_waited_for(tmp_path: Path, site: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fits")
    said = tesela("ingest", tmp_path / "pipe.fits", "--site", site)
    assert said.code == 2
    assert "pipe.fits: no such file" in said.out


def test_a_folder_whose_name_looks_like_an_expression(
    tmp_path: Path, site: Path, given: Given
) -> None:
    folder = tmp_path / "2017[1:100,1:100] (new)+2"
    copied(given.bias, folder / "plain.fits")
    well("ingest", folder, "--site", site)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_told_and_stops_nothing(
    tmp_path: Path, site: Path, given: Given
) -> None:
    folder = tmp_path / "mixed"
    secret = copied(given.science, folder / "a-secret.fits")
    copied(given.bias, folder / "b-open.fits")
    secret.chmod(0)
    said = tesela("ingest", folder, "--site", site, "--json")
    assert said.code == 2
    assert [row["outcome"] for row in said.data] == ["refused", "taken"]


def test_a_header_that_claims_a_huge_image_is_not_believed(
    tmp_path: Path, site: Path, given: Given
) -> None:
    header = fits.getheader(given.science)
    header["NAXIS1"], header["NAXIS2"] = 10000, 11000
    path = tmp_path / "huge.fits"
    text = header.tostring(padding=True).encode()
    with path.open("wb") as handle:
        handle.write(text)
        handle.truncate(len(text) + 10000 * 11000 * 2)  # sparse: no disk is used
    tracemalloc.start()
    said = tesela("ingest", path, "--site", site)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said.code == 2
    assert "10000x11000 pixels; expected 1296x1170" in said.out
    assert peak < 100e6


def test_neither_a_missing_file_nor_an_empty_folder_is_success(tmp_path: Path, site: Path) -> None:
    missing = tesela("ingest", tmp_path / "nowhere.fits", "--site", site)
    assert missing.code == 2
    assert "nowhere.fits: no such file" in missing.out
    (tmp_path / "void").mkdir()
    empty = tesela("ingest", tmp_path / "void", "--site", site)
    assert empty.code == 2
    assert "0 frames taken in" in empty.out
