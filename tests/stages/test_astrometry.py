"""The astrometric solution of a frame: any camera, and the reasons for which one is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.sky.wcs import Wcs
from tesela.stages.reduce.astrometry import solve_frame
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.settings import AstrometrySettings

from .star_frames import Scene

NORTH_UP = ((-1.0, 0.0), (0.0, 1.0))


def solved(
    scene: Scene, settings: AstrometrySettings | None = None, **refcat: np.ndarray
) -> tuple[Wcs, Frame]:
    frame = scene.frame()
    wcs = solve_frame(
        frame, scene.sources(), scene.inputs(**refcat), settings or AstrometrySettings()
    )
    return wcs, frame


def worst_px(wcs: Wcs, scene: Scene) -> float:
    x, y = np.meshgrid(*2 * [np.linspace(0, scene.size - 1, 9)])
    there = scene.truth().sky_to_pix(*wcs.pix_to_sky(x, y))
    return float(np.hypot(there[0] - x, there[1] - y).max())


@pytest.mark.parametrize(
    "signs",
    [
        NORTH_UP,
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.0, 1.0), (1.0, 0.0)),
        ((0.0, -1.0), (1.0, 0.0)),
        ((1.0, 0.0), (0.0, -1.0)),
        ((-0.6, 0.8), (0.8, 0.6)),
    ],
)
@pytest.mark.parametrize(("size", "scale_arcsec"), [(1500, 0.2), (2048, 0.55), (3600, 1.5)])
def test_an_unseen_camera_is_solved(
    signs: tuple[tuple[float, float], tuple[float, float]], size: int, scale_arcsec: float
) -> None:
    scene = Scene(size=size, scale_arcsec=scale_arcsec, signs=signs)
    wcs, frame = solved(scene)
    assert worst_px(wcs, scene) < 0.1
    m = frame.metrics
    assert m["rotation_deg"] == pytest.approx(1.5, abs=0.05)
    assert m["scale_ratio"] == pytest.approx(1.008, abs=2e-3)
    assert m["pointing_offset_arcsec"] == pytest.approx(np.hypot(70, 60), abs=1.0)
    assert not m["mirrored"]


@pytest.mark.parametrize("turn_deg", [37.0, 90.0, 181.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_camera_mounted_anyhow_needs_the_setting(turn_deg: float, mirrored: bool) -> None:
    scene = Scene(rotation_deg=turn_deg, mirrored=mirrored)
    with pytest.raises(QualityError, match="check pointing"):
        solved(scene)
    wcs, frame = solved(scene, AstrometrySettings(blind_orientation=True))
    assert worst_px(wcs, scene) < 0.1
    assert frame.metrics["mirrored"] == mirrored


def test_the_review_gets_its_numbers() -> None:
    _, frame = solved(Scene())
    m = json.loads(json.dumps(frame.metrics))
    assert 0.9 < m["astrometry_matched_fraction"] <= 1.0
    assert 200 < m["n_astrometry_expected"] < 350  # of 380 seen in all
    assert 0.5 < m["astrometry_detections_fraction"] < 0.9
    assert np.shape(m["astrometry_map_ra_mas"]) == (4, 4)
    assert np.sum(m["astrometry_map_n"]) == m["n_astrometry"]
    assert np.abs(m["astrometry_map_dec_mas"]).max() < 30
    assert m["astrometry_rms_ra_arcsec"] == pytest.approx(0.05 * 0.55, rel=0.15)
    assert m["astrometry_error_arcsec"] < 0.02
    assert abs(m["astrometry_bright_minus_faint_ra_mas"]) < 25
    assert "dcr_mas_per_mag" not in m


def test_refraction_of_colours_is_fitted_in_the_blue() -> None:
    scene = Scene(band="gSDSS", dcr_mas_per_mag=-100.0)
    wcs, frame = solved(scene)
    m = frame.metrics
    assert m["dcr_mas_per_mag"] == pytest.approx(-100.0, rel=0.05)
    assert 0 < m["dcr_err_mas_per_mag"] < 5
    assert m["dcr_pivot_mag"] == 0.8
    assert 15 < m["zenith_distance_deg"] < 80
    assert worst_px(wcs, scene) < 0.1
    _, frame = solved(replace(scene, band="rSDSS"))
    assert "dcr_mas_per_mag" not in frame.metrics
    asked = AstrometrySettings(dcr_bands=("r*",))
    assert "dcr_mas_per_mag" in solved(replace(scene, band="rSDSS"), asked)[1].metrics
    high = AstrometrySettings(dcr_min_airmass=9.0)
    assert "dcr_mas_per_mag" not in solved(scene, high)[1].metrics


@pytest.mark.parametrize("missing", ["latitude", "colour"])
def test_refraction_that_cannot_be_fitted_is_said(missing: str) -> None:
    scene = Scene(band="uJAVA")
    inputs, frame = scene.inputs(), scene.frame()
    if missing == "latitude":
        inputs.camera = replace(inputs.camera, latitude_deg=None)
    else:
        inputs.reference = replace(inputs.reference, colour=())
    solve_frame(frame, scene.sources(), inputs, AstrometrySettings())
    assert any(missing in warning for warning in frame.warnings)


def test_a_catalogue_at_another_epoch_is_moved() -> None:
    scene = Scene()
    inputs, rng = scene.inputs(), np.random.default_rng(3)
    n = len(inputs.refcat["ra"])
    motion, years = rng.normal(10.0, 30.0, (2, n)), 2017.507 - 2024.5
    dec = inputs.refcat["dec"] - motion[1] * years / 3.6e6
    ra = inputs.refcat["ra"] - motion[0] * years / 3.6e6 / np.cos(np.radians(dec))
    late = {"ra": ra, "dec": dec, "pmra": motion[0], "pmdec": motion[1]}
    epoch = np.full(n, 2024.5)
    wcs, frame = solved(scene, **late, ref_epoch=epoch)
    assert worst_px(wcs, scene) < 0.06
    assert frame.metrics["astrometry_rms_ra_arcsec"] < 0.035
    # 10 mas a year for seven years, and the scatter of the motions.
    still, frame = solved(scene, **late)
    assert any("ref_epoch" in warning for warning in frame.warnings)
    assert worst_px(still, scene) > 0.1
    assert frame.metrics["astrometry_rms_ra_arcsec"] > 0.1


# -- what is refused ----------------------------------------------------------------------------


def test_clouds_are_refused() -> None:
    scene, nothing = Scene(), Scene().sources()
    nothing.table = {name: values[:0] for name, values in nothing.table.items()}
    with pytest.raises(QualityError, match=r"0 detections on the image.*clouds"):
        solve_frame(scene.frame(), nothing, scene.inputs(), AstrometrySettings())
    few = Scene(n_stars=12, n_false=60).sources()
    with pytest.raises(QualityError, match="check pointing"):
        solve_frame(scene.frame(), few, scene.inputs(), AstrometrySettings())


def test_a_pointing_that_is_wrong_by_a_degree_is_refused() -> None:
    for offset in ((3600.0, 0.0), (-2000.0, 3000.0)):
        with pytest.raises(QualityError, match=r"check (the )?(pointing|exposure)"):
            solved(Scene(offset_arcsec=offset))


def test_a_catalogue_elsewhere_or_of_a_part_is_refused() -> None:
    scene = Scene()
    refcat = scene.inputs().refcat
    with pytest.raises(QualityError, match="no reference star within"):
        solved(scene, dec=refcat["dec"] - 30)
    x, _ = scene.truth().sky_to_pix(refcat["ra"], refcat["dec"])
    part = {name: values[x < scene.size / 3] for name, values in refcat.items()}
    with pytest.raises(QualityError, match="catalogue does not cover"):
        solved(scene, **part)


def test_a_shuffled_catalogue_is_refused() -> None:
    scene = Scene()
    dec = scene.inputs().refcat["dec"]
    with pytest.raises(QualityError, match="check pointing"):
        solved(scene, dec=np.random.default_rng(1).permutation(dec))


def test_mismatches_in_half_a_percent_do_not_matter() -> None:
    scene = Scene(n_stars=4000)
    dec, rng = scene.inputs().refcat["dec"].copy(), np.random.default_rng(1)
    wrong = rng.random(len(dec)) < 0.005
    dec[wrong] += rng.uniform(-1.5, 1.5, wrong.sum()) / 3600
    wcs, _ = solved(scene, dec=dec)
    assert worst_px(wcs, scene) < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_a_place_that_is_half_a_pixel_off_is_refused(seed: int) -> None:
    scene = Scene(n_stars=1500, seed=seed)
    sources, rng = scene.sources(), np.random.default_rng(seed)
    at, angle = rng.uniform(0.25, 0.75, 2) * scene.size, rng.uniform(0, 2 * np.pi)
    x, y = sources.table["x_win"], sources.table["y_win"]
    bump = 0.5 * np.exp(-0.5 * (np.hypot(x - at[0], y - at[1]) / (0.12 * scene.size)) ** 2)
    x += bump * np.cos(angle)
    y += bump * np.sin(angle)
    frame = scene.frame()
    with pytest.raises(QualityError, match="stars about pixel"):
        solve_frame(frame, sources, scene.inputs(), AstrometrySettings())
    assert frame.metrics["astrometry_worst_place_mas"] > 70
