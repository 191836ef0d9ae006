"""The WCS that a pointing and a camera promise."""

import numpy as np
import pytest

from tesela.sky import tangent
from tesela.sky.nominal import nominal
from tesela.sky.wcs import Wcs


def test_signs_of_a_north_up_camera():
    ours = nominal(12.0, 34.0, 0.5, ((-1, 0), (0, 1)), (100, 200))
    plain = Wcs.tangent_plane(12.0, 34.0, 0.5, (100, 200))
    assert np.allclose(ours.cd, plain.cd)
    assert ours.centre == pytest.approx((12.0, 34.0))


def test_signs_of_a_camera_with_x_north_and_y_east():
    wcs = nominal(12.0, 34.0, 0.5, ((0, 1), (1, 0)), (100, 200))
    assert wcs.position_angle_deg == pytest.approx(90.0)
    assert wcs.parity == -1
    assert wcs.pixel_scale_arcsec == pytest.approx(0.5)


@pytest.mark.parametrize("dec", [0.0, 55.0, -89.2, 90.0])
@pytest.mark.parametrize("offset", [(57.0, -19.0), (-38.0, 57.0), (0.0, 30.0)])
def test_a_ccd_beside_the_pointing_lies_where_the_whole_focal_plane_has_it(dec, offset):
    signs, scale, shape = ((-0.8, 0.6), (0.6, 0.8)), 0.5, (400, 200)
    ours = nominal(12.0, dec, scale, signs, shape, offset)
    # The same CCD as a part of one large plane that touches the sky at the pointing.
    plane = Wcs(
        crval=np.array([12.0, dec]),
        crpix=np.array([99.5, 199.5])
        - np.linalg.solve(np.array(signs) * scale, np.array(offset) * 60),
        cd=np.array(signs) * scale / 3600,
        pv=None,
        shape=shape,
    )
    x, y = np.array([0.0, 199.0, 199.0, 0.0, 99.5]), np.array([0.0, 0.0, 399.0, 399.0, 199.5])
    there = tangent.separation_deg(*ours.pix_to_sky(x, y), *plane.pix_to_sky(x, y)) * 3600
    assert there[-1] < 1e-6
    assert there.max() < 0.01


def test_without_an_offset_the_image_is_centred_on_the_pointing():
    ours = nominal(12.0, 34.0, 0.5, ((-1, 0), (0, 1)), (100, 200), (0.0, 0.0))
    assert ours.centre == pytest.approx((12.0, 34.0))


def test_offsets_are_east_and_north():
    ours = nominal(12.0, 0.0, 0.5, ((-1, 0), (0, 1)), (100, 200), (30.0, 6.0))
    assert ours.centre == pytest.approx((12.5, 0.1), abs=1e-4)
