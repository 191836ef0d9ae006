"""The seeing is that of the stars, whatever else there is, and rather low than high."""

import numpy as np
import pytest

from tesela.pixels import seeing

SIZE, NOISE = 400, 10.0


def spots(fwhm_px, n, seed, beta=None):
    """Stars integrated over pixels, and their centres."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(15, SIZE - 15, (2, n))
    image = np.zeros((SIZE, SIZE))
    sub = (np.arange(5) - 2) / 5
    for sx, sy in zip(x, y, strict=True):
        j, i = (int(np.rint(v)) for v in (sy, sx))
        gy = (np.arange(j - 14, j + 15)[:, None] + sub).ravel() - sy
        gx = (np.arange(i - 14, i + 15)[:, None] + sub).ravel() - sx
        r2 = (gy[:, None] ** 2 + gx**2) / (fwhm_px / 2) ** 2
        light = 0.5**r2 if beta is None else (1 + r2 * (2 ** (1 / beta) - 1)) ** -beta
        light = light.reshape(29, 5, 29, 5).mean(axis=(1, 3))
        image[j - 14 : j + 15, i - 14 : i + 15] += 10 ** rng.uniform(2.8, 4.5) * light
    return image, x, y


def seen(image, seed=3):
    return (image + np.random.default_rng(seed).normal(0, NOISE, image.shape)).astype(np.float32)


GOOD = np.zeros((SIZE, SIZE), bool)


@pytest.mark.parametrize("fwhm_px", [1.4, 1.8, 2.5, 4.0])
@pytest.mark.parametrize("beta", [None, 3.0])
def test_seeing_of_stars_wherever_their_centres_is_found(fwhm_px, beta):
    image, x, y = spots(fwhm_px, 60, 1, beta)
    found = seeing.of_cores(seen(image), GOOD, x, y, 20 * NOISE)
    assert 0.88 * fwhm_px < found < (1.02 if beta is None else 1.1) * fwhm_px


def test_galaxies_and_cosmic_rays_do_not_change_it():
    stars, x, y = spots(2.2, 25, 1)
    galaxies, gx, gy = spots(5.0, 20, 2)
    rng = np.random.default_rng(5)
    hits = rng.integers(10, SIZE - 10, (2, 40))
    image = seen(stars + galaxies)
    image[hits[1], hits[0]] += 3000
    image[hits[1] + 1, hits[0]] += rng.uniform(0, 3000, 40).astype(np.float32)
    alone = seeing.of_cores(seen(stars), GOOD, x, y, 20 * NOISE)
    x, y = (np.concatenate(v) for v in ((x, gx, hits[0]), (y, gy, hits[1])))
    assert seeing.of_cores(image, GOOD, x, y, 20 * NOISE) == pytest.approx(alone, rel=0.06)


def test_it_scales_with_the_light_and_ignores_bad_pixels():
    image, x, y = spots(2.2, 40, 1)
    image = seen(image)
    plain = seeing.of_cores(image, GOOD, x, y, 20 * NOISE)
    noise = np.full(len(x), 60 * NOISE)
    assert seeing.of_cores(3 * image, GOOD, x, y, noise) == pytest.approx(plain, rel=1e-4)
    bad = GOOD.copy()
    bad[np.rint(y[:20]).astype(int), np.rint(x[:20]).astype(int)] = True
    holed = image.copy()
    holed[bad] = np.nan
    half = seeing.of_cores(image, GOOD, x[20:], y[20:], 20 * NOISE)
    assert seeing.of_cores(holed, bad, x, y, 20 * NOISE) == pytest.approx(half, rel=0.06)


def test_too_few_stars_tell_nothing():
    image, x, y = spots(2.2, 4, 1)
    assert seeing.of_cores(seen(image), GOOD, x, y, 20 * NOISE) is None
    assert seeing.of_cores(seen(image), GOOD, x[:0], y[:0], 20 * NOISE) is None
    assert seeing.of_cores(seen(image), GOOD, x - 400, y, 20 * NOISE) is None
