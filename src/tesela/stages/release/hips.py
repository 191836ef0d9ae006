"""The colour image of a release as a HiPS (IVOA, HiPS 1.0).

A tile of 512 x 512 pixels is a HEALPix cell; its parent is made of the means of its four
children. In the picture of a cell, the row grows along the cell's x axis (south to east) and the
column along its y axis (south to west): the southern corner is at the top left, as HiPS 1.0 has
it. All tiles are JPEG, which has no transparency: what was not observed is black.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mocpy import MOC
from numpy.typing import NDArray

from tesela.pixels import colour
from tesela.pixels.mosaic import Mosaic
from tesela.products import files
from tesela.sky import healpix
from tesela.stages.release import coverage
from tesela.stages.release.colours import Planes
from tesela.stages.release.coverage import Coverage
from tesela.stages.release.settings import Progress, ReleaseInputs, ReleaseSettings

FOLDER = "hips/colour"
MOC_FILE = "Moc.fits"
PROPERTIES_FILE = "properties"
ALLSKY_FILE = "Norder3/Allsky.jpg"
REQUIRED = (
    "creator_did",
    "obs_title",
    "dataproduct_type",
    "hips_version",
    "hips_release_date",
    "hips_status",
    "hips_frame",
    "hips_order",
    "hips_tile_width",
    "hips_tile_format",
)
"""Keywords that HiPS 1.0 demands."""
TILES = "Norder*/Dir*/Npix*.jpg"
"""Tiles inside the folder."""
WIDTH = 512
_GRID_STEP = 16
"""Positions are exact every so many pixels, bilinear between: to 0.001 of a pixel."""
_ALLSKY_ORDER, _ALLSKY_COLUMNS, _ALLSKY_PX = 3, 27, 64
_COARSEST = 1.2
"""A pixel is at most so many of the coadds' pixels wide."""


@dataclass
class _Picture:
    """A tile in memory: rows along the cell's x axis."""

    rgb: NDArray[np.uint8]
    covered: NDArray[np.bool_]


def order_of_scale(scale_arcsec: float) -> int:
    """Coarsest order that keeps what pixels of a scale show; 3 to 13."""
    order = int(np.ceil(np.log2(pixel_arcsec(0) / (_COARSEST * scale_arcsec))))
    return min(max(order, _ALLSKY_ORDER), 13)


def pixel_arcsec(order: int) -> float:
    """Side of a pixel of the tiles of an order: the root of its area."""
    return float(3600 * np.degrees(np.sqrt(np.pi / 3)) / 2**order / WIDTH)


def tile_path(order: int, cell: int) -> str:
    """Path of a tile inside the HiPS."""
    return f"Norder{order}/Dir{cell // 10000 * 10000}/Npix{cell}.jpg"


def write(
    folder: Path,
    inputs: ReleaseInputs,
    planes: Planes,
    covered: Coverage,
    settings: ReleaseSettings,
    progress: Progress,
) -> int:
    """Write a whole HiPS and return its finest order.

    Parameters
    ----------
    folder : Path
        Made here.
    planes : Planes
        Colour planes of tiles.
    covered : Coverage
        Only cells that a tile touches are drawn.

    Notes
    -----
    Memory: the planes that are kept and four pictures an order.
    """
    scale = min(planes.wcs(tile.name).pixel_scale_arcsec for tile in inputs.tiles)
    order = order_of_scale(scale) if settings.hips_order is None else settings.hips_order
    order = min(order, covered.order)
    writer = _Writer(folder, order, covered, planes, settings, progress)
    for base in sorted({cell >> 2 * order for cell in writer.touched}):
        writer.draw(0, base)
    writer.write_allsky()
    moc = covered.moc()
    coverage.write_moc(folder / MOC_FILE, moc)
    text = "".join(f"{k:<20} = {v}\n" for k, v in _properties(inputs, moc, order, settings).items())
    (folder / PROPERTIES_FILE).write_text(text, encoding="utf-8")
    return order


class _Writer:
    """Draws tiles depth first: a parent's four children are in memory when it is made."""

    def __init__(
        self,
        folder: Path,
        order: int,
        covered: Coverage,
        planes: Planes,
        settings: ReleaseSettings,
        progress: Progress,
    ) -> None:
        self._folder, self._order, self._planes = folder, order, planes
        self._quality, self._progress = settings.jpeg_quality, progress
        self.touched: Mapping[int, list[str]] = covered.tiles_of_cells(order)
        self._drawn = 0
        self._ancestors = [
            {cell >> 2 * (order - k) for cell in self.touched} for k in range(order + 1)
        ]
        side = -(-(12 << 2 * _ALLSKY_ORDER) // _ALLSKY_COLUMNS)
        self._allsky = np.zeros((side * _ALLSKY_PX, _ALLSKY_COLUMNS * _ALLSKY_PX, 3), np.uint8)

    def draw(self, order: int, cell: int) -> _Picture | None:
        """Draw a cell and all below it."""
        if cell not in self._ancestors[order]:
            return None
        if order == self._order:
            picture = self._finest(cell)
            self._drawn += 1
            self._progress("image survey", self._drawn, len(self.touched))
        else:
            picture = _parent([self.draw(order + 1, 4 * cell + k) for k in range(4)])
        save_jpeg(self._folder / tile_path(order, cell), picture.rgb, self._quality)
        if order == _ALLSKY_ORDER:
            self._place(cell, picture)
        return picture

    def _finest(self, cell: int) -> _Picture:
        mosaic = Mosaic((WIDTH, WIDTH))
        ra, dec = healpix.cell_grid(self._order, cell, WIDTH // _GRID_STEP)
        for tile in self.touched[cell]:
            x, y = self._planes.wcs(tile).sky_to_pix(ra.T, dec.T)  # rows along the cell's x axis
            mosaic.add(self._planes(tile), x, y, _GRID_STEP)
        planes = mosaic.planes()
        return _Picture(colour.render(planes, self._planes.recipe.curve), np.isfinite(planes[0]))

    def _place(self, cell: int, picture: _Picture) -> None:
        rgb, covered = picture.rgb, picture.covered
        while len(rgb) > _ALLSKY_PX:
            rgb, covered = colour.halve(rgb, covered)
        row, column = divmod(cell, _ALLSKY_COLUMNS)
        top, left = row * _ALLSKY_PX, column * _ALLSKY_PX
        self._allsky[top : top + _ALLSKY_PX, left : left + _ALLSKY_PX] = rgb

    def write_allsky(self) -> None:
        """All tiles of order 3, small, in one picture: 27 a row."""
        save_jpeg(self._folder / ALLSKY_FILE, self._allsky, self._quality)


def _parent(children: list[_Picture | None]) -> _Picture:
    """Four children, of which child k has the bits (x, y) = (k & 1, k >> 1), at half their size."""
    half = WIDTH // 2
    rgb = np.zeros((WIDTH, WIDTH, 3), np.uint8)
    covered = np.zeros((WIDTH, WIDTH), bool)
    for k, child in enumerate(children):
        if child is None:
            continue
        top, left = half * (k & 1), half * (k >> 1)
        part = np.s_[top : top + half, left : left + half]
        rgb[part], covered[part] = colour.halve(child.rgb, child.covered)
    return _Picture(rgb, covered)


def save_jpeg(path: Path, picture: NDArray[np.uint8], quality: int) -> None:
    """Write a picture, first row at the top, into a folder that is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_jpeg(path, picture, quality)


def _properties(
    inputs: ReleaseInputs, moc: MOC, order: int, settings: ReleaseSettings
) -> dict[str, str]:
    """Keywords of HiPS 1.0, section 4.4.1."""
    ra, dec, radius = coverage.circle(moc)
    moment = inputs.created[:16] + "Z"
    return {
        "creator_did": f"ivo://{settings.authority}/{inputs.survey}/{inputs.name}/colour",
        "obs_collection": inputs.survey,
        "obs_title": f"{inputs.title}, colour",
        "obs_regime": "Optical",
        "client_category": "Image/Optical",
        "dataproduct_type": "image",
        "dataproduct_subtype": "color",
        "hips_version": "1.4",
        "hips_builder": f"tesela {inputs.code_version}",
        "hips_creation_date": moment,
        "hips_release_date": moment,
        "hips_status": "public master clonableOnce",
        "hips_frame": "equatorial",
        "hips_order": str(order),
        "hips_order_min": "0",
        "hips_tile_width": str(WIDTH),
        "hips_tile_format": "jpeg",
        "hips_pixel_scale": f"{pixel_arcsec(order) / 3600:.10g}",
        "s_pixel_scale": f"{pixel_arcsec(order) / 3600:.10g}",
        "hips_initial_ra": f"{ra:.6f}",
        "hips_initial_dec": f"{dec:.6f}",
        "hips_initial_fov": f"{min(max(2.2 * radius, 0.05), 180):.6g}",
        "moc_sky_fraction": f"{moc.sky_fraction:.10g}",
        "moc_order": str(moc.max_order),
    }


def cells_of(moc: MOC, order: int) -> Iterator[int]:
    """Cells of an order that a MOC touches."""
    yield from (int(cell) for cell in moc.degrade_to_order(order).flatten())


def read_properties(path: Path) -> dict[str, str]:
    """Keywords and values of a `properties` file."""
    pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            pairs[key.strip()] = value.strip()
    return pairs
