"""The TPV polynomial: order of terms, derivatives, inverse."""

import numpy as np
import pytest

from tesela.sky import tpv


def some_pv(seed=0, size=1e-3):
    pv = tpv.identity()
    pv[:, 4:] = np.random.default_rng(seed).normal(0, size, (2, tpv.N_TERMS - 4))
    pv[0, 3] = size
    return pv


def test_identity_changes_nothing():
    u, v = np.random.default_rng(2).normal(size=(2, 50))
    xi, eta = tpv.Polynomial.from_pv(tpv.identity())(u, v)
    assert np.array_equal(xi, u)
    assert np.array_equal(eta, v)


@pytest.mark.parametrize(
    ("index", "own", "other"),
    [(1, 1, 0), (2, 0, 1), (4, 2, 0), (5, 1, 1), (6, 0, 2), (8, 2, 1), (10, 0, 3), (16, 0, 4)],
)
def test_terms_stand_where_the_convention_puts_them(index, own, other):
    pv = np.zeros((2, tpv.N_TERMS))
    pv[:, index] = 1.0
    xi, eta = tpv.Polynomial.from_pv(pv)(np.array([2.0]), np.array([3.0]))
    assert xi[0] == 2.0**own * 3.0**other
    assert eta[0] == 3.0**own * 2.0**other  # the second axis swaps the coordinates


@pytest.mark.parametrize(("index", "power"), [(3, 1), (11, 3), (23, 5), (39, 7)])
def test_radial_terms(index, power):
    pv = np.zeros((2, tpv.N_TERMS))
    pv[0, index] = 1.0
    xi, eta = tpv.Polynomial.from_pv(pv)(np.array([3.0]), np.array([4.0]))
    assert xi[0] == pytest.approx(5.0**power)
    assert eta[0] == 0.0


def test_derivatives_agree_with_differences():
    polynomial = tpv.Polynomial.from_pv(some_pv())
    u, v = np.random.default_rng(3).uniform(0.2, 1, (2, 40))
    h = 1e-6
    xi_u, xi_v, eta_u, eta_v = polynomial.jacobian(u, v)
    du = [(a - b) / (2 * h) for a, b in zip(polynomial(u + h, v), polynomial(u - h, v))]
    dv = [(a - b) / (2 * h) for a, b in zip(polynomial(u, v + h), polynomial(u, v - h))]
    for ours, difference in zip((xi_u, eta_u, xi_v, eta_v), (*du, *dv)):
        assert np.allclose(ours, difference, atol=1e-8)


def test_inverse_returns_to_the_start():
    polynomial = tpv.Polynomial.from_pv(some_pv())
    u, v = np.random.default_rng(4).uniform(-1, 1, (2, 300))
    back_u, back_v = polynomial.invert(*polynomial(u, v))
    assert np.abs(back_u - u).max() < 1e-11
    assert np.abs(back_v - v).max() < 1e-11


def test_inverse_says_so_where_there_is_none():
    pv = tpv.identity()
    pv[0, 4] = -1.0  # xi = u - u^2 never exceeds 1/4
    polynomial = tpv.Polynomial.from_pv(pv)
    u, v = polynomial.invert(np.array([0.1, 3.0]), np.array([0.0, 0.0]))
    assert np.isfinite(u[0])
    assert np.isnan(u[1]) and np.isnan(v[1])
