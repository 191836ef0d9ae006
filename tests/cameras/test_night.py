"""A night of a camera that exists nowhere, through the ordinary commands: nothing but its TOML."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tesela.products.images import ReducedImage
from tesela.products.maskbit import MaskBit
from tesela.sky import match
from verbs import well

from . import strangers
from .strangers import Stranger, toml

# Two outputs with strips outside, floats with holes, a file with the image in an extension, the
# time and the gain in cards of other names, x to the north, a mirror image.
AMPLIFIERS = [
    {"data": '"[13:172,1:320]"', "dest": '"[1:160,1:320]"', "overscan": '"[1:12,1:320]"'},
    {
        "data": '"[173:332,1:320]"', "dest": '"[161:320,1:320]"', "overscan": '"[333:344,1:320]"',
        "flip_x": "true",
    },
]  # fmt: skip
CAMERA = Stranger(
    toml(
        AMPLIFIERS,
        raw=(344, 320),
        image=(320, 320),
        top={
            "cd_signs": "[[0, 1], [1, 0]]",
            "float_pixels": "true",
            "ra_unit": '"hours"',
            "longitude_deg": "-70.0",
        },
        header={"gain": '["EGAIN{id}"]', "filter": '["HIERARCH STR FILT NAME"]'},
        gain=1.0,
    ),
    {
        "EGAIN1": 1.5, "EGAIN2": 1.5, "FILTER": None, "RA": strangers.POINTING[0] / 15,
        "DATE-OBS": "2017-07-04",
    },
    dtype="float32",
    extension=True,
)  # fmt: skip
HOLE = (slice(100, 104), 60)
SURVEY = """
name = "strange"
cameras = ["strange"]
refcat = "known"

[filters.r]
names = ["SDSS r'"]
[filters.r.reference]
mag = "mag"
err = "err"

[grid]
scheme = "list"
pixel_scale_arcsec = 0.55
size_px = [360, 360]
centres = { "A" = [211.8, 55.1] }

[calibration]
minimum = { BIAS = 2, FLAT = 2, DOMEFLAT = 2 }
"""


def write_night(folder: Path) -> None:
    """Three biases, three flats, two exposures: some pixels never give a number."""
    camera = CAMERA.camera(folder.parent)
    rng = np.random.default_rng(8)
    for kind in ("bias", "flat", "object"):
        for n in range(3 if kind != "object" else 2):
            raw = (
                CAMERA.pixels(camera, seed=40 + n) if kind == "object" else _even(kind, camera, rng)
            )
            raw[HOLE] = np.nan
            cards = {
                "IMAGETYP": kind,
                "EXPTIME": {"bias": 0.0, "flat": 5.0, "object": strangers.EXPTIME_S}[kind],
                "UT": f"{2 + n:02d}:36:0{n}.5",
            }
            if kind != "bias":
                cards["HIERARCH STR FILT NAME"] = "sdss r'"
            CAMERA.write(folder, raw, f"{kind}{n}", **cards)


def _even(kind: str, camera, rng) -> np.ndarray:
    raw = rng.normal(strangers.LEVEL_ADU, strangers.NOISE_E / 1.5, (camera.raw_ny, camera.raw_nx))
    if kind == "flat":
        for amp in camera.amplifiers:
            raw[amp.data.slices] += rng.poisson(30000.0, amp.data.shape) / 1.5
    return raw


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strange")
    frames, cameras = folder / "frames", folder / "cameras"
    frames.mkdir()
    cameras.mkdir()
    write_night(frames)
    (cameras / "strange.toml").write_text(CAMERA.text, encoding="utf-8")
    (folder / "survey.toml").write_text(SURVEY, encoding="utf-8")
    known = strangers.refcat(CAMERA.camera(folder))
    pq.write_table(pa.table(known), folder / "known.parquet")
    site = folder / "site"
    well("init", site, "--survey", folder / "survey.toml")
    well("refcat", "add", "known", folder / "known.parquet", "--site", site)
    well("ingest", frames, "--site", site)
    done = well("run", "--site", site, "--json").data
    assert done["dead"] == 0, done
    return site


def products(site: Path, kind: str) -> list[Path]:
    with sqlite3.connect(site / "ledger.sqlite") as ledger:
        rows = ledger.execute("SELECT path FROM product WHERE kind = ? AND is_current", (kind,))
        return [site / path for (path,) in rows]


def test_both_exposures_are_reduced_right(site: Path) -> None:
    made = products(site, "reduced")
    assert len(made) == 2
    known = strangers.refcat(CAMERA.camera(site))
    for path in made:
        image = ReducedImage.read(path)
        i, _, away = match.nearest(
            known["ra"], known["dec"], image.sources["ra"], image.sources["dec"], 1.0
        )
        assert len(i) >= 0.97 * len(known["ra"])
        assert np.median(away[known["mag"][i] < 16]) < 0.05 * 0.55
        cards = {key: value for key, value, _ in image.cards}
        assert cards["MAGZP"] == pytest.approx(strangers.ZEROPOINT_MAG, abs=0.025)
        bad = (image.mask & MaskBit.BAD) > 0
        x = HOLE[1] - 12
        assert bad[HOLE[0], x].all()
        assert np.count_nonzero(bad) < 20
        assert np.isfinite(image.image).all()


def test_the_tile_is_made(site: Path) -> None:
    assert len(products(site, "coadd")) == 1
    assert len(products(site, "catalogue")) == 1
    assert [folder.name for folder in (site / "raw").iterdir()] == ["2017-07-03"]


def test_the_frames_pass_the_check(site: Path) -> None:
    frames = sorted((site / "raw").rglob("*.fits"))
    assert len(frames) == 8
    found = well("camera", "check", site / "cameras" / "strange.toml", *frames, "--json").data
    said = json.dumps([one["problems"] for one in found["frames"]])
    assert said == json.dumps([[]] * 8)
