"""Pixels to sky and back, against laws and against astropy."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tesela.errors import BadInput
from tesela.sky.wcs import Wcs

from .fields import Recipe, distorted

SHAPE = (900, 1200)


def degree_3() -> Wcs:
    return distorted(Recipe(size_px=4096, distortion_px=6.0, position_angle_deg=30.0))


def pixels(wcs, n=400):
    rng = np.random.default_rng(5)
    return rng.uniform(-50, wcs.shape[1] + 50, n), rng.uniform(-50, wcs.shape[0] + 50, n)


@pytest.mark.parametrize("dec", [-89.99, 0.0, 45.0, 90.0])
@pytest.mark.parametrize("parity", [-1, 1])
def test_round_trip_everywhere(dec, parity):
    wcs = Wcs.tangent_plane(359.999, dec, 0.55, SHAPE, position_angle_deg=77.0, parity=parity)
    x, y = pixels(wcs)
    back_x, back_y = wcs.sky_to_pix(*wcs.pix_to_sky(x, y))
    assert np.abs(back_x - x).max() < 1e-6
    assert np.abs(back_y - y).max() < 1e-6


def test_round_trip_with_distortion():
    wcs = degree_3()
    x, y = pixels(wcs)
    back_x, back_y = wcs.sky_to_pix(*wcs.pix_to_sky(x, y))
    assert np.abs(back_x - x).max() < 1e-6
    assert np.abs(back_y - y).max() < 1e-6


@pytest.mark.parametrize("wcs", [degree_3(), Wcs.tangent_plane(12.0, -30.0, 0.4, SHAPE)])
def test_astropy_reads_our_cards(wcs):
    header = fits.Header(list(wcs.to_cards().items()))
    peer = WCS(header)
    x, y = pixels(wcs)
    ra, dec = wcs.pix_to_sky(x, y)
    peer_x, peer_y = peer.all_world2pix(ra, dec, 0)
    assert np.abs(peer_x - x).max() < 1e-4
    assert np.abs(peer_y - y).max() < 1e-4
    assert Wcs.from_cards(header, wcs.shape) == wcs


def test_new_wcs_has_the_scale_and_angle_asked_for():
    wcs = Wcs.tangent_plane(10.0, 20.0, 0.55, SHAPE, position_angle_deg=30.0)
    assert wcs.pixel_scale_arcsec == pytest.approx(0.55)
    assert wcs.position_angle_deg == pytest.approx(30.0)
    assert wcs.parity == -1
    assert wcs.centre == pytest.approx((10.0, 20.0))
    assert replace(wcs, cd=wcs.cd * [[-1.0, 1.0]]).parity == 1


def test_north_up_means_east_left():
    wcs = Wcs.tangent_plane(10.0, 20.0, 1.0, SHAPE)
    ra, dec = wcs.pix_to_sky([0.0, 1199.0, 600.0], [450.0, 450.0, 899.0])
    assert ra[0] > 10.0 > ra[1]
    assert dec[2] > 20.0


def test_detector_with_x_north_and_y_east_has_position_angle_90():
    wcs = Wcs.tangent_plane(10.0, 0.0, 1.0, SHAPE, position_angle_deg=90.0)
    ra, dec = wcs.pix_to_sky(wcs.crpix[0] + np.array([1.0, 0.0]), wcs.crpix[1] + np.array([0.0, 1]))
    assert dec[0] * 3600 == pytest.approx(1.0)
    assert (ra[1] - 10.0) * 3600 == pytest.approx(1.0)


def test_jacobian_is_the_area_of_a_pixel_on_the_sphere():
    wcs = degree_3()
    x, y = np.array([10.0, 2000.0, 4000.0]), np.array([4000.0, 2000.0, 10.0])
    corners = [
        wcs.pix_to_sky(x + dx, y + dy) for dx, dy in ((-20, -20), (20, -20), (20, 20), (-20, 20))
    ]
    ra = np.array([c[0] for c in corners])
    dec = np.array([c[1] for c in corners])
    mean = dec.mean(axis=0)
    east = (np.mod(ra - ra[0] + 180, 360) - 180) * np.cos(np.radians(mean)) * 3600
    north = (dec - mean) * 3600
    area = 0.5 * sum(east[i] * north[(i + 1) % 4] - east[(i + 1) % 4] * north[i] for i in range(4))
    assert np.allclose(wcs.jacobian_det(x, y), area / 1600.0, rtol=2e-5)
    assert (wcs.jacobian_det(x, y) < 0).all()


def test_pixel_area_of_a_tangent_plane_shrinks_as_the_cube_of_the_cosine():
    wcs = Wcs.tangent_plane(10.0, 20.0, 1.0, SHAPE)
    x = wcs.crpix[0] + 3600.0 * np.degrees(np.tan(np.radians(5.0)))
    assert wcs.jacobian_det(x, wcs.crpix[1]) == pytest.approx(-(np.cos(np.radians(5.0)) ** 3))


def test_cutout_keeps_the_sky():
    wcs = degree_3()
    part = wcs.cutout(100, 50, (10, 20))
    assert part.shape == (10, 20)
    assert np.allclose(part.pix_to_sky(5.0, 6.0), wcs.pix_to_sky(105.0, 56.0), atol=1e-13)


def test_linearised_agrees_at_the_centre():
    wcs = degree_3()
    flat = wcs.linearised()
    x, y = wcs.shape[1] / 2 + np.array([0.0, 10.0, 0.0]), wcs.shape[0] / 2 + np.array([0.0, 0, 10])
    there_x, there_y = flat.sky_to_pix(*wcs.pix_to_sky(x, y))
    assert np.hypot(there_x - x, there_y - y).max() < 1e-3
    assert flat.pv is None


def test_footprint_is_the_outer_edge():
    wcs = Wcs.tangent_plane(0.0, 0.0, 3.6, (1000, 2000))
    ra, dec = wcs.footprint()
    assert np.allclose(np.abs(np.mod(ra + 180, 360) - 180), 1.0, atol=2e-4)
    assert np.allclose(np.abs(dec), 0.5, atol=2e-4)


def test_equality_hash_and_pickle():
    wcs = degree_3()
    assert wcs == pickle.loads(pickle.dumps(wcs))  # noqa: S301
    assert hash(wcs) == hash(pickle.loads(pickle.dumps(wcs)))  # noqa: S301
    assert wcs != replace(wcs, crpix=wcs.crpix + 1e-9)
    assert wcs != "a WCS"
    with pytest.raises(ValueError, match="read-only"):
        wcs.crval[0] = 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cd": np.ones((2, 2))}, "singular"),
        ({"crval": np.array([np.nan, 0.0])}, "crval"),
        ({"crpix": np.zeros(3)}, "crpix"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(BadInput, match=message):
        replace(Wcs.tangent_plane(0.0, 0.0, 1.0, SHAPE), **change)
