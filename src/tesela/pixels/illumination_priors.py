"""What is known before the illumination is fitted: sizes of nuisances, the catalogue's errors."""

from __future__ import annotations

import numpy as np

from tesela.pixels import illumination_equations as equations
from tesela.pixels.illumination_model import NODES, Floats, Indices, Model, Observations

WEAK_MAG = 1.0
"""Keeps what nothing measures finite, so that its error tells."""
_EXACT_MAG = 1e-6
_MOST_FIELD_NODES = 256


def field(sky: Floats, model: Model) -> tuple[Indices, Floats, Floats]:
    """A lattice of nodes for the errors that the catalogue's stars share.

    Parameters
    ----------
    sky : (n_star, 2), degrees; NaN for a star without the catalogue

    Returns
    -------
    index : (n_star, 4) int64
        The nodes around each star, ascending.
    weight : (n_star, 4) float64
        Bilinear weights.
    precision : (n_node, n_node) float64
        Inverse covariance of the nodes: correlated_mag^2 exp(-d^2 / 2 correlated_deg^2).

    Notes
    -----
    Nodes are half a correlation length apart, or more where there would be above 256 of them.
    """
    n_star = len(sky)
    known = np.isfinite(sky).all(axis=1) if sky.size else np.zeros(n_star, bool)
    index, weight = np.zeros((n_star, 4), np.int64), np.zeros((n_star, 4))
    if model.correlated_mag <= 0 or not known.any():
        return index, weight, np.empty((0, 0))
    pitch = 0.5 * model.correlated_deg
    while True:
        cells = sky[known] / pitch
        corner = np.floor(cells).astype(np.int64)
        inside = cells - corner
        around = np.stack([corner + np.array([dx, dy]) for dy in (0, 1) for dx in (0, 1)], axis=1)
        nodes, flat = np.unique(around.reshape(-1, 2), axis=0, return_inverse=True)
        if len(nodes) <= _MOST_FIELD_NODES:
            break
        pitch *= 1.5
    u, v = inside.T
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], axis=1)
    flat = flat.reshape(-1, 4)
    order = np.argsort(flat, axis=1)
    index[known] = np.take_along_axis(flat, order, axis=1)
    weight[known] = np.take_along_axis(weights, order, axis=1)
    distance2 = np.sum(np.square(pitch * (nodes[:, None] - nodes[None])), axis=-1)
    covariance = np.exp(-0.5 * distance2 / model.correlated_deg**2) + 1e-4 * np.eye(len(nodes))
    return index, weight, np.linalg.inv(covariance) / model.correlated_mag**2


def precision(
    obs: Observations, model: Model, layout: Indices, of_field: Floats, plane: Floats
) -> Floats:
    """Inverse covariance of all parameters before any star is seen, (n, n)."""
    n_frames = int(layout[equations.N_FRAMES])
    sigma = np.full(int(layout[equations.TOTAL]), WEAK_MAG)
    sigma[n_frames : 3 * n_frames] = max(model.gradient_mag, _EXACT_MAG)
    sigma[layout[equations.SPLINE] : layout[equations.COLOUR]] = max(model.grid_mag, _EXACT_MAG)
    if model.colour != "fit":
        sigma[layout[equations.COLOUR]] = _EXACT_MAG
    known = np.diag(1 / sigma**2)
    first = int(layout[equations.FIELD])
    known[first:, first:] = of_field
    for group in np.unique(obs.photometric[obs.photometric >= 0]):
        members = np.flatnonzero(obs.photometric == group)
        # The sequence's own zero point is free: only differences from its mean are known.
        known[np.ix_(members, members)] += (
            np.eye(len(members)) - 1 / len(members)
        ) / model.photometric_mag**2
    if not model.fit_plane:
        surface = slice(int(layout[equations.POLYNOMIAL]), int(layout[equations.COLOUR]))
        known[surface, surface] += plane.T @ plane / _EXACT_MAG**2
    return known


def functionals(layout: Indices) -> tuple[Floats, Floats, Floats]:
    """What the map is of the surface's parameters.

    Returns
    -------
    design : (33 * 33, k) float64
        Nodes of the map, its mean taken out.
    mean : (k,) float64
        The mean that was taken out.
    plane : (2, k) float64
        Slopes across the CCD in x and in y: least squares over the area.
    """
    axis = np.linspace(-1.0, 1.0, NODES)
    v, u = (g.ravel() for g in np.meshgrid(axis, axis, indexing="ij"))
    design = equations.surface_design(u, v, layout)
    area = area_weights().ravel()
    mean = area @ design
    design = design - mean
    plane = np.stack([2 * (area * c) @ design / (area @ (c * c)) for c in (u, v)])
    return design, mean, plane


def area_weights() -> Floats:
    """Share of the CCD of each node of the map (Simpson's rule), (33, 33), sum 1."""
    line = np.ones(NODES)
    line[1:-1:2], line[2:-1:2] = 4.0, 2.0
    line /= line.sum()
    return line[:, None] * line[None, :]
