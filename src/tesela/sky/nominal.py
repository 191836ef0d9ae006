"""The WCS that a pointing and a camera's nominal geometry promise, before any star is seen."""

from __future__ import annotations

import numpy as np

from tesela.sky.wcs import Wcs


def nominal(
    ra_deg: float,
    dec_deg: float,
    pixel_scale_arcsec: float,
    cd_signs: tuple[tuple[float, float], tuple[float, float]],
    shape: tuple[int, int],
) -> Wcs:
    """Tangent projection centred on the pointing.

    `cd_signs` has rows (east, north) and columns (x, y), in units of the pixel scale; `shape` is
    (ny, nx). The pointing is taken to be the centre of the image.
    """
    ny, nx = shape
    return Wcs(
        crval=np.array([ra_deg, dec_deg]),
        crpix=np.array([(nx - 1) / 2, (ny - 1) / 2]),
        cd=np.array(cd_signs, dtype=float) * pixel_scale_arcsec / 3600,
        pv=None,
        shape=shape,
    )
