"""A release of the night: what was measured, frozen, opened again and compared with the site."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.products.catalogue import Catalogue
from tesela.sciencedb.release import Release
from tesela.sciencedb.shelf import Served, Shelf
from verbs import tesela, well

from .ledgers import ask, assert_nothing_left_over, clone, current

pytestmark = pytest.mark.night


@pytest.fixture(scope="module")
def site(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the night's site with the published release dr1."""
    copy = clone(done, tmp_path_factory.mktemp("released") / "site")
    well("release", "build", "dr1", "--site", copy)
    well("release", "publish", "dr1", "--site", copy)
    return copy


@pytest.fixture(scope="module")
def release(site: Path) -> Release:
    """The published release, as a server opens it."""
    return Served(Shelf(site / "releases")).get()


def test_every_check_passes(site: Path) -> None:
    data = well("release", "validate", "dr1", "--site", site, "--json").data
    assert data["passed"] is True
    assert len(data["checks"]) > 20


def test_the_ledger_knows_what_it_was_made_from(site: Path) -> None:
    sources = ask(
        site,
        "SELECT s.kind, s.key FROM edge e JOIN product s ON s.id = e.source"
        " JOIN product p ON p.id = e.product WHERE p.kind = 'release' AND p.key = 'dr1'",
    )
    coadds = {key for key in current(site, "id") if key[0] in ("coadd", "science")}
    assert set(sources) == coadds
    assert_nothing_left_over(site)


def test_every_source_of_the_dual_catalogues_is_an_object(site: Path, release: Release) -> None:
    paths = current(site, "path")
    n = 0
    for tile in ("SIM-00001", "SIM-00002"):
        dual = Catalogue.read(site / paths["dual", tile])
        n += len(dual)
        rows = release.cone("objects", dual.columns["ra"][0], dual.columns["dec"][0], 0.1 / 3600)
        found = rows.table().to_pylist()
        assert [row["number"] for row in found if row["tile"] == tile] == [1]
    assert release.model.rows["objects"] == n
    assert release.model.facts["objects"] == n


def test_magnitudes_are_fluxes_with_the_published_zero_points(site: Path, release: Release) -> None:
    paths = current(site, "path")
    tile = "SIM-00001"
    dual = Catalogue.read(site / paths["dual", tile]).columns
    zero = Catalogue.read(site / paths["zeropoints", tile]).columns
    place = release.model.band_names.index("rSDSS")
    (row,) = np.flatnonzero((zero["band"] == "rSDSS") & (zero["frame"] == ""))
    table = release.scan("objects", ["tile", "number", "mag_psfcor"]).table().to_pylist()
    mag = {row["number"]: row["mag_psfcor"][place] for row in table if row["tile"] == tile}
    bright = np.argsort(dual["flux_psfcor"][:, place])[-50:]
    for i in bright[np.isfinite(dual["flux_psfcor"][bright, place])]:
        expected = zero["zeropoint_mag"][row] - 2.5 * np.log10(dual["flux_psfcor"][i, place])
        assert mag[int(dual["number"][i])] == pytest.approx(expected, abs=2e-3)


def test_a_tile_can_be_left_out_and_a_name_is_used_once(site: Path) -> None:
    said = tesela("release", "build", "dr1", "--site", site)
    assert said.code == 2
    built = well(
        "release", "build", "half", "--without", "SIM-00002", "--site", site, "--json"
    ).data
    assert built["tiles"] == 1
    assert well("release", "publish", "half", "--site", site, "--json").data == {
        "served": ["half", "dr1"]
    }


def test_a_release_survives_what_is_due_and_the_next_waits_for_it(
    done: Path, site: Path, tmp_path: Path
) -> None:
    copy = clone(site, tmp_path / "site")
    frame = next(key for kind, key in current(done, "id") if kind == "reduced")
    well("flag", frame, "--reason", "clouds", "--site", copy)
    assert well("release", "validate", "dr1", "--site", copy, "--json").data["passed"] is True
    said = tesela("release", "build", "dr2", "--site", copy)
    assert said.code == 1
    assert "is due" in said.err
