"""Holes of a raw frame: nothing that is measured moves because of what stands in for them."""

from __future__ import annotations

import numpy as np

from tesela.pixels import detrend, holes, overscan

DATA = np.array([[0, 40, 0, 60]])
STRIP = np.array([[40, 60, 0, 60]])


def frame(rng: np.random.Generator) -> np.ndarray:
    raw = rng.normal(1000, 3, (60, 60)).astype(np.float32)
    raw[:, :40] += 500
    return raw


def test_integers_and_whole_frames_have_none(rng: np.random.Generator) -> None:
    assert holes.find(np.ones((3, 4), np.uint16)) is None
    assert holes.find(frame(rng)) is None


def test_a_hole_takes_the_median_of_its_row_of_its_section(rng: np.random.Generator) -> None:
    raw = frame(rng)
    raw[5, 7], raw[5, 50], raw[9, :40], raw[20, 3] = np.nan, np.nan, np.nan, np.inf
    found = holes.find(raw)
    assert found is not None
    assert np.count_nonzero(found) == 43
    filled = holes.fill(raw, found, np.concatenate([DATA, STRIP]))
    assert filled[5, 7] == np.median(raw[5, :40][~found[5, :40]])
    assert filled[5, 50] == np.median(raw[5, 40:][~found[5, 40:]])
    assert np.isclose(filled[9, 0], np.median(raw[:, :40][~found[:, :40]]))
    assert np.array_equal(filled[~found], raw[~found])
    assert np.isnan(raw[5, 7])  # the frame itself is left alone


def test_a_section_without_a_number_becomes_zero(rng: np.random.Generator) -> None:
    raw = frame(rng)
    raw[:, :40] = np.nan
    found = holes.find(raw)
    assert found is not None
    filled = holes.fill(raw, found, np.concatenate([DATA, STRIP]))
    assert (filled[:, :40] == 0).all()


def test_the_level_does_not_move(rng: np.random.Generator) -> None:
    raw = frame(rng)
    before = overscan.measure(raw, STRIP, DATA)
    raw[10:20, 45:48] = np.nan
    found = holes.find(raw)
    assert found is not None
    after = overscan.measure(holes.fill(raw, found, STRIP), STRIP, DATA)
    assert np.abs(after.level - before.level).max() < 0.5
    assert abs(after.noise_adu[0] / before.noise_adu[0] - 1) < 0.05


def test_holes_are_moved_with_their_section() -> None:
    found = np.zeros((6, 8), bool)
    found[1, 2] = found[4, 7] = True
    data, dest = [[2, 5, 0, 6], [5, 8, 0, 6]], [[3, 6, 0, 6], [0, 3, 0, 6]]
    moved = holes.trimmed(found, data, dest, (6, 6))
    assert [tuple(place) for place in np.argwhere(moved)] == [(1, 3), (4, 2)]


def test_floats_are_detrended_as_integers_are_and_keep_their_holes(
    rng: np.random.Generator,
) -> None:
    whole = np.rint(frame(rng)).astype(np.uint16)
    level = np.full((1, 60), 1000, np.float32)
    bias, dest = np.full((60, 40), 2, np.float32), DATA
    of_integers = detrend.apply(whole, DATA, dest, level, 1.5, bias)
    raw = whole.astype(np.float32)
    assert np.array_equal(detrend.apply(raw, DATA, dest, level, 1.5, bias), of_integers)
    raw[5, 7] = np.nan
    for image in (
        detrend.apply(raw, DATA, dest, level, 1.5, bias),
        detrend.rows(raw, 0, 60, DATA, dest, level, 1.5, bias),
    ):
        assert np.isnan(image[5, 7])
        image[5, 7] = of_integers[5, 7]
        assert np.array_equal(image, of_integers)
