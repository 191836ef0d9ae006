"""Whom a place in the sky belongs to among the tiles of a release.

The working database decides by the survey's whole grid, in which a tile may own places that no
tile of the release owns: one that was left out, or has not been observed. So it is decided anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tesela.sciencedb import arrow
from tesela.sciencedb.model import TileModel
from tesela.sky import footprint, tangent
from tesela.stages.release.settings import TileInput

PRIMARY = "is_primary"
"""The column of objects that says so."""


class Owners:
    """Tiles with their corners, found by position.

    Parameters
    ----------
    tiles : sequence of TileInput or TileModel
        At equal distance the first one has a place.
    """

    def __init__(self, tiles: Sequence[TileInput] | Sequence[TileModel]) -> None:
        ra = np.array([tile.ra_deg for tile in tiles])
        self._centres = tangent.unit_vectors(ra, np.array([tile.dec_deg for tile in tiles]))
        self._shapes = [footprint.polygon(*np.array(tile.corners_deg).T) for tile in tiles]
        self._reach = max(
            float(np.linalg.norm(shape - centre, axis=1).max())
            for shape, centre in zip(self._shapes, self._centres)
        )
        self._tree = cKDTree(self._centres)
        self._neighbours: dict[int, list[int]] = {}

    def neighbours(self, place: int) -> list[int]:
        """Other tiles that overlap one, by their places in the list, sorted."""
        if place not in self._neighbours:
            near = self._tree.query_ball_point(self._centres[place], 2 * self._reach)
            mine = self._shapes[place]
            self._neighbours[place] = sorted(
                other
                for other in near
                if other != place and len(footprint.intersection(mine, self._shapes[other]))
            )
        return self._neighbours[place]

    def of(
        self, place: int, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Owners of positions that a tile sees.

        Of the tiles whose corners contain a position, that of the nearest centre; the tile itself
        where none does, just outside of its own.

        Returns
        -------
        (n,) int64
            Places in the list.
        """
        points = tangent.unit_vectors(ra_deg, dec_deg)
        owner = np.full(len(points), place, dtype=np.int64)
        nearest = np.full(len(points), np.inf)
        for other in sorted([place, *self.neighbours(place)]):
            apart = ((points - self._centres[other]) ** 2).sum(axis=1)
            inside = footprint.contains(self._shapes[other], ra_deg, dec_deg)
            take = inside & (apart < nearest)
            owner[take], nearest[take] = other, apart[take]
        return owner

    def decide(self, place: int, rows: pa.Table) -> pa.Table:
        """Rows of a tile with `is_primary` as the release has it."""
        ra, dec = (arrow.to_numpy(rows.column(name)) for name in ("ra", "dec"))
        mine = pa.array(self.of(place, ra, dec) == place)
        column = rows.schema.get_field_index(PRIMARY)
        return rows.set_column(column, rows.schema.field(column), mine)
