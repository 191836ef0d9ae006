"""Named transformations between photometric systems, from published tables.

Magnitudes of SDSS are as measured (within 0.04 mag of AB in u, 0.02 in z); the results are Vega
magnitudes of Johnson and Cousins. Valid for ordinary stars, Rc - Ic < 1.15.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tesela.errors import BadInput, ConfigError


@dataclass(frozen=True)
class Transformation:
    """Result = sum of coefficient * magnitude + constant, with a scatter over stars.

    Parameters
    ----------
    band : str
        Band of the result.
    coefficients : mapping of band to float
        They sum to one: the result is a magnitude plus colours.
    constant_mag, scatter_mag : float
    source : str
    """

    band: str
    coefficients: Mapping[str, float]
    constant_mag: float
    scatter_mag: float
    source: str


_LUPTON = "Lupton 2005, SDSS DR4 against the standards of P. Stetson (www.sdss.org)"
_JESTER = "Jester et al. 2005, AJ 130, 873, table 1, stars with Rc - Ic < 1.15"


def _colour(base: str, slope: float, minus: str) -> dict[str, float]:
    """Coefficients of base + slope * (base - minus)."""
    return {base: 1.0 + slope, minus: -slope}


_TABLE = {
    "lupton2005_B": Transformation("B", _colour("g", 0.3130, "r"), 0.2271, 0.0107, _LUPTON),
    "lupton2005_V": Transformation("V", _colour("g", -0.5784, "r"), -0.0038, 0.0054, _LUPTON),
    "lupton2005_R": Transformation("R", _colour("r", -0.2936, "i"), -0.1439, 0.0072, _LUPTON),
    "lupton2005_I": Transformation("I", _colour("i", -0.3780, "z"), -0.3974, 0.0063, _LUPTON),
    "jester2005_B": Transformation("B", _colour("g", 0.39, "r"), 0.21, 0.03, _JESTER),
    "jester2005_V": Transformation("V", _colour("g", -0.59, "r"), -0.01, 0.01, _JESTER),
}


def names() -> tuple[str, ...]:
    """Names of the known transformations."""
    return tuple(_TABLE)


def get(name: str) -> Transformation:
    """Coefficients of one transformation."""
    if name not in _TABLE:
        expected = "one of " + " ".join(_TABLE)
        raise ConfigError(f"transformation {name!r}", found="unknown", expected=expected)
    return _TABLE[name]


def apply(
    name: str,
    mags: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Transform magnitudes.

    Parameters
    ----------
    name : str
        Such as ``lupton2005_V``.
    mags : mapping of band (``u g r i z``) to (n,) magnitudes
        NaN where not measured gives NaN.
    errors : mapping of band to (n,) errors in mag, optional
        None counts them as zero.

    Returns
    -------
    mag, err : (n,) float64
        The error includes the scatter of the transformation.
    """
    rule = get(name)
    missing = [band for band in rule.coefficients if band not in mags]
    if missing:
        raise BadInput(
            f"transformation {name}", found=f"no magnitude in {' '.join(missing)}",
            expected=f"bands {' '.join(rule.coefficients)}",
        )  # fmt: skip
    total = np.asarray(rule.constant_mag)
    variance = np.asarray(rule.scatter_mag**2)
    for band, factor in rule.coefficients.items():
        total = total + factor * np.asarray(mags[band], np.float64)
        if errors is not None:
            variance = variance + (factor * np.asarray(errors[band], np.float64)) ** 2
    return total, np.broadcast_to(np.sqrt(variance), total.shape).copy()
