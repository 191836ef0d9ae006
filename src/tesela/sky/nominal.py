"""The WCS that a pointing and a camera's nominal geometry promise, before any star is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tesela.sky import tangent
from tesela.sky.wcs import Wcs

_STEP_DEG = 1e-3
"""Short enough for the sphere to be flat."""


def nominal(
    ra_deg: float,
    dec_deg: float,
    pixel_scale_arcsec: float,
    cd_signs: tuple[tuple[float, float], tuple[float, float]],
    shape: tuple[int, int],
    offset_arcmin: tuple[float, float] = (0.0, 0.0),
) -> Wcs:
    """Tangent projection centred on the image.

    `cd_signs` has rows (east, north) and columns (x, y), in units of the pixel scale; `shape` is
    (ny, nx). The centre of the image lies at `offset_arcmin`, (east, north), in the tangent plane
    of the pointing; axes and scale are those of that plane, seen from the centre of the image:
    away from the equator north there is not north at the pointing.
    """
    ny, nx = shape
    pixel_axes = np.array(cd_signs, dtype=float) * pixel_scale_arcsec / 3600
    xi, eta = np.array(offset_arcmin, dtype=float) / 60
    if xi or eta:
        pointing = ra_deg, dec_deg
        ra, dec = tangent.deproject(xi, eta, *pointing)
        ra_deg, dec_deg = float(ra), float(dec)
        pixel_axes = _turned(pointing, (xi, eta), (ra_deg, dec_deg)) @ pixel_axes
    return Wcs(
        crval=np.array([ra_deg, dec_deg]),
        crpix=np.array([(nx - 1) / 2, (ny - 1) / 2]),
        cd=pixel_axes,
        pv=None,
        shape=shape,
    )


def _turned(
    pointing: tuple[float, float], offset_deg: tuple[float, float], centre: tuple[float, float]
) -> NDArray[np.float64]:
    """(2, 2) steps in the plane of `centre` for steps in that of `pointing`, at the offset."""
    steps = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]]) * _STEP_DEG
    xi, eta = np.array(offset_deg)[:, None] + steps
    there = np.stack(tangent.project(*tangent.deproject(xi, eta, *pointing), *centre))
    turned: NDArray[np.float64] = (there[:, ::2] - there[:, 1::2]) / (2 * _STEP_DEG)
    return turned
