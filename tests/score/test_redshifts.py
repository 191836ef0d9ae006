from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tesela.score import redshifts
from tesela.score.rows import Row

from .duals import tile


def _row(rows: list[Row], metric: str) -> Row:
    return next(row for row in rows if row.metric == metric)


def test_nmad_of_a_normal_distribution_is_its_sigma(rng: np.random.Generator) -> None:
    values = rng.normal(0.3, 0.02, 200_000)
    assert redshifts.nmad(values) == pytest.approx(0.02, rel=0.01)


def test_nmad_does_not_see_a_few_outliers(rng: np.random.Generator) -> None:
    values = rng.normal(0.0, 0.02, 10_000)
    values[:100] = 5.0
    assert redshifts.nmad(values) == pytest.approx(0.02, rel=0.05)


def test_scatter_bias_and_outliers_come_back(rng: np.random.Generator) -> None:
    one = tile(20_000)
    error = rng.normal(0.01, 0.02, len(one.redshift))
    wild = rng.uniform(0, 1, error.size) < 0.05
    error[wild] = 0.5
    photoz = one.redshift + error * (1 + one.redshift)
    rows = redshifts.rows([replace(one, valueadded={**one.valueadded, "photoz": photoz})])
    row = _row(rows, "photo-z scatter, r < 20")
    assert row.n == np.count_nonzero(one.is_galaxy)
    assert row.value == pytest.approx(0.021, abs=0.002)
    assert row.target is None
    bias = float(row.note.split()[1].rstrip(","))
    assert bias == pytest.approx(0.011, abs=0.002)
    assert float(row.note.split()[2]) == pytest.approx(5.0, abs=0.8)
    bright = _row(rows, "photo-z scatter, r < 18")
    assert bright.n == np.count_nonzero(one.is_galaxy & (one.r_mag < 18))


def test_stars_and_galaxies_without_a_redshift_do_not_enter() -> None:
    one = tile()
    photoz = np.where(one.is_star, 9.0, one.redshift)
    photoz[1] = np.nan
    found = redshifts.errors(replace(one, valueadded={**one.valueadded, "photoz": photoz}), 30.0)
    assert found.size == np.count_nonzero(one.is_galaxy) - 1
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_purity_and_completeness_of_probabilities_made_by_hand() -> None:
    one = tile(400)  # 200 stars, 200 galaxies, 17 < r < 20
    prob = np.zeros(400)
    stars, galaxies = np.flatnonzero(one.is_star), np.flatnonzero(~one.is_star)
    prob[stars[:150]] = 0.9  # 50 stars are missed
    prob[galaxies[:50]] = 0.6  # 50 galaxies are called stars
    rows = redshifts.rows([replace(one, valueadded={"prob_star": prob})])
    pure = _row(rows, "stars: purity at P > 0.5")
    complete = _row(rows, "stars: completeness at P > 0.5")
    assert (pure.value, pure.n) == (0.75, 200)
    assert (complete.value, complete.n) == (0.75, 200)
    assert not any(row.metric.startswith("photo-z") for row in rows)


def test_classes_are_counted_where_they_are_known_and_within_limits() -> None:
    one = tile(400)
    prob = one.valueadded["prob_star"].copy()
    prob[:10] = np.nan
    true_mag = one.true_mag.copy()
    true_mag[10:20] = 16.0
    true_mag[20:30] = 20.5
    rows = redshifts.rows([replace(one, true_mag=true_mag, valueadded={"prob_star": prob})])
    assert _row(rows, "stars: completeness at P > 0.5").n == 200 - 15


def test_variable_point_sources_count_as_stars() -> None:
    one = tile(400)
    rows = redshifts.rows([replace(one, is_star=np.zeros(400, bool))])
    assert _row(rows, "stars: completeness at P > 0.5").n == 200


def test_without_probabilities_redshifts_or_tiles_there_is_no_row() -> None:
    unknown = {"prob_star": np.full(400, np.nan)}
    assert redshifts.rows([replace(tile(400), valueadded=unknown)]) == []
    assert redshifts.rows([]) == []
