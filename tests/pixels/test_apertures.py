"""Aperture photometry against analytic Gaussians and against the sep library."""

import numpy as np
import pytest
import sep
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import gamma, gammainc, gammaincinv

from tesela.pixels import apertures, detect

SIGMA_PX = 2.0


def gaussian(shape, x, y, flux, sx=SIGMA_PX, sy=SIGMA_PX):
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    g = np.exp(-0.5 * (((xx - x) / sx) ** 2 + ((yy - y) / sy) ** 2)) / (2 * np.pi * sx * sy)
    return (flux * g).astype(np.float32)


def as_objects(x, y, a=SIGMA_PX, b=SIGMA_PX, theta=0.0):
    n = np.ones(len(np.atleast_1d(x)))
    return {"x": n * x, "y": n * y, "a": n * a, "b": n * b, "theta": n * theta}


def measure(image, objects, diameters=(4.0, 8.0), variance=1.0, mask=None, segmentation=None):
    plane = np.full(image.shape, variance, np.float32)
    return apertures.measure(image, plane, mask, segmentation, objects, diameters_px=diameters)


def test_circles_have_the_analytic_flux_of_a_gaussian():
    image = gaussian((81, 81), 40.3, 39.8, 1e4)
    radii = np.array([3.0, 5.0, 8.0])
    found = measure(image, as_objects(40.3, 39.8), 2 * radii)
    blurred = SIGMA_PX**2 + 1 / 12  # an aperture of sampled pixels sees them as squares
    np.testing.assert_allclose(
        found["flux_aper"][0], 1e4 * (1 - np.exp(-0.5 * radii**2 / blurred)), rtol=5e-3
    )


@pytest.mark.parametrize("radius", [0.3, 0.73, 1.4, 4.6])
def test_a_constant_image_gives_exactly_the_area_of_the_circle(radius):
    image = np.ones((40, 40), np.float32)
    positions = np.random.default_rng(1).uniform(15, 25, (2, 30))
    found = measure(image, as_objects(*positions), (2 * radius,))
    np.testing.assert_allclose(found["flux_aper"], np.pi * radius**2, rtol=1e-10)


def test_circles_agree_with_the_exact_mode_of_an_independent_code():
    image = np.random.default_rng(2).normal(10, 3, (60, 60)).astype(np.float32)
    x, y = np.random.default_rng(3).uniform(12, 47, (2, 40))
    found = measure(image, as_objects(x, y), (1.45, 5.0, 10.9))
    for k, radius in enumerate((0.725, 2.5, 5.45)):
        other, _, _ = sep.sum_circle(image, x, y, radius, subpix=0)
        np.testing.assert_allclose(found["flux_aper"][:, k], other, rtol=1e-5, atol=1e-4)


def test_errors_are_the_scatter_of_the_fluxes():
    rng = np.random.default_rng(4)
    image = rng.normal(0, 3, (400, 400)).astype(np.float32)
    nodes = np.arange(20, 390, 16) + 0.0
    x, y = (p.ravel() for p in np.meshgrid(nodes, nodes))
    found = measure(image, as_objects(x, y), (1.45, 4.0, 8.0), variance=9.0)
    pull = found["flux_aper"] / found["flux_aper_err"]
    np.testing.assert_allclose(pull.std(axis=0), 1.0, atol=0.1)


def test_auto_holds_nearly_all_of_a_gaussian_and_half_radius_is_right():
    image = gaussian((101, 101), 50.2, 49.7, 1e5)
    found = measure(image, as_objects(50.2, 49.7))
    assert found["flux_auto"][0] == pytest.approx(1e5, rel=0.01)
    assert found["flux_radius"][0] == pytest.approx(SIGMA_PX * 1.1774, rel=0.02)
    assert found["fwhm_px"][0] == pytest.approx(SIGMA_PX * 2.3548, rel=0.02)
    assert found["flags"][0] == 0


def test_windowed_positions_are_right_where_isophotal_ones_are_not():
    image = gaussian((61, 61), 30.37, 29.21, 1e5)
    found = measure(image, as_objects(30.9, 28.9))
    assert found["x_win"][0] == pytest.approx(30.37, abs=2e-3)
    assert found["y_win"][0] == pytest.approx(29.21, abs=2e-3)


def test_a_window_that_would_wander_stays_at_the_start():
    image = gaussian((61, 61), 30, 30, 1e4) + gaussian((61, 61), 36, 30, 1e6)
    found = measure(image, as_objects(30, 30))
    assert (found["x_win"][0], found["y_win"][0]) == (30, 30)


def test_elongation_and_ellipticity_come_from_the_moments():
    image = gaussian((101, 101), 50, 50, 1e5, sx=4, sy=2)
    found = measure(image, as_objects(50, 50, a=4.0, b=2.0))
    assert found["elongation"][0] == 2
    assert found["ellipticity"][0] == 0.5
    assert found["flux_auto"][0] == pytest.approx(1e5, rel=0.01)


def test_a_tilted_ellipse_measures_like_an_upright_one():
    tall = measure(gaussian((101, 101), 50, 50, 1e5, 4, 2), as_objects(50, 50, 4, 2, 0.0))
    wide = measure(gaussian((101, 101), 50, 50, 1e5, 2, 4), as_objects(50, 50, 4, 2, np.pi / 2))
    assert tall["flux_auto"][0] == pytest.approx(wide["flux_auto"][0], rel=1e-4)


def test_a_neighbour_known_to_the_segmentation_is_removed():
    lone = gaussian((101, 101), 45, 50, 1e5)
    image = lone + gaussian((101, 101), 55, 51, 2e5)
    objects, segmentation = detect.extract(image, 1.0, None, threshold_sigma=5)
    left = int(np.argmin(objects["x"]))
    blind = measure(image, objects)
    aware = measure(image, objects, segmentation=segmentation)
    alone = measure(lone, {k: v[[left]] for k, v in objects.items()})
    truth = alone["flux_auto"][0]
    assert abs(aware["flux_auto"][left] / truth - 1) < 0.03
    assert abs(blind["flux_auto"][left] / truth - 1) > 0.1
    assert aware["flags"][left] & apertures.FLAG_NEIGHBOUR


def test_bad_pixels_are_replaced_by_their_opposites():
    image = gaussian((81, 81), 40, 40, 1e5)
    mask = np.zeros(image.shape, bool)
    mask[:, 42] = True
    spoiled = image.copy()
    spoiled[mask] = 1e6
    clean = measure(image, as_objects(40, 40))
    found = measure(spoiled, as_objects(40, 40), mask=mask)
    np.testing.assert_allclose(found["flux_aper"], clean["flux_aper"], rtol=1e-5)
    assert found["flux_auto"][0] == pytest.approx(clean["flux_auto"][0], rel=1e-5)
    assert (found["flux_aper_err"] > clean["flux_aper_err"]).all()
    unknown = np.where(mask, np.float32(np.nan), image)
    np.testing.assert_array_equal(
        measure(unknown, as_objects(40, 40))["flux_aper"], found["flux_aper"]
    )


def test_an_aperture_over_the_border_is_flagged_and_earlier_flags_stay():
    image = gaussian((61, 61), 3, 30, 1e5)
    objects = as_objects(3, 30) | {"flags": np.array([2], np.int16)}
    assert measure(image, objects)["flags"][0] == 2 | apertures.FLAG_APERTURE_INCOMPLETE


def test_nothing_but_negative_light_gives_numbers_without_widths():
    found = measure(-gaussian((61, 61), 30, 30, 1e4), as_objects(30, 30))
    assert found["flux_auto"][0] < 0
    assert np.isnan(found["kron_radius"][0])
    assert np.isnan(found["flux_radius"][0])


def test_no_objects_give_empty_columns_and_bad_positions_give_nan():
    image = np.zeros((30, 30), np.float32)
    empty = measure(image, as_objects(np.zeros(0), np.zeros(0)))
    assert empty["flux_aper"].shape == (0, 2)
    assert empty["flux_auto"].shape == (0,)
    lost = measure(image, as_objects(np.nan, 3.0))
    assert np.isnan(lost["flux_auto"][0])


def sersic(shape, x, y, flux, n, r_half):
    """Sersic profile in pixels, sampled 5 times finer."""
    fine = (np.arange(5 * shape[0]) - 2) / 5
    b = gammaincinv(2 * n, 0.5)
    r = np.hypot(fine[None, :] - x, fine[:, None] - y)
    profile = np.exp(-b * (r / r_half) ** (1 / n))
    norm = 2 * np.pi * n * r_half**2 * b ** (-2 * n) * gamma(2 * n)
    return (flux / norm * profile.reshape(shape[0], 5, shape[1], 5).mean((1, 3))).astype(np.float32)


@pytest.mark.parametrize("n", [0.5, 1.0])
def test_the_petrosian_ellipse_holds_what_theory_says(n):
    r_half = 6.0
    image = sersic((201, 201), 100.3, 99.8, 1e6, n, r_half)
    sigma = {0.5: r_half / 1.1774, 1.0: r_half / 1.6783 * np.sqrt(3)}[n]
    found = measure(image, as_objects(100.3, 99.8, sigma, sigma))
    radius = brentq(lambda r: surface(r, n, r_half) - 0.2 * inside(r, n, r_half) / r**2, 3, 60)
    # The first of steps of 0.33 isophotal radii that is past it.
    assert -0.05 < found["petro_radius"][0] - radius / sigma < 0.38
    within = 2 * found["petro_radius"][0] * sigma
    assert found["flux_petro"][0] == pytest.approx(1e6 * inside(within, n, r_half), rel=0.005)
    assert inside(within, n, r_half) > 0.98


def inside(r, n, r_half):
    """Part of a Sersic profile's light inside r."""
    b = gammaincinv(2 * n, 0.5)
    return gammainc(2 * n, b * (r / r_half) ** (1 / n))


def surface(r, n, r_half):
    """Its surface brightness, in the unit of `inside(r) / r**2`."""
    step = 1e-4 * r
    return (inside(r + step, n, r_half) - inside(r - step, n, r_half)) / (4 * r * step)


def test_a_flat_sheet_has_no_petrosian_radius():
    found = measure(np.ones((101, 101), np.float32), as_objects(50, 50, 4, 4))
    assert np.isnan(found["petro_radius"][0])
    circle = measure(np.ones((101, 101), np.float32), as_objects(50, 50, 4, 4), (28.0,))
    assert found["flux_petro"][0] == pytest.approx(circle["flux_aper"][0, 0], rel=0.02)


@pytest.mark.parametrize("flux", [3000.0, 30000.0])
def test_errors_of_windowed_and_isophotal_positions_are_their_scatter(flux):
    rng = np.random.default_rng(11)
    nodes = np.arange(24.0, 700.0, 24.0)
    x, y = (p.ravel() for p in np.meshgrid(nodes, nodes))
    x, y = x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, y.size)
    light = np.zeros((720, 720), np.float32)
    for xs, ys in zip(x, y, strict=True):
        i, j = round(xs) - 10, round(ys) - 10
        light[j : j + 21, i : i + 21] += gaussian((21, 21), xs - i, ys - j, flux)
    variance = (25.0 + light).astype(np.float32)
    image = (light + rng.normal(size=light.shape) * np.sqrt(variance)).astype(np.float32)
    objects, labels = detect.extract(image, 25.0, None, threshold_sigma=5)
    assert len(objects["x"]) == len(x)
    found = apertures.measure(image, variance, None, labels, objects, diameters_px=[4.0])
    k = cKDTree(np.c_[x, y]).query(np.c_[objects["x"], objects["y"]])[1]
    for axis, truth in (("x", x[k]), ("y", y[k])):
        pull = (found[f"{axis}_win"] - truth) / found[f"{axis}_win_err"]
        assert pull.std() == pytest.approx(1.0, abs=0.1)
        assert abs(pull.mean()) < 0.15
    np.testing.assert_allclose(found["err_a_win"] ** 2 + found["err_b_win"] ** 2,
                               found["x_win_err"] ** 2 + found["y_win_err"] ** 2)  # fmt: skip
    assert (found["x_iso_err"] > 0).all()
    own = np.array([variance[labels == k + 1].sum() for k in range(5)])
    np.testing.assert_allclose(found["flux_iso_err"][:5], np.sqrt(own), rtol=1e-6)


def test_the_error_of_a_window_that_wandered_is_isophotal():
    image = gaussian((61, 61), 30, 30, 1e4) + gaussian((61, 61), 36, 30, 1e6)
    labels = np.zeros(image.shape, np.int32)
    labels[28:33, 28:33] = 1
    box = {name: np.array([v]) for name, v in zip(("xmin", "xmax", "ymin", "ymax"),
                                                  (28, 32, 28, 32), strict=True)}  # fmt: skip
    objects = as_objects(30, 30) | box | {"flux_filtered": np.array([1e4])}
    found = measure(image, objects, segmentation=labels)
    assert (found["x_win"][0], found["y_win"][0]) == (30, 30)
    assert found["x_win_err"][0] == found["x_iso_err"][0] == pytest.approx(np.sqrt(50) / 1e4)


def test_radii_of_fractions_are_those_of_the_profile():
    image = gaussian((101, 101), 50.2, 49.7, 1e5)
    found = measure(image, as_objects(50.2, 49.7))
    expected = SIGMA_PX * np.sqrt(-2 * np.log(1 - np.array(apertures.FRACTIONS)))
    np.testing.assert_allclose(found["flux_radii"][0], expected, rtol=0.03)
    assert found["flux_radii"][0, 1] == found["flux_radius"][0]


def test_the_number_of_threads_changes_no_bit():
    rng = np.random.default_rng(12)
    image = rng.normal(0, 3, (300, 300)).astype(np.float32)
    x, y = rng.uniform(-2, 302, (2, 900))
    for k in range(40):
        image += gaussian(image.shape, x[k], y[k], rng.uniform(500, 5e4))
    mask = rng.random(image.shape) < 0.01
    objects = as_objects(x, y)
    one, many = (
        apertures.measure(
            image, np.full_like(image, 9), mask, None, objects,
            diameters_px=[3.0, 6.0], threads=threads,
        )
        for threads in (1, 3)
    )  # fmt: skip
    assert all(one[name].tobytes() == many[name].tobytes() for name in one)


def test_circles_of_any_order_and_repeated_are_each_their_own():
    image = gaussian((81, 81), 40.3, 40.1, 1e5) + 2
    objects = as_objects(40.3, 40.1)
    mixed = measure(image, objects, (9.0, 2.5, 9.0, 5.0))["flux_aper"][0]
    single = [measure(image, objects, (d,))["flux_aper"][0, 0] for d in (9.0, 2.5, 9.0, 5.0)]
    np.testing.assert_allclose(mixed, single, rtol=1e-12)


def test_circles_counted_in_parts_come_near_to_exact_ones():
    image = np.ones((41, 41), np.float32)
    objects = as_objects(20.31, 20.12)
    plane = np.ones_like(image)
    counted = apertures.measure(
        image, plane, None, None, objects, diameters_px=[1.5, 8.0], subpixels=5
    )
    np.testing.assert_allclose(
        counted["flux_aper"][0], np.pi * np.array([0.75, 4.0]) ** 2, rtol=0.1
    )


def test_what_holds_no_light_is_measured_without_complaint():
    nothing = np.full((40, 40), np.nan, np.float32)
    dark = np.zeros((40, 40), np.float32)
    for image, mask in ((nothing, None), (dark, np.ones(dark.shape, bool)), (dark, None)):
        found = measure(image, as_objects(20, 20), mask=mask)
        assert found["flux_auto"][0] == found["flux_petro"][0] == 0
        assert (found["flux_aper"] == 0).all()
        assert np.isnan(found["flux_radius"][0])
    far = measure(dark, as_objects(np.array([-500.0, 39.4]), np.array([20.0, 39.4])))
    assert (far["flags"] & apertures.FLAG_APERTURE_INCOMPLETE).all()


def test_a_crowded_pair_is_measured_apart():
    one = gaussian((81, 81), 36, 40, 2e5)
    image = one + gaussian((81, 81), 44, 40, 1e5)
    objects, labels = detect.extract(image, 1.0, None, threshold_sigma=3)
    assert len(objects["x"]) == 2
    found = measure(image, objects, segmentation=labels)
    order = np.argsort(found["x_win"])
    np.testing.assert_allclose(found["x_win"][order], [36, 44], atol=0.1)
    np.testing.assert_allclose(found["flux_auto"][order], [2e5, 1e5], rtol=0.06)
    assert (objects["flags"] & detect.FLAG_BLENDED).all()


def test_an_object_as_large_as_the_image_is_cut_short_and_flagged():
    image = np.ones((60, 60), np.float32)
    found = measure(image, as_objects(30, 30, 900.0, 400.0))
    assert found["flags"][0] & apertures.FLAG_APERTURE_INCOMPLETE
    assert found["flux_auto"][0] == pytest.approx(3600)
