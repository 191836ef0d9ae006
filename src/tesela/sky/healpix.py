"""HEALPix cells: the number of a position, the cells that cover a cone, a grid over one cell.

Cells are nested and in ICRS throughout. Source: Górski et al. 2005, ApJ 622, 759. Numbers of
cells come from `cdshealpix`. Covers are our own: those of that library (0.9) now and then lack a
cell that only the rim of the cone touches, and a catalogue searched with them would lose sources.
"""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from numpy.typing import ArrayLike, NDArray

from tesela.errors import BadInput
from tesela.sky import tangent

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]

ORDER = 29
"""The finest order, in which rows are numbered and ranges are given."""
MAX_RANGES = 64
"""A cone is covered by no more ranges than this."""

_SPHERE = 12 << 2 * ORDER
_SIDE_DEG = 58.6  # of a cell of order 0: the root of 41253 / 12 square degrees
_REACH_DEG = 61.5  # over 2**order: no corner is farther from the centre of its cell
_FINER = 4  # cells of a cover are this many orders finer than those it starts from
_PAD_DEG = 1e-9  # above the rounding of an angle of 360 degrees, far below any position's error

_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])


def index(ra_deg: ArrayLike, dec_deg: ArrayLike, order: int = ORDER) -> Cells:
    """Cells that hold the positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like
        Degrees, any one shape; any right ascension, it is taken modulo 360.
    order : int
        0 to 29.

    Returns
    -------
    int64 array of the same shape, 0 to 12 * 4**order - 1

    Raises
    ------
    BadInput
        A position that is not finite, a declination beyond 90 degrees, an impossible order.
    """
    _check_order(order)
    ra, dec = np.broadcast_arrays(
        np.asarray(ra_deg, dtype=np.float64), np.asarray(dec_deg, dtype=np.float64)
    )
    bad = ~(np.isfinite(ra) & (np.abs(dec) <= 90.0))
    if bad.any():
        raise BadInput(
            "position on the sky",
            found=f"{bad.sum()} of {bad.size} are off the sphere, the first "
            f"ra {ra[bad][0]:g}, dec {dec[bad][0]:g}",
            expected="finite degrees with dec from -90 to 90",
        )
    if not ra.size:
        return np.zeros(ra.shape, dtype=np.int64)
    cells = nested.lonlat_to_healpix(
        Longitude(ra.ravel() % 360.0, u.deg), Latitude(dec.ravel(), u.deg), order
    )
    return np.asarray(cells, dtype=np.int64).reshape(ra.shape)


def cone_ranges(ra_deg: float, dec_deg: float, radius_deg: float) -> Cells:
    """Ranges of cells that cover a cone: all of it, and somewhat more.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Centre, degrees.
    radius_deg : float
        0 to 180; 0 gives the surroundings of a point.

    Returns
    -------
    (n, 2) int64
        Half-open ranges of cells of order 29, increasing and apart, at most `MAX_RANGES`.

    Raises
    ------
    BadInput
        A centre off the sphere or a radius outside 0 to 180 degrees.
    """
    if not (math.isfinite(ra_deg) and abs(dec_deg) <= 90.0 and 0.0 <= radius_deg <= 180.0):
        raise BadInput(
            "cone on the sky",
            found=f"ra {ra_deg:g}, dec {dec_deg:g}, radius {radius_deg:g}",
            expected="finite degrees with dec from -90 to 90 and a radius from 0 to 180",
        )
    radius = radius_deg + _PAD_DEG
    if radius >= 180.0:
        return np.array([[0, _SPHERE]], dtype=np.int64)
    order, cells = _start(ra_deg, dec_deg, radius)
    centre = tangent.unit_vectors(ra_deg, dec_deg)
    for finer in range(order, min(order + _FINER, ORDER) + 1):
        if finer > order:
            cells = (4 * cells[:, None] + np.arange(4)).ravel()
        reach = radius + _REACH_DEG / (1 << finer)
        longest = 2.0 * math.sin(math.radians(min(reach, 180.0)) / 2.0)
        middle = tangent.unit_vectors(*_positions(finer, cells, 0.5, 0.5))
        cells = cells[np.linalg.norm(middle - centre, axis=1) <= longest]
    shift = 2 * (ORDER - finer)
    return _fewer(_joined(np.sort(cells) << shift, 1 << shift))


def _start(ra_deg: float, dec_deg: float, radius_deg: float) -> tuple[int, Cells]:
    """Cells, four times as large as the radius or more, that hold the cone: one and its ring."""
    order = min(math.floor(math.log2(_SIDE_DEG / (4.0 * radius_deg))), ORDER)
    if order < 2:
        return 0, np.arange(12)
    around = nested.neighbours(index(ra_deg, dec_deg, order), order)
    cells = np.unique(around.astype(np.int64))
    return order, cells[cells >= 0]


def _joined(start: Cells, length: int) -> Cells:
    """Ranges of one length in order; neighbours that touch become one."""
    apart = start[1:] > start[:-1] + length
    return np.column_stack(
        [
            start[np.concatenate([[True], apart])],
            start[np.concatenate([apart, [True]])] + length,
        ]
    )


def _fewer(ranges: Cells) -> Cells:
    """No more than `MAX_RANGES`: the smallest gaps are covered too."""
    if len(ranges) <= MAX_RANGES:
        return ranges
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    kept = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - MAX_RANGES + 1 :])
    start = np.concatenate([ranges[:1, 0], ranges[kept + 1, 0]])
    stop = np.concatenate([ranges[kept, 1], ranges[-1:, 1]])
    return np.column_stack([start, stop])


def separation_deg(ra: ArrayLike, dec: ArrayLike, ra0: ArrayLike, dec0: ArrayLike) -> Floats:
    """Angles between positions, exact from 0 to 180 degrees.

    Parameters
    ----------
    ra, dec, ra0, dec0 : array_like
        Degrees, of shapes that broadcast. NaN gives NaN.

    Returns
    -------
    float64 array, degrees
    """
    one, two = np.radians(np.asarray(dec, dtype=float)), np.radians(np.asarray(dec0, dtype=float))
    delta = np.radians(np.asarray(ra, dtype=float) - np.asarray(ra0, dtype=float))
    sin1, cos1, sin2, cos2 = np.sin(one), np.cos(one), np.sin(two), np.cos(two)
    across = np.hypot(cos1 * np.sin(delta), cos2 * sin1 - sin2 * cos1 * np.cos(delta))
    along = sin2 * sin1 + cos2 * cos1 * np.cos(delta)
    return np.asarray(np.degrees(np.arctan2(across, along)))


def cell_grid(order: int, cell: int, n: int) -> tuple[Floats, Floats]:
    """Positions on a regular grid over one cell, its edges included.

    Parameters
    ----------
    order, cell : int
        The cell, nested.
    n : int
        Steps along each side.

    Returns
    -------
    ra, dec : (n + 1, n + 1) float64, degrees
        [j, i]: i grows along the cell's x axis, from the southern corner to the eastern one, j
        along its y axis, from the southern corner to the western one. Right ascension is in
        [0, 360); at a pole it is 0.
    """
    _check_order(order)
    if not 0 <= cell < 12 << 2 * order or n < 1:
        raise BadInput(
            f"HEALPix cell {cell} of order {order} in {n} steps",
            expected=f"a cell from 0 to {(12 << 2 * order) - 1} and one step or more",
        )
    steps = np.arange(n + 1) / n
    return _positions(order, np.int64(cell), steps[None, :], steps[:, None])


def _positions(
    order: int, cells: Cells | np.int64, right: ArrayLike, left: ArrayLike
) -> tuple[Floats, Floats]:
    """Positions in cells, from 0 to 1 along their x and y axes; shapes broadcast."""
    face, inside = cells >> 2 * order, cells & ((1 << 2 * order) - 1)
    x = (_every_second_bit(inside) + np.asarray(right)) / (1 << order)
    y = (_every_second_bit(inside >> 1) + np.asarray(left)) / (1 << order)
    ring = _ROW[face] - x - y  # from 0 at the north pole to 4 at the south pole
    width = np.minimum(np.minimum(ring, 4.0 - ring), 1.0)
    cap = width**2 / 3.0  # 1 - |z| in the polar caps
    polar = width < 1.0
    z = np.where(polar, np.sign(2.0 - ring) * (1.0 - cap), (2.0 - ring) * (2.0 / 3.0))
    across = np.where(polar, np.sqrt(cap * (2.0 - cap)), np.sqrt(1.0 - np.minimum(z**2, 1.0)))
    at_pole = width < 1e-15
    turns = np.where(at_pole, 0.0, (x - y) / np.where(at_pole, 1.0, width) + _COLUMN[face])
    return (45.0 * turns) % 360.0, np.degrees(np.arctan2(z, across))


def _every_second_bit(numbers: Cells | np.int64) -> Cells:
    bits = np.asarray(numbers)[..., None] >> 2 * np.arange(ORDER) & 1
    return np.asarray((bits << np.arange(ORDER)).sum(axis=-1))


def _check_order(order: int) -> None:
    if not 0 <= order <= ORDER:
        raise BadInput(f"HEALPix order {order}", expected=f"0 to {ORDER}")
