import numpy as np
import pytest

from tesela.bands import filters
from tesela.simulate import galaxies, settings, stars, universe
from tesela.simulate.streams import stream


@pytest.fixture(scope="module")
def sky():
    return universe.make(settings.tiny(stars_per_field=800.0, galaxies_per_field=600.0))


def test_same_settings_same_sky(sky):
    again = universe.make(settings.tiny(stars_per_field=800.0, galaxies_per_field=600.0))
    assert again.table().equals(sky.table())


def test_everything_is_finite_and_in_the_box(sky):
    (patch,) = universe.patches([settings.tiny()])
    assert np.all((sky.ra >= patch.ra0) & (sky.ra <= patch.ra1))
    assert np.all((sky.dec >= patch.dec0) & (sky.dec <= patch.dec1))
    assert np.isfinite(sky.mag).all()
    assert np.isfinite(sky.mag_published).all()
    assert sky.mag.shape == (sky.id.size, 12)


def test_kinds_are_all_there(sky):
    kinds = set(sky.kind.tolist())
    assert {"star", "binary", "variable", "giant", "wd", "qso", "galaxy"} <= kinds
    share = np.mean(sky.kind[~sky.is_galaxy] == "binary")
    assert 0.04 < share < 0.11
    assert np.all((sky.amplitude_mag > 0) == (sky.kind == "variable"))


def test_stars_lie_on_the_published_locus(sky):
    # Dwarf locus of the Pickles stars at g - i = 0.8 and 1.8: r - i and J0861 - r.
    names = filters.names()
    mag = {name: sky.mag_published[:, k] for k, name in enumerate(names)}
    plain = (sky.kind == "star") & (sky.ebv < 1)
    colour = mag["gSDSS"] - mag["iSDSS"]
    for at, i_r, j0861_r in ((0.8, -0.210, -0.248), (1.8, -0.563, -0.774)):
        near = plain & (np.abs(colour - at) < 0.1)
        assert near.sum() > 10
        assert np.median((mag["iSDSS"] - mag["rSDSS"])[near]) == pytest.approx(i_r, abs=0.04)
        assert np.median((mag["J0861"] - mag["rSDSS"])[near]) == pytest.approx(j0861_r, abs=0.06)


def test_true_curves_differ_from_the_published_ones_but_little(sky):
    difference = sky.mag - sky.mag_published
    spread = np.abs(np.median(difference[~sky.is_galaxy], axis=0))
    assert 0.001 < spread.max() < 0.05


def test_metal_poor_stars_are_brighter_in_the_blue():
    faint = stars.make_stars(stream(1, "a"), 400, 20.0, np.zeros(400))
    poor = stars.make_stars(stream(1, "a"), 400, 20.0, np.full(400, -1.0))
    difference = poor.band_shift_mag - faint.band_shift_mag
    assert np.median(difference[:, 0]) == pytest.approx(-0.14, abs=0.02)
    assert np.abs(difference[:, 8:]).max() == 0


def test_luminosity_function_rises_as_stated():
    r = stars.luminosity(np.random.default_rng(1), 20000, 22.0)
    low, high = np.sum((r > 18) & (r < 19)), np.sum((r > 20) & (r < 21))
    assert high / low == pytest.approx(10 ** (2 * stars.SLOPE), rel=0.06)


def test_galaxies_keep_their_r_magnitude_and_share():
    drawn = galaxies.make(np.random.default_rng(2), 300, 21.0)
    curves = [filters.load(name) for name in filters.names()]
    mags, bulge = galaxies.magnitudes(drawn, curves)
    np.testing.assert_allclose(mags[:, 7], drawn.r_mag, atol=1e-9)
    np.testing.assert_allclose(bulge[:, 7], drawn.bulge_fraction_r, atol=1e-9)
    mixed = (drawn.bulge_fraction_r > 0.1) & (drawn.bulge_fraction_r < 0.9)
    # Bulges are redder than most discs.
    assert np.mean(bulge[mixed, 11] > bulge[mixed, 5]) > 0.6


def test_proper_motion_moves_positions(sky):
    ra, dec = sky.position(2018.0)
    moved = (dec - sky.dec) * 3.6e6
    np.testing.assert_allclose(moved, 2 * sky.pmdec, atol=1e-5)
    east = (ra - sky.ra) * np.cos(np.radians(sky.dec)) * 3.6e6
    np.testing.assert_allclose(east, 2 * sky.pmra, atol=1e-5)
