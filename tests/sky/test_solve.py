"""The astrometric solution, in easy and in nasty fields."""

from dataclasses import replace

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.sky import tangent
from tesela.sky.solve import solve
from tesela.sky.wcs import Wcs

from .fields import Recipe, make

NASTY = {
    "half spurious, half missing, tenth saturated": Recipe(),
    "across the pole": Recipe(dec_deg=89.95),
    "large field": Recipe(n_stars=1000, size_px=9216, distortion_px=5.0),
    "large and dense": Recipe(n_stars=3000, size_px=9216),
    "small and dense": Recipe(n_stars=1500, size_px=1024, distortion_px=1.0),
    "deeper reference": Recipe(n_stars=600, extra_faint=2.0),
    "shallower reference": Recipe(n_stars=800, reference_limit_mag=20.0),
    "turned by 90 degrees": Recipe(position_angle_deg=90.0),
    "small errors of the guess": Recipe(rotation_deg=0.05, scale_ratio=1.001, offset_arcsec=(9, 4)),
}


@pytest.mark.parametrize("recipe", NASTY.values(), ids=NASTY.keys())
@pytest.mark.parametrize("seed", [1, 2])
def test_nasty_fields_are_solved(recipe, seed):
    field = make(replace(recipe, seed=seed))
    solution = solve(*field.arguments())
    assert field.worst_px(solution.wcs) < 0.5
    assert solution.chance_log10 < -20
    assert solution.rms_arcsec.max() < 1.3 * recipe.noise_px * recipe.scale_arcsec
    assert solution.rms_bright_arcsec.max() < 1.5 * recipe.noise_px * recipe.scale_arcsec


def test_distortion_is_recovered_to_two_hundredths_of_a_pixel():
    recipe = Recipe(n_stars=4000, size_px=9216, noise_px=0.05, missing=0.1, distortion_px=5.0)
    field = make(recipe)
    solution = solve(*field.arguments())
    assert solution.degree == 3
    assert field.worst_px(solution.wcs) < 0.02


def recipe_scale(field):
    return field.truth.pixel_scale_arcsec


def test_offset_rotation_and_scale_are_reported():
    recipe = Recipe(distortion_px=0.0, dec_deg=0.0)  # meridians are parallel at the equator
    field = make(recipe)
    solution = solve(*field.arguments(), degree=1)
    assert solution.rotation_deg == pytest.approx(recipe.rotation_deg, abs=0.01)
    assert solution.scale_ratio == pytest.approx(recipe.scale_ratio, abs=1e-4)
    assert solution.offset_arcsec == pytest.approx(np.hypot(*recipe.offset_arcsec), abs=0.5)
    assert not solution.flipped


def test_indices_and_residuals_belong_together():
    field = make(Recipe())
    solution = solve(*field.arguments())
    assert solution.n_matched == len(solution.i_det) == len(solution.i_ref)
    assert len(set(solution.i_ref)) == solution.n_matched
    ra, dec = solution.wcs.pix_to_sky(field.x[solution.i_det], field.y[solution.i_det])
    sep = 3600 * tangent.separation_deg(
        ra, dec, field.ref_ra[solution.i_ref], field.ref_dec[solution.i_ref]
    )
    assert np.allclose(sep, np.hypot(solution.dx_arcsec, solution.dy_arcsec), atol=1e-5)
    assert solution.rms_arcsec[0] == pytest.approx(np.sqrt(np.mean(solution.dx_arcsec**2)))


def test_few_stars_are_enough_for_degree_one():
    recipe = Recipe(
        n_stars=14, size_px=1024, missing=0.0, spurious=0.3, saturated=0.0, distortion_px=0.0
    )
    field = make(recipe)
    solution = solve(*field.arguments())
    assert solution.degree == 1
    assert solution.n_matched >= 8
    assert field.worst_px(solution.wcs) < 0.5


def test_few_stars_still_follow_the_distortion():
    field = make(Recipe(n_stars=70, saturated=0.0))
    solution = solve(*field.arguments())
    assert solution.n_matched < 40  # too few for all ten terms of a cubic without asking
    assert solution.degree == 3
    assert field.worst_px(solution.wcs) < 0.6
    assert solution.error_arcsec / recipe_scale(field) < 0.3
    flat = solve(*field.arguments(), degree=1)
    assert field.worst_px(flat.wcs) > 2 * field.worst_px(solution.wcs)


def test_distortion_of_the_guess_is_used():
    recipe = Recipe(distortion_px=60.0, n_stars=800, spurious=0.2, missing=0.2)
    field = make(recipe)
    better = replace(
        field.truth,
        crval=field.guess.crval,
        cd=field.truth.cd @ [[1.001, 0.002], [-0.002, 1.001]],
    )
    solution = solve(*field.arguments()[:6], better)
    assert field.worst_px(solution.wcs) < 0.1
    assert solution.scale_ratio == pytest.approx(1 / 1.001, abs=1e-4)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(n_stars=4000, size_px=9216)])
@pytest.mark.parametrize("part", [0.33, 0.6])
def test_a_reference_of_a_part_of_the_frame_is_refused(recipe, part):
    field = make(recipe)
    x, _ = field.truth.sky_to_pix(field.ref_ra, field.ref_dec)
    known = x < part * recipe.size_px
    reference = (field.ref_ra[known], field.ref_dec[known], field.ref_mag[known])
    with pytest.raises(QualityError, match=r"right quarter.*catalogue does not cover"):
        solve(*field.arguments()[:3], *reference, field.guess)


def test_an_uncertain_corner_is_refused():
    field = make(Recipe(n_stars=60))
    assert solve(*field.arguments()).error_arcsec > 0.01
    with pytest.raises(QualityError, match="corner uncertain"):
        solve(*field.arguments(), max_error_px=0.02)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 197.3])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(n_stars=40, missing=0.1, spurious=0.3, distortion_px=0.5),
        Recipe(n_stars=3000, size_px=9216, distortion_px=9.0),
        Recipe(n_stars=100, extra_faint=8.0, size_px=4096),
    ],
    ids=["sparse", "dense", "deep reference"],
)
def test_an_unknown_orientation_is_found_on_request(recipe, turn_deg, mirror):
    field = make(replace(recipe, rotation_deg=turn_deg, scale_ratio=0.99))
    x = recipe.size_px - 1 - field.x if mirror else field.x
    solution = solve(x, *field.arguments()[1:], any_orientation=True)
    assert solution.flipped == mirror
    grid_x, grid_y = np.meshgrid(*2 * [np.linspace(0, recipe.size_px - 1, 9)])
    true_x = recipe.size_px - 1 - grid_x if mirror else grid_x
    there = field.truth.sky_to_pix(*solution.wcs.pix_to_sky(grid_x, grid_y))
    assert np.hypot(there[0] - true_x, there[1] - grid_y).max() < 0.8


def test_an_unknown_orientation_is_not_invented():
    recipe = Recipe(n_stars=60)
    field, other = make(recipe), make(replace(recipe, seed=9))
    with pytest.raises(QualityError, match="check pointing, equinox, pixel scale and the ref"):
        solve(
            field.x, field.y, field.flux, other.ref_ra, other.ref_dec, other.ref_mag, field.guess,
            any_orientation=True,
        )  # fmt: skip


def test_a_wrong_field_raises_and_says_what_was_found():
    for seed, n_stars in ((1, 60), (2, 400), (3, 1500)):
        field = make(Recipe(n_stars=n_stars, seed=seed))
        other = make(Recipe(n_stars=n_stars, seed=seed + 100))
        with pytest.raises(QualityError, match="check pointing") as error:
            solve(
                field.x,
                field.y,
                field.flux,
                other.ref_ra,
                other.ref_dec,
                other.ref_mag,
                field.guess,
            )
        assert "detections" in str(error.value)


def test_clustered_stars_do_not_make_a_wrong_field_convincing():
    rng = np.random.default_rng(5)
    guess = Wcs.tangent_plane(50.0, 20.0, 0.5, (1024, 1024))
    x, y = rng.normal(512, 60, (2, 400))
    ra, dec = guess.pix_to_sky(*rng.normal(512, 60, (2, 400)))
    with pytest.raises(QualityError):
        solve(x, y, rng.random(400), ra, dec, rng.random(400), guess)


def test_an_error_outside_the_window_raises():
    field = make(Recipe(rotation_deg=9.0))
    with pytest.raises(QualityError):
        solve(*field.arguments())
    assert solve(*field.arguments(), max_rotation_deg=12.0).rotation_deg == pytest.approx(
        9, abs=0.1
    )


@pytest.mark.parametrize("signs", [(-1.0, 1.0), (1.0, -1.0)])
def test_a_mirrored_image_needs_leave(signs):
    field = make(Recipe(saturated=0.0, missing=0.2))
    size = field.truth.shape[0] - 1
    x = field.x if signs[0] > 0 else size - field.x
    y = field.y if signs[1] > 0 else size - field.y
    with pytest.raises(QualityError, match="mirrored"):
        solve(x, y, *field.arguments()[2:])
    solution = solve(x, y, *field.arguments()[2:], allow_flip=True)
    assert solution.flipped
    assert solution.wcs.parity == -field.guess.parity
    ra, _ = solution.wcs.pix_to_sky(x[solution.i_det], y[solution.i_det])
    assert np.abs(np.mod(ra - field.ref_ra[solution.i_ref] + 180, 360) - 180).max() < 1 / 3600
    with pytest.raises(QualityError) as error:
        solve(x, y, field.flux, field.ref_ra + 1, field.ref_dec, field.ref_mag, field.guess,
              allow_flip=True)  # fmt: skip
    assert "mirrored" not in str(error.value)


def test_blank_entries_change_nothing():
    field = make(Recipe())
    clean = solve(*field.arguments())
    nan = np.full(20, np.nan)
    spoiled = solve(
        np.r_[field.x, nan], np.r_[field.y, nan], np.r_[field.flux, nan],
        np.r_[field.ref_ra, nan], np.r_[field.ref_dec, nan], np.r_[field.ref_mag, nan],
        field.guess,
    )  # fmt: skip
    assert spoiled.wcs == clean.wcs
    assert np.array_equal(spoiled.i_det, clean.i_det)


def test_same_input_same_bytes():
    field = make(Recipe())
    one, two = solve(*field.arguments()), solve(*field.arguments())
    assert one.wcs == two.wcs
    assert one.dx_arcsec.tobytes() == two.dx_arcsec.tobytes()


def test_errors_weigh():
    recipe = Recipe(n_stars=800, noise_px=0.02, spurious=0.0, missing=0.0, distortion_px=0.0)
    field = make(recipe)
    rng = np.random.default_rng(2)
    sigma = np.where(rng.random(len(field.x)) < 0.6, 0.8, 0.0)
    sigma[0] = np.nan
    x, y = (c + rng.normal(0, np.nan_to_num(sigma)) for c in (field.x, field.y))
    error = np.hypot(sigma, 0.02)
    blind = solve(x, y, *field.arguments()[2:], degree=1)
    weighted = solve(
        x, y, *field.arguments()[2:], degree=1, x_err=error, y_err=error,
        ref_err_arcsec=np.full(len(field.ref_ra), 0.001),
    )  # fmt: skip
    assert field.worst_px(weighted.wcs) < 0.02
    assert weighted.n_matched > blind.n_matched


@pytest.mark.parametrize(
    ("n_det", "n_ref", "message"),
    [(3, 50, "3 detections"), (50, 3, "reference stars within reach")],
)
def test_too_few_stars_raise(n_det, n_ref, message):
    field = make(Recipe())
    x, y, flux, ra, dec, mag, guess = field.arguments()
    with pytest.raises(QualityError, match=message):
        solve(x[:n_det], y[:n_det], flux[:n_det], ra[:n_ref], dec[:n_ref], mag[:n_ref], guess)


def test_reference_elsewhere_raises():
    field = make(Recipe())
    x, y, flux, ra, dec, mag, guess = field.arguments()
    with pytest.raises(QualityError, match="0 reference stars"):
        solve(x, y, flux, ra + 90.0, dec, mag, guess)


def test_more_matches_can_be_demanded():
    field = make(Recipe(n_stars=60))
    with pytest.raises(QualityError):
        solve(*field.arguments(), min_matches=200)


@pytest.mark.parametrize("direction", [(1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_stars_on_a_line_or_on_one_spot_are_no_field(direction):
    rng = np.random.default_rng(1)
    guess = Wcs.tangent_plane(50.0, 20.0, 0.5, (1024, 1024))
    along = rng.uniform(0, 1024, 100)
    x, y = 512 + direction[0] * (along - 512), 512 + direction[1] * (along - 512)
    with pytest.raises(QualityError):
        solve(x, y, along, *guess.pix_to_sky(x, y), along, guess)


def test_perfect_data_keep_every_star():
    rng = np.random.default_rng(1)
    guess = Wcs.tangent_plane(50.0, 20.0, 0.5, (1024, 1024))
    x, y = rng.uniform(0, 1024, (2, 150))
    solution = solve(x, y, x, *guess.pix_to_sky(x, y), y, guess)
    assert solution.n_matched == 150
    assert solution.rms_arcsec.max() < 1e-6


def test_detections_outside_the_image_change_nothing():
    field = make(Recipe())
    x, y = np.r_[field.x, 1e9, -1e9], np.r_[field.y, 1e9, 0.0]
    solution = solve(x, y, np.r_[field.flux, 1e9, 1e9], *field.arguments()[3:])
    assert solution.wcs == solve(*field.arguments()).wcs
