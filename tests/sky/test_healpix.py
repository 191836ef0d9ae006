"""HEALPix: cells agree with the published geometry, covers hold every point of their cone."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.sky import healpix

RADII_DEG = (0.0, 1e-9, 0.1 / 3600, 1 / 60, 0.5, 3.0, 20.0, 59.0, 61.0, 90.0, 120.0, 179.9,
             180.0)  # fmt: skip
CENTRES = ((0.0, 0.0), (359.9999999, 0.0), (45.0, 41.8103149), (12.0, 90.0), (12.0, -90.0),
           (211.0, 57.0), (90.0, 0.0), (180.0, -89.9999))  # fmt: skip


def around(
    ra: float, dec: float, angle_deg: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points at given angles and directions from a centre, by rotation of unit vectors."""
    r, lam, phi = np.radians(angle_deg), np.radians(ra), np.radians(dec)
    centre = np.array([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    east = np.array([-np.sin(lam), np.cos(lam), 0.0])
    north = np.cross(centre, east)
    side = np.cos(turn)[:, None] * north + np.sin(turn)[:, None] * east
    v = np.cos(r)[:, None] * centre + np.sin(r)[:, None] * side
    return (
        np.degrees(np.arctan2(v[:, 1], v[:, 0])) % 360,
        np.degrees(np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1]))),
    )


def test_base_cells_have_their_published_centres() -> None:
    """Górski et al. 2005, figure 4: four cells around each pole, four on the equator."""
    ra = [45, 135, 225, 315, 0, 90, 180, 270, 45, 135, 225, 315]
    dec = [np.degrees(np.arcsin(z)) for z in [2 / 3] * 4 + [0.0] * 4 + [-2 / 3] * 4]
    assert healpix.index(ra, dec, 0).tolist() == list(range(12))
    for cell in range(12):
        found_ra, found_dec = healpix.cell_grid(0, cell, 2)
        assert healpix.separation_deg(found_ra[1, 1], found_dec[1, 1], ra[cell], dec[cell]) < 1e-12


def test_cells_nest(rng: np.random.Generator) -> None:
    ra, dec = 360 * rng.random(500), np.degrees(np.arcsin(2 * rng.random(500) - 1))
    fine = healpix.index(ra, dec)
    assert fine.dtype == np.int64
    for order in (0, 3, 13, 28):
        assert (healpix.index(ra, dec, order) == fine >> 2 * (29 - order)).all()


def test_index_takes_any_turn_and_shape() -> None:
    ra = np.array([[10.0, 350.0], [0.0, 180.0]])
    assert (healpix.index(ra, 20.0) == healpix.index(ra - 360.0, 20.0)).all()
    assert healpix.index(ra, 20.0).shape == (2, 2)
    assert healpix.index([], []).shape == (0,)


@pytest.mark.parametrize(
    ("ra", "dec", "order"),
    [
        (np.nan, 0.0, 29), (0.0, np.nan, 29), (np.inf, 0.0, 29), (0.0, 90.1, 29),
        (0.0, 0.0, 30), (0.0, 0.0, -1),
    ],
)  # fmt: skip
def test_no_cell_off_the_sphere(ra: float, dec: float, order: int) -> None:
    with pytest.raises(BadInput, match="expected"):
        healpix.index([1.0, ra], [1.0, dec], order)


@pytest.mark.parametrize("radius", RADII_DEG)
@pytest.mark.parametrize("centre", CENTRES)
def test_cover_holds_the_cone(
    centre: tuple[float, float], radius: float, rng: np.random.Generator
) -> None:
    """Points up to the very rim lie in the cover."""
    angle = radius * np.concatenate([np.sqrt(rng.random(2000)), np.full(2000, 1 - 1e-12)])
    ra, dec = around(*centre, angle, 2 * np.pi * rng.random(4000))
    ranges = healpix.cone_ranges(*centre, radius)
    cells = healpix.index(ra, dec)
    at = np.searchsorted(ranges[:, 0], cells, side="right") - 1
    assert (at >= 0).all()
    assert (cells < ranges[at, 1]).all()


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [
        (303.4567307298719, 24.058308133152373, 6.323267435018342),
        (45.0, -26.144357109983233, 3.8894609186918605),
        (344.9748137423321, 23.947892303769322, 7.094309985793612),
        (221.3809114313006, -89.99, 0.01326476882678478),
        (215.99020704000344, 89.999999, 1.166548750597246e-06),
        (0.0, 0.0, 179.9),
    ],
)
def test_cover_holds_cones_that_a_library_cut(
    ra: float, dec: float, radius: float, rng: np.random.Generator
) -> None:
    """Covers of cdshealpix 0.9 lack a cell at the rim of these cones."""
    rim_ra, rim_dec = around(ra, dec, np.full(20_000, radius), 2 * np.pi * rng.random(20_000))
    ranges = healpix.cone_ranges(ra, dec, radius)
    cells = healpix.index(rim_ra, rim_dec)
    at = np.searchsorted(ranges[:, 0], cells, side="right") - 1
    assert (cells < ranges[at, 1]).all()


@pytest.mark.parametrize("order", [0, 1, 2, 6, 17])
def test_corners_are_within_reach_of_the_centre(order: int, rng: np.random.Generator) -> None:
    """The bound on which covers rest."""
    for cell in rng.integers(0, 12 * 4**order, 200).tolist():
        ra, dec = healpix.cell_grid(order, cell, 2)
        apart = healpix.separation_deg(ra, dec, ra[1, 1], dec[1, 1])
        assert apart.max() < healpix._REACH_DEG / 2**order


@pytest.mark.parametrize("radius", RADII_DEG)
def test_cover_is_short_and_tight(radius: float, rng: np.random.Generator) -> None:
    for _ in range(20):
        ra, dec = 360 * rng.random(), np.degrees(np.arcsin(2 * rng.random() - 1))
        ranges = healpix.cone_ranges(ra, dec, radius)
        assert 1 <= len(ranges) <= healpix.MAX_RANGES
        assert (ranges[:, 0] < ranges[:, 1]).all()
        assert (ranges[1:, 0] > ranges[:-1, 1]).all()
        assert ranges[0, 0] >= 0
        assert ranges[-1, 1] <= 12 * 4**29
        covered = (ranges[:, 1] - ranges[:, 0]).sum() / (12 * 4**29)
        assert covered < 6 * (1 - np.cos(np.radians(radius))) / 2 + 1e-15


def test_too_many_ranges_are_joined_over_the_smallest_gaps() -> None:
    start = np.cumsum(np.arange(1, 201)) * 10
    ranges = np.column_stack([start, start + 5])
    joined = healpix._fewer(ranges)
    assert len(joined) == healpix.MAX_RANGES
    assert (joined[0, 0], joined[-1, 1]) == (ranges[0, 0], ranges[-1, 1])
    assert (joined[-63:] == ranges[-63:]).all()


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [
        (np.nan, 0, 1), (np.inf, 0, 1), (0, 91, 1), (0, np.nan, 1), (0, 0, -1e-9), (0, 0, np.nan),
        (0, 0, 180.1),
    ],
)  # fmt: skip
def test_what_is_no_cone_is_refused(ra: float, dec: float, radius: float) -> None:
    with pytest.raises(BadInput, match="cone on the sky"):
        healpix.cone_ranges(ra, dec, radius)


@pytest.mark.parametrize("angle", [0.0, 1e-10, 0.1 / 3600, 1.0, 90.0, 179.0, 180 - 1e-7, 180.0])
@pytest.mark.parametrize("centre", CENTRES)
def test_separation_is_exact_at_any_angle(
    centre: tuple[float, float], angle: float, rng: np.random.Generator
) -> None:
    ra, dec = around(*centre, np.full(50, angle), 2 * np.pi * rng.random(50))
    found = healpix.separation_deg(ra, dec, *centre)
    assert np.abs(found - angle).max() < 2e-13 + 1e-12 * angle  # rounding of ra and dec
    assert np.isnan(healpix.separation_deg(np.nan, 0.0, 0.0, 0.0))


def test_grid_points_lie_in_their_cell(rng: np.random.Generator) -> None:
    """The equations of the grid and the library agree, from the largest cells to the smallest."""
    for order in (0, 1, 5, 9, 20):
        for cell in rng.integers(0, 12 * 4**order, 30).tolist():
            ra, dec = healpix.cell_grid(order, cell, 4)
            assert ra.shape == dec.shape == (5, 5)
            assert (healpix.index(ra[1:-1, 1:-1], dec[1:-1, 1:-1], order) == cell).all()


def test_grid_divides_a_cell_into_its_children() -> None:
    """Child 0 is at the south corner, 1 along x, 2 along y, 3 at the north corner."""
    ra, dec = healpix.cell_grid(3, 100, 4)
    odd = np.ix_([1, 3], [1, 3])
    assert healpix.index(ra[odd], dec[odd], 4).tolist() == [[400, 401], [402, 403]]


def test_neighbouring_grids_share_their_edge() -> None:
    """The cell east of another: its western edge is the other's eastern one, point by point."""
    ra, dec = healpix.cell_grid(4, 4 * 256, 8)
    ra_next, dec_next = healpix.cell_grid(4, 4 * 256 + 1, 8)
    assert (
        healpix.separation_deg(ra[:, -1], dec[:, -1], ra_next[:, 0], dec_next[:, 0]).max() < 1e-12
    )


def test_grid_reaches_the_poles() -> None:
    for cell, pole in ((0, 90.0), (8, -90.0)):
        ra, dec = healpix.cell_grid(0, cell, 4)
        corner = (-1, -1) if pole > 0 else (0, 0)
        assert dec[corner] == pole
        assert 0 <= ra.min() <= ra.max() < 360


@pytest.mark.parametrize(("order", "cell", "n"), [(2, 192, 4), (2, -1, 4), (2, 0, 0), (30, 0, 1)])
def test_no_grid_over_what_is_no_cell(order: int, cell: int, n: int) -> None:
    with pytest.raises(BadInput, match="HEALPix"):
        healpix.cell_grid(order, cell, n)
