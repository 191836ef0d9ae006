"""Whether a WCS agrees with a reference, asked of the finished product."""

from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.sky import agree
from tesela.sky.solve import solve
from tesela.sky.wcs import Wcs

from .fields import Recipe, make

LIMIT_ARCSEC = 0.07


def scene(n=1500, noise_px=0.1, n_false=500, seed=3, size=4096):
    """Stars that a WCS places right, a deeper reference with 20 mas of noise, and its WCS."""
    rng = np.random.default_rng(seed)
    wcs = Wcs.tangent_plane(30.0, 50.0, 0.55, (size, size), position_angle_deg=4.0)
    x, y = rng.uniform(0, size, (2, n))
    ra, dec = wcs.pix_to_sky(x + rng.normal(0, 0.02 / 0.55, n), y + rng.normal(0, 0.02 / 0.55, n))
    extra = wcs.pix_to_sky(*rng.uniform(0, size, (2, n_false)))
    seen_x = np.r_[x + rng.normal(0, noise_px, n), rng.uniform(0, size, n_false)]
    seen_y = np.r_[y + rng.normal(0, noise_px, n), rng.uniform(0, size, n_false)]
    return seen_x, seen_y, wcs, np.r_[ra, extra[0]], np.r_[dec, extra[1]]


@pytest.mark.parametrize("seed", range(20))
def test_a_right_wcs_agrees_in_sparse_and_crowded_fields(seed):
    for n, n_false in ((40, 20), (1500, 500), (20000, 8000)):
        found = agree.compare(*scene(n, n_false=n_false, seed=seed))
        agree.require(found, LIMIT_ARCSEC)
        assert np.hypot(*found.offset) < 4 * found.error
        assert found.sigma == pytest.approx(0.1 * 0.55, rel=0.4)


@pytest.mark.parametrize("n", [60, 1500, 20000])
def test_half_a_pixel_is_noticed(n):
    x, y, wcs, ra, dec = scene(n)
    spoiled = replace(wcs, crpix=wcs.crpix + np.array([0.3, 0.4]))
    found = agree.compare(x, y, spoiled, ra, dec)
    assert np.hypot(*found.offset) == pytest.approx(0.5 * 0.55, rel=0.2)
    with pytest.raises(QualityError, match=r"stars 2[0-9]{2} \+- .* mas from the reference"):
        agree.require(found, LIMIT_ARCSEC)


def test_a_turn_that_leaves_the_mean_alone_is_noticed():
    x, y, wcs, ra, dec = scene()
    turn = np.radians(0.01)
    spoiled = replace(wcs, cd=np.array([[1, turn], [-turn, 1]]) @ wcs.cd)
    with pytest.raises(QualityError, match="stars about pixel"):
        agree.require(agree.compare(x, y, spoiled, ra, dec), LIMIT_ARCSEC)


@pytest.mark.parametrize("seed", range(12))
def test_a_bump_of_half_a_pixel_is_noticed_after_the_fit(seed):
    recipe = Recipe(n_stars=3000, size_px=9216, distortion_px=5.0, seed=seed)
    field = make(recipe)
    rng = np.random.default_rng(seed)
    at, angle = rng.uniform(0.25, 0.75, 2) * recipe.size_px, rng.uniform(0, 2 * np.pi)
    away = np.hypot(field.x - at[0], field.y - at[1]) / (0.12 * recipe.size_px)
    strength = 0.5 * np.exp(-0.5 * away**2)
    x, y = field.x + strength * np.cos(angle), field.y + strength * np.sin(angle)
    solution = solve(x, y, *field.arguments()[2:])
    good = solve(*field.arguments())
    agree.require(
        agree.compare(field.x, field.y, good.wcs, field.ref_ra, field.ref_dec), LIMIT_ARCSEC
    )
    found = agree.compare(x, y, solution.wcs, field.ref_ra, field.ref_dec)
    assert np.hypot(found.worst[0] - at[0], found.worst[1] - at[1]) < 0.3 * recipe.size_px
    with pytest.raises(QualityError, match="stars about pixel"):
        agree.require(found, LIMIT_ARCSEC)


@pytest.mark.parametrize("n", [20, 200, 5000, 50000])
@pytest.mark.parametrize("seed", range(3))
def test_another_field_does_not_agree(n, seed):
    x, y, wcs, _, _ = scene(n, n_false=5, seed=seed)
    _, _, _, ra, dec = scene(n, n_false=5, seed=seed + 100)
    with pytest.raises(QualityError, match=r"reference has them|no nearer than by"):
        agree.require(agree.compare(x, y, wcs, ra, dec), LIMIT_ARCSEC)


def test_residual_map_means_what_it_says():
    x, y = np.array([0.0, 10.0, 99.0]), np.array([0.0, 10.0, 99.0])
    dx, dy, n = agree.residual_map(x, y, np.array([1.0, 3, 5]), np.zeros(3), (100, 100), cells=2)
    assert n.tolist() == [[2, 0], [0, 1]]
    assert dx[0, 0] == 2.0
    assert dx[1, 1] == 5.0
    assert np.isnan(dy[0, 1])
