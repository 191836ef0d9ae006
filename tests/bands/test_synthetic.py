import csv

import numpy as np
import pytest

from tesela.bands import filters, spectra, synthetic
from tesela.errors import BadInput

CURVES = [filters.load(name) for name in filters.names()]


def test_a_flat_f_nu_of_3631_jy_has_magnitude_zero():
    wave = np.arange(2900.0, 11500.0, 2.0)
    flux = 3.6308e-20 * synthetic.LIGHT_A_S / wave**2
    mags = synthetic.magnitudes(wave, flux[None], CURVES)
    assert np.abs(mags).max() < 1e-3


def test_ten_times_the_light_is_two_and_a_half_magnitudes():
    library = spectra.pickles()
    flux = library.flux[:5]
    one = synthetic.magnitudes(library.wavelength_A, flux, CURVES)
    ten = synthetic.magnitudes(library.wavelength_A, 10.0 * flux, CURVES)
    np.testing.assert_allclose(one - ten, 2.5, atol=1e-9)


def test_redshift_moves_a_line_from_band_to_band():
    wave = np.arange(2900.0, 11500.0, 2.0)
    line = 1e-3 + np.exp(-0.5 * ((wave - 4101.0) / 20.0) ** 2)
    pair = [filters.load("J0410"), filters.load("J0515")]
    here = synthetic.magnitudes(wave, line[None], pair)[0]
    moved = synthetic.magnitudes(wave, line[None], pair, redshift=0.2535)[0]
    assert here[0] < here[1] - 2
    assert moved[1] < moved[0] - 2


def test_weights_integrate_a_line_exactly_between_the_points():
    coarse = np.array([2900.0, 12000.0])
    fine = np.linspace(2900.0, 12000.0, 5000)
    slope = np.array([1.0, 3.0])
    expected = synthetic.magnitudes(fine, np.interp(fine, coarse, slope)[None], CURVES)
    found = synthetic.magnitudes(coarse, slope[None], CURVES)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_spectrum_that_ends_inside_a_band_is_refused():
    wave = np.arange(4000.0, 6000.0, 5.0)
    with pytest.raises(BadInput, match="rSDSS"):
        synthetic.magnitudes(wave, np.ones((1, wave.size)), [filters.load("rSDSS")])


def test_darkness_is_infinitely_faint():
    wave = np.arange(2900.0, 11500.0, 10.0)
    mags = synthetic.magnitudes(wave, np.zeros((1, wave.size)), CURVES[:1])
    assert np.isinf(mags).all()


@pytest.mark.real
def test_compact_stars_keep_the_published_locus_to_3_mmag(real_data):
    path = real_data / "sed/stars_pickles/locus_pickles_jplus.csv"
    with path.open() as stream:
        rows = list(csv.reader(stream))[1:]
    library = spectra.pickles()
    mags = synthetic.magnitudes(library.wavelength_A, library.flux, CURVES)
    colours = mags - mags[:, [7]]
    published = np.array([[float(v) for v in row[2:]] for row in rows])
    found = np.array([colours[library.index(row[0])] for row in rows])
    assert len(rows) == 131
    assert np.abs(found - published).max() < 3e-3
