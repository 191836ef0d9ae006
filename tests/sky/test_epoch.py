"""Proper motion and precession."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.time import Time

from tesela.sky import epoch, tangent


def test_seven_years_at_ten_mas_are_seventy_mas():
    ra, dec = epoch.propagate([100.0], [60.0], [10.0], [0.0], 2016.0, 2023.0)
    assert 3.6e6 * (ra[0] - 100.0) * np.cos(np.radians(60.0)) == pytest.approx(70.0, rel=1e-5)
    assert dec[0] == pytest.approx(60.0, abs=1e-9)


def test_motion_and_its_opposite_cancel():
    """But for the convergence of the meridians, which turns the components on the way."""
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-60, 60, 50)
    pm = rng.normal(0, 200, (2, 50))
    there = epoch.propagate(ra, dec, *pm, 2016.0, 2026.0)
    back = epoch.propagate(*there, *pm, 2026.0, 2016.0)
    assert 3.6e6 * tangent.separation_deg(ra, dec, *back).max() < 0.5
    assert 3.6e6 * tangent.separation_deg(ra, dec, *there) == pytest.approx(
        10 * np.hypot(*pm), rel=1e-6
    )


@pytest.mark.parametrize("dec", [0.0, 45.0, 89.99])
def test_agrees_with_astropy(dec):
    star = SkyCoord(
        359.9999 * units.deg, dec * units.deg,
        pm_ra_cosdec=900 * units.mas / units.yr, pm_dec=-700 * units.mas / units.yr,
        distance=100 * units.pc, obstime=Time(1996.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    there = star.apply_space_motion(Time(2016.0, format="jyear", scale="tdb"))
    ra, dec_there = epoch.propagate([359.9999], [dec], [900.0], [-700.0], 1996.0, 2016.0)
    off = tangent.separation_deg(ra, dec_there, there.ra.deg, there.dec.deg)
    assert 3.6e6 * off[0] < 1.0  # the peer's star comes nearer and its light travels


def test_unknown_motion_is_none():
    ra, dec = epoch.propagate([10.0, 20.0], [0.0, 0.0], [np.nan, 5.0], [5.0, np.nan], 2000, 2010)
    assert ra[0] == pytest.approx(10.0, abs=1e-12)
    assert 3.6e6 * dec[0] == pytest.approx(50.0)
    assert dec[1] == pytest.approx(0.0, abs=1e-12)
    assert 3.6e6 * (ra[1] - 20.0) == pytest.approx(50.0)


def test_unknown_epoch_is_no_motion():
    ra, dec = epoch.propagate([10.0, 20.0], [0.0, 0.0], 5.0, 5.0, [np.nan, 2000.0], 2010.0)
    assert (ra[0], dec[0]) == pytest.approx((10.0, 0.0), abs=1e-12)
    assert 3.6e6 * dec[1] == pytest.approx(50.0)


def test_precession_moves_the_equinox_fifty_arcsec_a_year():
    ra, dec = epoch.precess_to_icrs(0.0, 0.0, 2021.0)
    assert 3600 * tangent.separation_deg(0.0, 0.0, ra, dec) == pytest.approx(21 * 50.29, rel=1e-3)


def test_equinox_2000_is_icrs_to_a_tenth_of_an_arcsec():
    ra, dec = epoch.precess_to_icrs([100.0, 200.0], [-20.0, 20.0], 2000.0)
    assert 3600 * tangent.separation_deg([100.0, 200.0], [-20.0, 20.0], ra, dec).max() < 0.1


def test_every_star_may_have_its_own_epoch():
    _, dec = epoch.propagate([10.0, 10.0], [0.0, 0.0], 0.0, 100.0, [2016.0, 2000.0], 2020.0)
    assert 3.6e6 * dec == pytest.approx([400.0, 2000.0])
