"""The WCS that a pointing and a camera promise."""

import numpy as np
import pytest

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
