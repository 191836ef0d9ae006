"""The point-spread function of an image: what it is, and how it is drawn.

The *effective* PSF (optics, seeing and pixel together; Anderson & King 2000, PASP 112, 1360) is
an elliptical Moffat integrated over the pixel, whose width and ellipticity are polynomials of the
position, plus an empirical map of what the Moffat misses, on a grid of half pixels:

    psf(d; x, y) = A(x, y) * [ <(1 + d^T M(x, y) d)^-beta>_pixel + map(d; x, y) ]

A makes the flux within `norm_radius_px` one, with the wings of the Moffat beyond the map and what
growth curves have found beside them (`psf_growth`), which is spread too thin to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OVERSAMPLING = 2
GAUSS = 0.28867513459481287  # 2-point Gauss-Legendre node on a unit pixel


def terms(u: NDArray[np.float64], v: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    """Polynomial terms 1, u, v, u^2, uv, v^2 ... up to `degree`: (n, n_terms)."""
    columns = [u ** (d - k) * v**k for d in range(degree + 1) for k in range(d + 1)]
    return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class PsfModel:
    """A spatially varying effective PSF.

    Attributes
    ----------
    coefficients : (3, n_terms) float64
        Polynomials, in u = (x - x_ref) / scale and v = (y - y_ref) / scale, of ln FWHM (px,
        geometric mean of the axes, without the pixel) and of the ellipticity components
        e1, e2 = (a^2 - b^2) / (a^2 + b^2) * (cos 2 theta, sin 2 theta).
    beta : float
        Moffat exponent, one for the image.
    residual : (1 or 3, n, n) float32
        Map in units of the Moffat's peak, nodes every half pixel, centre in the middle; constant,
        or constant + u + v.
    frame : (x_ref, y_ref, scale)
    degree : int
    norm_radius_px : float
        Flux within this radius is one.
    n_stars, chi2 : int, float
        Stars used; median reduced chi^2 of theirs.
    wings : float
        Light within the radius but outside map and Moffat, in units of theirs.
    used : (n_given,) bool
        Which of the given stars were used (not stored).
    size_slope : (value, error)
        Change of ln FWHM per magnitude towards fainter stars (not stored): negative where bright
        stars are wider, NaN where it is not known.
    """

    coefficients: NDArray[np.float64]
    beta: float
    residual: NDArray[np.float32]
    frame: tuple[float, float, float]
    degree: int
    norm_radius_px: float
    n_stars: int
    chi2: float
    wings: float = 0.0
    used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool), compare=False)
    size_slope: tuple[float, float] = field(default=(np.nan, np.nan), compare=False)

    def shape_at(self, x: Any, y: Any) -> NDArray[np.float64]:
        """ln FWHM, e1, e2 at positions (n,): (n, 3) float64."""
        u, v = self._reduced(x, y)
        shape = terms(u, v, self.degree) @ self.coefficients.T
        # A polynomial may run away outside the stars: an ellipticity must stay one.
        size = np.hypot(shape[:, 1], shape[:, 2])
        shape[:, 1:] *= np.where(size > 0.8, 0.8 / np.maximum(size, 1e-9), 1.0)[:, None]
        return shape

    def local(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What `render` needs at positions (n,): parameters (n, 5) and map basis (n, k)."""
        u, v = self._reduced(x, y)
        basis = np.stack([np.ones_like(u), u, v], axis=-1)[:, : len(self.residual)]
        params = moffat_parameters(self.shape_at(x, y), self.beta)
        volume = basis @ self.residual.sum(axis=(1, 2), dtype=np.float64) / OVERSAMPLING**2
        params[:, 4] = 1.0 / (moffat_flux(params, self.norm_radius_px) + volume)
        params[:, 4] /= 1.0 + self.wings
        return params, np.ascontiguousarray(basis)

    def stamp(self, x: float, y: float, radius: int) -> NDArray[np.float32]:
        """The PSF of a star at (x, y) on the pixels around it.

        Returns
        -------
        (2 radius + 1, 2 radius + 1) float32
            Centred on the pixel (round(x), round(y)); flux one within `norm_radius_px`.
        """
        params, basis = self.local(x, y)
        out = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
        ix, iy = int(np.floor(x + 0.5)) - radius, int(np.floor(y + 0.5)) - radius
        render(out, float(x) - ix, float(y) - iy, params[0], self.residual, basis[0])
        return out

    def fwhm_px(self, x: Any, y: Any) -> Any:
        """FWHM of the pixel-convolved PSF, geometric mean of the axes; scalar in, scalar out.

        Of the Moffat integrated over the pixel; the residual map is left out.
        """
        fwhm = _pixel_fwhm(np.exp(self.shape_at(x, y)[:, 0]), self.beta)
        return float(fwhm[0]) if np.ndim(x) == 0 else fwhm

    def ellipticity(self, x: Any, y: Any) -> Any:
        """1 - b/a of the Moffat; scalar in, scalar out."""
        e = np.hypot(*self.shape_at(x, y)[:, 1:].T)
        flattening = 1.0 - np.sqrt((1.0 - e) / (1.0 + e))
        return float(flattening[0]) if np.ndim(x) == 0 else flattening

    def theta(self, x: Any, y: Any) -> Any:
        """Orientation of the long axis, radians counter-clockwise from +x, in (-pi/2, pi/2]."""
        shape = self.shape_at(x, y)
        angle = 0.5 * np.arctan2(shape[:, 2], shape[:, 1])
        return float(angle[0]) if np.ndim(x) == 0 else angle

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, float | int]]:
        """Arrays and scalars from which `from_arrays` makes the same model."""
        arrays: dict[str, NDArray[Any]] = {
            "coefficients": self.coefficients.copy(),
            "residual": self.residual.copy(),
        }
        scalars: dict[str, float | int] = {
            "beta": self.beta,
            "x_ref": self.frame[0],
            "y_ref": self.frame[1],
            "scale": self.frame[2],
            "degree": self.degree,
            "norm_radius_px": self.norm_radius_px,
            "n_stars": self.n_stars,
            "chi2": self.chi2,
            "wings": self.wings,
        }
        return arrays, scalars

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], scalars: dict[str, Any]) -> PsfModel:
        """Inverse of `to_arrays`; byte order and flattening by a file format do not matter."""
        degree = int(scalars["degree"])
        n_terms = (degree + 1) * (degree + 2) // 2
        residual = np.asarray(arrays["residual"], np.float32)
        return cls(
            np.array(arrays["coefficients"], np.float64).reshape(3, n_terms),
            float(scalars["beta"]),
            np.ascontiguousarray(residual),
            (float(scalars["x_ref"]), float(scalars["y_ref"]), float(scalars["scale"])),
            degree,
            float(scalars["norm_radius_px"]),
            int(scalars["n_stars"]),
            float(scalars["chi2"]),
            float(scalars.get("wings", 0.0)),
        )

    def _reduced(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x_ref, y_ref, scale = self.frame
        u = (np.atleast_1d(np.asarray(x, np.float64)) - x_ref) / scale
        v = (np.atleast_1d(np.asarray(y, np.float64)) - y_ref) / scale
        return u, v


def moffat_parameters(shape: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """m11, m12, m22, beta, amplitude (1) of each (ln FWHM, e1, e2): (n, 5)."""
    alpha2 = np.exp(2.0 * shape[:, 0]) / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    e1, e2 = shape[:, 1], shape[:, 2]
    scale = 1.0 / (alpha2 * np.sqrt(1.0 - e1**2 - e2**2))
    params = np.empty((len(shape), 5))
    params[:, 0], params[:, 1], params[:, 2] = scale * (1 - e1), -scale * e2, scale * (1 + e1)
    params[:, 3], params[:, 4] = beta, 1.0
    return params


def moffat_flux(params: NDArray[np.float64], radius_px: float) -> NDArray[np.float64]:
    """Flux of unit-peak Moffats inside the ellipse of mean radius `radius_px`."""
    alpha2 = 1.0 / np.sqrt(params[:, 0] * params[:, 2] - params[:, 1] ** 2)
    beta = params[:, 3]
    enclosed = 1.0 - (1.0 + radius_px**2 / alpha2) ** (1.0 - beta)
    return np.pi * alpha2 / (beta - 1.0) * enclosed


def _pixel_fwhm(fwhm: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """FWHM, along a row of pixels, of round Moffats integrated over the pixel: by bisection."""
    alpha2 = fwhm[:, None] ** 2 / (4.0 * (2.0 ** (1.0 / beta) - 1.0))
    nodes, weights = np.polynomial.legendre.leggauss(4)
    u, v = (p.ravel() for p in np.meshgrid(nodes / 2.0, nodes / 2.0))
    area = np.outer(weights, weights).ravel() / 4.0

    def profile(r: NDArray[np.float64]) -> NDArray[np.float64]:
        return (1.0 + ((r[:, None] + u) ** 2 + v**2) / alpha2) ** -beta @ area

    half = 0.5 * profile(np.zeros(len(fwhm)))
    low, high = 0.3 * fwhm, 0.5 * fwhm + 1.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        inside = profile(middle) > half
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low + high


@njit(cache=True, nogil=True)
def moffat_pixel(dx, dy, params):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Unit-peak Moffat averaged over the pixel at (dx, dy)."""
    m11, m12, m22, beta = params[0], params[1], params[2], params[3]
    q = m11 * dx * dx + 2.0 * m12 * dx * dy + m22 * dy * dy
    if q < 4.0:
        total = 0.0
        for sy in range(2):
            v = dy + (2 * sy - 1) * GAUSS
            for sx in range(2):
                u = dx + (2 * sx - 1) * GAUSS
                qs = m11 * u * u + 2.0 * m12 * u * v + m22 * v * v
                total += np.exp(-beta * np.log(1.0 + qs))
        return 0.25 * total
    # In the wings the second-order term of the average, Laplacian / 24, is enough.
    one = 1.0 + q
    gx, gy = m11 * dx + m12 * dy, m12 * dx + m22 * dy
    laplacian = 4.0 * beta * (beta + 1.0) * (gx * gx + gy * gy) / (one * one)
    laplacian -= 2.0 * beta * (m11 + m22) / one
    return np.exp(-beta * np.log(one)) * (1.0 + laplacian / 24.0)


@njit(cache=True, nogil=True)
def cubic_weights(f, w):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Catmull-Rom weights of the nodes -1, 0, 1, 2 at the phase f in [0, 1)."""
    w[0] = ((-0.5 * f + 1.0) * f - 0.5) * f
    w[1] = (1.5 * f - 2.5) * f * f + 1.0
    w[2] = ((-1.5 * f + 2.0) * f + 0.5) * f
    w[3] = (0.5 * f - 0.5) * f * f


@njit(cache=True, nogil=True)
def render(out, x, y, params, maps, basis):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill `out` (h, w) with the PSF of a star at (x, y) of its pixel coordinates."""
    height, width = out.shape
    n_maps, n = maps.shape[0], maps.shape[1]
    centre = (n - 1) // 2
    # Nodes lie every half pixel, so all pixels of a star share one phase and one set of weights.
    node_x, node_y = -OVERSAMPLING * x + centre, -OVERSAMPLING * y + centre
    k0, l0 = int(np.floor(node_x)), int(np.floor(node_y))
    wx, wy = np.empty(4), np.empty(4)
    cubic_weights(node_x - k0, wx)
    cubic_weights(node_y - l0, wy)
    for j in range(height):
        for i in range(width):
            value = moffat_pixel(i - x, j - y, params)
            k, m = k0 + OVERSAMPLING * i, l0 + OVERSAMPLING * j
            if 1 <= k < n - 2 and 1 <= m < n - 2:
                for b in range(n_maps):
                    part = 0.0
                    for q in range(4):
                        row = 0.0
                        for p in range(4):
                            row += wx[p] * maps[b, m + q - 1, k + p - 1]
                        part += wy[q] * row
                    value += basis[b] * part
            out[j, i] = params[4] * value
