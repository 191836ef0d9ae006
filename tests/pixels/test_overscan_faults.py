"""Strips that measure nothing are told by name; light in a strip does not move the level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.pixels import overscan, overscan_faults

ROWS, WIDTH, STRIP = 577, 81, 30
DATA = [[0, WIDTH, 0, ROWS]]
BESIDE = [[WIDTH, WIDTH + STRIP, 0, ROWS]]
LIT = slice(150, 350)
Floats = NDArray[np.float64]


def drawn(level: Floats | float = 1000.0, seed: int = 3) -> Floats:
    """An amplifier and its strip under a sky of 200 ADU, ADU."""
    rng = np.random.default_rng(seed)
    out = rng.normal(0, 3, (ROWS, WIDTH + STRIP)) + np.broadcast_to(level, ROWS)[:, None]
    out[:, :WIDTH] += rng.poisson(300, (ROWS, WIDTH)) / 1.5
    return out


def measured(adu: Floats) -> overscan.Overscan:
    return overscan.measure(np.rint(adu).astype(np.uint16), BESIDE, DATA)


def found(strip: object, *, parallel: bool = False) -> str:
    raw = drawn().astype(np.float32)
    raw[:, WIDTH:] = strip
    none, beside = [[0, 0, 0, ROWS]], BESIDE
    sections = (none, beside) if parallel else (beside, none)
    return overscan_faults.find(raw, sections[0], [60000.0], parallel=sections[1])[0]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(
    ("strip", "said"),
    [
        (np.nan, "has no number"), (np.inf, "has no number"), (0, "is 0 ADU everywhere"),
        (65535, "is saturated, 65535 ADU"), (1000, ""), (1, ""),
    ],
)  # fmt: skip
def test_a_strip_without_a_measurement_is_told(strip: float, said: str, parallel: bool) -> None:
    assert found(strip, parallel=parallel) == said


def test_some_holes_are_no_fault_and_most_are() -> None:
    some = np.full((ROWS, STRIP), 1000.0)
    some[:, ::4] = np.nan
    assert found(some) == ""
    some[:, 2:] = np.nan
    assert found(some) == "has hardly a number"


def test_no_overscan_is_no_fault() -> None:
    raw = np.zeros((ROWS, WIDTH), np.uint16)
    assert overscan_faults.find(raw, [[0, 0, 0, 0]], [60000.0]) == [""]


@pytest.mark.parametrize("light", [15.0, 200.0, 30000.0])
def test_light_in_a_third_of_the_rows_moves_the_level_by_less_than_a_noise(light: float) -> None:
    adu = drawn()
    adu[LIT, WIDTH:] += light
    seen = measured(adu)
    assert np.abs(seen.level[0] - 1000).max() < 2
    assert seen.lit_rows.tolist() == [pytest.approx(200, abs=5)]
    assert seen.noise_adu[0] == pytest.approx(3, rel=0.05)


def test_light_that_fades_is_light_too() -> None:
    adu = drawn()
    adu[:, WIDTH:] += 300 * np.exp(-0.5 * ((np.arange(ROWS) - 250) / 30) ** 2)[:, None]
    seen = measured(adu)
    assert seen.lit_rows[0] > 0
    assert np.abs(seen.level[0] - 1000).max() < 10  # what fades below two noises stays


@pytest.mark.parametrize("jump", [-30.0, 15.0, 400.0])
def test_a_jump_that_the_data_share_is_followed(jump: float) -> None:
    level = np.full(ROWS, 1000.0)
    level[LIT] += jump
    seen = measured(drawn(level))
    assert seen.lit_rows.tolist() == [0]
    inside = seen.level[0, LIT.start + 20 : LIT.stop - 20]
    np.testing.assert_allclose(inside, 1000 + jump, atol=2)


def test_a_drift_is_no_light() -> None:
    level = 1000 + 60 * np.exp(-np.arange(ROWS) / 40)
    seen = measured(drawn(level))
    assert seen.lit_rows.tolist() == [0]
    assert np.abs(seen.level[0] - level)[30:].max() < 4
