"""Whether two maps of the illumination are the same within their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from tesela.pixels.illumination_model import NODES, Floats
from tesela.pixels.illumination_priors import area_weights


@dataclass(frozen=True)
class Difference:
    """One map minus another.

    Attributes
    ----------
    map, error : (33, 33) float64, mag
    rms_mag : float
        Of the difference over the CCD.
    expected_mag : float
        What the errors of both allow.
    plane : (2,) float64, mag across the CCD
    """

    map: Floats
    error: Floats
    rms_mag: float
    expected_mag: float
    plane: Floats

    @property
    def significance(self) -> float:
        """How many times the errors: about 1 for two maps of one epoch."""
        return self.rms_mag / max(self.expected_mag, 1e-9)


def difference(one: Floats, one_error: Floats, two: Floats, two_error: Floats) -> Difference:
    """Compare two maps node by node; (my, mx) mag each, a map of other nodes is interpolated."""
    changed = on_nodes(one) - on_nodes(two)
    error = np.hypot(on_nodes(one_error), on_nodes(two_error))
    area = area_weights()
    v, u = np.meshgrid(*2 * [np.linspace(-1.0, 1.0, NODES)], indexing="ij")
    return Difference(
        changed,
        error,
        float(np.sqrt(np.sum(area * changed**2))),
        float(np.sqrt(np.sum(area * error**2))),
        np.array([2 * np.sum(area * changed * c) / np.sum(area * c * c) for c in (u, v)]),
    )


def on_nodes(values: Floats) -> Floats:
    """A map on the (33, 33) nodes of today."""
    values = np.asarray(values, np.float64)
    if values.shape == (NODES, NODES):
        return values
    y, x = np.meshgrid(*(np.linspace(0, n - 1, NODES) for n in values.shape), indexing="ij")
    return np.asarray(map_coordinates(values, [y, x], order=1, mode="nearest"))
