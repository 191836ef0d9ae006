"""Cameras of many CCDs, one CCD at a time; and where each looks.

A *unit* names a camera as one of its CCDs has it: `mini80`, `mini14/05`. Random numbers of a
detector are drawn for its unit, so no two CCDs have the same defects.
"""

from __future__ import annotations

import numpy as np

from tesela import cameras
from tesela.cameras import Camera


def load(unit: str) -> Camera:
    """The camera of a unit."""
    name, _, ccd = unit.partition("/")
    camera = cameras.load(name)
    return camera.for_ccd(ccd) if ccd else camera


def look(
    ra_deg: float, dec_deg: float, east_arcsec: float, north_arcsec: float
) -> tuple[float, float, np.ndarray]:
    """Where a CCD looks whose centre is so far from the pointing in the plane that touches there.

    Returns right ascension and declination in degrees, and the (2, 2) matrix that takes small steps
    (east, north) in that plane to steps east and north at that place.
    """
    pole, east, north = _axes(ra_deg, dec_deg)
    u, v = np.radians([east_arcsec / 3600, north_arcsec / 3600])
    along = pole + u * east + v * north
    length = float(np.linalg.norm(along))
    there = along / length
    ra = float(np.degrees(np.arctan2(there[1], there[0]))) % 360.0
    dec = float(np.degrees(np.arcsin(np.clip(there[2], -1.0, 1.0))))
    _, own_east, own_north = _axes(ra, dec)
    steps = [(axis - there * (there @ axis)) / length for axis in (east, north)]
    turn = np.array([[own @ step for step in steps] for own in (own_east, own_north)])
    return ra, dec, turn


def _axes(ra_deg: float, dec_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors to a place, and to its east and north."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    to = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    return to, east, np.cross(to, east)
