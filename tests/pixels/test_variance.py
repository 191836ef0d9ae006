"""The variance follows the photons, the read-out and the response."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.pixels import variance
from tesela.pixels.background import Background

SHAPE = (120, 200)
DEST = [[0, 100, 0, 120], [100, 200, 0, 120]]


def sky(level: float) -> Background:
    mesh = np.full((1, 2), level, np.float32)
    return Background(mesh, mesh, SHAPE, 100)


def test_variance_is_that_of_frames_divided_by_their_response() -> None:
    rng = np.random.default_rng(14)
    response = np.full(SHAPE, 1.0, np.float32)
    response[:60] = 0.5
    dark = np.full(SHAPE, 0.2, np.float32)
    made = variance.without_sources(
        sky(50.0), response, DEST, [3.0, 6.0], dark=dark, exptime_s=100.0
    )
    frames = []
    for _ in range(400):
        light = rng.poisson(50.0 * response) + rng.poisson(20.0, SHAPE) - 20.0
        light[:, :100] += rng.normal(0, 3.0, (120, 100))
        light[:, 100:] += rng.normal(0, 6.0, (120, 100))
        frames.append(light / response)
    seen = np.var(frames, axis=0)
    for rows in (slice(0, 60), slice(60, 120)):
        for columns in (slice(0, 100), slice(100, 200)):
            part = (rows, columns)
            assert made[part].mean() == pytest.approx(seen[part].mean(), rel=0.01)


def test_light_of_sources_counts_inside_objects_alone_and_threads_change_nothing() -> None:
    image = np.full(SHAPE, 30.0, np.float32)
    image[0, 0] = -30.0
    objects = np.zeros(SHAPE, bool)
    objects[:10] = True
    response = np.full(SHAPE, 2.0, np.float32)
    planes = []
    for threads in (1, 4):
        made = variance.without_sources(None, response, DEST, 4.0, threads=threads)
        variance.add_sources(made, image, objects, response, threads=threads)
        planes.append(made)
    np.testing.assert_array_equal(*planes)
    assert planes[0][20, 20] == pytest.approx(4.0)
    assert planes[0][5, 5] == pytest.approx(4.0 + 15.0)
    assert planes[0][0, 0] == pytest.approx(4.0)
