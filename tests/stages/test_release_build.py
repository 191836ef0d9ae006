"""A release as built: complete, the same each time, and refused where it cannot be."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.stages.frozen import BANDS, make_inputs, tile_wcs

from tesela.errors import BadInput, ProductError
from tesela.products import files
from tesela.products.images import Coadd
from tesela.sciencedb.model import ReleaseModel
from tesela.sciencedb.release import Release
from tesela.sky.wcs import Wcs
from tesela.stages import release
from tesela.stages.release import ReleaseInputs, ReleaseSettings, colours, coverage, preview
from tesela.stages.release.settings import silent

SETTINGS = ReleaseSettings(preview_px=400, tile_px=80)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReleaseInputs:
    return make_inputs(tmp_path_factory.mktemp("in"))


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def folder(
    inputs: ReleaseInputs, told: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("release")
    release.build(inputs, SETTINGS, folder, lambda *step: told.append(step))
    return folder


def test_release_opens_and_holds_the_rows_of_the_working_tables(
    folder: Path, inputs: ReleaseInputs
) -> None:
    opened = Release.open(folder)
    for name in ("objects", "detections", "tiles"):
        given = sum(pq.read_metadata(getattr(tile, name)).num_rows for tile in inputs.tiles)
        assert opened.model.rows[name] == given > 0
    assert opened.model.rows["filters"] == len(BANDS)
    assert [tile.name for tile in opened.model.tiles] == ["T-1", "T-2"]
    assert opened.model.tiles[0].bands == BANDS
    opened.close()


def test_every_file_is_listed_with_its_content(folder: Path) -> None:
    model = ReleaseModel.read(folder)
    listed = {file.path: file for file in model.files}
    sums = folder / "hips/colour/sha256sums.txt"
    apart = {line.split("  ")[1] for line in sums.read_text().splitlines()}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there == {*listed, *(f"hips/colour/{name}" for name in apart), "release.json"}
    for path in ("preview.jpg", "images/T-2/T-2.iSDSS.fits"):
        assert listed[path].sha256 == files.sha256_of(folder / path)
        assert listed[path].size == (folder / path).stat().st_size
    assert release.missing_files(folder) == []


def test_same_inputs_give_the_same_release(folder: Path, inputs: ReleaseInputs, tmp_path: Path):
    again = tmp_path / "again"
    again.mkdir()
    release.build(inputs, SETTINGS, again)
    one, two = ReleaseModel.read(folder), ReleaseModel.read(again)
    differing = {f.path for f in one.files} ^ {f.path for f in two.files}
    differing |= {f.path for f, g in zip(one.files, two.files) if f != g}
    assert not [name for name in differing if not name.endswith(".duckdb")]
    assert replace(one, files=()) == replace(two, files=())


def test_images_are_linked_not_copied(folder: Path, inputs: ReleaseInputs) -> None:
    source = inputs.tiles[0].coadds["rSDSS"]
    assert source.samefile(folder / "images/T-1/T-1.rSDSS.fits")


def test_images_are_copied_where_links_are_impossible(
    inputs: ReleaseInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    known = release.freeze.link_images(tmp_path, inputs, silent)
    assert known == {}
    copy = tmp_path / "images/T-1/T-1.rSDSS.fits"
    assert copy.read_bytes() == inputs.tiles[0].coadds["rSDSS"].read_bytes()
    assert not copy.samefile(inputs.tiles[0].coadds["rSDSS"])


def test_known_checksums_are_taken(inputs: ReleaseInputs, tmp_path: Path) -> None:
    tile = replace(inputs.tiles[0], checksums={"gSDSS": "known"})
    known = release.freeze.link_images(tmp_path, replace(inputs, tiles=(tile,)), silent)
    assert known == {"images/T-1/T-1.gSDSS.fits": "known"}


def test_facts_say_what_pages_show(folder: Path) -> None:
    facts = ReleaseModel.read(folder).facts
    # 87 of 90 rows have data; the tiles share what their width exceeds their distance.
    width, height = 100 * 6 / 3600, 87 * 6 / 3600
    step = 0.25 * np.cos(np.radians(57.0))
    assert facts["area_deg2"] == pytest.approx((width + step) * height, rel=0.02)
    assert facts["depth_psf_mag"] == {"gSDSS": 21.0, "rSDSS": 21.25, "iSDSS": 21.5}
    assert facts["mean_epoch_min_mjd"] == facts["mean_epoch_max_mjd"] == 57937.5
    assert facts["centre_deg"] == pytest.approx([210.125, 57.0], abs=0.02)
    assert facts["colour"]["red"] == {"iSDSS": 1.0}
    assert facts["hips"]["order"] == 6


def test_progress_is_told_to_the_end(folder: Path, told: list[tuple[str, int, int]]) -> None:
    last = {what: (done, of) for what, done, of in told}
    assert {"tables", "images", "coverage", "pictures", "image survey", "checksums"} <= set(last)
    assert all(done == of > 0 for done, of in last.values())


def test_preview_tells_where_its_pixels_are(folder: Path, inputs: ReleaseInputs) -> None:
    place = json.loads((folder / "preview.json").read_text())
    picture = np.asarray(Image.open(folder / "preview.jpg")).astype(float)
    assert list(picture.shape[:2]) == place["shape"]
    assert max(place["shape"]) <= 400
    wcs = Wcs(
        np.array(place["crval"]), np.array(place["crpix"]), np.array(place["cd"]), None, (1, 1)
    )
    # North is up and east left.
    x, y = wcs.sky_to_pix([210.0, 210.0, 210.1], [57.0, 57.05, 57.0])
    assert y[1] < y[0] - 10
    assert x[2] < x[0] - 10
    # The brightest pixel of a coadd alone in its part of the sky is bright in the picture.
    coadd = Coadd.read(inputs.tiles[1].coadds["rSDSS"])
    core = coadd.image[40:80, 5:60]
    row, column = np.unravel_index(core.argmax(), core.shape)
    position = tile_wcs("T-2").pix_to_sky(column + 5, row + 40)
    x, y = (int(np.rint(float(v))) for v in wcs.sky_to_pix(*position))
    assert picture[y - 1 : y + 2, x - 1 : x + 2].mean() > 3 * np.median(picture)
    # The outlines are those of the tiles.
    outline = {tile["name"]: np.array(tile["outline"]) for tile in place["tiles"]}
    ra, dec = wcs.pix_to_sky(*outline["T-1"].T)
    np.testing.assert_allclose(np.transpose([ra, dec]), inputs.tiles[0].corners_deg, atol=2e-4)


def test_picture_of_a_tile_is_the_tile_no_larger_than_asked(folder: Path) -> None:
    picture = Image.open(folder / "tiles/T-1.jpg")
    assert picture.size == (80, 72)
    bottom = np.asarray(picture)[-1]
    assert bottom.max() < 30  # the first rows of the coadd have no data
    assert np.asarray(picture)[0].max() > 30


def test_picture_of_a_wide_release_stays_on_its_tangent_plane(inputs: ReleaseInputs) -> None:
    far = replace(
        inputs.tiles[0],
        ra_deg=30.0,
        dec_deg=-20.0,
        corners_deg=((30.0, -20.0), (31.0, -20.0), (31.0, -19.0), (30.0, -19.0)),
    )
    near = [replace(far, name=str(i), corners_deg=inputs.tiles[0].corners_deg) for i in range(9)]
    wcs = preview.frame([*near, far], 300, 1.0)
    assert max(wcs.shape) <= 300
    assert np.isfinite(wcs.crpix).all()


def test_coverage_counts_what_two_tiles_see_once(inputs: ReleaseInputs) -> None:
    alone = [
        coverage.measure(replace(inputs, tiles=(tile,)), SETTINGS, silent).area_deg2
        for tile in inputs.tiles
    ]
    both = coverage.measure(inputs, SETTINGS, silent)
    assert both.area_deg2 < 0.95 * sum(alone)
    twice = replace(inputs.tiles[0], name="T-3")
    same = coverage.measure(replace(inputs, tiles=(inputs.tiles[0], twice)), SETTINGS, silent)
    assert same.area_deg2 == pytest.approx(alone[0], rel=1e-9)
    assert both.moc().sky_fraction * 41252.96 == pytest.approx(both.area_deg2, rel=0.1)
    touched = both.tiles_of_cells(6)
    assert ["T-1", "T-2"] in touched.values()
    with pytest.raises(ValueError, match="at most"):
        both.tiles_of_cells(20)


def test_planes_of_few_tiles_are_held(inputs: ReleaseInputs) -> None:
    facts = {(t.name, b): colours.read_facts(p) for t in inputs.tiles for b, p in t.coadds.items()}
    recipe = colours.choose_recipe(dict.fromkeys(BANDS, 1.0), SETTINGS)
    planes = colours.Planes(inputs.tiles, facts, recipe, 1)
    first = planes("T-1")
    assert planes("T-1") is first
    planes("T-2")
    again = planes("T-1")
    assert again is not first
    np.testing.assert_array_equal(again, first)
    assert np.isnan(first[:, :3]).all()
    coadd = Coadd.read(inputs.tiles[0].coadds["iSDSS"])
    gain = 10 ** (0.4 * (23.9 - 22.5))
    np.testing.assert_allclose(first[0, 3:], gain * coadd.image[3:], rtol=1e-5)


def test_one_band_gives_a_grey_release(tmp_path: Path) -> None:
    one = make_inputs(tmp_path / "in", bands=("rSDSS",))
    (tmp_path / "out").mkdir()
    model = release.build(one, SETTINGS, tmp_path / "out")
    assert model.band_names == ("rSDSS",)
    picture = np.asarray(Image.open(tmp_path / "out/preview.jpg")).astype(int)
    assert np.ptp(picture, axis=2).max() <= 2
    assert release.validate(tmp_path / "out").passed


@pytest.fixture
def spoiled(inputs: ReleaseInputs, tmp_path: Path) -> Iterator[ReleaseInputs]:
    """Inputs whose files may be spoiled."""
    place = tmp_path / "spoiled"
    shutil.copytree(inputs.tiles[0].objects.parent.parent, place)
    old = inputs.tiles[0].objects.parent.parent

    def moved(path: Path) -> Path:
        return place / path.relative_to(old)

    tiles = tuple(
        replace(
            tile,
            objects=moved(tile.objects),
            detections=moved(tile.detections),
            tiles=moved(tile.tiles),
            coadds={band: moved(path) for band, path in tile.coadds.items()},
        )
        for tile in inputs.tiles
    )
    yield replace(inputs, tiles=tiles)


def build_of(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    release.build(spoiled, SETTINGS, out)


def test_damaged_table_is_named(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    path = spoiled.tiles[1].detections
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ProductError, match=r"T-2\.detections\.parquet"):
        build_of(spoiled, tmp_path)


def test_missing_coadd_is_named(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    spoiled.tiles[1].coadds["gSDSS"].unlink()
    with pytest.raises(ProductError, match=r"T-2\.gSDSS"):
        build_of(spoiled, tmp_path)


def test_sources_with_one_number_are_refused(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    shutil.copy(spoiled.tiles[0].objects, spoiled.tiles[1].objects)
    with pytest.raises(ProductError, match="more than once"):
        build_of(spoiled, tmp_path)


def test_bands_of_different_size_are_refused(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    path = spoiled.tiles[0].coadds["iSDSS"]
    old = Coadd.read(path)
    path.unlink()
    names = ("image", "weight", "variance", "mask", "count")
    replace(old, **{name: getattr(old, name)[:-4] for name in names}).write(path)
    with pytest.raises(ProductError, match="one grid of pixels"):
        build_of(spoiled, tmp_path)


def test_release_without_a_pixel_is_refused(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    for tile in spoiled.tiles:
        path = tile.coadds["rSDSS"]
        old = Coadd.read(path)
        path.unlink()
        replace(old, weight=np.zeros_like(old.weight)).write(path)
    with pytest.raises(ProductError, match="no pixel with data in rSDSS"):
        build_of(spoiled, tmp_path)


def test_coadd_without_a_zero_point_is_refused(spoiled: ReleaseInputs, tmp_path: Path) -> None:
    path = spoiled.tiles[0].coadds["gSDSS"]
    old = Coadd.read(path)
    path.unlink()
    replace(old, cards=[card for card in old.cards if card[0] != "MAGZP"]).write(path)
    with pytest.raises(ProductError, match="MAGZP"):
        build_of(spoiled, tmp_path)


def test_folder_must_be_empty(inputs: ReleaseInputs, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("here")
    with pytest.raises(ProductError, match="an empty folder"):
        release.build(inputs, SETTINGS, tmp_path)
    with pytest.raises(ProductError, match="an empty folder"):
        release.build(inputs, SETTINGS, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiles": ()}, "at least one tile"),
        ({"bands": ("rSDSS", "gSDSS", "iSDSS")}, "in the order gSDSS, rSDSS, iSDSS"),
        ({"detection_band": "zSDSS"}, "detection band zSDSS"),
        ({"bands": ("rSDSS", "iSDSS")}, "some of rSDSS, iSDSS"),
    ],
)
def test_contradictions_are_refused_at_the_door(
    inputs: ReleaseInputs, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        replace(inputs, **change)


def test_tile_without_the_detection_band_is_refused(inputs: ReleaseInputs) -> None:
    one = replace(inputs.tiles[0], coadds={"gSDSS": inputs.tiles[0].coadds["gSDSS"]})
    with pytest.raises(BadInput, match="tile T-1: coadds in gSDSS; expected rSDSS"):
        replace(inputs, tiles=(one,))


def test_missing_files_are_told_without_reading_them(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "preview.jpg").unlink()
    with (copy / "moc.fits").open("ab") as handle:
        handle.write(b"x")
    tile = next(copy.glob("hips/colour/Norder6/Dir*/Npix*.jpg"))
    tile.unlink()
    expected = ["moc.fits", "preview.jpg", tile.relative_to(copy).as_posix()]
    assert release.missing_files(copy) == expected
