"""Convex polygons on the sphere."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.sky import footprint, tangent


def square(ra, dec, half_deg, turn_deg=0.0):
    angle = np.radians(45 + turn_deg + 90 * np.arange(4))
    size = half_deg * np.sqrt(2)
    return footprint.polygon(
        *tangent.deproject(size * np.cos(angle), size * np.sin(angle), ra, dec)
    )


def test_area_of_an_octant():
    octant = footprint.polygon([0.0, 90.0, 0.0], [0.0, 0.0, 90.0])
    assert footprint.area_deg2(octant) == pytest.approx(4 * np.pi / 8 * footprint.SQUARE_DEGREES)


def test_area_of_a_small_square_is_flat():
    assert footprint.area_deg2(square(10.0, 50.0, 0.5 / 3600)) * 3600**2 == pytest.approx(
        1.0, rel=1e-6
    )


@pytest.mark.parametrize("dec", [0.0, 60.0, 90.0])
def test_area_of_the_intersection_by_counting_points(dec):
    one, two = square(0.1, dec, 1.0), square(359.5, dec - 0.4, 0.8, turn_deg=20.0)
    common = footprint.intersection(one, two)
    rng = np.random.default_rng(3)
    z = rng.uniform(
        np.sin(np.radians(dec - 4)), min(np.sin(np.radians(min(dec + 4, 90))), 1), 400_000
    )
    ra = rng.uniform(-5, 5, z.size) if dec < 80 else rng.uniform(0, 360, z.size)
    sky = np.degrees(np.ptp(ra) / 180 * np.pi) * np.degrees(np.ptp(z))
    points = ra, np.degrees(np.arcsin(z))
    both = footprint.contains(one, *points) & footprint.contains(two, *points)
    assert footprint.area_deg2(common) == pytest.approx(both.mean() * sky, rel=0.03)
    assert footprint.area_deg2(common) == pytest.approx(
        footprint.area_deg2(footprint.intersection(two, one)), rel=1e-9
    )
    assert np.array_equal(footprint.contains(common, *points), both)


def test_order_of_the_corners_is_free():
    ra, dec = tangent.positions(square(20.0, -70.0, 1.0))
    expected = footprint.area_deg2(footprint.polygon(ra, dec))
    for order in ([2, 0, 3, 1], [3, 2, 1, 0]):
        assert footprint.area_deg2(footprint.polygon(ra[order], dec[order])) == pytest.approx(
            expected
        )
    assert expected > 3.9


def test_contained_and_disjoint():
    outer, inner, far = square(0.0, 0.0, 1.0), square(0.2, 0.2, 0.1), square(180.0, 0.0, 1.0)
    assert footprint.area_deg2(footprint.intersection(outer, inner)) == pytest.approx(
        footprint.area_deg2(inner), rel=1e-9
    )
    assert footprint.area_deg2(footprint.intersection(outer, outer)) == pytest.approx(
        footprint.area_deg2(outer), rel=1e-9
    )
    for other in (far, square(3.0, 0.0, 0.9)):
        assert footprint.intersection(outer, other).shape == (0, 3)
    assert footprint.area_deg2(np.empty((0, 3))) == 0.0


@pytest.mark.parametrize(
    ("ra", "dec"),
    [([0.0, 1.0], [0.0, 1.0]), ([0.0, 1.0, np.nan], [0.0] * 3), ([0, 120, 240], [0] * 3)],
)
def test_what_is_no_small_polygon_is_refused(ra, dec):
    with pytest.raises(BadInput, match="polygon on the sky"):
        footprint.polygon(ra, dec)


@pytest.mark.parametrize("dec", [0.0, -63.0, 89.5])
@pytest.mark.parametrize("way", [1, -1])
def test_distances_are_those_to_the_nearest_of_many_points(dec, way):
    """Of polygons whose sides and inside are sampled densely."""
    squares = [square(0.2, dec, 0.3, turn) for turn in (0.0, 30.0)] + [square(359.5, dec, 0.1)]
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.full(4, 0.3), 40_000)
    edge = rng.uniform(0, 1, (4000, 1))
    for ra, off in zip(rng.uniform(-3, 3, 12), rng.uniform(-2, 2, 12)):
        there = (float(ra), float(np.clip(dec + off, -90, 90)))
        found = footprint.distances_deg(np.array([s[::way] for s in squares]), *there)
        point = tangent.unit_vectors(*there)
        for corners, distance in zip(squares, found):
            sides = [a + edge * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0))]
            samples = np.vstack([weights @ corners, *sides])
            samples /= np.linalg.norm(samples, axis=1, keepdims=True)
            nearest = np.degrees(np.arccos(np.clip(samples @ point, -1, 1))).min()
            if footprint.contains(corners, *there):
                assert distance == 0.0
            else:
                assert distance == pytest.approx(nearest, abs=2e-4)


def test_distance_from_a_polygon_on_the_other_side_of_the_sky():
    far = footprint.distances_deg(np.array([square(0.0, 0.0, 0.5)]), 180.0, 0.0)
    assert far[0] == pytest.approx(180 - np.sqrt(0.5), abs=0.01)


def test_a_corner_that_is_there_twice_changes_no_distance():
    corners = square(10.0, 20.0, 0.5)
    twice = np.vstack([corners[:1], corners])[None]
    for there in ((10.0, 20.0), (11.0, 20.3), (9.0, 21.0)):
        expected = footprint.distances_deg(corners[None], *there)
        assert footprint.distances_deg(twice, *there) == pytest.approx(expected)
