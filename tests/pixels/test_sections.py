"""Rectangles that do not fit are refused before any pixel is touched."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import sections


def test_sections_inside_the_frame_are_returned_as_int64():
    found = sections.as_sections([(0, 4, 0, 3)], (3, 4), "data")
    assert found.dtype == np.int64
    assert found.tolist() == [[0, 4, 0, 3]]


@pytest.mark.parametrize("section", [(0, 5, 0, 3), (-1, 4, 0, 3), (3, 2, 0, 3), (0, 4, 0, 4)])
def test_section_outside_the_frame_is_refused_by_number(section):
    with pytest.raises(BadInput, match="amplifier 1"):
        sections.as_sections([(0, 4, 0, 3), section], (3, 4), "data")


def test_a_flat_list_is_no_section():
    with pytest.raises(BadInput, match="shape"):
        sections.as_sections([0, 4, 0, 3], (3, 4), "data")


def test_sections_must_pair_up():
    a = np.array([[0, 4, 0, 3]])
    with pytest.raises(BadInput, match="equal sizes"):
        sections.same_sizes(a, np.array([[0, 3, 0, 3]]), "sections")
    sections.same_sizes(a, a + 5, "sections")


def test_raw_frames_are_unsigned_16_bit_or_float32_of_either_byte_order():
    raw = np.arange(6, dtype=">u2").reshape(2, 3)
    native = sections.as_raw(raw)
    assert native.dtype == np.uint16
    assert np.array_equal(native, raw)
    with pytest.raises(BadInput, match="float64"):
        sections.as_raw(raw.astype(np.float64))
    floats = raw.astype(">f4")
    assert sections.as_raw(floats).dtype == np.float32
    assert np.array_equal(sections.as_raw(floats), raw)


def test_one_value_serves_all_amplifiers_and_two_do_not_serve_three():
    assert sections.per_amplifier(2, 3, "gain").tolist() == [2, 2, 2]
    with pytest.raises(BadInput, match="gain"):
        sections.per_amplifier([1, 2], 3, "gain")
