"""A survey of one tile in one band of unknown curve: no colour, no redshift, all else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits

from tesela.sciencedb.shelf import Served, Shelf
from tesela.simulate import survey
from tesela.simulate.survey import REFCAT
from tesela.web.archive.app import create_app
from tesela.web.archive.settings import ArchiveSettings
from verbs import Said, new_site, well

from .conftest import SETTINGS
from .ledgers import assert_nothing_left_over, current

pytestmark = pytest.mark.night

_V = """
[filters.V]
names = ["rSDSS"]
[filters.V.reference]
mag = "mag_rSDSS"
err = "mag_err_rSDSS"
mag_limits = [12.0, 18.5]

[steps.catalog]
injections = 0
"""


@pytest.fixture(scope="module")
def processed(night: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """The site, and what its run said."""
    folder = tmp_path_factory.mktemp("oneband")
    text = survey.survey_toml(SETTINGS)
    before = text[: text.index("[filters.")].replace('"SIM-00002"', '# "SIM-00002"')
    (folder / "survey.toml").write_text(before + _V)
    site = new_site(folder / "site", folder / "survey.toml")
    well("refcat", "add", REFCAT, night / "refcat.parquet", "--site", site)
    raws = [
        path
        for path in sorted((night / "raw").glob("*.fits"))
        if fits.getheader(path).get("FILTER", "rSDSS") == "rSDSS"
    ]
    well("ingest", *raws, "--site", site)
    return site, well("run", "--site", site, "--workers", 2, "--json")


def test_every_step_is_done_and_says_what_it_leaves_out(processed: tuple[Path, Said]) -> None:
    site, said = processed
    summary = said.data
    assert summary["done"] > 10
    assert summary["dead"] == summary["skipped"] == summary["failed_attempts"] == 0
    made = {kind for kind, key in current(site, "id") if key.startswith("SIM-00001")}
    assert made == {"coadd", "catalogue", "dual", "zeropoints", "valueadded", "science"}
    assert "no redshifts" in well("why", "SIM-00001", "--site", site).out
    assert_nothing_left_over(site)


def test_it_is_released_like_any_other(processed: tuple[Path, Said]) -> None:
    site, _ = processed
    built = well("release", "build", "dr1", "--site", site, "--json").data
    assert built["validation"]["passed"] is True
    well("release", "publish", "dr1", "--site", site)
    release = Served(Shelf(site / "releases")).get()
    assert release.model.band_names == ("V",)
    assert release.model.detection_band == "V"
    rows = release.scan("objects", ["mag_psfcor", "photoz", "prob_star"]).table()
    assert rows["photoz"].null_count == len(rows)
    assert rows["prob_star"].null_count < len(rows) / 2
    # One value a band is one number here, not a list of one.
    mag = rows["mag_psfcor"].to_numpy(zero_copy_only=False)
    assert 14 < np.nanmedian(mag) < 24


def _ask(site: Path, paths: list[str]) -> list[httpx.Response]:
    """Ask the archive of a site, without a server."""
    app = create_app(site / "releases", ArchiveSettings(base_url="http://127.0.0.1"))

    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(all_of_them())


def test_its_pages_answer_with_arrays_of_one_band(processed: tuple[Path, Said]) -> None:
    site, _ = processed
    release = Served(Shelf(site / "releases")).get()
    rows = release.scan("objects", ["source_id", "status", "ra", "dec"]).table().to_pylist()
    first = {row["status"][0]: row for row in reversed(rows)}
    ra, dec = rows[0]["ra"], rows[0]["dec"]
    sources = [f"/dr1/object/{row['source_id']}" for row in first.values()]
    view, search, *answers = _ask(
        site,
        [
            f"/dr1/sky/objects.json?ra={ra}&dec={dec}&radius=0.02",
            f"/dr1/search?position={ra}+{dec}&radius=60",
            *sources,
            *(f"{source}.json" for source in sources),
        ],
    )
    assert any(isinstance(source["mag"], float) for source in view.json()["sources"])
    assert search.status_code == 200
    for page in answers[: len(sources)]:
        assert page.status_code == 200
        assert "SIM-00001-" in page.text
    for status, told in zip(first, answers[len(sources) :]):
        assert told.json()["object"]["status"] == [status]
