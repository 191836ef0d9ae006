"""Matching and grouping on the sphere."""

import numpy as np
import pytest

from tesela.sky import match, tangent


def brute_force(ra1, dec1, ra2, dec2, radius):
    sep = 3600 * tangent.separation_deg(ra1[:, None], dec1[:, None], ra2, dec2)
    pairs = []
    for i in range(len(ra1)):
        k = int(sep[i].argmin())
        if sep[i, k] <= radius and sep[:, k].argmin() == i:
            pairs.append((i, k))
    return pairs


@pytest.mark.parametrize("dec0", [0.0, 60.0, 89.9995])
def test_same_pairs_as_brute_force_across_ra_zero_and_at_the_pole(dec0):
    rng = np.random.default_rng(8)
    one = tangent.deproject(*rng.uniform(-0.01, 0.01, (2, 150)), 0.0, dec0)
    two = tangent.deproject(*rng.uniform(-0.01, 0.01, (2, 200)), 0.0, dec0)
    i1, i2, sep = match.nearest(*one, *two, 4.0)
    assert list(zip(i1, i2)) == brute_force(*one, *two, 4.0)
    assert np.allclose(
        sep, 3600 * tangent.separation_deg(one[0][i1], one[1][i1], two[0][i2], two[1][i2])
    )
    assert len(i1) > 20


def test_one_to_one_and_symmetric():
    rng = np.random.default_rng(9)
    one, two = rng.uniform(0, 0.01, (2, 100)), rng.uniform(0, 0.01, (2, 80))
    i1, i2, _ = match.nearest(*one, *two, 5.0)
    k2, k1, _ = match.nearest(*two, *one, 5.0)
    assert len(set(i1)) == len(i1) and len(set(i2)) == len(i2)
    assert set(zip(i1, i2)) == set(zip(k1, k2))


def test_the_closer_of_two_claimants_wins():
    i1, i2, sep = match.nearest([0.0, 0.0], [0.0, 1 / 3600], [0.0], [0.8 / 3600], 5.0)
    assert (i1.tolist(), i2.tolist()) == ([1], [0])
    assert sep[0] == pytest.approx(0.2)


def test_radius_is_the_limit():
    args = ([10.0], [0.0], [10.0], [1 / 3600])
    assert len(match.nearest(*args, 1.0001)[0]) == 1
    assert len(match.nearest(*args, 0.9999)[0]) == 0


def test_nan_and_empty_never_match():
    i1, i2, _ = match.nearest([np.nan, 5.0], [0.0, 0.0], [5.0, 5.0], [np.nan, 0.0], 1.0)
    assert (i1.tolist(), i2.tolist()) == ([1], [1])
    for empty in (([], [], [1.0], [1.0]), ([1.0], [1.0], [], [])):
        assert [len(each) for each in match.nearest(*empty, 1.0)] == [0, 0, 0]


def test_groups_follow_chains_and_number_by_first_appearance():
    dec = np.array([50.0, 0.0, 0.8, 51.5, 1.6, 99.0]) / 3600
    assert match.groups(np.zeros(6), dec, 1.0).tolist() == [0, 1, 1, 2, 1, 3]
    assert match.groups(np.zeros(6), dec, 2.0).tolist() == [0, 1, 1, 0, 1, 2]
