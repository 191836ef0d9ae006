"""Bringing an image to a broader point-spread function.

The kernel K with ``narrow * K = broad`` is a sum of Gauss-Hermite functions (Alard & Lupton 1998,
ApJ 503, 325) and a delta function, fitted by least squares to two PSF stamps. Linear algebra in the
image plane divides by no small Fourier amplitude, so the kernel does not ring; the delta function
makes the step from one PSF to an equal one exact. The kernel's sum is one by construction: total
fluxes pass unchanged, and what is left of the fit redistributes light, it makes none.

Where the PSFs vary over the image so does the kernel, as a polynomial of the position of the
*source*: light from one place is spread by one kernel of sum one (the flux-conserving form of
Alard 2000, A&AS 144, 363).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tesela.errors import QualityError
from tesela.pixels.psf_model import terms

WIDTHS = (0.6, 1.3, 2.6, 5.2)
"""Widths of the Gaussians in units of the broad PSF's sigma ..."""
DEGREES = (4, 4, 2, 2)
"""... and the degree of the polynomials on each."""

_REACH = 3.5  # widths of the widest Gaussian at which the kernel ends
_FLOOR = 0.01  # of the peak: where the weight of the fit stops rising into the wings
_RCOND = 1e-5  # squared it is still far above the rounding of doubles
_MIN_RADIUS_PX = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MatchingKernel:
    """A kernel from one PSF to another, the same everywhere or a polynomial of the position.

    Attributes
    ----------
    kernels : (n_terms, 2 k + 1, 2 k + 1) float32
        Factors of 1, u, v, u^2, uv, v^2 ..., u = (x - x_ref) / scale, v = (y - y_ref) / scale. The
        first has the sum one, the others zero.
    frame : (x_ref, y_ref, scale)
    degree : int
    residual : float
        Sum of |narrow * kernel - broad| within the radius of the fit; the worst of the places
        given. 0 is perfect.
    noise : float
        Root of the sum of the squared kernel, at the centre of the places: what is left of the
        noise of white pixels.
    """

    kernels: NDArray[np.float32]
    frame: tuple[float, float, float]
    degree: int
    residual: float
    noise: float

    def at(self, x: float, y: float) -> NDArray[np.float32]:
        """The kernel that spreads the light of a source at (x, y): (2 k + 1, 2 k + 1)."""
        factors = _terms(np.array([x]), np.array([y]), self.frame, self.degree)[0]
        return np.tensordot(factors, self.kernels, axes=1).astype(np.float32)

    @property
    def sigma_px(self) -> float:
        """About the width of the Gaussian that spreads noise as much; 0 for a delta function."""
        # A wide Gaussian has sum(k^2) = 1 / (4 pi sigma^2); a pixel has 1.
        return float(np.sqrt(max(0.0, 1.0 / self.noise**2 - 1.0) / (4.0 * np.pi)))


def effective_sigma_px(stamps: NDArray[np.floating]) -> float:
    """Sigma of the Gaussian with the same noise-equivalent area: sqrt(1 / (4 pi sum(psf^2))).

    `stamps` is a PSF of flux one (n, n), or many (m, n, n) whose mean sigma is taken. This orders
    PSFs as noise and apertures do, core and wings together; the FWHM alone knows no wings.
    """
    power = np.sum(np.square(stamps, dtype=np.float64), axis=(-2, -1))
    return float(np.mean(np.sqrt(1.0 / (4.0 * np.pi * power))))


def varying_kernel(
    narrow: NDArray[np.floating],
    broad: NDArray[np.floating],
    x: Floats,
    y: Floats,
    *,
    radius_px: float,
    degree: int = 2,
) -> MatchingKernel:
    """Fit the kernels that turn `narrow` into `broad` at some places, and a polynomial to them.

    Parameters
    ----------
    narrow, broad : (m, n, n) float, n odd
        PSFs on pixels at m places, centred in the middle, each of flux one within the *same*
        radius: a difference of their normalisation would become an error of every colour. They may
        reach beyond `radius_px`, and should: light comes in from there.
    x, y : (m,) float64
        The places; enough of them, spread well, for the polynomial.
    radius_px : float
        The fit uses the pixels within this radius.
    degree : int
        Of the polynomial; 0 for the mean kernel.

    Returns
    -------
    MatchingKernel

    Raises
    ------
    QualityError
        If the stamps differ in shape, are not odd squares, or hold no finite PSF, or if there are
        fewer places than terms.

    Notes
    -----
    Pixels weigh as for photon noise, with a floor, so that the wings count: they hold little light
    a pixel, but much in all. A kernel towards a *narrower* PSF is found too, with negative rings;
    choose the direction by `effective_sigma_px`.
    """
    start, goal = _checked(narrow, broad, radius_px)
    n_terms = _terms_of(degree, len(start))
    half = start.shape[1] // 2
    sigma = effective_sigma_px(goal)
    reach = min(half, int(np.ceil(_REACH * WIDTHS[-1] * sigma)))
    basis = _Basis.of(reach, half, sigma)
    fitted = [basis.fit(a, b, radius_px) for a, b in zip(start, goal, strict=True)]
    scale = max(float(np.ptp(x)), float(np.ptp(y)), 2.0) / 2.0
    frame = (float(np.mean(x)), float(np.mean(y)), scale)
    design = _terms(x, y, frame, degree)
    places = np.stack([kernel for kernel, _ in fitted]).reshape(len(start), -1)
    kernels = np.linalg.lstsq(design, places, rcond=None)[0].reshape(n_terms, *fitted[0][0].shape)
    return MatchingKernel(
        kernels.astype(np.float32),
        frame,
        degree,
        max(residual for _, residual in fitted),
        float(np.sqrt(np.sum(np.square(kernels[0])))),
    )


def _terms_of(degree: int, places: int) -> int:
    """Terms of the polynomial, if there are places enough for them."""
    n_terms = (degree + 1) * (degree + 2) // 2
    if places < n_terms:
        raise QualityError(
            f"a PSF kernel of degree {degree}",
            found=f"PSFs at {places} places",
            expected=f"at least {n_terms}",
        )
    return n_terms


def convolve(
    image: NDArray[np.float32], kernel: MatchingKernel, mask: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convolve an image that may have holes.

    Parameters
    ----------
    image : (ny, nx) float32
        NaN counts as masked. Sky subtracted: beyond the edges, and in holes, there is 0.
    kernel : MatchingKernel
    mask : (ny, nx) bool or None
        True = no data.

    Returns
    -------
    convolved : (ny, nx) float32
        Finite everywhere. Beside a hole it lacks the light that the hole would have given.
    holes : (ny, nx) bool
        Pixels that were filled with 0.

    Notes
    -----
    By real FFTs in single precision, one a term of the polynomial and one back; about 24 bytes a
    pixel of work space.
    """
    holes = ~np.isfinite(image)
    if mask is not None:
        holes |= mask
    filled = np.where(holes, np.float32(0), image).astype(np.float32, copy=False)
    ny, nx = image.shape
    half = kernel.kernels.shape[1] // 2
    size = (_fast(ny + 2 * half), _fast(nx + 2 * half))
    x_ref, y_ref, scale = kernel.frame
    u = ((np.arange(nx) - x_ref) / scale).astype(np.float32)
    v = ((np.arange(ny) - y_ref) / scale).astype(np.float32)[:, np.newaxis]
    powers = [(d - k, k) for d in range(kernel.degree + 1) for k in range(d + 1)]
    total = np.zeros((size[0], size[1] // 2 + 1), np.complex64)
    for (p, q), part in zip(powers, kernel.kernels, strict=True):
        weighted = filled if p == q == 0 else filled * u**p * v**q
        spectrum = fft.rfft2(weighted, size, workers=1)
        spectrum *= fft.rfft2(part, size, workers=1)
        total += spectrum
    full = fft.irfft2(total, size, overwrite_x=True, workers=1)
    return np.ascontiguousarray(full[half : half + ny, half : half + nx]), holes


@dataclass(frozen=True)
class _Basis:
    """The functions a kernel is made of, and their transforms for stamps of one size."""

    shapes: Floats
    """(n, 2 reach + 1, 2 reach + 1), each of unit absolute sum."""
    spectra: NDArray[np.complex128]
    half: int

    @classmethod
    def of(cls, reach: int, half: int, sigma_px: float) -> _Basis:
        shapes = _gauss_hermite(reach, [w * sigma_px for w in WIDTHS])
        size = _fast(2 * (half + reach) + 1)
        return cls(shapes, fft.rfft2(shapes, (size, size)), half)

    def fit(self, start: Floats, goal: Floats, radius_px: float) -> tuple[Floats, float]:
        """The kernel from one stamp to another, and the sum of what it misses."""
        half, reach = self.half, self.shapes.shape[1] // 2
        sums = self.shapes.sum(axis=(1, 2))
        inside = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= radius_px
        size = _fast(2 * (half + reach) + 1)
        blurred = fft.irfft2(fft.rfft2(start, (size, size)) * self.spectra, (size, size))
        window = slice(reach, reach + 2 * half + 1)
        # The delta function takes up what the sum lacks to one, and drops out of the unknowns.
        design = blurred[:, window, window][:, inside].T - np.outer(start[inside], sums)
        wanted = (goal - start)[inside]
        weight = 1.0 / np.sqrt(np.maximum(goal[inside], 0.0) + _FLOOR * goal.max())
        coefficients = _solve(design * weight[:, None], wanted * weight)
        kernel = np.tensordot(coefficients, self.shapes, axes=1)
        kernel[reach, reach] += 1.0 - coefficients @ sums
        return kernel, float(np.abs(design @ coefficients - wanted).sum())


def _solve(design: Floats, wanted: Floats) -> Floats:
    """Least squares through the normal equations, without the directions nothing is known of."""
    values, vectors = np.linalg.eigh(design.T @ design)
    known = values > values[-1] * _RCOND**2
    vectors = vectors[:, known]
    result: Floats = vectors @ ((vectors.T @ (design.T @ wanted)) / values[known])
    return result


def _fast(size: int) -> int:
    return int(fft.next_fast_len(size, real=True))


def _terms(
    x: Floats, y: Floats, frame: tuple[float, float, float], degree: int
) -> NDArray[np.float64]:
    x_ref, y_ref, scale = frame
    return terms((x - x_ref) / scale, (y - y_ref) / scale, degree)


def _checked(
    narrow: NDArray[np.floating], broad: NDArray[np.floating], radius_px: float
) -> tuple[Floats, Floats]:
    start, goal = np.asarray(narrow, np.float64), np.asarray(broad, np.float64)
    side = start.shape[-1]
    stack = start.ndim == 3 and start.shape == goal.shape == (len(start), side, side)
    if not stack or side % 2 == 0 or not _MIN_RADIUS_PX <= radius_px <= side // 2:
        raise QualityError(
            "PSF stamps to be matched",
            found=f"shapes {start.shape} and {goal.shape}, a radius of {radius_px:g} px",
            expected=f"equal odd squares that hold a radius of {_MIN_RADIUS_PX} px or more",
        )
    for name, stamps in (("narrow", start), ("broad", goal)):
        if not np.isfinite(stamps).all() or (stamps.sum(axis=(1, 2)) <= 0).any():
            raise QualityError(
                f"the {name} PSF stamp",
                found="no flux, or values that are not finite",
                expected="a PSF of flux one",
                do="look at the PSF model of the image",
            )
    return start, goal


def _gauss_hermite(half: int, sigmas_px: list[float]) -> Floats:
    """Gaussians times monomials, each of unit absolute sum: (n, 2 half + 1, 2 half + 1)."""
    offset = np.arange(-half, half + 1, dtype=np.float64)
    shapes = []
    for sigma, degree in zip(sigmas_px, DEGREES, strict=True):
        u = offset / sigma
        lines = [np.exp(-0.5 * u * u) * u**power for power in range(degree + 1)]
        shapes += [
            np.outer(lines[q], lines[p]) for p in range(degree + 1) for q in range(degree + 1 - p)
        ]
    return np.stack([shape / np.abs(shape).sum() for shape in shapes])
