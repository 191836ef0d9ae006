"""Reading headers as others write them."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tesela.errors import BadInput
from tesela.sky import tpv
from tesela.sky.wcs import Wcs

SHAPE = (900, 1200)
FLAT = Wcs.tangent_plane(210.0, -35.0, 0.45, SHAPE, position_angle_deg=12.0)


def bent() -> Wcs:
    pv = tpv.identity()
    pv[0, 4], pv[1, 7], pv[0, 11] = 1e-3, 2e-3, -1e-3
    return replace(FLAT, pv=pv)


def header(wcs=FLAT, **changes):
    cards = {"NAXIS1": wcs.shape[1], "NAXIS2": wcs.shape[0], **wcs.to_cards(), **changes}
    return {name: value for name, value in cards.items() if value is not None}


def test_our_cards_read_back_exactly():
    for wcs in (FLAT, bent()):
        assert Wcs.from_cards(header(wcs)) == wcs


def test_crpix_counts_from_one_in_the_cards():
    assert FLAT.to_cards()["CRPIX1"] == FLAT.crpix[0] + 1.0


def test_tan_with_pv_is_read_as_tpv():
    cards = header(bent(), CTYPE1="RA---TAN", CTYPE2="DEC--TAN")
    assert Wcs.from_cards(cards) == bent()


def test_tan_with_the_native_pole_only_is_a_plain_tangent_plane():
    assert Wcs.from_cards(header(PV1_1=0.0, PV1_2=90.0)).pv is None


def test_tpv_without_terms_is_a_plain_tangent_plane():
    assert Wcs.from_cards(header(CTYPE1="RA---TPV", CTYPE2="DEC--TPV")) == FLAT


@pytest.mark.parametrize("style", ["cdelt", "crota", "pc"])
def test_older_ways_to_write_the_matrix_agree_with_astropy(style):
    cards = header(CD1_1=None, CD1_2=None, CD2_1=None, CD2_2=None, CDELT1=-1.2e-4, CDELT2=1.3e-4)
    if style == "crota":
        cards["CROTA2"] = 25.0
    if style == "pc":
        cards |= {"PC1_1": 0.9, "PC1_2": -0.1, "PC2_1": 0.2, "PC2_2": 1.1}
    peer = WCS(fits.Header(list(cards.items())))
    x, y = np.array([0.0, 1000.0, 300.0]), np.array([0.0, 200.0, 800.0])
    assert np.allclose(Wcs.from_cards(cards).pix_to_sky(x, y), peer.all_pix2world(x, y, 0))


def test_shape_of_a_compressed_image_is_the_image_s():
    assert Wcs.from_cards(header(ZNAXIS1=77, ZNAXIS2=55)).shape == (55, 77)
    assert Wcs.from_cards(header(), shape=(3, 4)).shape == (3, 4)


def test_sip_agrees_with_astropy():
    cards = header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=3, B_ORDER=3)
    cards |= {"A_2_0": 2e-6, "A_0_3": -3e-9, "A_1_1": 1e-6, "B_0_2": -2e-6, "B_2_1": 4e-9,
              "B_1_2": -1e-9, "A_3_0": 2e-9}  # fmt: skip
    peer = WCS(fits.Header(list(cards.items())))
    ours = Wcs.from_cards(cards)
    x, y = np.array([0.0, 1199.0, 300.0, 10.0]), np.array([0.0, 200.0, 800.0, 899.0])
    ra, dec = peer.all_pix2world(x, y, 0)
    assert np.allclose(ours.pix_to_sky(x, y), (ra, dec), rtol=0, atol=1e-11)
    assert np.allclose(ours.sky_to_pix(ra, dec), (x, y), rtol=0, atol=1e-6)
    # What we write of it, others read.
    again = WCS(fits.Header(list(ours.to_cards().items())))
    assert np.allclose(again.all_pix2world(x, y, 0), (ra, dec), rtol=0, atol=1e-10)


def test_sip_without_terms_is_a_plain_tangent_plane():
    assert Wcs.from_cards(header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP")) == FLAT


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"CTYPE1": None}, "CTYPE1"),
        ({"CTYPE1": "RA---SIN"}, "RA---TAN"),
        ({"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"}, "in this order"),
        ({"RADESYS": "FK4"}, "RADESYS"),
        ({"CRVAL1": None}, "CRVAL1: it is missing"),
        ({"CRVAL2": "12:30:00"}, "CRVAL2"),
        ({"CD1_1": float("nan")}, "CD1_1"),
        ({"NAXIS1": None}, "NAXIS1"),
        ({"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_40": 1.0}, "degree 7"),
        ({"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_5_3": 1.0}, "A_5_3"),
    ],
)
def test_unusable_cards_are_named(changes, message):
    with pytest.raises(BadInput, match=message):
        Wcs.from_cards(header(**changes))
