from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tesela.products.catalogue import Catalogue
from tesela.score import objects, tiles, zeropoint
from tesela.score.rows import Row
from tesela.score.zeropoint import Differences, FrameZero

from .nights import ZERO, Night, write_tile


def _tile(folder: Path, night: Night) -> Differences:
    truth, image, found = write_tile(folder, night)
    return zeropoint.of_tile(tiles.read(image, found, objects.read(truth)))


def _part(tile: str, band: str, mmag: np.ndarray) -> Differences:
    return Differences(tile, band, mmag, np.zeros(mmag.size, bool))


def _row(rows: list[Row], metric: str, band: str = "") -> Row:
    return next(row for row in rows if (row.metric, row.band) == (metric, band))


def test_the_row_returns_the_offset_that_was_put_in(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(zero_offset_mag=0.015))
    row = _row(zeropoint.rows([part], ["rSDSS"]), "zero point", "rSDSS")
    assert row.value == pytest.approx(15.0, abs=4 * row.error)
    assert 0 < row.error < 1.5
    assert row.passed is True
    assert row.n == part.mmag.size > 100


def test_a_negative_offset_of_thirty_mmag_fails(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(zero_offset_mag=-0.030))
    rows = zeropoint.rows([part], ["rSDSS"])
    assert _row(rows, "zero point", "rSDSS").value == pytest.approx(-30.0, abs=2.0)
    assert _row(rows, "zero point", "rSDSS").passed is False
    assert _row(rows, "zero point, worst band").passed is False


def test_the_colour_term_leads_to_the_published_system(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(colour_slope=0.2, noise=False))
    assert np.abs(part.mmag).max() < 0.1


def test_worst_band_and_worst_tile_are_found() -> None:
    parts = [
        _part("A", "gSDSS", np.full(10, 2.0)),
        _part("A", "rSDSS", np.full(10, -9.0)),
        _part("B", "rSDSS", np.full(10, 3.0)),
        _part("B", "gSDSS", np.full(10, -4.0)),
        _part("C", "gSDSS", np.full(10, -4.0)),
    ]
    rows = zeropoint.rows(parts, ["gSDSS", "rSDSS"])
    band, tile = rows[0], rows[1]
    assert (band.metric, band.value, band.note) == ("zero point, worst band", -4.0, "gSDSS")
    assert (tile.metric, tile.value, tile.note) == ("zero point, worst tile", -9.0, "A rSDSS")
    assert "largest of 2 tiles 9.0" in _row(rows, "zero point", "rSDSS").note


def test_the_cost_of_rejected_cores_is_free_of_the_zero_point() -> None:
    lost = np.arange(100) < 20
    parts = [Differences(t, "r", z + 30.0 * lost, lost) for t, z in (("A", 5.0), ("B", -90.0))]
    rows = zeropoint.rows(parts, ["r"])
    assert _row(rows, "stars with a rejected core").value == pytest.approx(0.2)
    assert _row(rows, "their magnitude minus others'").value == pytest.approx(30.0)
    assert _row(rows, "their magnitude minus others'").n == 40


def test_a_tile_of_rejected_cores_has_nothing_to_compare_with() -> None:
    rows = zeropoint.rows([Differences("A", "r", np.ones(5), np.ones(5, bool))], ["r"])
    assert _row(rows, "their magnitude minus others'").n == 0


def test_a_band_without_stars_is_the_worst() -> None:
    parts = [_part("A", "g", np.ones(5)), _part("A", "r", np.zeros(0))]
    worst = zeropoint.rows(parts, ["g", "r"])[0]
    assert worst.note == "r"
    assert worst.passed is False


def test_nothing_gives_no_rows() -> None:
    assert zeropoint.rows([], []) == []


def test_relative_scatter_forgets_the_offset_of_each_group(rng: np.random.Generator) -> None:
    noise = rng.normal(0, 2.0, (200, 3))
    zeros = [
        FrameZero(f"g{i}", 100.0 * i + float(value))
        for i, values in enumerate(noise)
        for value in values
    ]
    spread = [FrameZero("a", -1.0), FrameZero("a", 0.0), FrameZero("a", 1.0), FrameZero("b", 7.0)]
    assert zeropoint.relative_row("z", zeros).value < 3.0
    row = zeropoint.relative_row("z", spread, 3.0)
    assert row.value == pytest.approx(1.4826 * 1.5**0.5)
    assert row.n == 3
    assert row.passed is True
    assert "in 1 groups" in row.note


def test_a_frame_alone_says_nothing_of_scatter() -> None:
    row = zeropoint.relative_row("z", [FrameZero("a", 5.0)])
    assert row.n == 0
    assert math.isnan(row.value)


def _solution(night: Night) -> Catalogue:
    """A photometric solution: the row of the tile after one of a frame that must not be taken."""
    right = {"zeropoint_mag": ZERO, "colour_coefficient": night.colour_slope, "colour_pivot": 1.0}
    columns = {
        "band": np.array([night.band, night.band], object),
        "frame": np.array(["f1", ""], object),
    }
    for name, value in right.items():
        columns[name] = np.array([99.0, value])
    return Catalogue(columns, {"tile": night.tile}, "zeropoints")


def _published(folder: Path, night: Night, solution: Catalogue) -> Differences:
    truth, image, found = write_tile(folder, night)
    return zeropoint.published(tiles.read(image, found, objects.read(truth)), solution)


@pytest.mark.parametrize("wrong_mag", [0.012, -0.030])
def test_the_published_row_returns_the_offset_that_was_put_in(
    tmp_path: Path, wrong_mag: float
) -> None:
    night = Night(noise=False)
    solution = _solution(night)
    solution.columns["zeropoint_mag"] += wrong_mag
    part = _published(tmp_path, night, solution)
    head, row = zeropoint.published_rows([part], ["rSDSS"])
    assert row.value == head.value == pytest.approx(1e3 * wrong_mag, abs=0.1)
    assert (row.metric, row.band) == ("published zero point", "rSDSS")
    assert (head.metric, head.note) == ("published zero point, worst band", "rSDSS")
    assert row.passed is head.passed is (abs(wrong_mag) < 0.020)
    assert row.n == part.mmag.size > 100


def test_the_published_zero_point_does_not_know_that_of_the_coadd(tmp_path: Path) -> None:
    """The coadd's is wrong by 50 mmag; the solution sets it right."""
    night = Night(noise=False, zero_offset_mag=0.050)
    solution = _solution(night)
    solution.columns["zeropoint_mag"] -= 0.050
    part = _published(tmp_path, night, solution)
    assert np.abs(part.mmag).max() < 0.1


def test_the_solution_has_a_colour_term_of_its_own(tmp_path: Path) -> None:
    night = Night(noise=False, colour_slope=0.2)
    solution = _solution(night)
    assert np.abs(_published(tmp_path / "a", night, solution).mmag).max() < 0.1
    solution.columns["colour_coefficient"] = np.zeros(2)
    assert np.ptp(_published(tmp_path / "b", night, solution).mmag) > 300


def test_without_a_solution_there_is_no_published_row() -> None:
    assert zeropoint.published_rows([], ["gSDSS", "rSDSS"]) == []


def test_a_band_that_the_solution_does_not_hold_fails_and_does_no_harm(tmp_path: Path) -> None:
    night = Night(noise=False)
    other = _published(tmp_path, night, _solution(Night(band="gSDSS")))
    row = zeropoint.published_rows([other], ["rSDSS"])[1]
    assert (row.n, row.passed) == (0, False)
