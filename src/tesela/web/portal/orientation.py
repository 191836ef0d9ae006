"""How a picture lies on the sky, in words."""

from __future__ import annotations

import math
from typing import Final

from tesela.errors import TeselaError
from tesela.products import files
from tesela.sky.wcs import Wcs
from tesela.web.portal.pictures import Subject

_PIXELS: Final = "Pixels as in the file: x to the right, y up"
_ANY_SHAPE: Final = (1, 1)
"""Directions do not depend on how large an image is."""
_SIDES: Final = ("up", "to the left", "down", "to the right")
_NEAR_DEG: Final = 3.0
"""A direction so close to a side of the picture is called by it."""


def said(subject: Subject) -> str:
    """How the pixels of a picture lie and, where the file tells, where north and east are.

    A file that cannot be read has a picture that says why; here it is no error.
    """
    if subject.kind not in ("reduced", "coadd"):
        return f"{_PIXELS}."
    try:
        cards = files.read_fits(subject.path, []).cards.get("IMAGE", {})
        wcs = Wcs.from_cards(cards, _ANY_SHAPE)
    except TeselaError:
        return f"{_PIXELS}."
    # The angle of +y is measured from north through east; seen from +y, north lies back by it,
    # to the right on the sky as we see it and to the left in its mirror image.
    north_deg = wcs.parity * wcs.position_angle_deg
    east_deg = north_deg - wcs.parity * 90.0
    return f"{_PIXELS}. North is {_side(north_deg)}, east is {_side(east_deg)}."


def _side(angle_deg: float) -> str:
    """A direction, counted from up to the left, in words."""
    angle_deg = math.remainder(angle_deg, 360.0)
    nearest = round(angle_deg / 90.0)
    if abs(angle_deg - 90.0 * nearest) <= _NEAR_DEG:
        return _SIDES[nearest % 4]
    side = "left" if angle_deg > 0 else "right"
    return f"{abs(angle_deg):.0f}\N{DEGREE SIGN} {side} of up"
