"""The TPV distortion polynomial: its forty terms, value, derivatives and inverse.

TPV (FITS registry of conventions, "TPV World Coordinate System") puts a polynomial between the
linear transform and the tangent plane:

    xi  = PV1_0 + PV1_1 u + PV1_2 v + PV1_3 r + PV1_4 u^2 + PV1_5 u v + PV1_6 v^2 + ...
    eta = PV2_0 + PV2_1 v + PV2_2 u + PV2_3 r + PV2_4 v^2 + PV2_5 v u + PV2_6 u^2 + ...

where (u, v) are degrees after the CD matrix and r^2 = u^2 + v^2. Mind that the second axis swaps
u and v. Terms with odd powers of r close each odd degree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_DEGREE = 7
N_TERMS = 40


def _make_terms() -> tuple[tuple[int, int, int], ...]:
    terms = []
    for degree in range(MAX_DEGREE + 1):
        terms += [(degree - k, k, 0) for k in range(degree + 1)]
        if degree % 2:
            terms.append((0, 0, degree))
    return tuple(terms)


# Powers (first axis's own coordinate, the other coordinate, r) of every PVi_j, j the index.
TERMS = _make_terms()


def identity() -> Floats:
    """Coefficients, shape (2, 40), of the polynomial that changes nothing."""
    pv = np.zeros((2, N_TERMS))
    pv[:, 1] = 1.0
    return pv


@dataclass(frozen=True, eq=False)
class Polynomial:
    """A TPV polynomial ready to be evaluated.

    Attributes
    ----------
    powers : (2, n, n) float64
        Coefficient of u^i v^j at [axis, i, j].
    radial : (2, 4) float64
        Coefficients of r, r^3, r^5, r^7.
    """

    powers: Floats
    radial: Floats

    @classmethod
    def from_pv(cls, pv: Floats) -> Polynomial:
        """Build from PV coefficients, shape (2, 40)."""
        powers = np.zeros((2, MAX_DEGREE + 1, MAX_DEGREE + 1))
        radial = np.zeros((2, 4))
        for index, (own, other, r) in enumerate(TERMS):
            if r:
                radial[:, r // 2] = pv[:, index]
            else:
                powers[0, own, other] = pv[0, index]
                powers[1, other, own] = pv[1, index]
        used = max((i + j for _, i, j in np.argwhere(powers)), default=1)
        return cls(powers[:, : used + 1, : used + 1].copy(), radial)

    def __call__(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Value (xi, eta) at (u, v), all in degrees."""
        xi = polynomial.polyval2d(u, v, self.powers[0])
        eta = polynomial.polyval2d(u, v, self.powers[1])
        if self.radial.any():
            r = np.hypot(u, v)
            odd = np.stack([r, r**3, r**5, r**7])
            xi = xi + np.tensordot(self.radial[0], odd, axes=1)
            eta = eta + np.tensordot(self.radial[1], odd, axes=1)
        return xi, eta

    def jacobian(self, u: Floats, v: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Derivatives xi_u, xi_v, eta_u, eta_v at (u, v); no unit."""
        found: list[Floats] = []
        radius = np.hypot(u, v)
        safe = np.where(radius > 0, radius, 1.0)
        for powers, radial in zip(self.powers, self.radial):
            slope = sum((2 * k + 1) * radial[k] * radius ** (2 * k) for k in range(4))
            for axis, coordinate in enumerate((u, v)):
                derivative = polynomial.polyder(powers, axis=axis)
                value = polynomial.polyval2d(u, v, derivative)
                if radial.any():
                    value = value + slope * coordinate / safe
                found.append(np.asarray(value, dtype=np.float64))
        return found[0], found[1], found[2], found[3]

    def invert(
        self, xi: Floats, eta: Floats, *, tolerance_deg: float = 1e-11, max_steps: int = 30
    ) -> tuple[Floats, Floats]:
        """Find (u, v), degrees, whose value is (xi, eta), by Newton's method.

        Points where the polynomial folds over and no root is reached become NaN.
        """
        shape = np.shape(xi)
        xi, eta = np.ravel(xi), np.ravel(eta)
        u, v = xi.copy(), eta.copy()
        step = np.full(u.shape, np.inf)
        for _ in range(max_steps):
            value_xi, value_eta = self(u, v)
            a, b, c, d = self.jacobian(u, v)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                det = a * d - b * c
                du = (d * (xi - value_xi) - b * (eta - value_eta)) / det
                dv = (a * (eta - value_eta) - c * (xi - value_xi)) / det
            u, v = u + du, v + dv
            step = np.hypot(du, dv)
            if not np.any(step > tolerance_deg):
                break
        lost = ~(step <= tolerance_deg)
        u[lost], v[lost] = np.nan, np.nan
        return u.reshape(shape), v.reshape(shape)
