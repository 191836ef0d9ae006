"""Still pictures of a release: the whole of it, and each tile.

They are what pages show where no sky viewer runs. Beside the picture of the whole, `preview.json`
says where its pixels are, so that a click can become a position.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import colour
from tesela.pixels.mosaic import Mosaic
from tesela.sky import tangent
from tesela.sky.wcs import Wcs
from tesela.stages.release.colours import Planes
from tesela.stages.release.hips import save_jpeg
from tesela.stages.release.settings import Progress, ReleaseInputs, ReleaseSettings, TileInput

PICTURE, PLACE, TILES_FOLDER = "preview.jpg", "preview.json", "tiles"
_GRID_STEP = 16
_MARGIN = 1.02
_WIDEST_DEG = 60.0
"""A tangent plane shows no more of the sky around the middle of a release."""


def write(
    folder: Path,
    inputs: ReleaseInputs,
    planes: Planes,
    settings: ReleaseSettings,
    progress: Progress,
) -> None:
    """Write `preview.jpg`, `preview.json` and `tiles/<tile>.jpg`, all with north up.

    `preview.json` holds a tangent plane as `sky.Wcs` takes it (`crval` in degrees, `crpix` and
    `cd` for pixels counted from 0 with x to the right and y downwards, `shape` as rows and
    columns) and the outline of each tile in those pixels.
    """
    scale = max(planes.wcs(tile.name).pixel_scale_arcsec for tile in inputs.tiles)
    wcs = frame(inputs.tiles, settings.preview_px, scale)
    whole = Mosaic(wcs.shape)
    for done, tile in enumerate(inputs.tiles, 1):
        source = planes.wcs(tile.name)
        _add(whole, wcs, planes(tile.name), source)
        small = _smaller(source, settings.tile_px)
        alone = Mosaic(small.shape)
        _add(alone, small, planes(tile.name), source)
        picture = colour.render(alone.planes(), planes.recipe.curve)
        save_jpeg(folder / TILES_FOLDER / f"{tile.name}.jpg", picture, settings.jpeg_quality)
        progress("pictures", done, len(inputs.tiles))
    picture = colour.render(whole.planes(), planes.recipe.curve)
    save_jpeg(folder / PICTURE, picture, settings.jpeg_quality)
    text = json.dumps(_place(wcs, inputs.tiles), indent=1, sort_keys=True) + "\n"
    (folder / PLACE).write_text(text, encoding="utf-8")


def frame(tiles: Sequence[TileInput], longest_px: int, least_scale_arcsec: float) -> Wcs:
    """A tangent plane around all tiles, y downwards.

    Its pixels are as small as `longest_px` allows but not smaller than those of the coadds.
    """
    ra, dec = np.array([corner for tile in tiles for corner in tile.corners_deg]).T
    ra0, dec0 = (float(v) for v in tangent.positions(tangent.unit_vectors(ra, dec).mean(axis=0)))
    near = tangent.separation_deg(ra, dec, ra0, dec0) < _WIDEST_DEG
    xi, eta = tangent.project(ra[near], dec[near], ra0, dec0)
    middle = np.array([xi.min() + xi.max(), eta.min() + eta.max()]) / 2
    extent = np.array([np.ptp(xi), np.ptp(eta)]) * _MARGIN
    scale = max(extent.max() / longest_px, least_scale_arcsec / 3600)
    columns, rows = np.maximum(np.ceil(extent / scale).astype(int), 1)
    crpix = (np.array([columns, rows]) - 1) / 2 + middle / scale
    return Wcs(
        np.array([ra0, dec0]),
        crpix,
        np.array([[-scale, 0.0], [0.0, -scale]]),
        None,
        (min(int(rows), longest_px), min(int(columns), longest_px)),
    )


def _smaller(source: Wcs, longest_px: int) -> Wcs:
    """North up and y downwards around the same centre, at most so many pixels."""
    factor = max(max(source.shape) / longest_px, 1.0)
    shape = (round(source.shape[0] / factor), round(source.shape[1] / factor))
    scale = source.pixel_scale_arcsec / 3600 * factor
    crpix = (np.array(shape[::-1]) - 1) / 2
    return Wcs(
        np.array(source.centre), crpix, np.array([[-scale, 0.0], [0.0, -scale]]), None, shape
    )


def _add(mosaic: Mosaic, target: Wcs, planes: NDArray[np.float32], source: Wcs) -> None:
    """Add a tile to a picture; where the picture is coarser, means of its pixels."""
    factor = max(int(target.pixel_scale_arcsec / source.pixel_scale_arcsec + 1e-6), 1)
    corners = [np.arange(-(-n // _GRID_STEP) + 1) * _GRID_STEP - 0.5 for n in target.shape]
    y, x = np.meshgrid(*corners, indexing="ij")
    at_x, at_y = source.sky_to_pix(*target.pix_to_sky(x, y))
    shift = (factor - 1) / 2
    mosaic.add(
        colour.shrink(planes, factor), (at_x - shift) / factor, (at_y - shift) / factor, _GRID_STEP
    )


def _place(wcs: Wcs, tiles: Sequence[TileInput]) -> dict[str, Any]:
    outlines = []
    for tile in tiles:
        ra, dec = np.array(tile.corners_deg).T
        x, y = wcs.sky_to_pix(ra, dec)
        if np.isfinite(x).all():
            corners = [[round(float(u), 2), round(float(v), 2)] for u, v in zip(x, y)]
            outlines.append({"name": tile.name, "outline": corners})
    return {
        "crval": [float(v) for v in wcs.crval],
        "crpix": [float(v) for v in wcs.crpix],
        "cd": [[float(v) for v in row] for row in wcs.cd],
        "shape": list(wcs.shape),
        "tiles": outlines,
    }
