"""The width of a PSF by a fit that has nothing of ours."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares


def moffat_fwhm(stamp: np.ndarray) -> float:
    """FWHM of a Moffat through the pixels within 6 px of the centre of a stamp, px."""
    ny, nx = stamp.shape
    y, x = np.mgrid[0:ny, 0:nx] - (ny - 1) / 2
    near = np.hypot(x, y) < 6
    stamp = stamp / stamp.max()

    def wrong(p: np.ndarray) -> np.ndarray:
        r2 = (x - p[1]) ** 2 + (y - p[2]) ** 2
        return (p[0] * (1 + r2 / p[3] ** 2) ** -abs(p[4]) - stamp)[near]

    p = least_squares(wrong, [1, 0, 0, 3, 3]).x
    return float(2 * abs(p[3]) * np.sqrt(2 ** (1 / abs(p[4])) - 1))
