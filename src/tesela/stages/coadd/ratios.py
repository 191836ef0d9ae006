"""How much the PSFs of a coadd's inputs allow their pixels to differ in a star.

Stars differ between exposures by seeing, not by accident, in the wings by more than in the core:
what the PSF models allow is not rejected (Gruen et al. 2014 take a constant 30 %).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tesela.pixels import resample
from tesela.pixels.psf_model import PsfModel
from tesela.sky.wcs import Wcs
from tesela.stages.coadd.settings import CoaddInput
from tesela.stages.coadd.warp import positions

_PLACES = 3
_WINGS = 3e-4
_RATIO_MAX = 10.0
_STEP_PX = 4


def psf_ratios(frames: Sequence[CoaddInput], wcs: Wcs) -> NDArray[np.float32]:
    """Largest relative difference from a median that each frame's PSF can cause on the tile.

    The PSFs are brought to the tile's pixels at 3 x 3 places, whatever the frames' scale and
    orientation. A pixel may be seen by any subset of the frames, so the bound is taken against
    the sharpest and the broadest at that place: every subset's median lies between them. A frame
    that covers none of the places may differ by the most that is allowed to any.
    """
    models = [PsfModel.from_arrays(f.image.psf.arrays, f.image.psf.numbers) for f in frames]
    largest = np.full(len(frames), np.nan, np.float32)
    fwhm_px = max(frame.fwhm_arcsec for frame in frames) / wcs.pixel_scale_arcsec
    reach = int(np.ceil(4 * fwhm_px))
    ny, nx = wcs.shape
    fractions = (np.arange(_PLACES) + 0.5) / _PLACES
    for x, y in ((fx * nx, fy * ny) for fy in fractions for fx in fractions):
        seen, stamps = [], []
        for k, (frame, model) in enumerate(zip(frames, models)):
            stamp = _on_the_tile(frame, model, wcs, (x, y), reach)
            if stamp is not None:
                seen.append(k)
                stamps.append(stamp)
        if len(seen) > 1:
            largest[seen] = np.fmax(largest[seen], _differences(np.array(stamps)))
    return np.minimum(np.nan_to_num(largest, nan=_RATIO_MAX), _RATIO_MAX).astype(np.float32)


def _differences(cube: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = cube.min(axis=0), cube.max(axis=0)
    star = low > _WINGS * low.max()
    above = cube[:, star] / low[star] - 1
    below = 1 - cube[:, star] / high[star]
    return np.maximum(above, below).max(axis=1).astype(np.float32)


def _on_the_tile(
    frame: CoaddInput, model: PsfModel, wcs: Wcs, place: tuple[float, float], reach: int
) -> NDArray[np.float32] | None:
    """The frame's PSF as the tile's pixels around a place see it, None if it does not see it."""
    ra, dec = wcs.pix_to_sky(*place)
    x, y = (float(value) for value in frame.wcs.sky_to_pix(ra, dec))
    ny, nx = frame.image.image.shape
    if not (0 <= x < nx and 0 <= y < ny):
        return None
    zoom = wcs.pixel_scale_arcsec / frame.wcs.pixel_scale_arcsec
    radius = int(np.ceil(reach * zoom * 1.5)) + 4
    stamp = model.stamp(x, y, radius)
    corner_x, corner_y = np.floor(x + 0.5) - radius, np.floor(y + 0.5) - radius
    source = frame.wcs.cutout(corner_x, corner_y, stamp.shape)
    side = 2 * reach + 1
    target = wcs.cutout(round(place[0]) - reach, round(place[1]) - reach, (side, side))
    grid_x, grid_y = positions(target, source, _STEP_PX)
    seen, _ = resample.lanczos3(stamp, np.ones_like(stamp), grid_x, grid_y, _STEP_PX, (side, side))
    return seen
