from __future__ import annotations

import math

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.maskbit import MaskBit
from tesela.score import contaminants
from tesela.simulate.truth import FrameTruth

from .nights import frame_truth

SHAPE = (60, 80)
NOISE = np.full(SHAPE, 100.0, np.float32)


def _index(*pixels: tuple[int, int]) -> np.ndarray:
    return np.array([y * SHAPE[1] + x for y, x in pixels], np.int32)


def _with_cosmics(pixels: list[tuple[int, int]], deposit: float = 1000.0) -> FrameTruth:
    return frame_truth(
        cosmic_index=_index(*pixels), cosmic_e=np.full(len(pixels), deposit, np.float32)
    )


def _mask(code: int, *pixels: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for y, x in pixels:
        mask[y, x] |= code
    return mask


def _value(rows: list, metric: str) -> float:
    return next(row.value for row in rows if row.metric == metric)


def test_fractions_of_cosmic_rays_are_exact() -> None:
    truth = _with_cosmics([(10, 10), (10, 11), (30, 30), (50, 50)])
    mask = _mask(MaskBit.COSMIC_RAY, (10, 10), (30, 30))
    mask |= _mask(MaskBit.TRAIL, (50, 50))
    counts = contaminants.count(mask, NOISE, truth)
    assert (counts.cosmic_found, counts.cosmic_any, counts.cosmic_true) == (2, 3, 4)
    assert (counts.rays_found, counts.rays_true) == (2, 3)
    rows = contaminants.rows([counts])
    assert _value(rows, "cosmic-ray pixels flagged") == 0.5
    assert _value(rows, "cosmic-ray pixels unusable") == 0.75
    assert _value(rows, "cosmic rays with a flagged pixel") == pytest.approx(2 / 3)


def test_deposits_inside_the_noise_are_not_asked_for() -> None:
    counts = contaminants.count(
        np.zeros(SHAPE, np.uint8), NOISE, _with_cosmics([(10, 10)], deposit=50.0)
    )
    assert counts.cosmic_true == 0
    counts = contaminants.count(
        np.zeros(SHAPE, np.uint8), NOISE, _with_cosmics([(10, 10)], deposit=50.1)
    )
    assert counts.cosmic_true == 1


@pytest.mark.parametrize("code", [MaskBit.BAD, MaskBit.SATURATED])
def test_defective_and_saturated_pixels_count_on_no_side(code: MaskBit) -> None:
    truth = _with_cosmics([(10, 10)])
    mask = _mask(code, (10, 10), (40, 40))
    mask |= _mask(MaskBit.COSMIC_RAY, (40, 40))
    counts = contaminants.count(mask, NOISE, truth)
    assert (counts.cosmic_true, counts.cosmic_false) == (0, 0)
    assert counts.usable == SHAPE[0] * SHAPE[1] - 2


def test_false_cosmic_rays_are_farther_than_a_pixel_from_any_deposit() -> None:
    truth = _with_cosmics([(10, 10)], deposit=2.0)
    mask = _mask(MaskBit.COSMIC_RAY, (11, 11), (10, 12), (40, 40))
    counts = contaminants.count(mask, NOISE, truth)
    assert counts.cosmic_false == 2
    density = _value(contaminants.rows([counts]), "false cosmic-ray pixels")
    assert density == pytest.approx(2e6 / (SHAPE[0] * SHAPE[1]))


def _with_trail() -> FrameTruth:
    row = _index(*((30, x) for x in range(SHAPE[1])))
    trail = np.array([-50.0, 30.0, 150.0, 30.0, 1.0, 500.0])
    return frame_truth(trail_index=row, trail=trail)


def test_fractions_of_trails_are_exact() -> None:
    mask = _mask(MaskBit.TRAIL, *((30, x) for x in range(60)))
    counts = contaminants.count(mask, NOISE, _with_trail())
    assert (counts.trail_found, counts.trail_true, counts.trail_false) == (60, 80, 0)
    rows = contaminants.rows([counts])
    flagged = next(row for row in rows if row.metric == "trail pixels flagged")
    assert flagged.value == 0.75
    assert flagged.note == "1 of 1 trails flagged over half"


def test_a_flag_far_from_the_streak_is_an_invented_trail() -> None:
    near = _mask(MaskBit.TRAIL, *((46, x) for x in range(80)))
    far = _mask(MaskBit.TRAIL, *((47, x) for x in range(80)), *((48, x) for x in range(80)))
    counts = [contaminants.count(mask, NOISE, _with_trail()) for mask in (near, far)]
    assert [c.trail_false for c in counts] == [0, 160]
    rows = contaminants.rows(counts)
    assert _value(rows, "frames with an invented trail") == 0.5


def test_a_flag_beyond_the_end_of_the_streak_is_invented() -> None:
    trail = np.array([0.0, 30.0, 40.0, 30.0, 1.0, 500.0])
    truth = frame_truth(trail_index=_index(*((30, x) for x in range(41))), trail=trail)
    mask = _mask(MaskBit.TRAIL, (30, 55), (30, 58))
    assert contaminants.count(mask, NOISE, truth).trail_false == 1


def test_a_frame_without_trails_has_only_invented_ones() -> None:
    mask = _mask(MaskBit.TRAIL, (1, 1), (2, 2))
    assert contaminants.count(mask, NOISE, frame_truth()).trail_false == 2


def test_errors_come_from_the_scatter_between_frames() -> None:
    seen = contaminants.count(_mask(MaskBit.COSMIC_RAY, (10, 10)), NOISE, _with_cosmics([(10, 10)]))
    missed = contaminants.count(np.zeros(SHAPE, np.uint8), NOISE, _with_cosmics([(10, 10)]))
    row = contaminants.rows([seen] * 50 + [missed] * 50)[0]
    assert row.value == 0.5
    assert row.error == pytest.approx(0.05, rel=0.2)
    assert contaminants.rows([seen] * 5)[0].error == 0.0


def test_no_frames_give_nan() -> None:
    assert all(math.isnan(row.value) for row in contaminants.rows([]))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ProductError, match=r"shape \(5, 5\)"):
        contaminants.count(np.zeros((5, 5), np.uint8), NOISE, frame_truth())
