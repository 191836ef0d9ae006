"""A network sorts whatever it is given (numpy is the judge)."""

import numpy as np
import pytest

from tesela.pixels.network import LANES, sort_columns, sorting_network


@pytest.mark.parametrize("n", range(1, 12))
def test_zeros_and_ones_of_every_order_are_sorted(n):
    """The 0-1 principle: a network that sorts these sorts everything."""
    cases = (np.arange(2**n)[None, :] >> np.arange(n)[:, None]) & 1
    for low, high in sorting_network(n):
        cases[[low, high]] = np.sort(cases[[low, high]], axis=0)
    assert (np.diff(cases, axis=0) >= 0).all()


@pytest.mark.parametrize("n", [1, 2, 16, 40, 101])
def test_columns_come_out_in_order(n):
    values = np.random.default_rng(n).normal(0, 1, (n, LANES)).astype(np.float32)
    values[n // 2, :9] = np.inf
    expected = np.sort(values, axis=0)
    sort_columns(values, sorting_network(n))
    assert np.array_equal(values, expected)
