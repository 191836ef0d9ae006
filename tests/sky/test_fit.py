"""The least-squares fit of a WCS."""

import numpy as np
import pytest

from tesela.sky import fit

from .fields import Recipe, distorted, guess


def matched(recipe, n=500, seed=0, noise_px=0.0):
    truth = distorted(recipe)
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, recipe.size_px, (2, n))
    ra, dec = truth.pix_to_sky(x, y)
    x, y = x + rng.normal(0, noise_px, n), y + rng.normal(0, noise_px, n)
    return truth, fit.Stars(x, y, ra, dec, np.full(n, 0.05))


def worst_px(truth, wcs):
    x, y = np.meshgrid(*[np.linspace(0, truth.shape[0] - 1, 9)] * 2)
    there = truth.sky_to_pix(*wcs.pix_to_sky(x, y))
    return np.hypot(there[0] - x, there[1] - y).max()


def test_linear_truth_is_recovered_exactly():
    recipe = Recipe(distortion_px=0.0)
    truth, stars = matched(recipe, 30)
    wcs, used = fit.fit_clipped(guess(recipe), stars, 1)
    assert worst_px(truth, wcs) < 1e-6
    assert wcs.pv is None
    assert used.all()


@pytest.mark.parametrize("dec", [0.0, 60.0, 89.8])
def test_cubic_truth_is_recovered_far_below_a_pixel(dec):
    """Not exactly: another tangent point asks for terms of higher degree."""
    recipe = Recipe(distortion_px=5.0, dec_deg=dec)
    truth, stars = matched(recipe)
    wcs, _ = fit.fit_clipped(guess(recipe), stars, 3)
    assert worst_px(truth, wcs) < 2e-3


@pytest.mark.parametrize("n", [200, 1600])
def test_error_falls_as_the_root_of_the_number_of_stars(n):
    """Ten coefficients an axis: the mean variance of the fitted position is 10/n of a star's."""
    variances = []
    for seed in range(8):
        truth, stars = matched(Recipe(distortion_px=5.0), n, seed, noise_px=0.1)
        wcs, _ = fit.fit_clipped(guess(Recipe()), stars, 3)
        there = truth.sky_to_pix(*wcs.pix_to_sky(stars.x, stars.y))
        variances.append(np.mean(np.square([there[0] - stars.x, there[1] - stars.y])))
    assert np.mean(variances) == pytest.approx(0.1**2 * 10 / n, rel=0.3)


def test_blends_do_not_pull():
    truth, stars = matched(Recipe(distortion_px=2.0), noise_px=0.05)
    x = stars.x.copy()
    x[:75] += 1.5  # 15 percent displaced to the same side
    wrong = fit.Stars(x, stars.y, stars.ra_deg, stars.dec_deg, stars.error_arcsec)
    wcs, used = fit.fit_clipped(guess(Recipe()), wrong, 3)
    assert not used[:75].any()
    assert used[75:].mean() > 0.98
    assert worst_px(truth, wcs) < 0.03


def test_noisy_stars_weigh_little():
    truth, stars = matched(Recipe(distortion_px=0.0), 400, noise_px=0.02)
    rng = np.random.default_rng(3)
    bad = np.arange(400) % 2 == 0
    x = stars.x + np.where(bad, rng.normal(0, 2.0, 400), 0.0)
    error = np.where(bad, 2.0, 0.02) * 0.55
    wcs, _ = fit.fit_clipped(
        guess(Recipe()), fit.Stars(x, stars.y, stars.ra_deg, stars.dec_deg, error), 1
    )
    assert worst_px(truth, wcs) < 0.01


def test_residuals_are_observed_minus_reference():
    truth, stars = matched(Recipe(), 5)
    later = fit.Stars(stars.x, stars.y, stars.ra_deg + 1 / 3600, stars.dec_deg, stars.error_arcsec)
    dx, dy = fit.residuals_arcsec(truth, later)
    assert np.allclose(dx, -np.cos(np.radians(stars.dec_deg)), rtol=1e-3)
    assert np.abs(dy).max() < 0.05


def test_degree_follows_the_number_of_stars():
    assert [fit.affordable_degree(n, 3) for n in (11, 23, 24, 39, 40)] == [1, 1, 2, 2, 3]
    assert fit.affordable_degree(500, 2) == 2
    assert [fit.n_terms(d) for d in (1, 2, 3)] == [3, 6, 10]


def test_robust_sigma_of_a_normal_cloud():
    dx, dy = np.random.default_rng(0).normal(0, 0.3, (2, 20_000))
    assert fit.robust_sigma(dx, dy) == pytest.approx(0.3, rel=0.02)
    assert np.isnan(fit.robust_sigma(dx[:0], dy[:0]))
