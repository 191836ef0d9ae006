"""What users run into: wrong headers, wrong catalogues, lists of what was flagged or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from tesela import cameras
from tesela.errors import ConfigError
from tesela.simulate.settings import NightSettings
from verbs import tesela, well

SURVEY = """
name = "s"
cameras = ["cafos"]
refcat = "ref"
[filters.V]
names = ["JohnsonV"]
[filters.V.reference]
mag = "vmag"
err = "verr"
[grid]
scheme = "list"
pixel_scale_arcsec = 0.53
size_px = [1100, 1100]
centres = { "T-1" = [114.6, 21.57] }
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "survey.toml").write_text(SURVEY)
    well("init", tmp_path / "site", "--survey", tmp_path / "survey.toml")
    return tmp_path / "site"


def frame(path: Path, pixels: np.ndarray, target: str) -> Path:
    header = fits.Header()
    header["INSTRUME"], header["IMAGETYP"], header["EXPTIME"] = "CAFOS 2.2", "science", 60.0
    header["INSFLNAM"], header["DATE-OBS"] = "JohnsonV", "2021-03-28T23:21:58"
    header["RA"], header["DEC"], header["OBJECT"] = 114.9, 21.5, target
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def test_a_wrong_header_is_put_right_by_flagging_the_frame(site: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(600, 700, (1024, 1024)).astype(np.uint16)
    well("ingest", frame(tmp_path / "one.fits", pixels, "wrong"), "--site", site)
    corrected = frame(tmp_path / "one-corrected.fits", pixels, "right")
    refused = tesela("ingest", corrected, "--site", site)
    assert refused.code == 2
    assert "tesela flag" in refused.out
    well("flag", "one", "--reason", "header", "--site", site)
    well("ingest", corrected, "--site", site)
    status = well("status", "--site", site).out
    assert "flagged: raw one by" in status
    assert "header" in status
    assert "refused: one-corrected" in status


def test_a_reference_without_the_named_columns_is_refused(site: Path, tmp_path: Path) -> None:
    table = pa.table({"ra": [114.6], "dec": [21.5], "gmag": [15.0]})
    pq.write_table(table, tmp_path / "ref.parquet")
    said = tesela("refcat", "add", "ref", tmp_path / "ref.parquet", "--site", site)
    assert said.code == 2
    assert "no column verr, vmag; it has ra, dec, gmag" in said.err
    assert "band V" in said.err


def test_a_night_that_is_no_date_is_refused() -> None:
    with pytest.raises(ConfigError, match="date '3/7/2017'; expected a date like 2017-07-03"):
        NightSettings(date="3/7/2017")


@pytest.mark.parametrize(
    ("was", "is_now", "words"),
    [
        ("cd_signs = [[0, 1], [1, 0]]", "cd_signs = [[1, 1], [1, 1]]", "two directions"),
        ('obstype = "bias"', 'obstype = "zeroo"', "obstype zeroo; expected one of bias"),
    ],
)
def test_a_camera_that_makes_no_sense_is_refused(
    tmp_path: Path, was: str, is_now: str, words: str
) -> None:
    text = (Path(cameras.__file__).parent / "data" / "cafos.toml").read_text()
    (tmp_path / "odd.toml").write_text(
        text.replace(was, is_now).replace('name = "cafos"', 'name = "odd"')
    )
    with pytest.raises(ConfigError, match=words):
        cameras.load("odd", tmp_path)
