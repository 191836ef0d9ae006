"""The gnomonic (tangent plane) projection and its inverse.

Great circles become straight lines in this plane, so convex polygons on the sphere stay convex.
Formulae: Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3 (TAN), written for a native pole
at the tangent point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def project(
    ra_deg: ArrayLike, dec_deg: ArrayLike, ra0_deg: float, dec0_deg: float
) -> tuple[Floats, Floats]:
    """Project the sphere on the plane that touches it at (ra0, dec0).

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Positions, degrees, any one shape. NaN gives NaN.
    ra0_deg, dec0_deg : float
        Tangent point, degrees.

    Returns
    -------
    xi, eta : float64 arrays of the same shape
        Standard coordinates, degrees: xi grows to the east, eta to the north. NaN for points 90
        degrees or more from the tangent point, which have no image.
    """
    delta = np.radians(np.asarray(ra_deg, dtype=np.float64) - ra0_deg)
    dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
    sin0, cos0 = np.sin(np.radians(dec0_deg)), np.cos(np.radians(dec0_deg))
    sin_dec, cos_dec, cos_delta = np.sin(dec), np.cos(dec), np.cos(delta)
    depth = sin0 * sin_dec + cos0 * cos_dec * cos_delta
    depth = np.where(depth > 1e-9, depth, np.nan)
    xi = np.degrees(cos_dec * np.sin(delta) / depth)
    eta = np.degrees((cos0 * sin_dec - sin0 * cos_dec * cos_delta) / depth)
    return xi, eta


def deproject(
    xi_deg: ArrayLike, eta_deg: ArrayLike, ra0_deg: float, dec0_deg: float
) -> tuple[Floats, Floats]:
    """Return from the tangent plane to the sphere: the inverse of `project`.

    Returns
    -------
    ra, dec : float64 arrays, degrees
        Right ascension in [0, 360).
    """
    xi = np.radians(np.asarray(xi_deg, dtype=np.float64))
    eta = np.radians(np.asarray(eta_deg, dtype=np.float64))
    sin0, cos0 = np.sin(np.radians(dec0_deg)), np.cos(np.radians(dec0_deg))
    towards_axis = cos0 - eta * sin0
    ra = ra0_deg + np.degrees(np.arctan2(xi, towards_axis))
    dec = np.degrees(np.arctan2(sin0 + eta * cos0, np.hypot(xi, towards_axis)))
    return wrap_ra(ra), dec


def wrap_ra(ra_deg: ArrayLike) -> Floats:
    """Bring right ascensions into [0, 360) degrees."""
    ra = np.mod(np.asarray(ra_deg, dtype=np.float64), 360.0)
    return np.where(ra >= 360.0, 0.0, ra)  # mod rounds -1e-20 up to 360


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Turn positions in degrees, shape (...), into unit vectors, shape (..., 3)."""
    ra = np.radians(np.asarray(ra_deg, dtype=np.float64))
    dec = np.radians(np.asarray(dec_deg, dtype=np.float64))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def positions(vectors: ArrayLike) -> tuple[Floats, Floats]:
    """Turn vectors of any length, shape (..., 3), into ra, dec in degrees, shape (...)."""
    v = np.asarray(vectors, dtype=np.float64)
    ra = np.degrees(np.arctan2(v[..., 1], v[..., 0]))
    dec = np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))
    return wrap_ra(ra), dec


def separation_deg(
    ra1_deg: ArrayLike, dec1_deg: ArrayLike, ra2_deg: ArrayLike, dec2_deg: ArrayLike
) -> Floats:
    """Angle between positions, degrees; exact for tiny and for large angles alike."""
    one, two = unit_vectors(ra1_deg, dec1_deg), unit_vectors(ra2_deg, dec2_deg)
    cross = np.linalg.norm(np.cross(one, two), axis=-1)
    return np.degrees(np.arctan2(cross, np.sum(one * two, axis=-1)))
