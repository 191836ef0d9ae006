import hashlib
import json
from dataclasses import replace

import fitsio
import numpy as np
import pyarrow.parquet as pq
import pytest

from tesela import cameras
from tesela.bands import filters
from tesela.errors import ConfigError
from tesela.simulate import night, schedule, settings

SMALL = settings.tiny(stars_per_field=20.0, galaxies_per_field=10.0, n_bias=1, n_flat=1)


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes_whatever_the_workers(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    night.make(one, SMALL, workers=1)
    night.make(two, SMALL, workers=2)
    assert digests(one) == digests(two)
    assert len(digests(one)) == 3 + 1 + 5


def test_another_seed_is_another_night(tmp_path):
    bias_only = replace(SMALL, n_flat=0)
    paths = [night.make(tmp_path / str(s), replace(bias_only, seed=s))[0] for s in (1, 2)]
    assert not np.array_equal(fitsio.read(str(paths[0])), fitsio.read(str(paths[1])))


def test_progress_counts_every_frame(tmp_path):
    seen = []
    night.make(tmp_path, SMALL, progress=lambda *args: seen.append(args))
    assert [done for done, _, _ in seen] == [1, 2, 3]
    assert {total for _, total, _ in seen} == {3}


def test_frames_are_as_the_camera_writes_them(tiny_night):
    camera = cameras.load("mini80")
    path = tiny_night.frames["science"][0]
    header = fitsio.read_header(str(path))
    assert fitsio.read(str(path)).dtype == np.uint16
    assert (header["NAXIS1"], header["NAXIS2"]) == (camera.raw_nx, camera.raw_ny)
    assert header["IMAGETYP"].strip() == "OBJECT"
    assert header["FILTER"].strip() == "rSDSS"
    assert header["OAJ INS FILT SERIAL"].strip() == "rSDSS-01"
    assert header["OAJ DPR CATG"].strip() == "SCIENCE"
    stamp = header["DATE-OBS"].split(".")[0].replace("-", "").replace(":", "")
    assert path.name == f"m80-{stamp}-01.fits"
    assert "CRVAL1" not in header
    described = camera.with_header({r["name"]: r["value"] for r in header.records()}, "frame")
    assert [a.data for a in described.amplifiers] == [a.data for a in camera.amplifiers]
    assert [a.gain_e_per_adu for a in described.amplifiers] != [
        a.gain_e_per_adu for a in camera.amplifiers
    ]


def test_truth_beside_the_frames(tiny_night):
    night_json = json.loads((tiny_night.folder / "truth/night.json").read_text())
    assert night_json["settings"]["seed"] == tiny_night.settings.seed
    assert len(night_json["tiles"]) == 1
    objects = pq.read_table(tiny_night.folder / "truth/objects.parquet")
    for column in ("id", "ra", "dec", "pmra", "kind", "mag_uJAVA", "mag_zSDSS", "redshift"):
        assert column in objects.column_names
    assert np.array_equal(objects["id"].to_numpy(), np.arange(objects.num_rows))


def test_the_demo_has_all_bands_and_overlapping_tiles():
    demo = settings.demo()
    plan = schedule.plan(demo)
    kinds = [exposure.kind for exposure in plan]
    assert (kinds.count("bias"), kinds.count("flat"), kinds.count("science")) == (8, 60, 72)
    assert {e.band for e in plan if e.kind == "science"} == set(filters.names())
    names = [exposure.name for exposure in plan]
    assert len(set(names)) == len(names)
    assert names == sorted(names)
    assert {e.night for e in plan} == {"20170703"}
    (_, ra1, dec), (_, ra2, _) = settings.tile_centres(demo)
    apart = (ra2 - ra1) * np.cos(np.radians(dec)) * 3600
    assert apart <= 0.8 * settings.tile_size_arcsec(demo)


@pytest.mark.parametrize(
    "wrong", [{"bands": ("Johnson",)}, {"overlap": 1.0}, {"tiles": -1}, {"n_dither": 0}]
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        settings.tiny(**wrong)


@pytest.mark.slow
def test_a_full_t80cam_frame(tmp_path):
    big = settings.tiny(
        camera="t80cam", stars_per_field=0.5, galaxies_per_field=0.2, n_bias=0, n_flat=0,
        cosmic_rays_per_cm2_s=0.001,
    )  # fmt: skip
    (path,) = night.make(tmp_path, big)
    assert fitsio.read_header(str(path))["NAXIS1"] == 9648
    corner = fitsio.FITS(str(path))[0][9000:9340, 9000:9648]
    assert corner.shape == (340, 648)
    assert 900 < np.median(corner) < 1800
