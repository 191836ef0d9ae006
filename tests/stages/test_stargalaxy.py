"""Probabilities to be point-like are probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import ConfigError
from tesela.stages.valueadded import StarGalaxySettings, stargalaxy

SETTINGS = StarGalaxySettings()


class Drawn:
    """Stars and galaxies of known laws, seen with errors that grow with magnitude."""

    def __init__(self, n: int = 4000, seed: int = 5, step: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.mag = 15.0 + 6.5 * rng.power(2.5, n)
        self.star = rng.random(n) < np.interp(self.mag, [15, 21.5], [0.8, 0.3])
        self.error = 0.01 + 0.12 * 10 ** (0.4 * (self.mag - 20.5))
        excess = np.exp(rng.normal(np.interp(self.mag, [15, 21.5], [-0.9, -1.4]), 0.45, n))
        excess[self.star] = rng.normal(0, 0.015, self.star.sum())
        self.x, self.y = rng.uniform(0, 2000, (2, n))
        stars = 0.9 + step * (self.x > 1000)
        self.value = stars + excess + rng.normal(0, self.error)

    def prob(self, trusted: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        known = np.ones(self.mag.size, bool) if trusted is None else trusted
        return stargalaxy.probability(
            self.value, self.error, self.mag, self.x, self.y, known, SETTINGS
        )


def test_of_those_with_a_probability_so_many_are_stars() -> None:
    drawn = Drawn(8000)
    prob, _ = drawn.prob()
    for low in np.arange(0, 1, 0.1):
        part = (prob >= low) & (prob <= low + 0.1)
        n = np.count_nonzero(part)
        sigma = np.sqrt(np.sum(prob[part] * (1 - prob[part]))) / n
        assert abs(drawn.star[part].mean() - prob[part].mean()) < 3 * sigma + 0.07, low
    assert prob.sum() == pytest.approx(drawn.star.sum(), rel=0.06)


def test_bright_stars_and_galaxies_are_told_apart() -> None:
    drawn = Drawn()
    prob, excess = drawn.prob()
    bright = drawn.mag < 19
    assert np.mean((prob > 0.5)[bright] == drawn.star[bright]) > 0.98
    assert abs(np.median(excess[bright & drawn.star])) < 0.01


def test_the_prior_decides_where_the_measurement_does_not() -> None:
    drawn = Drawn()
    trusted = np.ones(drawn.mag.size, bool)
    trusted[:200] = False
    prob, excess = drawn.prob(trusted)
    assert np.isnan(excess[:200]).all()
    expected = np.interp(drawn.mag[:200], [15, 21.5], [0.8, 0.3])
    assert np.abs(prob[:200] - expected).max() < 0.2
    assert prob[:200][drawn.mag[:200] < 18].min() > prob[:200][drawn.mag[:200] > 21].max()


def test_the_seeing_does_not_matter() -> None:
    drawn = Drawn()
    before, excess = drawn.prob()
    drawn.value = drawn.value + 0.317
    after, moved = drawn.prob()
    np.testing.assert_allclose(moved, excess, atol=0.02)
    assert np.abs(after - before).mean() < 0.01


def test_a_psf_that_differs_over_the_tile_costs_little() -> None:
    same, steps = Drawn(), Drawn(step=0.12)
    right = [np.mean((d.prob()[0] > 0.5) == d.star) for d in (same, steps)]
    assert right[1] > right[0] - 0.01


def test_the_order_of_rows_does_not_matter() -> None:
    drawn = Drawn(1000)
    prob, _ = drawn.prob()
    order = np.random.default_rng(1).permutation(1000)
    for name in ("value", "error", "mag", "x", "y"):
        setattr(drawn, name, getattr(drawn, name)[order])
    np.testing.assert_allclose(drawn.prob()[0], prob[order], atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 8, 29])
def test_few_sources_have_probabilities_too(n: int) -> None:
    drawn = Drawn(n)
    prob, excess = drawn.prob()
    assert np.isfinite(prob).all()
    assert ((prob >= 0) & (prob <= 1)).all()
    assert np.isfinite(excess).all()
    if n == 1:
        assert 0.5 < prob[0] < 0.95


def test_stars_alone_are_stars_and_galaxies_among_few_are_found() -> None:
    rng = np.random.default_rng(2)
    drawn = Drawn(300)
    drawn.value = 0.9 + rng.normal(0, drawn.error)
    drawn.value[:5] += 0.6
    drawn.mag[:5], drawn.error[:5] = 17.0, 0.01
    prob, _ = drawn.prob()
    assert prob[5:].mean() > 0.9
    assert prob[:5].max() < 0.5


def test_unknown_values_are_not_guessed() -> None:
    drawn = Drawn(500)
    drawn.value[0] = drawn.error[1] = drawn.mag[2] = np.nan
    prob, excess = drawn.prob()
    assert np.isnan(excess[:3]).all()
    assert np.isfinite(prob[:2]).all()
    assert np.isnan(prob[2])
    assert np.isfinite(prob[3:]).all()
    nothing = np.zeros(0)
    empty = stargalaxy.probability(
        nothing, nothing, nothing, nothing, nothing, nothing > 0, SETTINGS
    )
    assert [part.size for part in empty] == [0, 0]


def test_sources_far_sharper_than_stars_are_no_galaxies() -> None:
    drawn = Drawn()
    drawn.value[0], drawn.error[0], drawn.mag[0] = -3.0, 0.01, 17.0
    assert drawn.prob()[0][0] == 1.0


def test_the_error_of_a_concentration_is_its_scatter() -> None:
    rng = np.random.default_rng(3)
    inner, ring = 100 + rng.normal(0, 3, 20000), 60 + rng.normal(0, 4, 20000)
    value, error = stargalaxy.concentration(
        inner, np.full(20000, 3.0), inner + ring, np.full(20000, 5.0)
    )
    floor = 0.01
    assert np.sqrt(np.median(error) ** 2 - floor**2) == pytest.approx(value.std(), rel=0.03)
    assert value.mean() == pytest.approx(-2.5 * np.log10(100 / 160), abs=0.005)


def test_a_flux_that_is_not_positive_has_no_concentration() -> None:
    flux = np.array([1.0, -1.0, np.nan, 1.0, 1.0])
    err = np.array([0.1, 0.1, 0.1, 0.0, np.nan])
    value, error = stargalaxy.concentration(flux, err, np.full(5, 2.0), np.full(5, 0.2))
    np.testing.assert_array_equal(np.isfinite(value), [True, False, False, False, False])
    np.testing.assert_array_equal(np.isfinite(error), [True, False, False, False, False])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"step_mag": 0.0}, "stargalaxy.step_mag: 0; expected 0.1 to 10"),
        ({"neighbours": 1}, "stargalaxy.neighbours: 1; expected 2 to 30"),
        ({"min_stars": 10}, "stargalaxy.neighbours: 15; expected 2 to 10"),
        ({"ridge_mag": float("nan")}, "stargalaxy.ridge_mag: nan"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        StarGalaxySettings(**settings)
