"""Which part of the sky a release covers: its MOC, its area, the cells that each tile touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from mocpy import MOC
from numpy.typing import NDArray

from tesela.errors import ProductError
from tesela.products import files
from tesela.sky import healpix
from tesela.sky.wcs import Wcs
from tesela.stages.release.owners import Owners
from tesela.stages.release.settings import Progress, ReleaseInputs, ReleaseSettings

FILE = "moc.fits"
_LOOKS = 4
"""So many places, along each side, are looked at in a cell of the map."""


@dataclass(frozen=True)
class Coverage:
    """Where the detection band has data."""

    order: int
    cells: Mapping[str, NDArray[np.int64]]
    """Cells of that order by tile, sorted: those with data in them."""
    area_deg2: float
    """Of the union: what two tiles see counts once."""

    def moc(self) -> MOC:
        """The union of all tiles."""
        return moc_of_cells(np.unique(np.concatenate(list(self.cells.values()))), self.order)

    def tiles_of_cells(self, order: int) -> dict[int, list[str]]:
        """Coarser or equal cells that are touched, and by which tiles."""
        shift = 2 * (self.order - order)
        if shift < 0:
            raise ValueError(f"order {order}: expected at most {self.order}")
        touched: dict[int, list[str]] = {}
        for tile, cells in self.cells.items():
            for cell in np.unique(cells >> shift).tolist():
                touched.setdefault(cell, []).append(tile)
        return dict(sorted(touched.items()))


def moc_of_cells(cells: NDArray[np.int64], order: int) -> MOC:
    """A MOC of the given order from its cells."""
    return MOC.from_healpix_cells(
        cells.astype(np.uint64), np.full(len(cells), order, np.uint8), max_depth=order
    )


def measure(inputs: ReleaseInputs, settings: ReleaseSettings, progress: Progress) -> Coverage:
    """Look at the weights of the detection band, every few pixels.

    Several of the places looked at lie in each cell of the MOC, so none with data is missed but
    by its outermost corner; where pixels are too coarse for that, so are the cells.
    """
    cells: dict[str, NDArray[np.int64]] = {}
    owners = Owners(inputs.tiles)
    seen: dict[int, _Seen] = {}
    area = 0.0
    orders: dict[str, int] = {}
    order = settings.moc_order
    for place, tile in enumerate(inputs.tiles):
        path = tile.coadds[inputs.detection_band]
        fits = files.read_fits(path, ["WEIGHT"])
        wcs = Wcs.from_cards(fits.cards["IMAGE"], fits.data["WEIGHT"].shape)
        order = min(order, _finest_order(wcs.pixel_scale_arcsec))
        step = max(1, int(_cell_arcsec(order) / _LOOKS / wcs.pixel_scale_arcsec))
        ra, dec, covered = _look(wcs, fits.data["WEIGHT"], step)
        cells[tile.name] = healpix.index(ra[covered], dec[covered], order)
        orders[tile.name] = order
        neighbours = owners.neighbours(place)
        new = covered & ~_already([seen[p] for p in neighbours if p < place], ra, dec)
        area += new.mean() * wcs.shape[0] * wcs.shape[1] * (wcs.pixel_scale_arcsec / 3600) ** 2
        seen[place] = _Seen(wcs, covered, step)
        for past in [p for p in (place, *neighbours) if p in seen]:
            if all(p <= place for p in owners.neighbours(past)):
                del seen[past]  # no tile that is still to come overlaps it
        progress("coverage", place + 1, len(inputs.tiles))
    if not any(len(found) for found in cells.values()):
        raise ProductError(
            f"release {inputs.name}",
            found=f"no pixel with data in {inputs.detection_band}",
            expected="some coverage",
        )
    at_order = {
        tile: np.unique(healpix_cells >> 2 * (orders[tile] - order))
        for tile, healpix_cells in cells.items()
    }
    return Coverage(order, at_order, float(area))


def _cell_arcsec(order: int) -> float:
    """Side of a cell: the root of its area."""
    return float(3600 * np.degrees(np.sqrt(np.pi / 3)) / 2**order)


def _finest_order(scale_arcsec: float) -> int:
    """Finest order whose cells are at least `_LOOKS` pixels wide."""
    return int(np.log2(_cell_arcsec(0) / (_LOOKS * scale_arcsec)))


@dataclass(frozen=True)
class _Seen:
    """A tile that was looked at, every `step` pixels."""

    wcs: Wcs
    covered: NDArray[np.bool_]
    step: int


def _look(
    wcs: Wcs, weight: NDArray[np.float32], step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Positions in the middle of blocks of step x step pixels, and whether there are data."""
    ny, nx = weight.shape
    y, x = np.meshgrid(
        np.arange(step // 2, ny, step), np.arange(step // 2, nx, step), indexing="ij"
    )
    ra, dec = wcs.pix_to_sky(x, y)
    return ra, dec, weight[y, x] > 0


def _already(
    seen: list[_Seen], ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether earlier tiles, which overlap this one, have data at the positions."""
    found = np.zeros(ra.shape, bool)
    for one in seen:
        x, y = one.wcs.sky_to_pix(ra, dec)
        column = np.rint((x - one.step // 2) / one.step)
        row = np.rint((y - one.step // 2) / one.step)
        inside = (row >= 0) & (row < one.covered.shape[0])
        inside &= (column >= 0) & (column < one.covered.shape[1])
        found[inside] |= one.covered[row[inside].astype(int), column[inside].astype(int)]
    return found


def write_moc(path: Path, moc: MOC) -> None:
    """Write a MOC as FITS; no name is overwritten."""
    moc.save(path, format="fits", overwrite=False)
    files.sync(path)


def read_moc(path: Path) -> MOC:
    """Read it back; raises `ProductError` if it is none."""
    try:
        return MOC.from_fits(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProductError(str(path), found=str(error), expected="a MOC in FITS") from error


def circle(moc: MOC) -> tuple[float, float, float]:
    """Centre and radius of a cone around it: ra, dec, radius, degrees."""
    middle = moc.barycenter()
    radius = moc.largest_distance_from_coo_to_vertices(middle)
    return float(middle.ra.deg), float(middle.dec.deg), float(radius.to_value(u.deg))


def contains(
    moc: MOC, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether positions lie inside a MOC, (n,) bool."""
    return np.asarray(moc.contains_lonlat(ra_deg * u.deg, dec_deg * u.deg))
