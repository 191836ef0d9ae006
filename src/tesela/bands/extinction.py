"""Extinction by dust in the Galaxy: the law of Fitzpatrick (1999, PASP 111, 63).

Coefficients are per true E(B-V): values of the map of Schlegel, Finkbeiner & Davis (1998) are to
be multiplied by 0.86 first (Schlafly & Finkbeiner 2011). In the wide blue bands k depends on the
spectrum; pass the spectrum to `k_band` for its own value.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from tesela.bands.filters import FilterCurve


@lru_cache(maxsize=8)
def _spline(r_v: float) -> CubicSpline:
    ultraviolet = _ultraviolet(1e4 / np.array([2700.0, 2600.0]), r_v)
    optical = (
        -4.22809e-01 + 1.00270 * r_v + 2.13572e-04 * r_v**2,  # 6000 A
        -5.13540e-02 + 1.00216 * r_v - 7.35778e-05 * r_v**2,  # 5470 A
        7.00127e-01 + 1.00184 * r_v - 3.32598e-05 * r_v**2,  # 4670 A
        1.19456
        + 1.01707 * r_v
        - 5.46959e-03 * r_v**2
        + 7.97809e-04 * r_v**3
        - 4.45636e-05 * r_v**4,  # 4110 A
    )
    infrared = 0.265 * r_v / 3.1, 0.829 * r_v / 3.1
    anchors_A = np.array([26500.0, 12200.0, 6000.0, 5470.0, 4670.0, 4110.0, 2700.0, 2600.0])
    x = np.concatenate([[0.0], 1e4 / anchors_A])
    return CubicSpline(x, [0.0, *infrared, *optical, *ultraviolet], bc_type="natural")


def _ultraviolet(x: np.ndarray, r_v: float) -> np.ndarray:
    """A / E(B-V) for x = 1/lambda in 1/micron above 3.7 (Fitzpatrick & Massa 1990 form)."""
    c2 = -0.824 + 4.717 / r_v
    c1 = 2.030 - 3.007 * c2
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (0.99 * x) ** 2)
    rise = np.maximum(x - 5.9, 0.0)
    curvature = 0.41 * (0.5392 * rise**2 + 0.05644 * rise**3)
    return c1 + c2 * x + 3.23 * bump + curvature + r_v


def k_lambda(wavelength_A: np.ndarray | float, *, r_v: float = 3.1) -> np.ndarray:
    """Extinction A(lambda) / E(B-V), in magnitudes per magnitude.

    Parameters
    ----------
    wavelength_A : ndarray or float
        Wavelength in Angstrom, 1000 A and above.
    r_v : float
        A(V) / E(B-V).
    """
    x = 1e4 / np.asarray(wavelength_A, np.float64)
    return np.where(x < 1e4 / 2700.0, _spline(r_v)(x), _ultraviolet(x, r_v))


def k_band(
    curve: FilterCurve,
    *,
    r_v: float = 3.1,
    ebv_mag: float = 0.1,
    spectrum: tuple[np.ndarray, np.ndarray] | None = None,
) -> float:
    """Extinction of a band in magnitudes per E(B-V), integrated over its curve.

    Parameters
    ----------
    curve : FilterCurve
    r_v : float
        A(V) / E(B-V).
    ebv_mag : float
        Reddening at which the coefficient is taken (broad bands are not quite linear).
    spectrum : (wavelength_A, f_lambda) or None
        The light that is dimmed; None is f_lambda proportional to 1/lambda.
    """
    lam, through = curve.wavelength_A, curve.throughput
    flux = 1.0 / lam if spectrum is None else np.interp(lam, *spectrum)
    photons = flux * through * lam
    dimmed = photons * 10 ** (-0.4 * ebv_mag * k_lambda(lam, r_v=r_v))
    ratio = np.trapezoid(dimmed, lam) / np.trapezoid(photons, lam)
    return float(-2.5 * np.log10(ratio) / ebv_mag)
