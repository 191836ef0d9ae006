"""Sums along lines: what pieces hold of a trail, and what a second look adds."""

import numpy as np
import pytest

from tesela.pixels import closer, radon

SIZE = 144


@pytest.mark.parametrize("start", range(0, 97, 8))
@pytest.mark.parametrize("length", [48, 66, 90, 144])
def test_a_piece_holds_most_of_a_trail_wherever_it_lies(start, length):
    signal = np.zeros((SIZE, SIZE), np.float32)
    begin = min(start, SIZE - length)
    signal[70:72, begin : begin + length] = np.sqrt(2)  # no rounding: eight steps
    best = radon.brightest_lines(signal, np.ones_like(signal), min_length=36, min_weight=10.0)[0]
    assert 0.73 < best.snr / np.sqrt(4 * length) <= 1.001
    assert best.y0 == pytest.approx(70.5)
    assert best.y1 == pytest.approx(70.5)


def test_sums_of_the_longest_lines_hold_in_16_bits():
    signal = np.zeros((80, 2600), np.float32)
    signal[40:42] = 1e4
    best = radon.brightest_lines(signal, np.ones_like(signal), min_length=600, min_weight=10.0)[0]
    assert abs(best.y0 - 40.5) <= 1
    assert (best.x0, best.x1) == (0.0, 2599.0)
    # Clipped, at some four times the scatter of two pixels.
    assert 3 < best.snr / np.sqrt(2600) < 4.1


def test_nothing_is_found_where_nothing_is_known():
    signal = np.ones((SIZE, SIZE), np.float32)
    assert not radon.brightest_lines(signal, 0 * signal, min_length=36, min_weight=1.0)


@pytest.mark.parametrize("steep", [False, True])
def test_a_second_look_turns_a_line_onto_a_trail_and_ends_it_there(steep):
    rng = np.random.default_rng(3)
    signal = rng.normal(0, 1, (200, 220)).astype(np.float32)
    x = np.arange(60, 160)
    signal[np.rint(40 + 0.7 * (x - 60)).astype(int), x] += 1.5
    first = radon.Line(70.0, 44.0, 190.0, 134.0, 5.0)
    if steep:
        signal = np.ascontiguousarray(signal.T)
        first = radon.Line(first.y0, first.x0, first.y1, first.x1, first.snr)
    for threads in (1, 2):
        (line,) = closer.nearby(signal, np.ones_like(signal), [first], threads)
        ends = (line.x0, line.y0, line.x1, line.y1)
        x0, y0, x1, y1 = (ends[i] for i in (1, 0, 3, 2)) if steep else ends
        assert line.snr > 0.8 * 1.5 * np.sqrt(100)
        assert abs(x0 - 60) < 8
        assert abs(x1 - 160) < 8
        assert abs(y0 - 40 - 0.7 * (x0 - 60)) < 1.5
        assert abs(y1 - 40 - 0.7 * (x1 - 60)) < 1.5
