"""Tilt, width and stretch of a streak come out right together, from a line that has none right."""

import math

import numpy as np
import pytest

from tesela.pixels import stretch, strip
from tesela.pixels.streak import MOST_UNEVEN
from tesela.pixels.strip import Hidden

SIZE = 600
NOTHING = np.zeros((SIZE, SIZE), bool)
TRAIL = (150.0, 200.0, 420.0, 330.0)
LENGTH = math.hypot(270, 130)


def streak(width, ends=TRAIL):
    """Share of each pixel under a straight piece of that width."""
    y, x = np.mgrid[:SIZE, :SIZE]
    x0, y0, x1, y1 = ends
    length = math.hypot(x1 - x0, y1 - y0)
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
    across = np.abs((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / length
    share = np.clip(0.5 * (width + 1) - across, 0, 1)
    return np.where((along >= 0) & (along <= length), share, 0).astype(np.float32)


def followed(image, ends, hidden=NOTHING, most_uneven=MOST_UNEVEN):
    return stretch.follow(
        image,
        Hidden(hidden, hidden),
        1.0,
        ends,
        reach_px=64,
        clip_sigma=4.0,
        least_snr=7.0,
        least_px=90.0,
        most_uneven=most_uneven,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [2, 5, 15])
def test_a_trail_is_followed_from_a_line_beside_it(width, seed):
    image = np.random.default_rng(seed).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    best = 14.0
    image += best / math.sqrt(width * LENGTH) * streak(width)
    found = followed(image, (230.0, 230.0, 540.0, 395.0))
    assert found.snr == pytest.approx(0.92 * best, abs=2.5)
    assert 0.5 * width <= found.width <= 1.6 * width
    for x, y, t in ((*TRAIL[:2], found.lit[0]), (*TRAIL[2:], found.lit[1])):
        assert abs(found.line.along(x, y) - t) < 0.15 * LENGTH
        foot = found.line.point(found.line.along(x, y))
        assert math.hypot(foot[0] - x, foot[1] - y) < 1 + 0.2 * width


def test_every_pixel_of_a_strip_is_summed_once():
    line = strip.chord(TRAIL, (SIZE, SIZE))
    rng = np.random.default_rng(5)
    image = rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    bad, covered = rng.random((2, SIZE, SIZE)) < 0.1
    planes = strip.planes_of(image, Hidden(bad, covered), 2.0)
    signal, weight = stretch._sums(planes, line.numbers, 20, 48, 0.8)
    y, x = np.mgrid[:SIZE, :SIZE]
    (x0, y0), (ux, uy) = line.start, line.direction
    t, u = (x - x0) * ux + (y - y0) * uy, (y - y0) * ux - (x - x0) * uy
    inside = (t >= 0) & (t < line.length) & (u >= -20.5) & (u < 20.5) & ~bad & ~covered
    assert weight.sum() == inside.sum()
    assert signal.sum() == pytest.approx(np.clip(image[inside] / 2, -0.8, 0.8).sum(), abs=1e-2)


def test_chunks_of_a_trail_are_even_and_those_of_blobs_in_line_are_not():
    image = np.random.default_rng(8).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    trail = followed(image + 0.4 * streak(5), TRAIL)
    assert trail.unevenness < 1.5
    y, x = np.mgrid[:SIZE, :SIZE]
    for share in (0.1, 0.5, 0.9):
        r2 = (x - 150 - 270 * share) ** 2 + (y - 200 - 130 * share) ** 2
        image += (2.0 * np.exp(-r2 / 50)).astype(np.float32)
    assert followed(image, TRAIL, most_uneven=math.inf).unevenness > 3
    assert followed(image, TRAIL) is None


def test_what_is_broader_than_a_trail_is_told_to_be():
    image = np.random.default_rng(9).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    assert followed(image + 0.4 * streak(30), TRAIL).width > 15


def test_nothing_is_followed_where_there_is_no_light_or_no_data():
    image = np.random.default_rng(10).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    assert followed(image, TRAIL) is None
    assert followed(image + streak(5), TRAIL, hidden=~NOTHING) is None
