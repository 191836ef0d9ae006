from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tesela.score import completeness, objects, tiles
from tesela.score.completeness import Recovery

from .nights import Night, write_tile

FLAT = {"m50": 99.0, "k": 5.0, "plateau": 0.8}


def _tile(folder: Path, night: Night, seed: int = 1) -> Recovery:
    truth, image, found = write_tile(folder, night, seed)
    return completeness.of_tile(tiles.read(image, found, objects.read(truth)))


def test_the_curve_is_half_its_plateau_at_m50_and_whole_when_bright() -> None:
    facts = {"m50": 21.0, "k": 4.0, "plateau": 0.9}
    values = completeness.curve(np.array([10.0, 21.0, 40.0]), facts)
    np.testing.assert_allclose(values, [0.9, 0.45, 0.0], atol=1e-12)
    assert np.isnan(completeness.curve(np.array([20.0]), {})).all()


def test_lost_stars_are_missed_in_the_right_number(tmp_path: Path) -> None:
    parts = [
        _tile(tmp_path / str(s), Night(lost=0.2, injected=FLAT, noise=False), s) for s in range(4)
    ]
    row, band = completeness.rows(parts, ["rSDSS"])
    assert row.value == pytest.approx(0.0, abs=4 * row.error)
    assert row.error == pytest.approx((0.16 / row.n) ** 0.5, rel=0.3)
    assert row.n > 300
    assert "injected 0.800" in row.note
    assert band.passed is None
    assert band.value == row.value


def test_a_curve_that_promises_too_much_fails(tmp_path: Path) -> None:
    night = Night(lost=0.5, injected=FLAT, noise=False)
    row = completeness.rows([_tile(tmp_path, night)], [])[0]
    assert row.value < -0.2
    assert row.passed is False


def test_a_zero_point_error_does_not_lose_stars(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(zero_offset_mag=1.0, injected=FLAT, noise=False))
    assert part.found.all()


def test_a_source_farther_than_its_share_of_the_fwhm_is_not_the_star(tmp_path: Path) -> None:
    def shift(x: np.ndarray) -> np.ndarray:
        return x + np.where(np.arange(x.size) % 2, 1.6, 1.4)  # the limit is 0.6 x 2.5 px

    truth, image, found = write_tile(tmp_path, Night(noise=False), x=shift)
    part = completeness.of_tile(tiles.read(image, found, objects.read(truth)))
    assert 0.4 < part.found.mean() < 0.6


@pytest.mark.parametrize(("factor", "there"), [(1.9, True), (2.1, False), (0.49, False)])
def test_a_source_of_another_flux_is_not_the_star(
    tmp_path: Path, factor: float, there: bool
) -> None:
    def change(flux: np.ndarray) -> np.ndarray:
        return np.where(flux < 60, flux * factor, flux).astype(np.float32)

    truth, image, found = write_tile(tmp_path, Night(noise=False), flux_psf=change)
    part = completeness.of_tile(tiles.read(image, found, objects.read(truth)))
    faint = part.mag > 20.6
    assert faint.sum() > 50
    assert (part.found[faint] == there).all()


def test_without_injections_there_is_nothing_to_compare(tmp_path: Path) -> None:
    row = completeness.rows([_tile(tmp_path, Night())], [])[0]
    assert row.n == 0
    assert math.isnan(row.value)
    assert row.passed is False


def test_an_empty_catalogue_recovers_nothing(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(lost=1.1, injected=FLAT))
    assert part.found.size > 50
    assert not part.found.any()
