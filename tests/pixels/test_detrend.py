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


def everything(planes):
    rng = np.random.default_rng(5)
    return {
        "bias": planes["bias"],
        "flat": planes["flat"],
        "dark": rng.uniform(0, 2, (8, 20)).astype(np.float32),
        "exptime_s": 30.0,
        "linearity": np.array([[0.01, 0.005], [-0.02, 0.0]]),
        "pivot_adu": 30000.0,
    }


def test_linearity_is_undone_before_the_gain_and_dark_after_it(planes):
    masters = everything(planes)
    image = detrend.apply(planes["raw"], DATA, DEST, planes["level"], GAIN, **masters)
    x = trimmed(planes["raw"]) - np.repeat(planes["level"].T.astype(np.float64), 10, axis=1)
    x -= planes["bias"]
    c = np.repeat(masters["linearity"], 10, axis=0).T[:, None, :]
    x *= 1 + c[0] * (x / 30000.0) + c[1] * (x / 30000.0) ** 2
    expected = (x * np.repeat(GAIN, 10) - 30 * masters["dark"]) / masters["flat"]
    assert np.allclose(image, expected, rtol=3e-6, atol=1e-2)


def test_a_detector_that_bends_comes_out_straight(planes):
    """Light doubles, electrons double: the law that the coefficients are for."""
    light = np.array([5000.0, 10000.0, 20000.0, 40000.0])
    u = light / 30000.0
    bent = light.copy()
    for _ in range(50):  # what is recorded: bent (1 + 0.02 bent / pivot) = light
        bent = light / (1 + 0.02 * bent / 30000.0)
    raw = np.zeros((8, 28), np.uint16)
    raw[0, 2:6] = np.rint(bent)
    image = detrend.apply(
        raw, DATA, DEST, np.zeros((2, 8)), 1.0, linearity=[[0.02], [0.0]], pivot_adu=30000.0
    )
    assert np.allclose(image[0, :4] / light, 1, atol=2e-4)
    assert abs(bent[3] / light[3] - 1) > 0.02 * u[3] / 2


@pytest.mark.parametrize("band", [(0, 8), (0, 3), (3, 5), (2, 8), (7, 20)])
def test_rows_are_those_of_the_whole_image(planes, band):
    """The upper amplifiers lie behind a gap of the raw frame, and one is shorter than its side."""
    data = np.array([[2, 12, 0, 4], [16, 26, 0, 3], [2, 12, 9, 13], [16, 26, 8, 13]])
    dest = np.array([[0, 10, 0, 4], [10, 20, 0, 3], [0, 10, 4, 8], [10, 20, 3, 8]])
    raw = np.random.default_rng(8).integers(900, 40000, (13, 28)).astype(np.uint16)
    level = np.random.default_rng(9).uniform(900, 1100, (4, 5)).astype(np.float32)
    gain = np.array([0.9, 1.1, 1.2, 1.3], np.float32)
    masters = everything(planes) | {"linearity": np.full((4, 2), 0.01)}
    whole = detrend.apply(raw, data, dest, level, gain, **masters)
    y0, y1 = band
    part = detrend.rows(raw, y0, y1, data, dest, level, gain, **masters)
    assert part.tobytes() == whole[y0:y1].tobytes()
    assert detrend.rows(raw, y0, y1, data, dest, level, gain).shape == part.shape


class Sliced:
    """Remembers which rows were asked for."""

    def __init__(self, array):
        self.array, self.shape, self.asked = array, array.shape, []

    def __getitem__(self, wanted):
        self.asked.append((wanted.start, wanted.stop))
        return self.array[wanted]


def test_rows_are_read_where_the_amplifiers_lie():
    data = np.array([[0, 4, 0, 4], [0, 4, 9, 13]])
    dest = np.array([[0, 4, 0, 4], [0, 4, 4, 8]])
    raw = Sliced(np.ones((13, 4), np.uint16))
    detrend.rows(raw, 2, 6, data, dest, np.zeros((2, 4)), 1.0)
    assert raw.asked == [(2, 4), (9, 11)]


def test_coefficients_that_do_not_fit_are_refused(planes):
    with pytest.raises(BadInput, match="linearity"):
        detrend.apply(planes["raw"], DATA, DEST, planes["level"], GAIN, linearity=np.zeros((3, 2)))
    with pytest.raises(BadInput, match="pivot"):
        detrend.apply(planes["raw"], DATA, DEST, planes["level"], GAIN, pivot_adu=0.0)
    with pytest.raises(BadInput, match="dark plane"):
        detrend.apply(
            planes["raw"], DATA, DEST, planes["level"], GAIN, dark=np.zeros((3, 3), np.float32)
        )
