import numpy as np
import pytest
from astropy.wcs import WCS

from tesela.simulate.optics import Astrometry


def make(cubic=0.0, bend=0.0, dec=55.1, turn_deg=0.2):
    turn = np.radians(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[-1.0, 0.0], [0.0, 1.0]]) * 0.55
    return Astrometry(211.8, dec, 1152, 1154, matrix, cubic, np.full(6, bend))


def test_there_and_back():
    optics = make(cubic=3e-9, bend=0.1)
    x, y = np.meshgrid(np.linspace(-50, 1200, 9), np.linspace(-50, 1200, 9))
    back = optics.to_pixel(*optics.to_sky(x, y))
    np.testing.assert_allclose(back[0], x, atol=1e-6)
    np.testing.assert_allclose(back[1], y, atol=1e-6)


@pytest.mark.parametrize("dec", [55.1, 0.0, -80.0, 89.9])
def test_without_distortion_it_is_the_tangent_plane_of_the_standard(dec):
    optics = make(dec=dec)
    standard = WCS(naxis=2)
    standard.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    standard.wcs.crval = [211.8, dec]
    standard.wcs.crpix = [(1152 + 1) / 2, (1154 + 1) / 2]
    standard.wcs.cd = optics.matrix / 3600
    x, y = np.array([0.0, 500.0, 1151.0]), np.array([1153.0, 600.0, 3.0])
    ra, dec_found = optics.to_sky(x, y)
    ra_true, dec_true = standard.all_pix2world(x, y, 0)
    np.testing.assert_allclose(ra, ra_true % 360, atol=1e-10 / np.cos(np.radians(dec)))
    np.testing.assert_allclose(dec_found, dec_true, atol=1e-10)


def test_cubic_distortion_moves_the_corner_by_its_amount():
    plain, bent = make(), make(cubic=1.5 / 815.3**3)
    ra, dec = plain.to_sky(np.array([1151.0]), np.array([1153.0]))
    x, y = bent.to_pixel(ra, dec)
    assert np.hypot(x - 1151.0, y - 1153.0)[0] == pytest.approx(1.5, rel=0.02)


def test_relative_area_is_the_determinant():
    optics = make(cubic=3e-9)
    x, y, h = 1000.0, 200.0, 0.5
    e = [optics.to_sky(np.array([x + dx]), np.array([y + dy])) for dx, dy in
         ((h, 0), (-h, 0), (0, h), (0, -h))]  # fmt: skip
    cosine = np.cos(np.radians(55.1))
    dra = [(e[0][0] - e[1][0])[0] * cosine, (e[2][0] - e[3][0])[0] * cosine]
    ddec = [(e[0][1] - e[1][1])[0], (e[2][1] - e[3][1])[0]]
    area = abs(dra[0] * ddec[1] - dra[1] * ddec[0]) * 3600**2 / 0.55**2
    assert area == pytest.approx(float(optics.relative_area(np.array(x), np.array(y))), rel=2e-3)
