"""Detrending undoes exactly what a detector does."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import detrend

DATA = np.array([[2, 12, 0, 8], [16, 26, 0, 8]])
DEST = np.array([[0, 10, 0, 8], [10, 20, 0, 8]])
NONE = np.zeros((0, 0), np.float32)
GAIN = np.array([0.9, 1.1], np.float32)


def trimmed(raw):
    return np.hstack([raw[:, 2:12], raw[:, 16:26]]).astype(np.float64)


@pytest.fixture
def planes():
    rng = np.random.default_rng(3)
    return {
        "raw": rng.integers(900, 40000, (8, 28)).astype(np.uint16),
        "level": rng.uniform(900, 1100, (2, 8)).astype(np.float32),
        "bias": rng.normal(0, 3, (8, 20)).astype(np.float32),
        "flat": rng.uniform(0.8, 1.2, (8, 20)).astype(np.float32),
    }


def test_formula(planes):
    image = detrend.apply(
        planes["raw"], DATA, DEST, planes["level"], GAIN, planes["bias"], planes["flat"]
    )
    zero = np.repeat(planes["level"].T.astype(np.float64), 10, axis=1)
    expected = trimmed(planes["raw"]) - zero - planes["bias"]
    expected *= np.repeat(GAIN, 10) / planes["flat"].astype(np.float64)
    assert image.dtype == np.float32
    assert np.allclose(image, expected, rtol=2e-6, atol=1e-2)


def test_without_masters_only_level_and_gain_count(planes):
    image = detrend.apply(planes["raw"], DATA, DEST, np.zeros((2, 8)), 1.0, NONE, NONE)
    assert np.array_equal(image, trimmed(planes["raw"]))


def test_flat_of_a_flat_is_one(planes):
    raw = (planes["raw"] // 2).astype(np.uint16)
    flat = trimmed(raw).astype(np.float32)
    image = detrend.apply(raw, DATA, DEST, np.zeros((2, 8), np.float32), 1.0, NONE, flat)
    assert np.allclose(image, 1, atol=1e-6)


def test_never_nan(planes):
    planes["flat"][1, :4] = np.nan, 0, -1, np.inf
    planes["bias"][2, 3] = np.nan
    image = detrend.apply(
        planes["raw"], DATA, DEST, planes["level"], GAIN, planes["bias"], planes["flat"]
    )
    assert np.array_equal(image[1, :4], [0, 0, 0, 0])
    assert image[2, 3] == 0
    assert np.count_nonzero(image == 0) == 5


def test_output_array_is_filled_and_returned(planes):
    out = np.full((8, 20), np.nan, np.float32)
    arguments = (DATA, DEST, planes["level"], GAIN, planes["bias"], planes["flat"])
    assert detrend.apply(planes["raw"], *arguments, out) is out
    assert out.tobytes() == detrend.apply(planes["raw"], *arguments).tobytes()


def test_masters_and_outputs_of_another_shape_are_refused(planes):
    level = planes["level"]
    with pytest.raises(BadInput, match="bias plane"):
        detrend.apply(planes["raw"], DATA, DEST, level, GAIN, planes["bias"][:, :9], NONE)
    with pytest.raises(BadInput, match="overscan level"):
        detrend.apply(planes["raw"], DATA, DEST, level[:, :7], GAIN, NONE, NONE)
    with pytest.raises(BadInput, match="output"):
        detrend.apply(planes["raw"], DATA, DEST, level, GAIN, NONE, NONE, np.zeros((8, 20)))
