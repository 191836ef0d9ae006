"""Distortion written in the SIP convention, read as the equal TPV polynomial.

SIP (Shupe et al. 2005, ASP Conf. 347, 491) adds polynomials A, B of the pixel offsets (p, q) from
CRPIX to these offsets before the CD matrix. With (u, v) = CD (p, q) both are polynomials of u and v
of the same degree, so nothing is lost; the inverse polynomials AP, BP are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d

from tesela.errors import BadInput
from tesela.sky import tpv

Floats = NDArray[np.float64]

_NAME = re.compile(r"([AB])_(\d)_(\d)")


def coefficients(header: Mapping[str, Any]) -> dict[tuple[str, int, int], float]:
    """A_i_j and B_i_j of a header, by ("A" or "B", i, j).

    Raises `BadInput` for one that is not a number or beyond degree 7.
    """
    found = {}
    for name in _names(header):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        i, j = int(match[2]), int(match[3])
        try:
            value = float(header[name])
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value) or (i + j > tpv.MAX_DEGREE and value != 0):
            raise BadInput(
                f"WCS card {name}",
                found=repr(header[name]),
                expected=f"a number, of degree {tpv.MAX_DEGREE} at the most",
                do="correct the card or leave the frame to the astrometric solution",
            )
        if value:
            found[match[1], i, j] = value
    return found


def _names(header: Mapping[str, Any]) -> Iterable[str]:
    return [str(name) for name in header.keys()]  # noqa: SIM118 - a FITS header is no dict


def to_pv(terms: Mapping[tuple[str, int, int], float], cd: Floats) -> Floats:
    """TPV coefficients, (2, 40), of SIP terms with this CD matrix."""
    size = tpv.MAX_DEGREE + 1
    inverse = np.linalg.inv(cd)
    # p and q as polynomials of u and v, coefficient of u^i v^j at [i, j].
    p, q = (np.array([[0.0, row[1]], [row[0], 0.0]]) for row in inverse)
    shift = np.zeros((2, size, size))
    for (which, i, j), value in terms.items():
        product = value * convolve2d(_power(p, i), _power(q, j))
        n = min(product.shape[0], size)
        shift["AB".index(which), :n, :n] += product[:n, :n]
    sky = np.einsum("ij,jkl->ikl", cd, shift)
    sky[0, 1, 0] += 1.0
    sky[1, 0, 1] += 1.0
    pv = np.zeros((2, tpv.N_TERMS))
    for index, (own, other, radial) in enumerate(tpv.TERMS):
        if not radial:
            pv[:, index] = sky[0, own, other], sky[1, other, own]
    return pv


def _power(factor: Floats, n: int) -> Floats:
    result = np.ones((1, 1))
    for _ in range(n):
        result = convolve2d(result, factor)
    return result
