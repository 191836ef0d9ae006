"""An exposure whose stars are lines: solved as it is, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tesela.errors import QualityError
from tesela.products.images import card_dict
from tesela.sky.wcs import Wcs

from . import drawn
from .drawn import Exposure, reduced


def trailed(length_px: int) -> Exposure:
    """The telescope moved along x while the shutter was open."""

    def spoil(image: np.ndarray) -> None:
        image[:] = ndimage.uniform_filter1d(image, length_px, axis=1, mode="nearest")

    return Exposure(spoil=spoil)


@pytest.mark.parametrize("length_px", [5, 9, 15, 25])
def test_a_trailed_exposure_is_solved_right_or_refused(length_px: int) -> None:
    try:
        found = reduced(trailed(length_px))
    except QualityError as error:
        assert str(error)
        assert length_px > 5
        return
    assert found.metrics["ellipticity"] > 0.1
    solved = Wcs.from_cards(card_dict(found.image.cards), found.image.image.shape)
    truth = drawn.stars()
    x, y = solved.sky_to_pix(truth.ra, truth.dec)
    true_x, true_y = drawn.wcs().sky_to_pix(truth.ra, truth.dec)
    assert np.hypot(x - true_x, y - true_y).max() < 0.3
