from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.score import astrometry, objects, tiles
from tesela.score.astrometry import Residuals
from tesela.score.rows import Row

from .nights import Night, write_tile


def _tile(folder: Path, night: Night) -> Residuals:
    truth, image, found = write_tile(folder, night)
    return astrometry.of_tile(tiles.read(image, found, objects.read(truth)))


def _row(rows: list[Row], metric: str, band: str = "") -> Row:
    return next(row for row in rows if (row.metric, row.band) == (metric, band))


def test_a_shift_of_thirty_mas_is_found_on_its_axis(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(shift_mas=(30.0, 0.0)))
    rows = astrometry.rows([part], ["rSDSS"])
    assert _row(rows, "astrometry rms RA").value == pytest.approx(30.0, abs=0.01)
    assert _row(rows, "astrometry robust rms RA").value == pytest.approx(1.4826 * 30, abs=0.01)
    assert _row(rows, "astrometry rms Dec").value == pytest.approx(0.0, abs=0.01)
    assert _row(rows, "astrometry rms", "rSDSS").value == pytest.approx(30 / 2**0.5, abs=0.01)
    np.testing.assert_allclose(part.east_mas, 30.0, atol=0.01)
    assert part.east_mas.size > 300
    assert all(row.passed is not False for row in rows)


def test_fifty_mas_fail(tmp_path: Path) -> None:
    rows = astrometry.rows([_tile(tmp_path, Night(shift_mas=(0.0, 50.0)))], [])
    assert _row(rows, "astrometry rms Dec").passed is False
    assert _row(rows, "astrometry rms RA").passed is True


def test_proper_motion_is_not_an_error(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(motion_masyr=100.0))
    assert np.abs(part.east_mas).max() < 0.1
    assert np.abs(part.north_mas).max() < 0.1


def test_differences_across_ra_zero_are_small() -> None:
    east, north = astrometry.difference_mas(
        np.array([359.9999999]), np.array([60.0]), np.array([1e-7]), np.array([60.0])
    )
    assert east[0] == pytest.approx(-0.36, abs=1e-4)
    assert north[0] == 0.0


def test_outliers_are_clipped_and_counted(rng: np.random.Generator) -> None:
    east, north = rng.normal(0, 10, (2, 500))
    east[:7] = 900.0
    rows = astrometry.rows([Residuals("rSDSS", east, north, east, north)], ["rSDSS"])
    top = _row(rows, "astrometry rms RA")
    assert top.note.startswith("7 beyond")
    assert top.n == 493
    assert top.value == pytest.approx(10.0, rel=0.1)
    assert top.error == pytest.approx(10 / (2 * 493) ** 0.5, rel=0.3)


def test_frames_are_not_judged(rng: np.random.Generator) -> None:
    east, north = rng.normal(0, 100, (2, 50))
    part = Residuals("rSDSS", east, north, east, north)
    assert all(row.passed is None for row in astrometry.rows([part], [], what="x", judge=False))


def test_no_star_at_all_does_not_pass() -> None:
    rows = astrometry.rows([], [])
    assert _row(rows, "astrometry rms RA").passed is False
