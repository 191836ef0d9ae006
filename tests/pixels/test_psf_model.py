"""The PSF model as drawn: unit flux, sub-pixel phase, storage."""

import numpy as np
import pytest

from tesela.pixels.psf import PsfModel


def model(fwhm=2.8, beta=3.0, e=(0.0, 0.0), maps=None, degree=0, norm=27.0):
    n_terms = (degree + 1) * (degree + 2) // 2
    coefficients = np.zeros((3, n_terms))
    coefficients[:, 0] = np.log(fwhm), *e
    residual = np.zeros((1, 33, 33), np.float32) if maps is None else maps
    return PsfModel(coefficients, beta, residual, (500.0, 400.0, 500.0), degree, norm, 12, 1.0)


def bump(height=0.03):
    y, x = np.mgrid[-16:17, -16:17] / 2.0
    return (height * np.exp(-((x - 1) ** 2 + y**2) / 4))[None].astype(np.float32)


@pytest.mark.parametrize("fwhm", [2.2, 3.0, 4.5])
@pytest.mark.parametrize("beta", [2.5, 4.5])
def test_flux_within_the_normalisation_radius_is_one_at_any_phase(fwhm, beta):
    psf = model(fwhm, beta, maps=bump())
    y, x = np.mgrid[-35:36, -35:36]
    for dx, dy in ((0.0, 0.0), (0.31, -0.44), (0.5, 0.25)):
        stamp = psf.stamp(100 + dx, 80 + dy, 35)
        inside = np.hypot(x - (100 + dx - np.floor(100.5 + dx)), y - dy) <= 27.0
        centred = np.hypot(x + np.floor(100.5 + dx) - 100 - dx, y + np.floor(80.5 + dy) - 80 - dy)
        inside = centred <= 27.0
        assert stamp[inside].sum() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("fwhm", [2.2, 3.5])
def test_a_bare_model_is_a_moffat_integrated_over_pixels(stamp_of, fwhm):
    psf = model(fwhm, 3.0, e=(0.1, -0.05))
    truth = stamp_of(0.3, -0.2, fwhm, 3.0, 0.1, -0.05, 12)
    drawn = psf.stamp(50.3, 59.8, 12)
    truth_within = 1 - (1 + 27.0**2 / (fwhm**2 / (4 * (2 ** (1 / 3) - 1)))) ** -2.0
    np.testing.assert_allclose(drawn * truth_within, truth, atol=4e-3 * truth.max())
    assert np.abs(drawn * truth_within - truth).sum() < 0.01


def test_moving_a_star_by_whole_pixels_only_moves_its_stamp():
    psf = model(maps=bump())
    np.testing.assert_allclose(psf.stamp(10.25, 20.5, 9), psf.stamp(93.25, 44.5, 9), rtol=1e-6)


def test_the_centroid_follows_the_position():
    psf = model(3.0, 4.0)
    y, x = np.mgrid[-20:21, -20:21]
    stamp = psf.stamp(100.3, 50.4, 20)
    assert (stamp * x).sum() / stamp.sum() == pytest.approx(0.3, abs=5e-3)
    assert (stamp * y).sum() / stamp.sum() == pytest.approx(0.4, abs=5e-3)


def test_width_and_shape_follow_their_polynomials():
    psf = model(degree=1)
    psf.coefficients[0, 1] = 0.1
    assert psf.shape_at(1000.0, 400.0)[0, 0] == pytest.approx(np.log(2.8) + 0.1)
    assert psf.fwhm_px(1000.0, 400.0) > psf.fwhm_px(0.0, 400.0)
    widths = psf.fwhm_px(np.array([0.0, 1000.0]), np.array([400.0, 400.0]))
    assert widths.shape == (2,)
    assert isinstance(psf.fwhm_px(0.0, 0.0), float)


def test_fwhm_is_where_the_drawn_profile_halves():
    psf = model(2.8, 3.0)
    stamps = [psf.stamp(100 - s, 100.0, 8)[8, 8] for s in np.linspace(0, 0.49, 50)]
    stamps += [psf.stamp(100 - s, 100.0, 8)[8, 9] for s in np.linspace(-0.5, 0.49, 100)]
    distance = np.r_[np.linspace(0, 0.49, 50), 1 + np.linspace(-0.5, 0.49, 100)]
    stamps += [psf.stamp(100 - s, 100.0, 8)[8, 10] for s in np.linspace(-0.5, 0.49, 100)]
    distance = np.r_[distance, 2 + np.linspace(-0.5, 0.49, 100)]
    half = np.interp(-0.5 * stamps[0], -np.array(stamps), distance)
    assert psf.fwhm_px(100.0, 100.0) == pytest.approx(2 * half, rel=0.003)


def test_ellipticity_and_orientation_are_those_of_the_axes():
    e = (1 - 0.8**2) / (1 + 0.8**2)
    psf = model(e=(0.0, e))
    assert psf.ellipticity(3.0, 4.0) == pytest.approx(0.2)
    assert psf.theta(3.0, 4.0) == pytest.approx(np.pi / 4)
    assert psf.ellipticity(np.zeros(3), np.zeros(3)).shape == (3,)
    assert psf.theta(np.zeros(3), np.zeros(3)).shape == (3,)
    stamp = psf.stamp(100.0, 100.0, 8)
    assert stamp[10, 10] > stamp[10, 6]


def test_a_polynomial_that_runs_away_still_gives_an_ellipse():
    psf = model(degree=1)
    psf.coefficients[1, 1] = 3.0
    assert psf.ellipticity(1000.0, 400.0) < 1
    assert np.isfinite(psf.stamp(1000.0, 400.0, 5)).all()


def test_stored_and_read_back_the_model_is_the_same_to_the_byte():
    psf = model(degree=2, maps=np.repeat(bump(), 3, axis=0))
    arrays, scalars = psf.to_arrays()
    swapped = {
        name: values.astype(values.dtype.newbyteorder(">")) for name, values in arrays.items()
    }
    again = PsfModel.from_arrays(swapped, scalars)
    assert again.stamp(33.3, 44.4, 10).tobytes() == psf.stamp(33.3, 44.4, 10).tobytes()
    assert again.n_stars == 12
