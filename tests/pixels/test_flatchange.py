"""What changed between flats: steps, slopes and shadows of any size, each called by its name."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import flatchange
from tesela.pixels.flatchange import DustLimits, Large

SIZE = 480
SECTIONS = np.array(
    [[60 * i, 60 * (i + 1), 240 * j, 240 * (j + 1)] for j in range(2) for i in range(8)]
)
ALL = np.ones((SIZE, SIZE), bool)
Y, X = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
LIMITS = DustLimits(0.004, 8.0, 120.0, 6.0)


def noisy(ratio: np.ndarray, seed: int = 0, sigma: float = 0.003) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, ratio.shape)
    return (ratio + noise).astype(np.float32)


def large(ratio: np.ndarray) -> Large:
    medians = np.array([np.median(ratio[y0:y1, x0:x1]) for x0, x1, y0, y1 in SECTIONS])
    return flatchange.large(ratio, ALL, SECTIONS, medians, least_step=0.005)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_is_no_slope_and_a_slope_no_step(axis: int) -> None:
    place = (X, Y)[axis]
    stepped = large(noisy(1 + 0.01 * (place > 0)))
    assert stepped.step[axis] == pytest.approx(0.01, abs=7e-4)
    assert stepped.tilt == pytest.approx((0, 0), abs=1.2e-3)
    sloped = large(noisy(1 + 0.01 * place))
    assert sloped.step == (0, 0)
    assert sloped.tilt[axis] == pytest.approx(0.01, abs=4e-4)


def test_a_bowl_and_wild_amplifiers_are_neither() -> None:
    ratio = 1 + 0.02 * (X**2 + Y**2)
    for x0, x1, y0, y1 in SECTIONS[[2, 9]]:
        ratio[y0:y1, x0:x1] *= 1.05
    found = large(noisy(ratio))
    assert found.step == (0, 0)
    assert found.tilt == pytest.approx((0, 0), abs=2e-3)


def test_where_an_amplifier_lies_across_the_middle_no_step_is_sought() -> None:
    wide = np.array([[60 * i, 60 * (i + 1), 0, SIZE] for i in range(8)])
    ratio = noisy(1 + 0.01 * (Y > 0))
    medians = np.array([np.median(ratio[y0:y1, x0:x1]) for x0, x1, y0, y1 in wide])
    assert flatchange.large(ratio, ALL, wide, medians, least_step=0.005).step == (0, 0)


def test_of_few_amplifiers_nothing_is_told() -> None:
    two = np.array([[0, 240, 0, SIZE], [240, SIZE, 0, SIZE]])
    found = flatchange.large(noisy(1 + 0.01 * X), ALL, two, np.array([1.0, 1.0]), least_step=0.005)
    assert found == Large()


@pytest.mark.parametrize("radius", [6, 12, 25, 50])
def test_a_shadow_of_any_size_is_found_where_it_is(radius: int) -> None:
    r = np.hypot(SIZE * X - 60, SIZE * Y + 90)
    shadow = 0.012 / (1 + np.exp(np.clip(r - radius, -50, 50)))
    found = flatchange.dust(noisy(1 - shadow), ALL, 0.003, LIMITS)
    assert len(found) == 1
    assert (found[0].x, found[0].y) == pytest.approx((299.5, 149.5), abs=2.5)
    assert found[0].diameter_px == pytest.approx(2 * radius, rel=0.25)
    assert found[0].depth == pytest.approx(0.012, rel=0.3)
    assert flatchange.dust(noisy(1 + 0 * shadow), ALL, 0.003, LIMITS) == ()


def test_a_shadow_wider_than_the_largest_is_illumination() -> None:
    shadow = 0.012 / (1 + np.exp(np.clip(SIZE * np.hypot(X, Y) - 80, -50, 50)))
    assert flatchange.dust(noisy(1 - shadow), ALL, 0.003, LIMITS) == ()
