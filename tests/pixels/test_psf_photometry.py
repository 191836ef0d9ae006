"""PSF photometry of single, crowded, faint and damaged sources."""

import numpy as np
import pytest

from tesela.pixels import psf, psf_photometry

NORM_PX = 27.3


@pytest.fixture(scope="module")
def model(hundred_stars):
    field = hundred_stars
    return psf.fit(
        field.image,
        field.variance,
        None,
        field.x,
        field.y,
        fwhm_guess_px=3.0,
        norm_radius_px=NORM_PX,
    )


@pytest.fixture(scope="module")
def pairs(draw):
    """Sixty-four pairs 1.5 FWHM apart, flux ratios 1 to 10."""
    rng = np.random.default_rng(21)
    nodes = 50 * (np.arange(8) + 0.5)
    x, y = (p.ravel() + rng.uniform(-0.5, 0.5, 64) for p in np.meshgrid(nodes, nodes))
    angle = rng.uniform(0, 2 * np.pi, 64)
    flux = 10 ** rng.uniform(4.3, 5, 64)
    second = flux * 10 ** rng.uniform(-1, 0, 64)
    x2, y2 = x + 1.5 * 2.8 * np.cos(angle), y + 1.5 * 2.8 * np.sin(angle)
    field = draw((400, 400), np.r_[x, x2], np.r_[y, y2], np.r_[flux, second], fwhm_px=2.8, seed=5)
    others = draw(
        (400, 400), nodes.repeat(8), np.tile(nodes, 8), np.full(64, 6e4), fwhm_px=2.8, seed=6
    )
    model = psf.fit(
        others.image,
        others.variance,
        None,
        others.x,
        others.y,
        fwhm_guess_px=3.0,
        norm_radius_px=NORM_PX,
    )
    return field, model


def run(field, model, x=None, y=None, **options):
    x, y = (field.x if x is None else x), (field.y if y is None else y)
    return psf.photometry(field.image, field.variance, None, model, x, y, **options)


def test_errors_describe_the_scatter(hundred_stars, model):
    found = run(hundred_stars, model)
    pull = (found["flux"] - hundred_stars.flux_within(NORM_PX)) / found["err"]
    faint = hundred_stars.flux < 3e4
    assert pull[faint].std() == pytest.approx(1.0, abs=0.25)
    assert abs(pull[faint].mean()) < 0.4
    assert np.median(found["chi2"]) == pytest.approx(1.0, abs=0.1)
    assert (found["coverage"] == 1).all()


@pytest.mark.parametrize(("low", "high"), [(5, 15), (15, 50), (30, 100)])
def test_pulls_are_of_width_one_and_bright_fluxes_unbiased_by_3_mmag(draw, model, low, high):
    """At most an eighth of an error too bright where the position is fitted as well."""
    pulls, ratio = [], []
    for seed in range(3):
        rng = np.random.default_rng([seed, low])
        nodes = 28 * (np.arange(16) + 0.5)
        x, y = (p.ravel() + rng.uniform(-3, 3, 256) for p in np.meshgrid(nodes, nodes))
        flux = rng.uniform(low, high, 256) * 108.0
        # The width varies with the place as in the field of the model, which is as large.
        field = draw((460, 460), x, y, flux, fwhm_px=2.8, varying=0.1, seed=seed)
        found = run(field, model)
        truth = field.flux_within(NORM_PX)
        pulls.append((found["flux"] - truth) / found["err"])
        ratio.append(found["flux"] / truth)
        assert (truth / found["err"]).min() > 0.6 * low
    pull = np.concatenate(pulls)
    assert pull.std() == pytest.approx(1.0, abs=0.1)
    assert abs(pull.mean()) < 0.2
    if low >= 30:
        assert abs(2500 * np.log10(np.concatenate(ratio).mean())) < 3


def test_faint_fluxes_are_unbiased_although_the_variance_is_noisy(draw, model, hundred_stars):
    nodes = 20 * (np.arange(23) + 0.5)
    x, y = (p.ravel() for p in np.meshgrid(nodes, nodes))
    field = draw((460, 460), x, y, np.full(x.shape, 400.0), fwhm_px=2.85, seed=9)
    found = run(field, model, recenter=False)
    error = found["flux"].std() / np.sqrt(len(x))
    assert abs(found["flux"].mean() / field.flux_within(NORM_PX)[0] - 1) < 0.02 + 3 * error / 400


def test_pairs_at_one_and_a_half_fwhm_are_unbiased_to_2_percent(pairs):
    field, model = pairs
    rng = np.random.default_rng(3)
    start = field.x + rng.normal(0, 0.2, 128), field.y + rng.normal(0, 0.2, 128)
    found = run(field, model, *start)
    ratio = found["flux"] / field.flux_within(NORM_PX)
    assert abs(np.median(ratio[:64]) - 1) < 0.005
    assert abs(np.median(ratio[64:]) - 1) < 0.02
    assert np.std(ratio[:64]) < 0.03


def test_positions_are_recovered(pairs):
    field, model = pairs
    found = run(field, model, field.x + 0.3, field.y - 0.3)
    assert np.median(np.hypot(found["x"] - field.x, found["y"] - field.y)) < 0.03


def test_positions_stay_where_they_are_asked_to(pairs):
    field, model = pairs
    found = run(field, model, recenter=False)
    np.testing.assert_array_equal(found["x"], field.x)


def test_nothing_moves_by_more_than_a_pixel(pairs):
    field, model = pairs
    start = field.x + 2.5
    found = run(field, model, start)
    assert np.abs(found["x"] - start).max() <= 1.0


def test_the_order_of_the_list_does_not_matter(pairs):
    field, model = pairs
    order = np.random.default_rng(4).permutation(128)
    one = run(field, model)
    two = run(field, model, field.x[order], field.y[order])
    np.testing.assert_allclose(two["flux"], one["flux"][order], rtol=1e-5)


def test_a_local_sky_is_taken_up_on_request_only(pairs):
    field, model = pairs
    raised = psf.photometry(
        field.image + np.float32(50), field.variance, None, model, field.x, field.y
    )
    fitted = psf.photometry(
        field.image + np.float32(50), field.variance, None, model, field.x, field.y, fit_sky=True
    )
    truth = field.flux_within(NORM_PX)
    assert np.median(raised["flux"] - truth) > 1000
    assert abs(np.median(fitted["flux"] / truth) - 1) < 0.03


def test_masked_pixels_never_change_a_flux(pairs):
    field, model = pairs
    mask = np.random.default_rng(7).random(field.image.shape) < 0.03
    hot = np.where(mask, np.float32(1e6), field.image)
    nan = np.where(mask, np.float32(np.nan), field.image)
    one = psf.photometry(hot, field.variance, mask, model, field.x, field.y)
    two = psf.photometry(nan, field.variance, None, model, field.x, field.y)
    np.testing.assert_array_equal(one["flux"], two["flux"])
    kept = one["coverage"] > 0.8
    ratio = one["flux"][kept] / field.flux_within(NORM_PX)[kept]
    assert abs(np.median(ratio) - 1) < 0.01


def test_sources_without_pixels_are_unknown_and_harm_nobody(hundred_stars, model):
    x = np.r_[hundred_stars.x, -40.0, 5000.0]
    y = np.r_[hundred_stars.y, 20.0, 5000.0]
    found = run(hundred_stars, model, x, y)
    assert np.isnan(found["flux"][-2:]).all()
    assert (found["coverage"][-2:] == 0).all()
    alone = run(hundred_stars, model)
    np.testing.assert_allclose(found["flux"][:-2], alone["flux"], rtol=1e-6)


@pytest.mark.parametrize("nowhere", [np.nan, -5000.0])
def test_a_source_that_is_nowhere_leaves_the_others_alone(hundred_stars, model, nowhere):
    alone = run(hundred_stars, model)
    found = run(hundred_stars, model, np.r_[hundred_stars.x, 20.0], np.r_[hundred_stars.y, nowhere])
    np.testing.assert_allclose(found["y"][:-1], alone["y"], atol=1e-6)
    assert np.isnan(found["flux"][-1])


def test_no_sources_give_empty_columns(hundred_stars, model):
    found = run(hundred_stars, model, np.zeros(0), np.zeros(0))
    assert all(len(values) == 0 for values in found.values())


def test_the_image_is_left_alone(hundred_stars, model):
    before = hundred_stars.image.tobytes()
    run(hundred_stars, model, fit_radius_px=4.0)
    assert hundred_stars.image.tobytes() == before


def test_threads_give_the_same_bytes(pairs, monkeypatch):
    field, model = pairs
    monkeypatch.setattr(psf_photometry, "STRIP_PX", 64)
    one, three = run(field, model), run(field, model, threads=3)
    for name, values in one.items():
        np.testing.assert_array_equal(three[name], values, err_msg=name)


def test_strips_converge_to_what_the_whole_field_gives(pairs, monkeypatch):
    field, model = pairs
    monkeypatch.setattr(psf_photometry, "STRIP_PX", 10_000)
    whole = run(field, model, iterations=40)
    monkeypatch.setattr(psf_photometry, "STRIP_PX", 64)
    strips = run(field, model, iterations=40)
    assert np.abs((strips["flux"] - whole["flux"]) / whole["err"]).max() < 0.02
