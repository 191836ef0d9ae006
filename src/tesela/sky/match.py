"""Which entries of two catalogues are the same object, and which entries of one belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tesela.sky import tangent

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def nearest(
    ra1_deg: ArrayLike,
    dec1_deg: ArrayLike,
    ra2_deg: ArrayLike,
    dec2_deg: ArrayLike,
    radius_arcsec: float,
) -> tuple[Indices, Indices, Floats]:
    """Match two catalogues one to one: each is the other's nearest, within the radius.

    Parameters
    ----------
    ra1_deg, dec1_deg : (n,) and ra2_deg, dec2_deg : (m,) array_like
        Positions in degrees, anywhere on the sphere. Entries that are not finite never match.
    radius_arcsec : float
        Largest separation.

    Returns
    -------
    i1, i2 : (k,) int64
        Indices of the partners, ordered by `i1`; no index appears twice.
    sep_arcsec : (k,) float64
    """
    one, two = tangent.unit_vectors(ra1_deg, dec1_deg), tangent.unit_vectors(ra2_deg, dec2_deg)
    keep1 = np.flatnonzero(np.isfinite(one).all(axis=1))
    keep2 = np.flatnonzero(np.isfinite(two).all(axis=1))
    i1, i2, length = mutual_nearest(one[keep1], cKDTree(two[keep2]), chord(radius_arcsec))
    sep_arcsec = np.degrees(2.0 * np.arcsin(0.5 * length)) * 3600.0
    return keep1[i1], keep2[i2], sep_arcsec


def groups(ra_deg: ArrayLike, dec_deg: ArrayLike, radius_arcsec: float) -> Indices:
    """Label friends of friends: entries linked by steps shorter than the radius share a label.

    Returns
    -------
    label : (n,) int64
        From 0, in the order in which the groups first appear.
    """
    vectors = tangent.unit_vectors(ra_deg, dec_deg)
    pairs = cKDTree(vectors).query_pairs(chord(radius_arcsec), output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(vectors),) * 2)
    _, label = connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[label]


def mutual_nearest(one: Floats, two: cKDTree, radius: float) -> tuple[Indices, Indices, Floats]:
    """Pairs of points that are each other's nearest within `radius`.

    Parameters
    ----------
    one : (n, k) float64
    two : cKDTree of (m, k) points
    radius : float
        In the unit of the points.

    Returns
    -------
    i1, i2 : (j,) int64, ordered by i1
    distance : (j,) float64
    """
    if len(one) == 0 or two.n == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    distance, partner = two.query(one, distance_upper_bound=np.nextafter(radius, np.inf))
    i1 = np.flatnonzero(np.isfinite(distance))
    i2 = partner[i1]
    _, back = cKDTree(one).query(two.data[i2])
    mutual = back == i1
    return i1[mutual], i2[mutual].astype(np.int64), distance[i1[mutual]]


def chord(angle_arcsec: float) -> float:
    """Length of the straight line between two points of the unit sphere at this angle."""
    return float(2.0 * np.sin(0.5 * np.radians(angle_arcsec / 3600.0)))
