"""Crosstalk put in is taken out, where it can be."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import crosstalk

# Four amplifiers that read outwards from the middle towards the corners.
DEST = np.array([[0, 8, 0, 6], [8, 16, 0, 6], [0, 8, 6, 12], [8, 16, 6, 12]])
FLIP_X = np.array([False, True, False, True])
FLIP_Y = np.array([False, False, True, True])
MATRIX = np.array(
    [[0, 1e-3, 2e-4, 0], [5e-4, 0, 0, 0], [0, 3e-4, 0, 7e-4], [1e-4, 0, 2e-4, 0]], np.float32
)


def oriented(plane, amp):
    x0, x1, y0, y1 = DEST[amp]
    part = plane[y0:y1, x0:x1]
    return part[:: -1 if FLIP_Y[amp] else 1, :: -1 if FLIP_X[amp] else 1]


def with_ghosts(image):
    seen = image.copy()
    for victim in range(4):
        for amp in range(4):
            oriented(seen, victim)[...] += MATRIX[victim, amp] * oriented(image, amp)
    return seen


def sky():
    return np.random.default_rng(2).normal(300, 5, (12, 16)).astype(np.float32)


def test_ghosts_go_to_second_order():
    truth = sky()
    truth[1, 3] = 50000
    seen = with_ghosts(truth)
    assert np.abs(seen - truth).max() > 20
    image, unsolved = crosstalk.correct(seen, DEST, MATRIX, FLIP_X, FLIP_Y)
    assert np.abs(image - truth).max() < 50000 * 1e-6
    assert not unsolved.any()


def test_zero_matrix_changes_nothing_and_the_diagonal_does_not_count():
    image = sky()
    same, unsolved = crosstalk.correct(image, DEST, np.eye(4), FLIP_X, FLIP_Y)
    assert same is image
    assert not unsolved.any()


def test_input_is_not_touched():
    image = sky()
    before = image.tobytes()
    crosstalk.correct(image, DEST, MATRIX, FLIP_X, FLIP_Y)
    assert image.tobytes() == before


def test_saturated_aggressors_leave_unsolved_victims_at_the_mirrored_places():
    image = sky()
    image[1, 3] = 60000
    saturated = image > 50000
    _, unsolved = crosstalk.correct(
        image, DEST, MATRIX, FLIP_X, FLIP_Y, saturated=saturated, readnoise_e=3.5
    )
    # Of amplifier 0's two victims, 30 e- in amplifier 1 exceed three read noises, 6 e- do not.
    assert list(zip(*np.nonzero(unsolved))) == [(1, 15 - 3)]
    _, unsolved = crosstalk.correct(
        image, DEST, MATRIX, FLIP_X, FLIP_Y, saturated=saturated, readnoise_e=1.0
    )
    assert list(zip(*np.nonzero(unsolved))) == [(1, 12), (11 - 1, 12)]


def test_matrix_and_amplifiers_must_agree():
    with pytest.raises(BadInput, match="4 x 4"):
        crosstalk.correct(sky(), DEST, MATRIX[:3], FLIP_X, FLIP_Y)
    uneven = DEST.copy()
    uneven[0, 1] = 7
    with pytest.raises(BadInput, match="one size"):
        crosstalk.correct(sky(), uneven, MATRIX, FLIP_X, FLIP_Y)
