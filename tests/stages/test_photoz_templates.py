"""Templates of the photometric redshifts: dust, lines, and their fluxes in bands."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.bands import filters, spectra, synthetic
from tesela.stages.valueadded import photoz_templates

PLAIN = photoz_templates.make((0.0,), (0.0,))


def test_without_dust_and_lines_the_library_is_itself() -> None:
    np.testing.assert_allclose(PLAIN.flux, spectra.cosmos_cww().flux, rtol=1e-6)
    assert PLAIN.base.tolist() == list(range(1, len(PLAIN.flux) + 1))


def test_the_spectra_that_made_the_simulation_are_not_among_them() -> None:
    assert not set(spectra.brown().names) & set(spectra.cosmos_cww().names)


def test_variants_share_the_part_of_their_spectrum() -> None:
    made = photoz_templates.make((0.0, 0.2), (0.0, 1.0, 2.0))
    assert made.share.sum() == pytest.approx(1.0)
    parts = np.bincount(made.base, made.share)[1:]
    np.testing.assert_allclose(parts, 1 / len(parts))
    assert set(np.bincount(made.base)[1:]) == {1, 6}


def test_calzetti_is_his_law() -> None:
    """k(V) = R_V = 4.05, k falls with wavelength, and its two parts nearly meet at 6300 A."""
    assert photoz_templates.calzetti(np.array([5500.0]))[0] == pytest.approx(4.05, abs=0.02)
    for low, high in ((1200, 6299), (6301, 11000)):
        k = photoz_templates.calzetti(np.linspace(low, high, 500))
        assert (np.diff(k) < 0).all() and (k > 0).all()
    meeting = photoz_templates.calzetti(np.array([6299.9, 6300.1]))
    assert abs(meeting[1] - meeting[0]) < 0.03


def test_dust_reddens_and_lines_shine_where_they_are() -> None:
    dusty = photoz_templates.make((0.0, 0.3), (0.0,))
    lit = photoz_templates.make((0.0,), (0.0, 1.0))
    bands = ("gSDSS", "rSDSS", "J0660", "iSDSS")
    z = np.array([0.0])
    twin = np.flatnonzero(np.diff(dusty.base) == 0)
    g, r, _, _ = photoz_templates.fluxes(dusty, bands, z)[0]
    assert ((g / r)[twin + 1] < (g / r)[twin]).all()
    twin = np.flatnonzero(np.diff(lit.base) == 0)
    _, r, alpha, _ = photoz_templates.fluxes(lit, bands, z)[0]
    ratio = (alpha / r)[twin + 1] / (alpha / r)[twin]
    assert (ratio > 1.0).all() and ratio.max() > 1.15


def test_a_line_carries_its_equivalent_width() -> None:
    """H alpha, [N II] and [S II] of a template raise J0660 by EW / width of the band."""
    lit = photoz_templates.make((0.0,), (0.0, 1.0))
    bluest = int(np.flatnonzero(np.diff(lit.base) == 0)[-1])
    extra = lit.flux[bluest + 1] - lit.flux[bluest]
    wave = lit.wavelength_A
    red = (wave > 6300) & (wave < 7000)
    near_alpha = sum(s for line, s in photoz_templates.LINES if 6300 < line < 7000)
    width = np.sum((extra * np.gradient(wave))[red]) / near_alpha
    width /= np.interp(6564.6, wave, lit.flux[bluest])
    assert 0 < width <= photoz_templates.BLUEST_EW_A


def test_fluxes_are_those_of_synthetic_photometry() -> None:
    bands = ("uJAVA", "rSDSS", "zSDSS")
    curves = [filters.load(b) for b in bands]
    for z in (0.0, 0.31, 1.1):
        found = photoz_templates.fluxes(PLAIN, bands, np.array([z]))[0].T
        mags = synthetic.magnitudes(PLAIN.wavelength_A, PLAIN.flux, curves, redshift=z)
        np.testing.assert_allclose(found, 10 ** (-0.4 * (mags + 48.6)), rtol=1e-9)
