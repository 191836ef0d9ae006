"""Bringing an image to a broader point-spread function.

The kernel K with ``narrow * K = broad`` is a sum of Gauss-Hermite functions (Alard & Lupton 1998,
ApJ 503, 325) and a delta function, fitted by least squares to two PSF stamps. Linear algebra in the
image plane divides by no small Fourier amplitude, so the kernel does not ring; the delta function
makes the step from one PSF to an equal one exact. The kernel's sum is one by construction: total
fluxes pass unchanged, and what is left of the fit redistributes light, it makes none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tesela.errors import QualityError

WIDTHS = (0.6, 1.3, 2.6, 5.2)
"""Widths of the Gaussians in units of the broad PSF's sigma ..."""
DEGREES = (4, 4, 2, 2)
"""... and the degree of the polynomials on each."""

_REACH = 3.5  # widths of the widest Gaussian at which the kernel ends
_FLOOR = 0.01  # of the peak: where the weight of the fit stops rising into the wings
_RCOND = 1e-5
_MIN_RADIUS_PX = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MatchingKernel:
    """A kernel from one PSF to another.

    Attributes
    ----------
    kernel : (2 k + 1, 2 k + 1) float32
        Sum one, centre in the middle.
    residual : float
        Sum of |narrow * kernel - broad| within the radius of the fit: 0 is perfect.
    noise : float
        Root of the sum of the squared kernel: what is left of the noise of white pixels.
    """

    kernel: NDArray[np.float32]
    residual: float
    noise: float

    @property
    def sigma_px(self) -> float:
        """Width of the Gaussian that spreads noise as much; 0 for a delta function."""
        # Of unit flux: sum(k^2) = 1 / (4 pi sigma^2), which a pixel cannot exceed.
        return float(np.sqrt(max(0.0, 1.0 / self.noise**2 - 1.0) / (4.0 * np.pi)))


def effective_sigma_px(stamp: NDArray[np.floating]) -> float:
    """Sigma of the Gaussian with the same noise-equivalent area: sqrt(1 / (4 pi sum(psf^2))).

    `stamp` is a PSF of flux one. It orders PSFs by what noise and apertures see, core and wings
    together; the FWHM alone does not know of wings.
    """
    return float(np.sqrt(1.0 / (4.0 * np.pi * np.sum(np.square(stamp, dtype=np.float64)))))


def matching_kernel(
    narrow: NDArray[np.floating], broad: NDArray[np.floating], *, radius_px: float
) -> MatchingKernel:
    """Fit the kernel that turns `narrow` into `broad`.

    Parameters
    ----------
    narrow, broad : (n, n) float, n odd
        PSFs on pixels, centred in the middle, each of flux one within the *same* radius: a
        difference of their normalisation would become an error of every colour. They may reach
        beyond `radius_px`, and should: light comes in from there.
    radius_px : float
        The fit uses the pixels within this radius.

    Returns
    -------
    MatchingKernel

    Raises
    ------
    QualityError
        If the stamps differ in shape, are not odd squares, or hold no finite PSF.

    Notes
    -----
    Pixels weigh as for photon noise, with a floor, so that the wings count: they hold little light
    a pixel, but much in all. A kernel towards a *narrower* PSF is found too, with negative rings;
    choose the direction by `effective_sigma_px`.
    """
    start, goal = _checked(narrow, broad, radius_px)
    half = start.shape[0] // 2
    sigma = effective_sigma_px(goal)
    reach = min(half, int(np.ceil(_REACH * WIDTHS[-1] * sigma)))
    shapes = _gauss_hermite(reach, [w * sigma for w in WIDTHS])
    sums = shapes.sum(axis=(1, 2))
    inside = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) <= radius_px
    blurred = np.stack([s[inside] for s in _blur(start, shapes)], axis=1)
    # The delta function takes up what the sum lacks to one, and drops out of the unknowns.
    weight = 1.0 / np.sqrt(np.maximum(goal[inside], 0.0) + _FLOOR * goal.max())
    design = (blurred - np.outer(start[inside], sums)) * weight[:, None]
    wanted = (goal - start)[inside] * weight
    coefficients = np.linalg.lstsq(design, wanted, rcond=_RCOND)[0]
    kernel = np.tensordot(coefficients, shapes, axes=1)
    kernel[reach, reach] += 1.0 - coefficients @ sums
    made = _blur(start, kernel[np.newaxis])[0]
    residual = float(np.abs(made - goal)[inside].sum())
    return MatchingKernel(
        kernel.astype(np.float32), residual, float(np.sqrt(np.sum(np.square(kernel))))
    )


def convolve(
    image: NDArray[np.float32], kernel: NDArray[np.float32], mask: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convolve an image that may have holes.

    Parameters
    ----------
    image : (ny, nx) float32
        NaN counts as masked. Sky subtracted: beyond the edges, and in holes, there is 0.
    kernel : (k, k) float32, k odd
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
    By one real FFT in single precision; about 20 bytes a pixel of work space.
    """
    holes = ~np.isfinite(image)
    if mask is not None:
        holes |= mask
    filled = np.where(holes, np.float32(0), image).astype(np.float32, copy=False)
    ny, nx = image.shape
    half = kernel.shape[0] // 2
    size = (
        fft.next_fast_len(ny + 2 * half, real=True),
        fft.next_fast_len(nx + 2 * half, real=True),
    )
    spectrum = fft.rfft2(filled, size, workers=1)
    spectrum *= fft.rfft2(np.asarray(kernel, np.float32), size, workers=1)
    full = fft.irfft2(spectrum, size, overwrite_x=True, workers=1)
    return np.ascontiguousarray(full[half : half + ny, half : half + nx]), holes


def _checked(
    narrow: NDArray[np.floating], broad: NDArray[np.floating], radius_px: float
) -> tuple[Floats, Floats]:
    start, goal = np.asarray(narrow, np.float64), np.asarray(broad, np.float64)
    side = start.shape[0]
    square = start.shape == goal.shape == (side, side) and side % 2 == 1
    if not square or not _MIN_RADIUS_PX <= radius_px <= side // 2:
        raise QualityError(
            "PSF stamps to be matched",
            found=f"shapes {start.shape} and {goal.shape}, a radius of {radius_px:g} px",
            expected=f"two equal odd squares that hold a radius of {_MIN_RADIUS_PX} px or more",
        )
    for name, stamp in (("narrow", start), ("broad", goal)):
        if not np.isfinite(stamp).all() or stamp.sum() <= 0:
            raise QualityError(
                f"the {name} PSF stamp", found="no flux, or values that are not finite",
                expected="a PSF of flux one", do="look at the PSF model of the image",
            )  # fmt: skip
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


def _blur(stamp: Floats, kernels: Floats) -> Floats:
    """The stamp convolved with every kernel, on the pixels of the stamp."""
    half, side = kernels.shape[1] // 2, stamp.shape[0]
    size = fft.next_fast_len(side + 2 * half, real=True)
    spectrum = fft.rfft2(stamp, (size, size)) * fft.rfft2(kernels, (size, size))
    return fft.irfft2(spectrum, (size, size))[:, half : half + side, half : half + side]
