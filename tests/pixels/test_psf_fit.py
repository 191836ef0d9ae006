"""The PSF fit against stars drawn by brute force."""

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels import psf

NORM_PX = 27.3


def fitted(field, chosen=slice(None), **options):
    options = {"fwhm_guess_px": 3.0, "norm_radius_px": NORM_PX} | options
    x, y = np.round(field.x[chosen]), np.round(field.y[chosen])
    return psf.fit(field.image, field.variance, None, x, y, **options)


def offset_mmag(field, model, bright_e=2e4):
    """Median magnitude error of the bright stars, in thousandths."""
    found = psf.photometry(
        field.image, field.variance, None, model, np.round(field.x), np.round(field.y)
    )
    bright = field.flux > bright_e
    ratio = found["flux"][bright] / field.flux_within(NORM_PX)[bright]
    return -2500 * np.median(np.log10(ratio))


@pytest.mark.parametrize("fwhm_px", [2.2, 3.2, 4.5])
@pytest.mark.parametrize("beta", [2.5, 4.5])
def test_fluxes_are_unbiased_by_3_mmag_where_the_psf_varies_by_a_tenth(scatter, fwhm_px, beta):
    field = scatter(fwhm_px=fwhm_px, beta=beta, spacing=56, seed=int(10 * fwhm_px + beta))
    model = fitted(field)
    assert model.degree == 2
    assert model.n_stars > 85
    assert model.beta == pytest.approx(beta, rel=0.05)
    assert 0.85 < model.chi2 < 1.15
    assert abs(offset_mmag(field, model)) < 3


def test_width_and_ellipticity_follow_the_field(hundred_stars):
    model = fitted(hundred_stars)
    side = len(hundred_stars.image)
    for x, y in ((60, 60), (400, 80), (230, 230), (100, 400)):
        u, v = 2 * x / side - 1, 2 * y / side - 1
        truth = 2.8 * (1 + 0.1 * (0.5 * u + 0.3 * v * v - 0.2 * u * v))
        log_fwhm, e1, e2 = model.shape_at(x, y)[0]
        assert np.exp(log_fwhm) == pytest.approx(truth, rel=0.01)
        assert e1 == pytest.approx(0.04 + 0.02 * u, abs=0.006)
        assert e2 == pytest.approx(-0.03, abs=0.006)


def test_held_out_stars_are_subtracted_to_half_a_percent(hundred_stars):
    held_out = np.arange(100) % 4 == 0
    model = fitted(hundred_stars, ~held_out)
    bright = np.flatnonzero(held_out & (hundred_stars.flux > 5e4))
    for k in bright:
        x, y = hundred_stars.x[k], hundred_stars.y[k]
        ix, iy = round(x), round(y)
        stamp = model.stamp(x, y, 10)
        cut = hundred_stars.image[iy - 10 : iy + 11, ix - 10 : ix + 11]
        left = cut - hundred_stars.flux_within(NORM_PX)[k] * stamp
        # A linear functional of the residual, so that noise averages out.
        assert abs((left * stamp).sum() / (stamp**2).sum()) < 0.01 * hundred_stars.flux[k]


def test_what_is_no_moffat_ends_in_the_residual_map(draw):
    nodes = 40 * (np.arange(9) + 0.5)
    rng = np.random.default_rng(8)
    x, y = (p.ravel() + rng.uniform(-0.5, 0.5, 81) for p in np.meshgrid(nodes, nodes))
    flux = np.full(81, 1e5)
    one = draw((360, 360), x, y, 0.8 * flux, fwhm_px=2.6, seed=1)
    # A companion of a quarter of the light on one side: coma, as far as a Moffat can tell.
    two = draw((360, 360), x + 1.8, y + 0.6, 0.2 * flux, fwhm_px=2.6, seed=2)
    image, variance = one.image + two.image, one.variance + two.variance
    model = psf.fit(image, variance, None, x, y, fwhm_guess_px=3.0, norm_radius_px=NORM_PX)
    found = psf.photometry(image, variance, None, model, x, y)
    truth = one.flux_within(NORM_PX) / 0.8
    assert abs(np.median(found["flux"] / truth) - 1) < 0.003
    assert np.abs(model.residual[0]).max() > 0.02
    bare = psf.PsfModel(
        model.coefficients, model.beta, 0 * model.residual, model.frame, model.degree, NORM_PX, 0, 0
    )
    worse = psf.photometry(image, variance, None, bare, x, y)
    assert np.median(worse["chi2"]) > 2 * np.median(found["chi2"])


@pytest.mark.parametrize(("n", "degree"), [(100, 2), (15, 1), (6, 0)])
def test_the_degree_falls_with_the_number_of_stars(hundred_stars, n, degree):
    model = fitted(hundred_stars, np.argsort(-hundred_stars.flux)[:n])
    assert model.degree == degree
    assert model.n_stars <= n
    assert model.fwhm_px(230.0, 230.0) == pytest.approx(2.93, rel=0.05)


@pytest.mark.parametrize("guess", [2.0, 4.2])
def test_the_first_guess_does_not_matter(hundred_stars, guess):
    reference = fitted(hundred_stars, radius_px=12).fwhm_px(230.0, 230.0)
    model = fitted(hundred_stars, fwhm_guess_px=guess, radius_px=12)
    assert model.fwhm_px(230.0, 230.0) == pytest.approx(reference, rel=2e-3)


def test_masked_pixels_never_change_the_model(hundred_stars):
    field = hundred_stars
    mask = np.random.default_rng(5).random(field.image.shape) < 0.002
    spoiled = np.where(mask, np.float32(np.nan), field.image)
    hot = np.where(mask, np.float32(1e7), field.image)
    options = {"fwhm_guess_px": 3.0, "norm_radius_px": NORM_PX}
    one = psf.fit(spoiled, field.variance, None, field.x, field.y, **options)
    two = psf.fit(hot, field.variance, mask, field.x, field.y, **options)
    assert one.coefficients.tobytes() == two.coefficients.tobytes()
    assert one.residual.tobytes() == two.residual.tobytes()
    assert one.n_stars < 100


def test_stars_that_are_none_are_rejected(hundred_stars):
    field = hundred_stars
    image = field.image.copy()
    spoiled = np.argsort(-field.flux)[:6]
    for k in spoiled:
        iy, ix = round(field.y[k]), round(field.x[k])
        image[iy + 3 : iy + 6, ix - 1 : ix + 2] += 0.1 * field.flux[k]
    options = {"fwhm_guess_px": 3.0, "norm_radius_px": NORM_PX}
    model = psf.fit(image, field.variance, None, field.x, field.y, **options)
    assert not model.used[spoiled].any()
    assert model.used.sum() == model.n_stars > 80


def test_the_same_input_gives_the_same_bytes(hundred_stars):
    one, two = fitted(hundred_stars), fitted(hundred_stars)
    assert one.coefficients.tobytes() == two.coefficients.tobytes()
    assert one.residual.tobytes() == two.residual.tobytes()


@pytest.mark.parametrize("n", [0, 4])
def test_fewer_than_five_stars_are_refused_with_a_sentence(hundred_stars, n):
    with pytest.raises(QualityError, match=rf"{n} usable stars of the {n} given.*at least 5"):
        fitted(hundred_stars, slice(0, n))


def test_stars_lost_to_the_mask_are_counted_as_lost(hundred_stars):
    field = hundred_stars
    mask = np.ones(field.image.shape, bool)
    with pytest.raises(QualityError, match="0 usable stars of the 100 given"):
        psf.fit(
            field.image, field.variance, mask, field.x, field.y, fwhm_guess_px=3, norm_radius_px=27
        )
