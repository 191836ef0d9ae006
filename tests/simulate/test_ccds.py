"""Cameras of many CCDs: one telescope and sky, detectors and places of their own."""

from __future__ import annotations

import numpy as np
import pytest

from tesela import cameras
from tesela.errors import ConfigError
from tesela.simulate import ccds, detector, schedule, survey
from tesela.simulate.conditions import conditions
from tesela.simulate.settings import (
    NightSettings,
    of_camera,
    one_a_ccd,
    pointings,
    tile_centres,
    tiny,
)
from tesela.sky import tangent
from tesela.sky.nominal import nominal

MANY = tiny(camera="mini14", n_dither=2)


def test_each_ccd_of_a_camera_has_a_night() -> None:
    assert [night.ccd for night in one_a_ccd(MANY)] == list(cameras.load("mini14").ccds)
    some = tiny(camera="mini14", ccds=("14", "03"))
    assert [night.unit for night in one_a_ccd(some)] == ["mini14/03", "mini14/14"]
    assert one_a_ccd(tiny()) == (tiny(),)
    assert tiny().unit == "mini80"


@pytest.mark.parametrize("dec", [-80.0, 0.0, 55.1, 89.9])
@pytest.mark.parametrize("offset", [(2000.0, 900.0), (-700.0, 0.0)])
def test_a_ccd_looks_where_the_geometry_of_the_pipeline_says(
    dec: float, offset: tuple[float, float]
) -> None:
    ra, found_dec, turn = ccds.look(211.8, dec, *offset)
    there = tangent.deproject(offset[0] / 3600, offset[1] / 3600, 211.8, dec)
    assert tangent.separation_deg(ra, found_dec, *there) * 3600 < 1e-6
    wcs = nominal(211.8, dec, 1.0, ((1, 0), (0, 1)), (9, 9), (offset[0] / 60, offset[1] / 60))
    assert np.allclose(turn, wcs.cd * 3600, atol=1e-6)


def test_frames_read_at_once_share_time_pointing_and_sky() -> None:
    north, south = (tiny(camera="mini14", ccd=ccd) for ccd in ("01", "14"))
    pairs = list(zip(schedule.plan(north), schedule.plan(south)))
    assert len(pairs) == 3
    for one, two in pairs:
        assert one.name == f"{one.shared}-01"
        assert two.name == f"{two.shared}-14"
        assert (one.shared, one.start, one.ra_deg) == (two.shared, two.start, two.ra_deg)
    one, two = pairs[-1]
    seen = conditions(north, one, 1.0), conditions(south, two, 1.0)
    assert seen[0].fwhm_px == seen[1].fwhm_px
    assert seen[0].transparency == seen[1].transparency


def test_a_pointing_error_turns_the_whole_focal_plane() -> None:
    off = []
    for night in one_a_ccd(tiny(camera="mini14", rotation_deg=1.0, scale_error=0.01)):
        exposure = schedule.plan(night)[-1]
        true = conditions(night, exposure, 1.0).astrometry
        camera = ccds.load(night.unit)
        xi, eta = tangent.project(true.ra_deg, true.dec_deg, exposure.ra_deg, exposure.dec_deg)
        place = np.array([float(xi), float(eta)]) * 60
        off.append([*camera.offset_arcmin, *(place - camera.offset_arcmin)])
    east, north, by_east, by_north = np.array(off).T
    # What displaces the CCDs is a shift, a rotation and a scale about the pointing: four numbers.
    one, zero = np.ones_like(east), np.zeros_like(east)
    design = np.block([[one[:, None], zero[:, None], east[:, None], -north[:, None]],
                       [zero[:, None], one[:, None], north[:, None], east[:, None]]])  # fmt: skip
    told = np.concatenate([by_east, by_north])
    fit, *_ = np.linalg.lstsq(design, told, rcond=None)
    assert np.abs(design @ fit - told).max() < 1e-3
    assert abs(fit[3]) > 3e-4, "it is turned"


def test_ccds_have_defects_of_their_own() -> None:
    units = [detector.build(of_camera(night)) for night in one_a_ccd(MANY)[:3]]
    assert len({tuple(unit.gain) for unit in units}) == 3
    assert len({tuple(unit.hot_x[:10]) for unit in units}) == 3


def test_every_ccd_has_a_tile_around_it() -> None:
    centres = tile_centres(MANY)
    assert len(centres) == 14
    ((_, ra, dec),) = pointings(MANY)
    camera = cameras.load("mini14")
    for (_, tile_ra, tile_dec), place in zip(centres, camera.detectors):
        xi, eta = tangent.project(tile_ra, tile_dec, ra, dec)
        assert np.allclose([60 * xi, 60 * eta], place.offset_arcmin)
    assert survey.survey_toml(MANY).count('"SIM-') == 14


def test_pointings_of_a_row_do_not_overlap_more_than_asked() -> None:
    row = pointings(tiny(camera="mini14", tiles=2, overlap=0.0))
    apart = tangent.separation_deg(*row[0][1:], *row[1][1:]) * 60
    assert apart > 3 * 11.5 + 10.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera": "mini14", "ccds": ("15",)}, "CCDs 15; expected some of 01 02"),
        ({"ccds": ("02",)}, "CCDs 02; expected some of 01"),
        ({"camera": "mini14", "raster_bands": ("rSDSS",)}, "a camera of one CCD"),
        ({"camera": "mini14", "injected_stars": 3}, "a camera of one CCD"),
        ({"camera": "hubble"}, "no description of it"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        NightSettings(**{"tiles": 1, **changes})  # type: ignore[arg-type]
