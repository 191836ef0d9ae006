from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tesela.score import colours
from tesela.score.dual import DualTile
from tesela.score.rows import Row

from .duals import R, shifted, tile

G_BAND, I_BAND = 0, 2


def _row(rows: list[Row], metric: str, band: str = "") -> Row:
    return next(row for row in rows if (row.metric, row.band) == (metric, band))


def test_a_wrong_colour_of_one_band_comes_back_in_that_band_alone() -> None:
    right = tile()
    rows = colours.rows([shifted(right, G_BAND, 0.025, right.is_star)])
    assert _row(rows, "star colours", "gSDSS").value == pytest.approx(25.0)
    assert _row(rows, "star colours", "gSDSS").passed is False
    assert _row(rows, "star colours", "iSDSS").value == pytest.approx(0.0, abs=1e-6)
    assert _row(rows, "star colours", "iSDSS").passed is True
    assert _row(rows, "galaxy colours", "gSDSS").value == pytest.approx(0.0, abs=1e-6)
    worst = _row(rows, "star colours, worst band")
    assert (worst.value, worst.passed) == (pytest.approx(25.0), False)
    assert "gSDSS - rSDSS" in worst.note
    assert "nearest its limit of 2 bands" in worst.note


def test_the_same_error_in_all_bands_is_no_colour() -> None:
    right = tile()
    rows = colours.rows([replace(right, mag=right.mag + 0.3)])
    for band in ("gSDSS", "iSDSS"):
        assert _row(rows, "star colours", band).value == pytest.approx(0.0, abs=1e-6)
    assert not any(row.band == "rSDSS" for row in rows)


def test_an_error_of_the_detection_band_is_in_every_colour() -> None:
    right = tile()
    rows = colours.rows([shifted(right, R, 0.02, right.is_star)])
    for band in ("gSDSS", "iSDSS"):
        assert _row(rows, "star colours", band).value == pytest.approx(-20.0)


def test_galaxies_with_a_gradient_neighbours_or_little_light_are_left_out() -> None:
    right = tile()
    galaxy = np.flatnonzero(right.is_galaxy)
    gradient, crowded, faint, weak, masked = np.array_split(galaxy, 5)
    mark = np.zeros(len(right.mag), bool)
    mark[galaxy] = True
    single = right.one_component.copy()
    single[gradient] = False
    stolen = right.stolen.copy()
    stolen[crowded] = 0.06
    true_mag, mag = right.true_mag.copy(), right.mag.copy()
    true_mag[faint] += 3.0
    mag[faint] += 3.0
    snr = right.snr.copy()
    snr[weak, G_BAND] = 4.9
    usable = right.usable.copy()
    usable[masked, G_BAND] = False
    spoiled = replace(
        right, one_component=single, stolen=stolen, true_mag=true_mag, mag=mag, snr=snr,
        usable=usable,
    )  # fmt: skip
    assert colours.galaxies(right, G_BAND).size == galaxy.size
    assert colours.galaxies(spoiled, G_BAND).size == 0
    assert colours.stars(spoiled, G_BAND).size == np.count_nonzero(right.is_star)
    assert colours.galaxies(spoiled, I_BAND).size == weak.size + masked.size


def test_stars_with_neighbours_or_little_light_are_left_out() -> None:
    right = tile()
    crowded = replace(right, stolen=np.full(len(right.mag), 0.02))
    assert colours.stars(crowded, G_BAND).size == 0
    assert colours.galaxies(crowded, G_BAND).size == np.count_nonzero(right.is_galaxy)
    weak = right.snr.copy()
    weak[:, R] = 29.0
    assert colours.stars(replace(right, snr=weak), G_BAND).size == 0


def test_a_flux_without_a_magnitude_counts_as_redder_than_all() -> None:
    right = tile()
    lost = right.mag.copy()
    few = np.flatnonzero(right.is_star)[:20]
    lost[few, G_BAND] = np.nan
    with_them = colours.stars(replace(right, mag=lost), G_BAND)
    assert np.count_nonzero(np.isposinf(with_them)) == 20
    row = _row(colours.rows([replace(right, mag=lost)]), "star colours", "gSDSS")
    assert row.value == pytest.approx(0.0, abs=1e-6)
    assert row.n == np.count_nonzero(right.is_star)


def noisy(one: DualTile, sigma_mag: float) -> DualTile:
    rng = np.random.default_rng(2)
    return replace(one, mag=one.mag + rng.normal(0, sigma_mag, one.mag.shape))


def test_opposite_errors_of_two_bands_with_few_sources_do_not_cancel() -> None:
    few = noisy(tile(60), 0.02)  # 30 stars, 30 galaxies in each band
    wrong = shifted(shifted(few, G_BAND, 0.05, few.is_star), I_BAND, -0.05, few.is_star)
    rows = colours.rows([wrong])
    assert _row(rows, "star colours", "gSDSS").passed is False
    assert _row(rows, "star colours", "iSDSS").passed is False
    assert _row(rows, "star colours, worst band").passed is False
    assert _row(rows, "galaxy colours, worst band").passed is True


def test_chance_fails_no_band_with_few_sources() -> None:
    few = noisy(tile(60), 0.1)
    rows = [row for row in colours.rows([few]) if row.target is not None]
    assert max(abs(row.value) / (row.target or 1) for row in rows) > 1
    assert all(row.passed for row in rows)


def test_the_worst_band_is_the_nearest_to_its_limit_not_the_largest() -> None:
    right = noisy(tile(), 0.005)
    rough = right.mag.copy()
    rough[:, I_BAND] += np.where(np.arange(len(rough)) % 4 < 2, 0.3, -0.3) + 0.05
    wrong = shifted(replace(right, mag=rough), G_BAND, 0.012, right.is_star)
    rows = colours.rows([wrong])
    assert abs(_row(rows, "star colours", "iSDSS").value) > 20
    assert "gSDSS - rSDSS" in _row(rows, "star colours, worst band").note
    assert _row(rows, "star colours, worst band").n == 200


def test_a_handful_of_sources_is_not_judged() -> None:
    rows = colours.rows([tile(18)])  # 9 of each
    assert _row(rows, "star colours", "gSDSS").passed is None
    assert not any("worst" in row.metric for row in rows)


def test_a_band_in_which_most_have_no_flux_fails() -> None:
    right = tile()
    lost = right.mag.copy()
    lost[:, G_BAND] = np.nan
    rows = colours.rows([replace(right, mag=lost)])
    assert _row(rows, "star colours", "gSDSS").passed is False
    assert "gSDSS" in _row(rows, "star colours, worst band").note


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_width_of_the_pulls_is_true_noise_over_stated_noise(factor: float) -> None:
    rng = np.random.default_rng(6)
    n = 2000
    snr = np.stack([rng.uniform(4, 29, n), rng.uniform(4, 200, n), np.full(n, 300.0)], axis=1)
    faint = tile(n, snr=snr, relative_flux=1 + factor * rng.normal(size=(n, 3)) / snr)
    for kind in ("star", "galaxy"):
        row = _row(colours.rows([faint]), f"pull width of {kind} colours")
        assert row.n == n // 2  # i is too bright, and is not counted
        assert row.value == pytest.approx(factor, abs=4 * row.error)
        assert row.error < 0.1
        assert row.passed is None
        assert "aim 1 +- 0.2" in row.note


def test_light_lost_in_both_bands_is_no_pull() -> None:
    faint = tile(snr=np.full((400, 3), 20.0), relative_flux=np.full((400, 3), 0.8))
    assert np.abs(colours.pulls(faint, G_BAND, faint.is_galaxy)).max() < 1e-9


def test_a_band_without_sources_is_printed_but_not_judged() -> None:
    dark = tile()
    usable = dark.usable.copy()
    usable[:, G_BAND] = False
    rows = colours.rows([replace(dark, usable=usable)])
    row = _row(rows, "star colours", "gSDSS")
    assert (row.n, row.passed) == (0, None)
    assert math.isnan(row.value)
    assert "nearest its limit of 1 bands" in _row(rows, "star colours, worst band").note


def test_no_dual_catalogue_gives_no_row() -> None:
    assert colours.rows([]) == []
