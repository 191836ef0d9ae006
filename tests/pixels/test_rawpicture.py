"""A picture of a raw frame shows the light, not the zeros of the amplifiers."""

from __future__ import annotations

import numpy as np

from tesela.pixels import rawpicture

DATA = np.array([[0, 40, 0, 60], [48, 88, 0, 60]])
DEST = np.array([[0, 40, 0, 60], [40, 80, 0, 60]])
STRIPS = np.array([[40, 44, 0, 60], [44, 48, 0, 60]])


def frame(rng: np.random.Generator, zeros: tuple[int, int]) -> np.ndarray:
    """Two amplifiers with a sky of 200 ADU and a source in the upper left corner."""
    light = rng.normal(200, 5, (60, 80))
    light[50:, :10] += 3000
    raw = np.zeros((60, 88))
    for (x0, x1, _, _), (u0, u1, _, _), (s0, s1, _, _), zero in zip(DATA, DEST, STRIPS, zeros):
        raw[:, x0:x1] = light[:, u0:u1] + zero
        raw[:, s0:s1] = rng.normal(zero, 3, (60, s1 - s0))
    return np.rint(raw).astype(np.uint16)


def test_levels_of_amplifiers_do_not_show(rng: np.random.Generator) -> None:
    picture = rawpicture.render(frame(rng, (1000, 9000)), DATA, DEST, STRIPS, (60, 80), max_px=16)
    assert picture.shape == (12, 16, 3)
    below = picture[4:, :, 0].astype(float)
    assert abs(np.median(below[:, :8]) - np.median(below[:, 8:])) < 12
    assert picture[0, 0, 0] > 150, "the first row is the top"
    assert picture[-1, 0, 0] < 100


def test_bins_across_amplifiers_lose_no_pixel() -> None:
    raw = np.full((60, 88), 1500, np.uint16)
    raw[:, 40:48] = 1000
    picture = rawpicture.render(raw, DATA, DEST, STRIPS, (60, 80), max_px=11)  # bins of 8 pixels
    assert picture.shape == (8, 10, 3)
    assert np.ptp(picture) == 0


def test_an_amplifier_without_overscan_is_shown_as_it_is(rng: np.random.Generator) -> None:
    none = np.array([[40, 40, 0, 60], [44, 44, 0, 60]])
    raw = frame(rng, (0, 0))
    with_strips = rawpicture.render(raw, DATA, DEST, STRIPS, (60, 80), max_px=20)
    assert (
        np.abs(
            rawpicture.render(raw, DATA, DEST, none, (60, 80), max_px=20) - with_strips.astype(int)
        ).max()
        <= 3
    )


def test_rows_tell_the_zero_where_there_are_no_columns(rng: np.random.Generator) -> None:
    raw = frame(rng, (1000, 9000))
    rows = np.hstack([np.full((4, 44), zero, np.uint16) for zero in (1000, 9000)])
    tall = np.vstack([raw, rows])
    none = np.array([[40, 40, 0, 60], [44, 44, 0, 60]])
    parallel = np.array([[0, 40, 60, 64], [48, 88, 60, 64]])
    by_columns = rawpicture.render(raw, DATA, DEST, STRIPS, (60, 80), max_px=16)
    by_rows = rawpicture.render(tall, DATA, DEST, none, (60, 80), parallel=parallel, max_px=16)
    assert np.abs(by_rows.astype(int) - by_columns).max() <= 3


def test_without_a_sky_the_shades_are_for_the_light_itself(rng: np.random.Generator) -> None:
    raw = frame(rng, (1000, 9000))
    raw[50:, :10] = raw[:10, :10]  # no source
    shown = {
        of_sky: rawpicture.render(raw, DATA, DEST, STRIPS, (60, 80), max_px=40, of_sky=of_sky)
        for of_sky in (True, False)
    }
    assert np.median(shown[True]) < 40
    assert 100 < np.median(shown[False]) < 156
    assert np.ptp(np.percentile(shown[False], [1, 99])) > 200
