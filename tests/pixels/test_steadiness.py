"""A trail is steady whatever lies on it; spikes, galaxies and rows of stars are not."""

import numpy as np
import pytest

from tesela.pixels.steadiness import steadiness

T, REACH = 600, 20
U = np.arange(-REACH, REACH + 1)
CORE, SIDES = np.abs(U) <= 2, np.abs(U) > 8
GOOD = np.ones((T, U.size), bool)


def strip(along, seed=1):
    """Noise of 1 and a streak five pixels wide whose brightness is given."""
    light = np.random.default_rng(seed).normal(0, 1, (T, U.size)).astype(np.float32)
    light[:, CORE] += np.asarray(along, np.float32)[:, None]
    return light


@pytest.mark.parametrize("brightness", [1.0, 3.0, 100.0])
def test_a_trail_is_steady_though_stars_lie_on_it_and_beside(brightness):
    light = strip(np.full(T, brightness))
    rng = np.random.default_rng(2)
    for _ in range(20):
        t, u = rng.integers(0, T - 5), rng.integers(0, U.size - 5)
        light[t : t + 5, u : u + 5] += 500
    found = steadiness(light, GOOD, CORE, SIDES)
    assert found.brightness == pytest.approx(brightness, rel=0.15)
    assert found.steady > 0.9
    assert found.kept > 0.7
    assert found.of_trail


AWAY = np.abs(np.arange(T) - T / 2)


@pytest.mark.parametrize(
    "along",
    [
        1e5 / (AWAY + 5) ** 2,
        300 * np.exp(-AWAY / 60),
        1e5 / (np.arange(T) + 5) ** 2,
        np.where(np.arange(T) % 60 < 12, 100.0, 0.0),
        np.full(T, 0.2),
    ],
    ids=["spikes", "galaxy", "one spike", "stars", "faint"],
)
def test_what_fades_or_is_broken_or_faint_is_none(along):
    assert not steadiness(strip(along), GOOD, CORE, SIDES).of_trail


def test_light_on_all_of_the_strip_is_no_streak():
    light = strip(np.zeros(T)) + np.float32(50)
    assert not steadiness(light, GOOD, CORE, SIDES).of_trail


def test_what_is_not_good_never_matters_and_too_little_of_it_is_no_answer():
    light, good = strip(np.full(T, 3.0)), GOOD.copy()
    good[100:140] = False
    other = light.copy()
    other[~good] = np.nan
    assert steadiness(light, good, CORE, SIDES) == steadiness(other, good, CORE, SIDES)
    assert steadiness(light[:60], GOOD[:60], CORE, SIDES) is None
    assert steadiness(light, ~GOOD, CORE, SIDES) is None
