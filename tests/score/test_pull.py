from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.score import objects, pull, tiles
from tesela.score.pull import Pulls

from .nights import Night, write_tile


def _tile(folder: Path, night: Night, seed: int = 1) -> Pulls:
    truth, image, found = write_tile(folder, night, seed)
    return pull.of_tile(tiles.read(image, found, objects.read(truth)))


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_width_is_true_noise_over_stated_noise(tmp_path: Path, factor: float) -> None:
    parts = [
        _tile(tmp_path / str(s), Night(error_factor=factor, zero_offset_mag=0.2), s)
        for s in range(3)
    ]
    rows = pull.rows(parts, ["rSDSS"])
    assert rows[0].metric == "pull width"
    assert rows[0].n >= pull.LEAST_PAIRS
    assert rows[0].value == pytest.approx(factor, abs=4 * rows[0].error)
    assert rows[0].error < 0.1
    assert rows[0].passed is (factor == 1.0)
    assert rows[1].value == pytest.approx(0.0, abs=4 * rows[1].error)
    assert rows[-1].band == "rSDSS"
    assert rows[-1].value == rows[0].value


def test_bins_of_signal_to_noise_hold_all_pairs(tmp_path: Path) -> None:
    rows = pull.rows([_tile(tmp_path, Night())], [])
    bins = [row for row in rows if "S/N" in row.metric]
    assert sum(row.n for row in bins) == rows[0].n
    assert all(row.passed is None for row in bins)


def test_a_colour_term_is_no_noise(tmp_path: Path) -> None:
    part = _tile(tmp_path, Night(colour_slope=0.3, noise=False))
    assert np.abs(part.pull).max() < 0.02


def test_stars_with_foreign_light_are_left_out(tmp_path: Path) -> None:
    loose = _tile(tmp_path / "a", Night())
    crowded = _tile(tmp_path / "b", Night(step_px=5.0))
    assert loose.pull.size > 150
    assert crowded.pull.size < 0.5 * loose.pull.size


def test_few_pairs_are_not_judged() -> None:
    few = Pulls("rSDSS", np.linspace(-9, 9, 100), np.full(100, 20.0), np.ones(100, bool))
    assert pull.rows([few], [])[0].passed is None


def test_where_fewer_frames_contribute_a_row_of_its_own_tells() -> None:
    rng = np.random.default_rng(3)
    full = rng.uniform(size=2000) < 0.7
    residual = rng.normal(size=2000) * np.where(full, 1.0, 3.0)
    rows = pull.rows([Pulls("rSDSS", residual, np.full(2000, 20.0), full)], ["rSDSS"])
    by_name = {row.metric: row for row in rows if not row.band}
    assert by_name["pull width"].passed
    assert by_name["pull width"].n + by_name["pull width, fewer frames"].n == 2000
    assert by_name["pull width, fewer frames"].value == pytest.approx(3.0, abs=0.4)
