"""The survey's sky grid: named tiles, each a tangent plane of its own, the same in every filter.

Names and centres are promises: a scheme and version, once used, never change. Rings number the
whole sphere, whatever part of it the survey observes, so a name never depends on the footprint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from tesela.errors import ConfigError, NotFound
from tesela.sky import footprint, match, tangent
from tesela.sky.wcs import Wcs

Floats = NDArray[np.float64]

RINGS_VERSION = 1
_RINGS_KEYS = {"scheme", "version", "prefix", "digits", "pitch_deg"}
_LIST_KEYS = {"scheme", "version", "centres"}
_COMMON_KEYS = {"pixel_scale_arcsec", "size_px"}
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # it becomes the name of a folder


@dataclass(frozen=True, eq=False)
class TileGrid:
    """Tiles of one size on the sphere.

    Attributes
    ----------
    scheme : str
        How names and centres were made: "rings" or "list".
    version : int
        Version of that scheme.
    pixel_scale_arcsec : float
    shape : (int, int)
        Rows and columns (ny, nx) of every tile.
    names : tuple of str
    ra_deg, dec_deg : (n,) float64
        Centres, ICRS degrees, in the order of `names`.
    """

    scheme: str
    version: int
    pixel_scale_arcsec: float
    shape: tuple[int, int]
    names: tuple[str, ...]
    ra_deg: Floats
    dec_deg: Floats
    _index: dict[str, int] = field(init=False, repr=False)
    _tree: cKDTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _require(self.pixel_scale_arcsec > 0, "pixel_scale_arcsec", self.pixel_scale_arcsec, "> 0")
        _require(min(self.shape) > 0, "size_px", self.shape, "positive")
        index = {name: i for i, name in enumerate(self.names)}
        _require(len(index) == len(self.names) > 0, "centres", self.names, "each name once")
        unsafe = [name for name in self.names if not _SAFE_NAME.fullmatch(name)]
        _require(not unsafe, "name of a tile", unsafe[:3], "letters, digits, '.', '_', '+', '-'")
        centres = tangent.unit_vectors(self.ra_deg, self.dec_deg)
        for name in ("ra_deg", "dec_deg"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_tree", cKDTree(centres))

    # -- construction -------------------------------------------------------------------------

    @classmethod
    def rings(
        cls,
        pitch_deg: float,
        pixel_scale_arcsec: float,
        size_px: int | Sequence[int],
        prefix: str = "",
        digits: int = 5,
        version: int = RINGS_VERSION,
    ) -> TileGrid:
        """Rings of constant declination over the whole sphere, tiles no farther than the pitch.

        Version 1: ceil(180 / pitch) rings of equal height from the south pole; in each,
        ceil(360 cos(d) / pitch) tiles of equal spacing from RA 0, d the declination of the ring's
        edge nearest to the equator, where it is longest. Numbers count from 1, ring by ring from
        the south, eastwards. Tiles overlap by their size less the pitch, in RA at least so.
        """
        _require(0.01 <= pitch_deg <= 30, "pitch_deg", pitch_deg, "0.01 to 30")
        _require(version == RINGS_VERSION, "version of the rings", version, f"{RINGS_VERSION}")
        shape = _shape(size_px)
        extent = min(shape) * pixel_scale_arcsec / 3600.0
        _require(extent >= pitch_deg, "pitch_deg", pitch_deg, f"at most a tile's {extent:.4f} deg")
        ra, dec = _ring_centres(pitch_deg)
        _require(len(ra) < 10**digits, "digits", digits, f"enough for {len(ra)} tiles")
        names = tuple(f"{prefix}{number:0{digits}d}" for number in range(1, len(ra) + 1))
        return cls("rings", version, pixel_scale_arcsec, shape, names, ra, dec)

    @classmethod
    def listed(
        cls,
        centres: Mapping[str, Sequence[float]],
        pixel_scale_arcsec: float,
        size_px: int | Sequence[int],
        version: int = 1,
    ) -> TileGrid:
        """Tiles at given centres: name -> (ra, dec) in ICRS degrees."""
        for name, centre in centres.items():
            sound = len(centre) == 2 and np.isfinite(centre).all() and abs(centre[1]) <= 90
            _require(sound, f"centre of tile {name}", centre, "[ra, dec] in degrees")
        values = np.array(list(centres.values()), dtype=np.float64).reshape(-1, 2)
        ra, dec = tangent.wrap_ra(values[:, 0]), values[:, 1]
        shape = _shape(size_px)
        return cls("list", version, pixel_scale_arcsec, shape, tuple(centres), ra, dec)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TileGrid:
        """Build from the survey's [grid] table.

        ``scheme = "rings"`` with pitch_deg, pixel_scale_arcsec, size_px and, if wanted, prefix,
        digits, version; or ``scheme = "list"`` with centres (a table name = [ra, dec]),
        pixel_scale_arcsec, size_px and, if wanted, version. size_px is one number or [ny, nx].
        """
        given = dict(settings)
        scheme = given.get("scheme")
        if scheme not in ("rings", "list"):
            raise ConfigError("grid.scheme", found=f"{scheme!r}", expected='"rings" or "list"')
        known = _COMMON_KEYS | (_RINGS_KEYS if scheme == "rings" else _LIST_KEYS)
        needed = _COMMON_KEYS | {"pitch_deg" if scheme == "rings" else "centres"}
        for names, problem in (
            (given.keys() - known, "unknown"),
            (needed - given.keys(), "missing"),
        ):
            if names:
                raise ConfigError(
                    f"grid of scheme {scheme!r}",
                    found=f"{problem} {', '.join(sorted(names))}",
                    expected=f"some of {', '.join(sorted(known))}",
                )
        del given["scheme"]
        try:
            return cls.rings(**given) if scheme == "rings" else cls.listed(**given)
        except (TypeError, ValueError, AttributeError) as error:
            values = ", ".join(f"{key} = {value!r}" for key, value in sorted(given.items()))
            raise ConfigError(
                f"grid of scheme {scheme!r}", found=values[:200], expected="numbers, and tables"
            ) from error

    # -- one tile ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, tile: str) -> bool:
        return tile in self._index

    def centre(self, tile: str) -> tuple[float, float]:
        """ICRS (ra, dec) in degrees."""
        if tile not in self._index:
            raise NotFound(
                f"tile {tile!r}",
                found=f"the grid ({self.scheme} {self.version}) has no such name",
                expected=f"one of {len(self)} names like {self.names[0]}",
            )
        i = self._index[tile]
        return float(self.ra_deg[i]), float(self.dec_deg[i])

    def ordinal(self, tile: str) -> int:
        """Place of a tile in `names`, from 0; raises `NotFound`."""
        self.centre(tile)
        return self._index[tile]

    def wcs(self, tile: str) -> Wcs:
        """North up, east left, tangent at the tile's centre; identical for all filters."""
        return Wcs.tangent_plane(*self.centre(tile), self.pixel_scale_arcsec, self.shape)

    def corners(self, tile: str, margin_deg: float = 0.0) -> Floats:
        """Corners as unit vectors (4, 3), widened by a margin on all sides (see `footprint`)."""
        ra0, dec0 = self.centre(tile)
        half = np.array(self.shape) * self.pixel_scale_arcsec / 7200.0
        eta, xi = np.degrees(np.tan(np.arctan(np.radians(half)) + np.radians(margin_deg)))
        corners = tangent.deproject(
            np.array([xi, xi, -xi, -xi]), np.array([-eta, eta, eta, -eta]), ra0, dec0
        )
        return footprint.polygon(*corners)

    # -- tiles and footprints --------------------------------------------------------------------

    def tiles_touching(
        self, ra_deg: ArrayLike, dec_deg: ArrayLike, margin_deg: float = 0.0
    ) -> list[str]:
        """Tiles that overlap a convex footprint, in the order of `names`.

        Parameters
        ----------
        ra_deg, dec_deg : (n,) array_like
            Corners in degrees, any order; sides are great circles.
        margin_deg : float
            Tiles are widened by this on every side (narrowed when negative).
        """
        shape = footprint.polygon(ra_deg, dec_deg)
        centre = shape.mean(axis=0)
        centre /= np.linalg.norm(centre)
        reach = np.degrees(np.arccos(np.clip((shape @ centre).min(), -1.0, 1.0)))
        reach += 0.5 * np.hypot(*self.shape) * self.pixel_scale_arcsec / 3600.0 + 1.5 * margin_deg
        near = self._tree.query_ball_point(centre, match.chord(3600.0 * min(reach, 180.0)))
        names = (self.names[i] for i in sorted(near))
        return [
            name
            for name in names
            if len(footprint.intersection(self.corners(name, margin_deg), shape))
        ]

    def owners(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
        """Whom each position belongs to: of the tiles that contain it, that of the nearest centre.

        Purely geometric: it depends on the grid alone, not on which tiles were observed. At equal
        distance the first in the order of `names` has it.

        Parameters
        ----------
        ra_deg, dec_deg : (n,) array_like
            Positions in degrees; all in one part of the sky, such as a tile, for speed.

        Returns
        -------
        (n,) int64
            Places in `names`; -1 for positions in no tile and those that are not finite.
        """
        ra, dec = (np.asarray(v, dtype=np.float64) for v in (ra_deg, dec_deg))
        place = tangent.unit_vectors(ra, dec)
        known = np.isfinite(place).all(axis=1)
        owner = np.full(len(place), -1, dtype=np.int64)
        nearest = np.full(len(place), np.inf)
        for i in self._around(place[known]):
            apart = ((place - self._tree.data[i]) ** 2).sum(axis=1)
            xi, eta = tangent.project(ra, dec, self.ra_deg[i], self.dec_deg[i])
            rows, columns = self.shape
            inside = (np.abs(eta) * 7200.0 <= rows * self.pixel_scale_arcsec) & (
                np.abs(xi) * 7200.0 <= columns * self.pixel_scale_arcsec
            )
            take = inside & (apart < nearest)
            owner[take], nearest[take] = i, apart[take]
        return owner

    def _around(self, place: Floats) -> list[int]:
        """Tiles that can contain any of these places, in order."""
        if not len(place):
            return []
        middle = place.mean(axis=0)
        reach = np.sqrt(((place - middle) ** 2).sum(axis=1).max())
        half_deg = 0.5 * np.hypot(*self.shape) * self.pixel_scale_arcsec / 3600.0
        return sorted(self._tree.query_ball_point(middle, reach + match.chord(3600.0 * half_deg)))

    def covered_fraction(self, tile: str, ra_deg: ArrayLike, dec_deg: ArrayLike) -> float:
        """Part of a tile's area inside a convex footprint, 0 to 1."""
        corners = self.corners(tile)
        common = footprint.intersection(corners, footprint.polygon(ra_deg, dec_deg))
        return footprint.area_deg2(common) / footprint.area_deg2(corners)


def _ring_centres(pitch_deg: float) -> tuple[Floats, Floats]:
    # Rounding before ceil: 180 / 1.2 must not become 151 rings on another machine.
    n_rings = int(np.ceil(round(180.0 / pitch_deg, 9)))
    height = 180.0 / n_rings
    ra, dec = [], []
    for ring in range(n_rings):
        middle = -90.0 + (ring + 0.5) * height
        edge = max(abs(middle) - 0.5 * height, 0.0)
        n = max(int(np.ceil(round(360.0 * np.cos(np.radians(edge)) / pitch_deg, 9))), 1)
        ra.append(np.arange(n) * (360.0 / n))
        dec.append(np.full(n, middle))
    return np.concatenate(ra), np.concatenate(dec)


def _shape(size_px: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(size_px, int):
        return size_px, size_px
    _require(len(size_px) == 2, "size_px", size_px, "one number or [ny, nx]")
    return int(size_px[0]), int(size_px[1])


def _require(sound: bool | np.bool_, what: str, found: object, expected: str) -> None:
    if not sound:
        raise ConfigError(f"grid: {what}", found=f"{found}", expected=expected)
