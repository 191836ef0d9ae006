"""The wings beyond the model and the growth of stars with their charge."""

import math

import numpy as np
import pytest

from tesela.pixels import psf, psf_growth
from tesela.pixels.psf_model import PsfModel

NORM_PX = 27.3


def fitted(image, variance, field):
    return psf.fit(
        image, variance, None, field.x, field.y, fwhm_guess_px=3.0, norm_radius_px=NORM_PX,
        wings_error=0.002,
    )  # fmt: skip


def aureole(field, share, core_px=36.0):
    """The light of aureoles that carry `share` of each star's flux."""
    y, x = np.mgrid[: len(field.image), : len(field.image)].astype(np.float32)
    light = np.zeros(field.image.shape, np.float32)
    for xs, ys, flux in zip(field.x, field.y, field.flux):
        r2 = (x - xs) ** 2 + (y - ys) ** 2
        light += share * flux / (2 * np.pi * core_px**2) * (1 + r2 / core_px**2) ** -1.5
    return light


def test_the_wings_are_measured_and_the_flux_contains_them(scatter):
    field = scatter(spacing=64, varying=0.0)
    share = 0.03
    image = field.image + aureole(field, share)
    # As a sky model would: what all stars share is taken away.
    image -= np.float32(np.median(aureole(field, share)))
    model = fitted(image, field.variance, field)
    within = 1 - 1 / math.sqrt(1 + (NORM_PX / 36.0) ** 2)
    assert 0.3 * share * within < model.wings < 1.2 * share * within
    found = psf.photometry(image, field.variance, None, model, field.x, field.y)
    bright = field.flux > 2e4
    truth = field.flux_within(NORM_PX) + share * within * field.flux
    mmag = -2500 * np.log10(found["flux"][bright] / truth[bright])
    assert abs(np.median(mmag)) < 3


def test_no_wings_where_there_are_none(scatter):
    field = scatter(spacing=64)
    model = fitted(field.image, field.variance, field)
    assert abs(model.wings) < 1e-3


def test_wings_survive_storage_and_may_be_absent_from_it(hundred_stars):
    model = fitted(hundred_stars.image, hundred_stars.variance, hundred_stars)
    arrays, numbers = model.to_arrays()
    numbers["wings"] = 0.01
    again = PsfModel.from_arrays(arrays, numbers)
    assert again.wings == 0.01
    del numbers["wings"]
    bare = PsfModel.from_arrays(arrays, numbers)
    ratio = again.stamp(100.0, 100.0, 10) / bare.stamp(100.0, 100.0, 10)
    assert np.allclose(ratio, 1 / 1.01, rtol=1e-5)


def test_uncertain_wings_are_none(scatter):
    field = scatter(spacing=64, varying=0.0)
    image = field.image + aureole(field, 0.03)
    model = psf.fit(
        image, field.variance, None, field.x, field.y, fwhm_guess_px=3.0, norm_radius_px=NORM_PX,
        wings_error=1e-4,
    )  # fmt: skip
    assert model.wings == 0.0


def test_few_stars_have_no_wings_and_no_slope(hundred_stars):
    some = np.argsort(-hundred_stars.flux)[:6]
    model = psf.fit(
        hundred_stars.image, hundred_stars.variance, None, hundred_stars.x[some],
        hundred_stars.y[some], fwhm_guess_px=3.0, norm_radius_px=NORM_PX,
    )  # fmt: skip
    assert model.wings == 0.0
    assert math.isnan(model.size_slope[0])


def test_stars_that_grow_with_their_charge_show_it(draw):
    rng = np.random.default_rng(4)
    nodes = 46 * (np.arange(9) + 0.5)
    x, y = (p.ravel() + rng.uniform(-0.5, 0.5, 81) for p in np.meshgrid(nodes, nodes))
    flux = np.tile([2e4, 6e4, 2e5], 27)
    fields = [
        draw((414, 414), x[k::3], y[k::3], flux[k::3], fwhm_px=2.8 * (1 + grown), seed=k)
        for k, grown in enumerate((0.001, 0.003, 0.01))
    ]
    image = np.sum([f.image for f in fields], axis=0)
    variance = np.sum([f.variance for f in fields], axis=0)
    model = psf.fit(image, variance, None, x, y, fwhm_guess_px=3.0, norm_radius_px=NORM_PX)
    slope, error = model.size_slope
    assert slope == pytest.approx(-0.0036, abs=0.002)
    assert slope < -3 * error


def test_stars_of_one_width_show_none(hundred_stars):
    model = fitted(hundred_stars.image, hundred_stars.variance, hundred_stars)
    slope, error = model.size_slope
    assert abs(slope) < 4 * error
    assert error < 0.003


def test_no_slope_of_one_brightness():
    ones = np.ones(20)
    assert math.isnan(psf_growth.size_slope(0 * ones, ones, ones)[0])
