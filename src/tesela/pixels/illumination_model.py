"""What the fit of the illumination is given, what it assumes and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tesela.errors import BadInput

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]

NODES = 33
"""Nodes of the stored map along each axis: a spline through them is exact to well below 1 mmag."""


@dataclass(frozen=True)
class Observations:
    """Instrumental magnitudes of stars that were seen in several frames.

    (n_obs,) arrays: `x`, `y` pixels from 0; `frame`, `star` indices; `mag`, `mag_err` instrumental.
    (n_star,) arrays, NaN where the catalogue has nothing: `ext_mag`, `ext_err`, and `ext_colour`,
    the colour minus its pivot. `sky` (n_star, 2): any flat coordinates, degrees; only distances
    between stars count. `photometric` (n_frame,): frames with the same number, 0 or more, have
    one zero point within `Model.photometric_mag`; -1 where nothing is known.
    """

    x: Floats
    y: Floats
    frame: Indices
    star: Indices
    mag: Floats
    mag_err: Floats
    n_frames: int
    n_stars: int
    ext_mag: Floats = field(default_factory=lambda: np.empty(0))
    ext_err: Floats = field(default_factory=lambda: np.empty(0))
    ext_colour: Floats = field(default_factory=lambda: np.empty(0))
    sky: Floats = field(default_factory=lambda: np.empty((0, 2)))
    photometric: Indices = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        n_obs = {np.shape(a) for a in (self.x, self.y, self.frame, self.star, self.mag_err)}
        n_ext = {np.shape(a) for a in (self.ext_err, self.ext_colour) if np.size(a)}
        if n_obs != {np.shape(self.mag)} or not n_ext <= {(self.n_stars,)}:
            raise BadInput(
                "observations of stars",
                found=f"shapes {sorted(n_obs)} and {sorted(n_ext)}",
                expected=f"{np.shape(self.mag)} each, ({self.n_stars},) of the catalogue",
            )
        for name, values, n in (
            ("frame", self.frame, self.n_frames),
            ("star", self.star, self.n_stars),
        ):
            if np.size(values) and (np.min(values) < 0 or np.max(values) >= n):
                raise BadInput(
                    f"observations of stars, {name}",
                    found=f"{np.min(values)} to {np.max(values)}",
                    expected=f"indices below {n}",
                )


@dataclass(frozen=True)
class Model:
    """What is fitted, and how far what disturbs it is expected to go (all mag, one sigma)."""

    degree: int = 4
    """Total degree of the Legendre products."""
    grid: int = 12
    """Intervals of the cubic spline of what is left along each axis; 0 for none."""
    grid_mag: float = 0.01
    """Size of the spline's coefficients."""
    gradient_mag: float = 0.002
    """Gradient of the transparency over a frame, centre to edge; averages down over frames."""
    floor_mag: float = 0.005
    """Added in quadrature to the error of every observation."""
    ext_floor_mag: float = 0.005
    """Least error of a catalogue magnitude, added in quadrature; more if its scatter says so."""
    correlated_mag: float = 0.005
    """Errors of the catalogue that neighbouring stars share ..."""
    correlated_deg: float = 1.0
    """... over this distance."""
    photometric_mag: float = 0.003
    """Scatter of the zero points of a photometric sequence."""
    colour: float | Literal["fit"] | None = None
    """Coefficient of the colour: reference = natural + coefficient (colour - pivot)."""
    fit_plane: bool = True
    """Without, the map has no plane: it is left in the flat."""
    clip_sigma: float = 3.5
    max_passes: int = 14


@dataclass(frozen=True)
class Solution:
    """The illumination f = instrumental minus true, <f> = 0, and all that was found beside it.

    Attributes
    ----------
    map, error : (33, 33) float64, mag
        Nodes spread evenly from first to last pixel centre, and their standard errors.
    coefficients, coefficient_errors : (k,) float64, mag
        Of the Legendre products P_a(u) P_b(v), a + b = 1 ... degree in the order of `terms`.
    plane, plane_error : (2,) float64, mag across the CCD in x and in y
        Of the whole map. Without a plane, 0 and NaN.
    zeropoints, zeropoint_errors : (n_frame,) float64, mag
        For 1 electron/s, mean over the CCD; relative, with mean 0, where there is no catalogue.
    gradients : (n_frame, 2) float64, mag from centre to edge
        Of the transparency, against the mean of all frames.
    colour, colour_error : float
    residual : (n_obs,) float64, mag
        Observed minus model; NaN where the star was of no use.
    at : (n_obs,) float64, mag
        f where the star was.
    used : (n_obs,) bool
    sigma : (n_obs,) float64, mag
        Error of an observation as it was used.
    ext_residual : (n_star,) float64, mag
        Catalogue (colour term taken out) minus the star's magnitude from all that was seen of it;
        NaN without either.
    ext_used : (n_star,) bool
    scatter_mag, ext_scatter_mag : float
        Robust rms of the residuals; `ext_scatter_mag` is NaN without a catalogue.
    scale : float
        Errors of the observations were multiplied by this to agree with their scatter.
    """

    map: Floats
    error: Floats
    coefficients: Floats
    coefficient_errors: Floats
    plane: Floats
    plane_error: Floats
    zeropoints: Floats
    zeropoint_errors: Floats
    gradients: Floats
    colour: float
    colour_error: float
    residual: Floats
    at: Floats
    used: Bools
    sigma: Floats
    ext_residual: Floats
    ext_used: Bools
    scatter_mag: float
    ext_scatter_mag: float
    scale: float
    passes: int


def terms(degree: int) -> list[tuple[int, int]]:
    """Powers (of x, of y) of the Legendre products, in the order of the coefficients."""
    return [(total - b, b) for total in range(1, degree + 1) for b in range(total + 1)]
