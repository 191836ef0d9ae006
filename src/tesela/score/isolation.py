"""How much light of its neighbours a PSF flux would take up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

_REACH_FWHM = 6.0
_BETA = 3.0


def contamination(x: Floats, y: Floats, flux: Floats, size_px: Floats, fwhm_px: float) -> Floats:
    """Flux that the neighbours of each object would add to its PSF flux.

    A neighbour counts with the overlap of two Moffat profiles (beta 3, twice the area), an extended
    one as if it were nearer by its half-light radius: an upper limit, for a fit that knows the
    neighbour takes up less.

    Parameters
    ----------
    x, y : (n,) float64
        Pixels.
    flux : (n,) float64
        Any unit.
    size_px : (n,) float64
        Half-light radii, 0 for point sources.
    fwhm_px : float

    Returns
    -------
    (n,) float64, in the unit of `flux`
    """
    tree = cKDTree(np.column_stack([x, y]))
    pairs = tree.query_pairs(_REACH_FWHM * fwhm_px, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    distance = np.hypot(x[first] - x[second], y[first] - y[second])
    scale = fwhm_px / (2 * np.sqrt(2 ** (1 / _BETA) - 1))

    def share(neighbour: NDArray[np.int64]) -> Floats:
        nearer = np.maximum(distance - size_px[neighbour], 0)
        return flux[neighbour] * (1 + 0.5 * (nearer / scale) ** 2) ** -_BETA

    n = len(x)
    stolen: Floats = np.bincount(first, share(second), n).astype(np.float64)
    return stolen + np.bincount(second, share(first), n)
