"""The choice of PSF stars from a catalogue with galaxies, blends and saturated stars."""

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels.psf import select_stars


def catalogue(n_stars=200, n_galaxies=200, seed=1, side=2000.0):
    rng = np.random.default_rng(seed)
    n = n_stars + n_galaxies
    star = np.arange(n) < n_stars
    x, y = rng.uniform(0, side, (2, n))
    size = 1.6 * (1 + 0.1 * x / side) * np.exp(rng.normal(0, 0.008, n))
    size[~star] *= rng.uniform(1.25, 4, n_galaxies)
    flux = 10 ** rng.uniform(3, 5.5, n)
    return {
        "x": x,
        "y": y,
        "flux_auto": flux,
        "flux_auto_err": np.sqrt(flux + 5000),
        "flux_radius": size,
        "ellipticity": rng.uniform(0, 0.1, n),
        "flags": np.zeros(n, np.int16),
    }, star


def test_only_stars_are_taken():
    objects, star = catalogue()
    chosen = select_stars(objects)
    assert star[chosen].mean() > 0.97
    assert len(chosen) > 60


def test_flagged_faint_and_elongated_ones_are_left():
    objects, _ = catalogue()
    objects["flags"][::2] = 4
    objects["ellipticity"][1::10] = 0.5
    chosen = select_stars(objects, min_snr=50)
    assert (objects["flags"][chosen] == 0).all()
    assert (objects["ellipticity"][chosen] < 0.3).all()
    assert (objects["flux_auto"][chosen] > 50 * objects["flux_auto_err"][chosen]).all()


def test_stars_with_neighbours_are_left():
    objects, _ = catalogue(80, 0)
    first = select_stars(objects)[0]
    for name in objects:
        objects[name] = np.append(objects[name], objects[name][first])
    objects["x"][-1] += 6
    objects["flux_auto"][-1] *= 0.3
    assert first not in select_stars(objects)


def test_the_best_are_spread_over_the_field():
    objects, _ = catalogue(600, 0)
    objects["flux_auto"] *= np.where(objects["x"] > 1500, 30, 1)
    chosen = select_stars(objects, max_stars=48)
    assert len(chosen) == 48
    cells = (objects["x"][chosen] // 500).astype(int) * 4 + (objects["y"][chosen] // 500).astype(
        int
    )
    assert np.bincount(cells, minlength=16).min() >= 2


def test_fifteen_stars_will_do():
    objects, star = catalogue(15, 5, seed=4)
    objects["flux_auto"][:] = 1e5
    chosen = select_stars(objects)
    assert star[chosen].all()
    assert len(chosen) >= 10


def test_blended_stars_serve_where_there_are_no_others():
    objects, _ = catalogue(60, 0)
    objects["flags"][:] = 2
    assert len(select_stars(objects)) > 15


def test_nan_columns_are_passed_over():
    objects, _ = catalogue()
    objects["flux_radius"][::3] = np.nan
    objects["flux_auto_err"][1::3] = np.nan
    chosen = select_stars(objects)
    assert np.isfinite(objects["flux_radius"][chosen]).all()


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_are_refused_with_a_sentence(n):
    objects, _ = catalogue(n, 0)
    with pytest.raises(QualityError, match=r"suitable among .* objects.*at least 5"):
        select_stars(objects)
