"""Illumination from star lists: the right map, the wrong images left out, pages that say it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from tesela.config import Reference
from tesela.errors import QualityError
from tesela.pixels.illumination_priors import area_weights
from tesela.products.images import Master, card_dict
from tesela.stages import masters
from tesela.stages.masters import illumination, illumination_stars
from tesela.stages.masters.pages import illumination_plots
from tesela.stages.masters.settings import IlluminationFit, IlluminationGates, IlluminationSettings

from . import sky_lists

SETTINGS = IlluminationSettings()
SMOOTH = IlluminationSettings(fit=IlluminationFit(grid=0))
AREA = area_weights()
Floats = NDArray[np.float64]


def truth(illumination: Callable[[Floats, Floats], Floats] = sky_lists.bowl_and_tilt) -> Floats:
    line = np.linspace(-1, 1, 33)
    v, u = np.meshgrid(line, line, indexing="ij")
    return illumination(u, v)


def rms_mmag(difference: Floats) -> float:
    return float(1e3 * np.sqrt(np.sum(AREA * difference**2)))


def build(field: sky_lists.Field, **more: object) -> masters.MasterOutputs:
    return masters.build_illumination(field.inputs(**more), SETTINGS)


@pytest.fixture(scope="module")
def field() -> sky_lists.Field:
    return sky_lists.field(1)


@pytest.fixture(scope="module")
def made(field: sky_lists.Field) -> masters.MasterOutputs:
    return build(field, wanted=15)


def test_the_map_is_right_and_says_what_it_is(made: masters.MasterOutputs) -> None:
    master, cards = made.master, card_dict(made.master.cards)
    assert made.passed
    assert made.warnings == ["only 12 frames combined where 15 are wanted"]
    assert rms_mmag(master.arrays["map"] - truth()) < 3
    assert master.image.size == 0
    assert master.arrays["map"].shape == master.arrays["error"].shape == (33, 33)
    assert len(master.arrays["zeropoints"]) == cards["NCOMBINE"] == 12
    assert (cards["MSTKIND"], cards["ICSIGN"]) == ("ILLUMINATION", "instrumental - true")
    assert cards["ICANCHOR"] == "reference catalogue"
    # 30 mmag across the CCD in x, fainter at large x.
    assert abs(cards["ICPLX"] - 30) < 3 * cards["ICPLXERR"] < 12
    assert abs(cards["ICPLY"] + 10) < 3 * cards["ICPLYERR"] < 12
    assert made.metrics["rms_residual_mag"] < 0.002


def test_a_master_comes_back_from_its_file(
    made: masters.MasterOutputs, tmp_path: pytest.TempPathFactory
) -> None:
    path = tmp_path / "illumination.fits"  # type: ignore[operator]
    made.master.write(path)
    back = Master.read(path)
    assert back.data_hash() == made.master.data_hash()
    assert card_dict(back.cards)["ICANCHOR"] == "reference catalogue"


def test_stars_are_recognised_by_place_where_the_reference_has_none() -> None:
    """Without catalogue the rest of the map is the same; the plane is asked for and refused."""
    field = sky_lists.field(2, matched=False)
    none = {"refcat": None, "band": None}
    with pytest.raises(QualityError, match=r"ILLUMINATION.*nothing that holds the plane"):
        build(field, **none)
    settings = replace(SETTINGS, fit=IlluminationFit(plane=False))
    made = masters.build_illumination(field.inputs(**none), settings)
    flat = truth(lambda u, v: sky_lists.bowl_and_tilt(u, v) - 0.015 * u + 0.005 * v)
    assert rms_mmag(made.master.arrays["map"] - flat) < 3
    assert made.warnings == ["no plane was fitted: a tilt of the flat is left in"]
    assert card_dict(made.master.cards)["ICANCHOR"] == "no plane"
    assert "ICPLX" not in card_dict(made.master.cards)


def test_a_photometric_night_holds_the_plane_less_well() -> None:
    settings = replace(SETTINGS, fit=IlluminationFit(photometric_mag=0.015))
    field = sky_lists.field(3, zeropoint_scatter=0.015)
    made = masters.build_illumination(field.inputs(refcat=None, band=None), settings)
    error = made.master.arrays["plane_error"]
    assert card_dict(made.master.cards)["ICANCHOR"] == "photometric sequence"
    assert (np.abs(made.master.arrays["plane"] - (0.03, -0.01)) < 3 * error).all()
    assert not made.passed
    assert "plane known to" in made.reasons[0]


def test_a_patch_of_cloud_rejects_its_image(field: sky_lists.Field) -> None:
    images = list(field.images)
    table = dict(images[4].sources)
    cloud = (table["x"] < 250) & (table["y"] > 300)
    table["flux_psf"] = table["flux_psf"] * np.where(cloud, 10 ** (-0.4 * 0.05), 1)
    images[4] = replace(images[4], sources=table)
    made = build(replace(field, images=images))
    assert list(made.rejected) == ["image04"]
    assert made.rejected["image04"].endswith("20 allowed: a patch of cloud")
    assert rms_mmag(made.master.arrays["map"] - truth()) < 3
    assert len(made.master.arrays["zeropoints"]) == 11


def test_thick_clouds_and_wrong_images_are_rejected(field: sky_lists.Field) -> None:
    rng = np.random.default_rng(0)
    images = list(field.images)
    for k, change in ((2, "noise"), (5, "slope")):
        table = dict(images[k].sources)
        off = rng.normal(0, 0.1, len(table["x"])) if change == "noise" else 2e-4 * table["x"]
        table["flux_psf"] = table["flux_psf"] * 10 ** (-0.4 * off)
        images[k] = replace(images[k], sources=table)
    few = {name: values[:12] for name, values in images[7].sources.items()}
    images[7] = replace(images[7], sources=few)
    made = build(replace(field, images=images), wanted=9)
    assert set(made.rejected) == {"image02", "image05", "image07"}
    assert "stars scatter by" in made.rejected["image02"]
    assert made.rejected["image07"].startswith("12 isolated stars with S/N > 50, 30 needed")
    assert rms_mmag(made.master.arrays["map"] - truth()) < 3
    assert made.warnings == []


def test_too_few_images_are_refused_with_every_reason(field: sky_lists.Field) -> None:
    few = {name: values[:5] for name, values in field.images[0].sources.items()}
    images = [*field.images[:2], replace(field.images[3], sources=few)]
    with pytest.raises(QualityError, match=r"2 usable illumination.*image03 \(5 isolated.*least 3"):
        build(replace(field, images=images), minimum=3)


def test_a_night_with_nothing_is_refused(field: sky_lists.Field) -> None:
    with pytest.raises(QualityError, match="0 usable illumination frames"):
        build(replace(field, images=[]))


def test_a_change_within_an_epoch_needs_a_person_and_one_between_epochs_is_said(
    made: masters.MasterOutputs,
) -> None:
    other = sky_lists.field(5, lambda u, v: sky_lists.bowl_and_tilt(u, v) - 0.03 * u)
    within = build(other, previous=made.master, reference=made.master)
    assert not within.passed
    assert "differs from the previous master by 1" in within.reasons[0]
    assert within.metrics["change_previous_sigma"] > 4
    assert within.metrics["change_previous_plane_x_mag"] == pytest.approx(-0.06, abs=0.012)
    between = build(other, previous=made.master)
    assert between.passed
    assert any("differs from the previous master" in said for said in between.warnings)
    same = build(sky_lists.field(6), previous=made.master, reference=made.master)
    assert same.passed
    assert same.metrics["change_previous_sigma"] < 1.8


def test_a_colour_term_is_fitted_and_kept_out_of_the_map() -> None:
    field = sky_lists.field(7)
    field.refcat["mag"] += 0.1 * (field.refcat["blue"] - 0.8)
    band = Reference(
        mag="mag", err="err", colour=("blue", "red"), colour_pivot=0.8, colour_coefficient="fit"
    )
    made = build(field, band=band)
    assert made.metrics["colour_coefficient"] == pytest.approx(0.1, abs=0.012)
    assert rms_mmag(made.master.arrays["map"] - truth()) < 3


def test_a_corner_without_stars_needs_a_person(field: sky_lists.Field) -> None:
    def cut(image: masters.Detrended) -> masters.Detrended:
        kept = ~((image.sources["x"] < 140) & (image.sources["y"] < 140))
        return replace(image, sources={name: v[kept] for name, v in image.sources.items()})

    made = build(replace(field, images=[cut(image) for image in field.images]))
    assert not made.passed
    assert made.reasons[0] == "4 of 64 cells of the CCD have fewer than 5 stars"
    error = made.master.arrays["error"]
    assert error[0, 0] > 1.5 * error[-1, -1]


def test_structure_that_the_surface_cannot_follow_needs_a_person() -> None:
    """Images that lie aside of the others disagree with it, and that is said."""
    field = sky_lists.field(8, lambda u, v: 0.03 * np.sin(3 * np.pi * u) + 0 * v)
    made = masters.build_illumination(field.inputs(), SMOOTH)
    assert not made.passed
    assert any("images disagree with the map" in reason for reason in made.reasons)
    followed = build(field)
    assert followed.passed
    assert followed.rejected == {}


def test_residuals_that_are_left_need_a_person() -> None:
    """Waves of 15 mmag that the polynomial cannot follow and no image is left out for."""
    field = sky_lists.field(8, lambda u, v: 0.015 * np.sin(4 * np.pi * u) + 0 * v)
    found = masters.build_illumination(field.inputs(), SMOOTH)
    assert found.rejected == {}
    assert 0.005 < found.metrics["rms_residual_mag"] < 0.01
    assert found.reasons[0].startswith("residuals averaged over cells scatter by")
    loose = replace(SMOOTH, gates=IlluminationGates(rms_mag=0.01))
    assert masters.build_illumination(field.inputs(), loose).passed


def test_the_last_round_solves_without_what_it_left_out(
    field: sky_lists.Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list(field.images)
    table = dict(images[5].sources)
    table["flux_psf"] = table["flux_psf"] * 10 ** (-0.4 * 2e-4 * table["x"])
    images[5] = replace(images[5], sources=table)
    spoilt = replace(field, images=images)
    whole = build(spoilt)
    monkeypatch.setattr(illumination, "_ROUNDS", 1)
    once = build(spoilt)
    assert list(once.rejected) == list(whole.rejected) == ["image05"]
    assert once.master.data_hash() == whole.master.data_hash()
    monkeypatch.setattr(illumination, "_ROUNDS", 0)
    undecided = build(spoilt)
    assert undecided.rejected == {}
    assert undecided.reasons[-1] == "after 0 rounds image05 still disagree with the map"


def test_an_image_of_other_stars_of_the_reference_is_of_use(field: sky_lists.Field) -> None:
    """No star of the last image is in another one: the reference alone holds it."""
    n = len(field.refcat["mag"])
    images = list(field.images)
    table = dict(images[11].sources)
    table["i_ref"], table["ra"] = table["i_ref"] + n, table["ra"] + 20.0
    images[11] = replace(images[11], sources=table)
    refcat = {name: np.concatenate([values, values]) for name, values in field.refcat.items()}
    made = build(sky_lists.Field(images, refcat))
    assert made.rejected == {}
    assert rms_mmag(made.master.arrays["map"] - truth()) < 3
    unknown = {**refcat, "mag": np.where(np.arange(2 * n) < n, refcat["mag"], np.nan)}
    alone = build(sky_lists.Field(images, unknown))
    assert list(alone.rejected) == ["image11"]
    assert "shares no star" in alone.rejected["image11"]


def test_stars_with_flags_neighbours_or_little_light_are_not_used(field: sky_lists.Field) -> None:
    image = field.images[0]
    table = {name: values[:6].copy() for name, values in image.sources.items()}
    table["x"], table["y"] = np.array([50.0, 100, 102, 200, 300, 400]), np.full(6, 50.0)
    table["flux_psf"] = np.array([1e5, 1e5, 1e4, 1e5, 1e5, 1e5])
    table["flux_psf_err"] = np.array([100.0, 100, 100, 100, 3000, 100])
    table["flags"] = np.array([0, 0, 0, 2, 0, 0], np.int16)
    rows = illumination_stars.select(replace(image, sources=table), 2.0, SETTINGS.stars)
    # The second has a neighbour of a tenth of its light, which has one of ten times its own.
    assert rows.tolist() == [0, 5]


def test_two_sources_of_an_image_are_never_one_star() -> None:
    frame = np.array([0, 0, 1, 1, 0])
    i_ref = np.array([7, 7, 7, -1, -1])
    place = np.array([0.0, 0.0, 0.0, 10.0, 10.0])
    star = illumination_stars.recognise(frame, i_ref, place, place, SETTINGS.stars)
    assert star[:3].tolist() == [-1, -1, -1]
    assert star[3] == star[4] >= 0


def test_fields_far_apart_share_no_errors(field: sky_lists.Field) -> None:
    ra, dec = np.array([10.0, 10.5, 359.9, 0.1]), np.array([0.0, 0.0, 40.0, 40.0])
    sky = illumination_stars.flat_sky(field.images, np.array([0, 1, 2, 3]), ra, dec)
    assert np.hypot(*(sky[0] - sky[1])) == pytest.approx(0.5, rel=1e-3)
    assert np.hypot(*(sky[2] - sky[3])) == pytest.approx(0.2 * np.cos(np.radians(40)), rel=1e-3)
    assert np.hypot(*(sky[0] - sky[2])) > 100


def test_pages_have_every_plot_with_its_data(made: masters.MasterOutputs) -> None:
    plots = {name.removesuffix(".png") for name in made.pages if name.endswith(".png")}
    assert plots == {"map", "trumpet", "trumpet_log", "histogram", "reference"}
    for name in plots:
        assert made.pages[f"{name}.png"].startswith(b"\x89PNG")
        assert f"{name}.json" in made.pages or f"{name}.csv" in made.pages
    drawn = json.loads(made.pages["map.json"])
    assert np.array(drawn["map"]) == pytest.approx(1e3 * made.master.arrays["map"], abs=1e-3)
    images = list(csv.DictReader(io.StringIO(made.pages["images.csv"].decode())))
    assert [row["image"] for row in images] == [f"image{k:02d}" for k in range(12)]
    assert [float(row["zeropoint_mag"]) for row in images] == pytest.approx(
        list(made.master.arrays["zeropoints"]), abs=1e-5
    )
    assert made.pages["coefficients.csv"].startswith(b"term,mmag,error_mmag\nP1(x) P0(y),")


@pytest.mark.parametrize("shape", [(512, 512), (9232, 9216), (4616, 9216)])
def test_labels_and_titles_of_the_maps_are_whole(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).standard_normal((33, 33))
    values = dict.fromkeys(("before", "after", "map"), 100 * noise) | {"error": abs(noise)}
    plane = SimpleNamespace(plane=[0.1275, -0.1048], plane_error=[0.0126, 0.0125])
    figure = illumination_plots.maps_figure("Illumination, r", shape, values, plane)  # type: ignore[arg-type]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = figure.bbox.size
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        assert box is not None
        assert min(box.x0, width - box.x1) > 3
        assert min(box.y0, height - box.y1) > 3
    heads = [axes.title.get_window_extent(renderer) for axes in figure.axes[:4]]
    assert heads[0].x1 < heads[1].x0
    assert heads[2].x1 < heads[3].x0


def test_pages_show_epochs_side_by_side(
    field: sky_lists.Field, made: masters.MasterOutputs
) -> None:
    arrays = {**made.master.arrays, "map": 0.5 * made.master.arrays["map"]}
    older = replace(made.master, arrays=arrays)
    pages = build(field, previous=made.master, reference=older).pages
    assert {"this", "previous", "reference"} <= set(json.loads(pages["epochs.json"]))
    assert pages["epochs.png"].startswith(b"\x89PNG")
    once = build(field, previous=older, reference=older).pages
    assert "previous" not in json.loads(once["epochs.json"])


def test_same_inputs_same_bytes(field: sky_lists.Field, made: masters.MasterOutputs) -> None:
    again = build(field, wanted=15)
    assert again.master.data_hash() == made.master.data_hash()
    assert again.pages == made.pages
