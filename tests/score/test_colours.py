from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tesela.score import colours
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
    assert "of 2 bands" in worst.note


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


def test_bands_with_few_sources_are_judged_together() -> None:
    few = tile(120)  # 60 stars, 60 galaxies in each band
    rows = colours.rows([shifted(few, G_BAND, 0.05, few.is_star)])
    assert _row(rows, "star colours", "gSDSS").passed is None
    pooled = _row(rows, "star colours, bands with few")
    assert pooled.n == 120
    assert pooled.note == "gSDSS iSDSS"
    assert pooled.passed is False
    assert not any("worst" in row.metric for row in rows)
    assert _row(colours.rows([few, few]), "star colours, worst band").passed is True


def test_a_band_without_sources_is_printed_but_not_judged() -> None:
    dark = tile()
    usable = dark.usable.copy()
    usable[:, G_BAND] = False
    rows = colours.rows([replace(dark, usable=usable)])
    row = _row(rows, "star colours", "gSDSS")
    assert (row.n, row.passed) == (0, None)
    assert math.isnan(row.value)
    assert "of 1 bands" in _row(rows, "star colours, worst band").note


def test_no_dual_catalogue_gives_no_row() -> None:
    assert colours.rows([]) == []
