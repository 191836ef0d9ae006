"""The zero point of a frame from reference magnitudes, with or without a colour term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tesela.errors import BadInput, QualityError

MAX_ITERATIONS = 20

LOWEST_SNR = 5.0
"""No star below enters a zero point."""
_ENOUGH = 30


@dataclass(frozen=True)
class ZeroPoint:
    """The fitted zero point.

    Parameters
    ----------
    zeropoint_mag, error_mag : float
        Reference minus instrumental magnitude at colour = pivot, and its standard error: the
        larger of the formal one and the one from the scatter.
    scatter_mag : float
        Robust rms of the residuals of the stars used.
    n : int
        Number of stars used.
    colour_coefficient, colour_error : float
        Change of (reference - instrumental) per magnitude of colour; the error is 0 if given.
    used : ndarray, (n_star,) bool
        Stars that entered the solution.
    """

    zeropoint_mag: float
    error_mag: float
    scatter_mag: float
    n: int
    colour_coefficient: float
    colour_error: float
    used: np.ndarray


def weighted_median(value: np.ndarray, weight: np.ndarray) -> float:
    """Value at which half of the weight lies below; (n,) each, n > 0, weights >= 0."""
    order = np.argsort(value, kind="stable")
    summed = np.cumsum(weight[order])
    return float(np.interp(0.5 * summed[-1], summed - 0.5 * weight[order], value[order]))


def _robust_rms(residual: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(residual - np.median(residual))))


def _solve(
    design: np.ndarray, difference: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares: parameters and their covariance."""
    scaled = design / sigma[:, None]
    covariance = np.linalg.inv(scaled.T @ scaled)
    return covariance @ (scaled.T @ (difference / sigma)), covariance


def brightest(flux: np.ndarray, flux_err: np.ndarray, snr: float) -> np.ndarray:
    """Stars above `snr`; where too few, the best of the others, so that short frames have a zero.

    Their errors weigh them: one star fewer above `snr` lets one faint star in and changes little.

    Parameters
    ----------
    flux, flux_err : ndarray, (n_star,)
        Any unit. A star whose flux or error is not positive is left out.
    snr : float
        Where fewer than 30 stars have it, the 30 of highest S/N above 5 are taken.

    Returns
    -------
    ndarray, (n_star,) bool
    """
    found = np.where((flux > 0) & (flux_err > 0), flux / np.where(flux_err > 0, flux_err, 1), 0.0)
    if found.size > _ENOUGH:
        snr = min(snr, float(np.sort(found)[-_ENOUGH]))
    else:
        snr = min(snr, LOWEST_SNR)
    return found >= max(snr, LOWEST_SNR)


def fit_zero_point(
    instrumental_mag: np.ndarray,
    instrumental_err: np.ndarray,
    ref_mag: np.ndarray,
    ref_err: np.ndarray,
    colour: np.ndarray | None = None,
    *,
    colour_pivot: float = 0.0,
    colour_coefficient: float | Literal["fit"] | None = None,
    floor: float = 0.005,
    clip_sigma: float = 3.0,
    min_stars: int = 3,
) -> ZeroPoint:
    """Fit ref - inst = ZP + c (colour - pivot) robustly.

    The start is the weighted median, stars are then clipped at `clip_sigma` times the larger of
    their own error and the robust scatter, and the weighted mean is iterated until the
    set of stars no longer changes.

    Parameters
    ----------
    instrumental_mag, instrumental_err, ref_mag, ref_err : ndarray, (n_star,)
        Magnitudes and errors; a star with anything not finite is left out.
    colour : ndarray, (n_star,), optional
        Needed if `colour_coefficient` is a number or ``"fit"``.
    colour_pivot : float
        Colour at which the zero point is defined.
    colour_coefficient : float, "fit" or None
        A known colour term, one to be fitted, or none.
    floor : float
        Added in quadrature to every star's error, mag.
    clip_sigma : float
    min_stars : int
        Fewer than this is a QualityError.
    """
    difference = np.asarray(ref_mag, np.float64) - np.asarray(instrumental_mag, np.float64)
    sigma = np.sqrt(np.square(instrumental_err) + np.square(ref_err) + floor**2)
    fit_colour = colour_coefficient == "fit"
    coefficient = 0.0
    offset = np.zeros(difference.shape)
    if colour_coefficient is not None:
        if colour is None:
            raise BadInput("zero point", found="a colour term", expected="colours of the stars")
        offset = np.asarray(colour, np.float64) - colour_pivot
        if not fit_colour:
            coefficient = float(colour_coefficient)
            difference = difference - coefficient * offset
    good = np.isfinite(difference) & np.isfinite(sigma) & np.isfinite(offset) & (sigma > 0)
    _require(good, min_stars + fit_colour)
    design = np.stack([np.ones(offset.size), np.where(good, offset, 0.0)], axis=1)
    design = design[:, : 2 if fit_colour else 1]
    used, parameters, covariance = _iterate(
        design, difference, sigma, good, clip_sigma=clip_sigma, min_stars=min_stars + fit_colour
    )
    residual = difference[used] - design[used] @ parameters
    scatter = _robust_rms(residual)
    n = int(used.sum())
    chi2 = np.sum((residual / sigma[used]) ** 2) / max(n - parameters.size, 1)
    errors = np.sqrt(np.diag(covariance) * max(1.0, chi2))
    return ZeroPoint(
        zeropoint_mag=float(parameters[0]),
        error_mag=float(errors[0]),
        scatter_mag=scatter,
        n=n,
        colour_coefficient=float(parameters[1]) if fit_colour else coefficient,
        colour_error=float(errors[1]) if fit_colour else 0.0,
        used=used,
    )


def _require(used: np.ndarray, min_stars: int) -> None:
    if used.sum() < min_stars:
        raise QualityError(
            "zero point",
            found=f"{int(used.sum())} usable stars of {used.size}",
            expected=f"at least {min_stars}",
            do="look at the match with the reference catalogue",
        )


def _iterate(
    design: np.ndarray,
    difference: np.ndarray,
    sigma: np.ndarray,
    good: np.ndarray,
    *,
    clip_sigma: float,
    min_stars: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clip and solve until the set of stars used stays the same."""
    start = np.zeros(design.shape[1])
    start[0] = weighted_median(difference[good], sigma[good] ** -2.0)
    if start.size == 2:
        start = _median_line(design[good, 1], difference[good])
    used, parameters = good, start
    covariance = np.zeros((start.size, start.size))
    for _ in range(MAX_ITERATIONS):
        residual = np.where(good, difference - design @ parameters, np.inf)
        scatter = _robust_rms(residual[used])
        keep = good & (np.abs(residual) <= clip_sigma * np.maximum(sigma, scatter))
        _require(keep, min_stars)
        parameters, covariance = _solve(design[keep], difference[keep], sigma[keep])
        if np.array_equal(keep, used):
            break
        used = keep
    return keep, parameters, covariance


def _median_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Robust first line: medians of the outer thirds in x."""
    order = np.argsort(x, kind="stable")
    third = max(x.size // 3, 1)
    low, high = order[:third], order[-third:]
    run = np.median(x[high]) - np.median(x[low])
    slope = (np.median(y[high]) - np.median(y[low])) / run if run > 0 else 0.0
    return np.array([np.median(y - slope * x), slope])
