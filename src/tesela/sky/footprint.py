"""Convex polygons on the sphere, sides along great circles: do they overlap, and by how much.

A polygon is the intersection of the half-spaces beyond its sides, so clipping one by another
needs no projection and knows no pole and no RA of zero.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tesela.errors import BadInput
from tesela.sky import tangent

Floats = NDArray[np.float64]

SQUARE_DEGREES = (180.0 / np.pi) ** 2  # in a steradian
_EPSILON = 1e-13  # below any pixel (2e-8 arcsec), above the rounding of unit vectors


def polygon(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Corners of a convex polygon as unit vectors (n, 3), anticlockwise seen from outside.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) array_like
        Three corners or more in any order, degrees, all within 90 degrees of their mean.
    """
    corners = tangent.unit_vectors(ra_deg, dec_deg)
    if corners.ndim != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise BadInput(
            "polygon on the sky",
            found=f"corners ra {np.asarray(ra_deg).tolist()}, dec {np.asarray(dec_deg).tolist()}",
            expected="at least three finite corners",
        )
    centre = corners.mean(axis=0)
    ra0, dec0 = tangent.positions(centre)
    xi, eta = tangent.project(ra_deg, dec_deg, float(ra0), float(dec0))
    if not np.isfinite(xi).all():
        raise BadInput("polygon on the sky", found="it spans a hemisphere", expected="a small one")
    # East is to the left seen from inside, so growing angle from east to north is clockwise there
    # and anticlockwise from outside.
    return corners[np.argsort(np.arctan2(eta, xi), kind="stable")]


def intersection(one: Floats, two: Floats) -> Floats:
    """Part of polygon `one` inside `two`, both (n, 3) from `polygon`; (0, 3) when they are apart.

    Sutherland & Hodgman 1974, Comm. ACM 17, 32, with half-spaces in place of half-planes.
    """
    left = one
    for start, end in zip(two, np.roll(two, -1, axis=0)):
        if len(left) == 0:
            break
        left = _clip(left, np.cross(start, end))
    return left if len(left) >= 3 else np.empty((0, 3))


def _clip(corners: Floats, normal: Floats) -> Floats:
    height = corners @ (normal / np.linalg.norm(normal))
    kept = []
    for here, following, h0, h1 in zip(
        corners, np.roll(corners, -1, axis=0), height, np.roll(height, -1)
    ):
        if h0 > _EPSILON:
            kept.append(here)
        if (h0 > _EPSILON) != (h1 > _EPSILON):
            crossing = here * h1 - following * h0
            kept.append(np.sign(h1 - h0) * crossing / np.linalg.norm(crossing))
    return np.array(kept).reshape(-1, 3)


def area_deg2(corners: Floats) -> float:
    """Area of a convex polygon (n, 3), square degrees; 0 for fewer than three corners.

    Sum of triangles by van Oosterom & Strackee 1983, IEEE Trans. Biomed. Eng. 30, 125.
    """
    total = 0.0
    for b, c in itertools.pairwise(corners[1:]):
        a = corners[0]
        volume = np.dot(a, np.cross(b - a, c - a))  # differences keep small triangles exact
        total += 2.0 * np.arctan2(volume, 1.0 + a @ b + b @ c + c @ a)
    return float(total * SQUARE_DEGREES)


def contains(corners: Floats, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.bool_]:
    """Whether positions, any shape, lie inside a polygon (n, 3) or on its border."""
    points = tangent.unit_vectors(ra_deg, dec_deg)
    inside = np.ones(points.shape[:-1], dtype=bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        inside &= points @ np.cross(start, end) >= -_EPSILON
    return inside


def distances_deg(polygons: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Distance of a position from each of many convex polygons; 0 inside.

    Parameters
    ----------
    polygons : (n, m, 3) array
        Corners as unit vectors in their order around, either way.

    Returns
    -------
    (n,) array
        Degrees.
    """
    point = tangent.unit_vectors(ra_deg, dec_deg)
    start, end = polygons, np.roll(polygons, -1, axis=1)
    middle = polygons.sum(axis=1, keepdims=True)
    normal = np.cross(start, end)
    with np.errstate(invalid="ignore"):  # NaN for a side of no length: its corners tell
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal *= np.sign((normal * middle).sum(axis=-1, keepdims=True))
    height = normal @ point
    # The nearest point of a great circle lies on the side if it is between its ends.
    between = (np.cross(normal, start) @ point) * (np.cross(normal, end) @ point) <= 0
    between &= middle @ point > 0
    to_side = np.where(between, np.abs(np.arcsin(np.clip(height, -1, 1))), np.inf).min(axis=1)
    chord = np.linalg.norm(polygons - point, axis=-1)
    to_corner = 2 * np.arcsin(np.clip(chord / 2, 0, 1)).min(axis=1)
    outside = (height < -_EPSILON).any(axis=1)
    return np.where(outside, np.degrees(np.minimum(to_side, to_corner)), 0.0)
