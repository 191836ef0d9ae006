"""The tangent plane and the small angles."""

import numpy as np
import pytest

from tesela.sky import tangent


@pytest.mark.parametrize(("ra0", "dec0"), [(10.0, 0.0), (359.9, 60.0), (0.0, 89.9), (123.0, -90.0)])
def test_projection_round_trip(ra0, dec0):
    xi, eta = np.random.default_rng(1).uniform(-1.5, 1.5, (2, 200))
    ra, dec = tangent.deproject(xi, eta, ra0, dec0)
    back_xi, back_eta = tangent.project(ra, dec, ra0, dec0)
    assert np.allclose(back_xi, xi, atol=1e-11)
    assert np.allclose(back_eta, eta, atol=1e-11)
    assert ((ra >= 0) & (ra < 360)).all()


def test_east_and_north_are_positive():
    xi, eta = tangent.project([0.1, 359.9], [0.1, -0.1], 0.0, 0.0)
    assert xi[0] > 0 > xi[1]
    assert eta[0] > 0 > eta[1]


def test_radial_scale_is_the_tangent_of_the_angle():
    xi, eta = tangent.project(0.0, 70.0, 0.0, 40.0)
    assert xi == pytest.approx(0.0, abs=1e-12)
    assert eta == pytest.approx(np.degrees(np.tan(np.radians(30.0))), rel=1e-12)


def test_points_behind_the_plane_have_no_image():
    xi, eta = tangent.project([180.0, 90.0, 10.0], [0.0, 0.0, 0.0], 0.0, 0.0)
    assert np.isnan(xi[:2]).all() and np.isnan(eta[:2]).all()
    assert np.isfinite(xi[2])


def test_vectors_round_trip_and_wrap():
    ra, dec = tangent.positions(tangent.unit_vectors([-10.0, 370.0, 0.0], [5.0, -5.0, 90.0]))
    assert np.allclose(ra, [350.0, 10.0, 0.0])
    assert np.allclose(dec, [5.0, -5.0, 90.0])
    assert tangent.wrap_ra(-1e-20) == 0.0


def test_separation_is_exact_for_tiny_and_for_opposite_points():
    assert tangent.separation_deg(10.0, 0.0, 10.0, 1e-9) == pytest.approx(1e-9, rel=1e-6)
    assert tangent.separation_deg(0.0, 90.0, 77.0, -90.0) == pytest.approx(180.0)
    assert tangent.separation_deg(359.5, 0.0, 0.5, 0.0) == pytest.approx(1.0)
