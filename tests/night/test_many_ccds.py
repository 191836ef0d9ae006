"""Two exposures with CCDs of a camera of many: one pointing, a place, masters and filter a CCD."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tesela.products.images import ReducedImage, card_dict
from tesela.simulate import night as simulated
from tesela.simulate import survey
from tesela.simulate.optics import Astrometry
from tesela.simulate.settings import NightSettings
from tesela.sky.wcs import Wcs
from verbs import tesela, well

from .ledgers import ask, assert_nothing_left_over, clone, current, fresh

pytestmark = pytest.mark.night

CCDS = ("01", "14")
"""In the north-east, and upside down in the south-west: 41 arcmin apart."""
SETTINGS = NightSettings(
    camera="mini14",
    ccds=CCDS,
    bands=("rSDSS",),
    tiles=1,
    n_dither=2,
    n_bias=3,
    n_flat=3,
    stars_per_field=400.0,
    galaxies_per_field=100.0,
    trail_probability=0.0,
)
FIRST, SECOND = "m14-20170703T213000", "m14-20170703T213055"
SERIALS = """
[[overrides]]
step = "reduce"
camera = "mini14"
project = "survey"
settings.sky.object_grow_px = 5

[steps.catalog]
injections = 0
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    simulated.make(folder, SETTINGS, workers=2)
    (folder / "survey.toml").write_text(survey.survey_toml(SETTINGS) + SERIALS)
    return folder


@pytest.fixture(scope="module")
def site(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = fresh(tmp_path_factory.mktemp("done") / "site", many)
    well("ingest", many / "raw", "--site", site)
    summary = well("run", "--site", site, "--workers", 2, "--json").data
    assert summary["dead"] == summary["skipped"] == summary["failed_attempts"] == 0
    return site


def test_the_frames_of_an_exposure_share_sky_and_telescope(many: Path) -> None:
    truths = {ccd: np.load(many / "truth" / f"{FIRST}-{ccd}.npz") for ccd in CCDS}
    north, south = truths["01"], truths["14"]
    for name in ("airmass", "transparency", "fwhm_px"):
        assert north[name] == south[name]
    cards = {ccd: fits.getheader(many / "raw" / f"{FIRST}-{ccd}.fits") for ccd in CCDS}
    assert {card["RA"] for card in cards.values()} == {cards["01"]["RA"]}
    assert [cards[ccd]["OAJ INS FILT SERIAL"] for ccd in CCDS] == ["rSDSS-01", "rSDSS-14"]
    cameras = [np.load(many / "truth" / f"camera-{ccd}.npz") for ccd in CCDS]
    assert not np.array_equal(cameras[0]["gain"], cameras[1]["gain"])


@pytest.mark.parametrize("exposure", [FIRST, SECOND])
@pytest.mark.parametrize("ccd", CCDS)
def test_every_ccd_is_solved_at_its_own_place(
    many: Path, site: Path, exposure: str, ccd: str
) -> None:
    name = f"{exposure}-{ccd}"
    path = site / current(site, "path")["reduced", name]
    image = ReducedImage.read(path)
    found = Wcs.from_cards(card_dict(image.cards), image.image.shape)
    truth = np.load(many / "truth" / f"{name}.npz")
    true = Astrometry(
        *truth["pointing_deg"], int(truth["shape"][1]), int(truth["shape"][0]), truth["matrix"],
        float(truth["cubic"]), truth["quadratic"],
    )  # fmt: skip
    x, y = (
        grid.ravel() for grid in np.meshgrid(np.linspace(50, 1100, 6), np.linspace(50, 1100, 6))
    )
    ra, dec = found.pix_to_sky(x, y)
    true_ra, true_dec = true.to_sky(x, y)
    east = (ra - true_ra) * np.cos(np.radians(dec)) * 3600
    assert np.sqrt(np.mean(east**2 + (3600 * (dec - true_dec)) ** 2)) < 0.1


def test_the_guess_of_every_ccd_is_off_by_the_same_pointing_error(site: Path) -> None:
    rows = ask(
        site,
        "SELECT p.key, q.metrics_json FROM product p JOIN quality q ON q.product_id = p.id"
        " WHERE p.kind = 'reduced' AND p.is_current",
    )
    measured = {key: json.loads(metrics) for key, metrics in rows}
    for exposure in (FIRST, SECOND):
        turns = [measured[f"{exposure}-{ccd}"]["rotation_deg"] for ccd in CCDS]
        assert abs(turns[0] - turns[1]) < 0.02
        for ccd in CCDS:
            assert measured[f"{exposure}-{ccd}"]["pointing_offset_arcsec"] < 30


def test_masters_are_of_a_ccd_and_the_filter_in_front_of_it(site: Path) -> None:
    masters = {key for kind, key in current(site, "id") if kind == "master"}
    for ccd in CCDS:
        assert f"BIAS.JST250.mini14.{ccd}.-.SLOW.20170703" in masters
        assert f"FLAT.JST250.mini14.{ccd}.rSDSS_rSDSS-{ccd}.SLOW.20170703" in masters


def test_each_ccd_has_its_tile_and_missing_ones_are_told(site: Path) -> None:
    tiles = dict(ask(site, "SELECT f.name, t.tile FROM frame f JOIN frame_tile t"
                           " ON t.frame_id = f.product_id"))  # fmt: skip
    assert {name[-2:]: tile for name, tile in tiles.items()} == {
        "01": "SIM-00001",
        "14": "SIM-00002",
    }
    said = well("status", "--site", site, "--json").data
    # All exposures of the night that lack the same CCDs are told together.
    (one,) = [row for row in said["incomplete"] if row["arrived"] == 2]
    assert (one["expected"], one["missing"][0]) == (14, "02")
    exposures = ask(site, "SELECT COUNT(*) FROM exposure WHERE ccds_json <> '[]'")[0][0]
    assert 1 <= one["n"] <= exposures
    assert "2 of 14 CCDs here" in well("why", FIRST, "--site", site).out
    assert_nothing_left_over(site)


def test_the_settings_are_those_of_the_camera_and_project(site: Path) -> None:
    rows = ask(site, "SELECT DISTINCT scope, settings_hash FROM product WHERE kind = 'reduced'")
    (reduced,) = rows
    (step,) = ask(site, "SELECT settings_hash FROM step WHERE name = 'reduce'")
    assert reduced[0] == "mini14.survey.science"
    assert reduced[1] != step[0]
    assert well("status", "--site", site, "--json").data["stale"] == []


def test_flagging_an_exposure_takes_all_its_frames_out_of_the_coadds(
    site: Path, tmp_path: Path
) -> None:
    copy = clone(site, tmp_path / "site")
    foretold = well(
        "flag", FIRST, "--kind", "exposure", "--reason", "guiding", "--dry-run", "--json",
        "--site", copy,
    ).data["due_again"]  # fmt: skip
    before = current(copy, "version")
    well("flag", FIRST, "--kind", "exposure", "--reason", "guiding", "--site", copy)
    well("run", "--site", copy, "--workers", 2)
    after = current(copy, "version")
    remade = {pair for pair, version in after.items() if version != before.get(pair)}
    assert {(row["kind"], row["key"]) for row in foretold} == remade
    for tile in ("SIM-00001", "SIM-00002"):
        used = ask(
            copy,
            "SELECT s.key FROM product p JOIN edge e ON e.product = p.id"
            " JOIN product s ON s.id = e.source"
            " WHERE p.kind = 'coadd' AND p.key = ? AND p.is_current AND s.kind = 'reduced'",
            (f"{tile}.rSDSS",),
        )
        assert [key.rpartition("-")[0] for (key,) in used] == [SECOND]


@pytest.mark.parametrize(
    ("ccd", "cards", "words"),
    [
        ("02", {"DEC": 50.0}, "dec_deg = 50.0, but 55.1"),
        ("02", {"EXPTIME": 39.0}, "exptime_s = 39.0, but 40.0"),
        ("02", {"PROJECT": "guests"}, "project = guests, but survey"),
        ("15", {}, "CCD '15'; expected one of 01, 02"),
        ("01", {}, "other content"),
    ],
)
def test_a_frame_that_does_not_fit_its_exposure_is_refused(
    many: Path, site: Path, tmp_path: Path, ccd: str, cards: dict[str, object], words: str
) -> None:
    copy = clone(site, tmp_path / "site")
    path = tmp_path / f"{FIRST}-{ccd}.fits"
    with fits.open(many / "raw" / f"{FIRST}-01.fits") as opened:
        opened[0].data = opened[0].data ^ np.uint16(1)
        opened[0].header["HIERARCH OAJ DET CHIPID"] = ccd
        opened[0].header.update(cards)
        opened.writeto(path)
    said = tesela("ingest", path, "--site", copy)
    assert said.code == 2
    assert words in said.out
