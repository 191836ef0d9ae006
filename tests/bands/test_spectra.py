import numpy as np
import pytest

from tesela.bands import spectra


@pytest.mark.parametrize(
    ("library", "count"), [(spectra.pickles, 131), (spectra.brown, 129), (spectra.cosmos_cww, 41)]
)
def test_libraries_are_whole(library, count):
    table = library()
    assert table.flux.shape == (count, table.wavelength_A.size)
    assert table.flux.dtype == np.float32
    assert len(set(table.names)) == count
    assert np.isfinite(table.flux).all()
    steps = np.diff(np.log(table.wavelength_A))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)


def test_spectra_are_normalised_near_5556():
    table = spectra.pickles()
    near = np.abs(table.wavelength_A - 5556.0) < 15
    off = np.abs(np.median(table.flux[:, near], axis=1) - 1)
    # A few of the coolest stars have deep bands there.
    assert np.quantile(off, 0.95) < 0.03


def test_an_a_star_is_bluer_than_an_m_star():
    table = spectra.pickles()
    blue, red = np.searchsorted(table.wavelength_A, [4500.0, 8000.0])
    ratio = table.flux[:, blue] / table.flux[:, red]
    assert ratio[table.index("a0v")] > 5 * ratio[table.index("m4v")]
