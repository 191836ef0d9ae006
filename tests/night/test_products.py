"""What the night's products are, and how they compare with the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tesela.cli.demo import current_products
from tesela.flow.plan import tile_products
from tesela.flow.plan.downstream import PLANNED
from tesela.flow.run.site import open_site
from tesela.ledger.products import MEASURED
from tesela.score import night as score
from tesela.score.rows import Row
from verbs import well

from .ledgers import ask, assert_nothing_left_over, current

pytestmark = pytest.mark.night


@pytest.fixture(scope="module")
def rows(done: Path, night: Path) -> dict[tuple[str, str], Row]:
    """The score by metric and band."""
    products = current_products(open_site(done))
    return {(row.metric, row.band): row for row in score.evaluate(products, night / "truth")}


def test_every_product_is_there(done: Path) -> None:
    tiles = {f"{tile}.{band}" for tile in ("SIM-00001", "SIM-00002") for band in ("rSDSS", "J0378")}
    served = current(done, "path")
    for kind in ("coadd", "catalogue"):
        assert {key for k, key in served if k == kind} == tiles
    for kind in tile_products.KINDS:
        assert {key for k, key in served if k == kind} == {"SIM-00001", "SIM-00002"}
    assert sum(kind == "reduced" for kind, _ in served) == 12
    made = sorted(key.partition(".")[0] for kind, key in served if kind == "master")
    assert made == ["BADPIXEL", "BIAS", "CROSSTALK", "FLAT", "FLAT"]
    assert_nothing_left_over(done)


def test_every_product_passed_and_knows_what_was_done(done: Path) -> None:
    records = ask(
        done,
        "SELECT p.kind, p.key, p.operations_json, p.settings_hash, p.code_version, q.passed"
        " FROM product p LEFT JOIN quality q ON q.product_id = p.id WHERE p.kind <> 'raw'",
    )
    for kind, key, operations, settings, code, passed in records:
        if kind in PLANNED:
            # A dozen frames tell the crosstalk no better than its gate allows: proposed, unused.
            assert passed or key.startswith("CROSSTALK."), key
            assert settings, key
            assert code, key
        if kind in PLANNED and kind != "catalogue":
            assert operations != "[]", key


@pytest.mark.parametrize("column", MEASURED)
def test_every_column_of_quality_is_filled_by_some_step(done: Path, column: str) -> None:
    ((n,),) = ask(done, f"SELECT COUNT({column}) FROM quality")
    assert n > 0


def test_a_second_run_does_nothing(done: Path) -> None:
    before = current(done, "id")
    summary = well("run", "--site", done, "--json").data
    assert summary["done"] == summary["failed_attempts"] == summary["recovered"] == 0
    assert current(done, "id") == before
    assert "0 tasks due" in well("plan", "--site", done).out


def test_positions(rows: dict[tuple[str, str], Row]) -> None:
    for axis in ("RA", "Dec"):
        assert rows[f"astrometry rms {axis}", ""].n > 200
        assert rows[f"astrometry rms {axis}", ""].value < 40


@pytest.mark.parametrize("band", ["rSDSS", "J0378"])
def test_zero_points(rows: dict[tuple[str, str], Row], band: str) -> None:
    zero = rows["zero point", band]
    assert abs(zero.value) < 20 + 3 * zero.error


def test_errors_are_as_large_as_stated(rows: dict[tuple[str, str], Row]) -> None:
    assert 0.8 < rows["pull width", ""].value < 1.4


def test_completeness_is_that_of_the_injected_stars(rows: dict[tuple[str, str], Row]) -> None:
    row = rows["completeness minus injected", ""]
    assert abs(row.value) < 0.03 + 3 * row.error


@pytest.mark.parametrize("band", ["rSDSS", "J0378"])
def test_published_zero_points(rows: dict[tuple[str, str], Row], band: str) -> None:
    zero = rows["published zero point", band]
    assert abs(zero.value) < 20 + 3 * zero.error
    assert zero.n > 20


def test_colours_corrected_for_the_psf(rows: dict[tuple[str, str], Row]) -> None:
    stars = rows["star colours", "J0378"]
    assert abs(stars.value) < 10 + 3 * stars.error
    galaxies = rows["galaxy colours", "J0378"]
    assert abs(galaxies.value) < 30 + 3 * galaxies.error


def test_stars_are_told_from_galaxies(rows: dict[tuple[str, str], Row]) -> None:
    assert rows["stars: purity at P > 0.5", ""].value > 0.8
    assert rows["stars: completeness at P > 0.5", ""].value > 0.8


def test_scales_within_coadds(rows: dict[tuple[str, str], Row]) -> None:
    assert rows["scales within coadds", ""].value < 6


def test_cosmic_rays_and_trails(rows: dict[tuple[str, str], Row]) -> None:
    assert rows["cosmic rays with a flagged pixel", ""].value > 0.95
    assert rows["false cosmic-ray pixels", ""].value < 200
    assert rows["trail pixels flagged", ""].n > 1000
    assert rows["trail pixels flagged", ""].value > 0.9
    assert rows["frames with an invented trail", ""].value == 0


def test_doctor_finds_a_sound_site(done: Path) -> None:
    checks = {row["check"]: row for row in well("doctor", "--site", done, "--json").data}
    assert all(row["ok"] for row in checks.values())
    assert str(done) in checks["site"]["found"]
    assert "zero point" in checks["rehearsal"]["found"]
