"""The survey's grid: promises on names, coverage, overlaps."""

import numpy as np
import pytest

from tesela.errors import ConfigError, NotFound
from tesela.sky import footprint, tangent
from tesela.sky.tiles import TileGrid

RINGS = {
    "scheme": "rings",
    "version": 1,
    "prefix": "J-PLUS-",
    "pitch_deg": 1.4,
    "pixel_scale_arcsec": 0.55,
    "size_px": 9500,
}
LISTED = {
    "scheme": "list",
    "centres": {"NGC2420": [114.6, 21.57], "edge": [-0.1, 0.0]},
    "pixel_scale_arcsec": 0.5,
    "size_px": [1000, 1200],
}


@pytest.fixture(scope="module")
def grid():
    return TileGrid.from_settings(RINGS)


def test_names_and_centres_are_the_same_for_ever(grid):
    """These numbers are in file names and catalogues: a change of them is a new version."""
    assert len(grid) == 21442
    promised = {
        "J-PLUS-00001": (0.0, -89.30232558139535),
        "J-PLUS-00831": (290.2040816326531, -68.37209302325581),
        "J-PLUS-10000": (250.73929961089493, -4.186046511627907),
        "J-PLUS-21442": (308.57142857142856, 89.30232558139537),
    }
    for name, centre in promised.items():
        assert grid.centre(name) == pytest.approx(centre, abs=1e-10)


def test_every_point_of_the_sky_is_in_a_tile(grid):
    ra, dec = tangent.positions(np.random.default_rng(11).normal(size=(150, 3)))
    ra, dec = np.r_[ra, 0.0, 77.0, 0.0], np.r_[dec, 90.0, -90.0, 0.0]
    for here in zip(ra, dec):
        speck = tangent.deproject([1e-6, -1e-6, 0.0], [1e-6, 1e-6, -1e-6], *here)
        assert grid.tiles_touching(*speck), here


def test_touching_is_what_the_areas_say(grid):
    frame = grid.wcs("J-PLUS-13000").cutout(4000, -3000, (9000, 9000)).footprint()
    touching = grid.tiles_touching(*frame)
    covered = {name: grid.covered_fraction(name, *frame) for name in grid.names[12300:13700]}
    assert touching == [name for name, part in covered.items() if part > 0]
    total = sum(
        footprint.area_deg2(footprint.intersection(grid.corners(name), footprint.polygon(*frame)))
        for name in touching
    )
    assert total > footprint.area_deg2(footprint.polygon(*frame))  # tiles overlap, nothing is left


def test_a_tile_covers_itself_and_a_strip_of_its_neighbour(grid):
    corners = grid.wcs("J-PLUS-10000").footprint()
    assert grid.covered_fraction("J-PLUS-10000", *corners) == pytest.approx(1.0)
    extent = 9500 * 0.55 / 3600
    step = (grid.centre("J-PLUS-10001")[0] - grid.centre("J-PLUS-10000")[0]) * np.cos(
        np.radians(grid.centre("J-PLUS-10000")[1])
    )
    part = grid.covered_fraction("J-PLUS-10001", *corners)
    assert part == pytest.approx(1 - step / extent, rel=0.02)
    assert grid.covered_fraction("J-PLUS-00001", *corners) == 0.0


def test_ra_zero_and_the_pole_are_nothing_special(grid):
    first = "J-PLUS-10000"
    ring = [n for n, d in zip(grid.names, grid.dec_deg) if d == grid.centre(first)[1]]
    assert ring[-1] in grid.tiles_touching(*grid.wcs(ring[0]).footprint())
    cap = grid.tiles_touching([0.0, 120.0, 240.0], [89.9, 89.9, 89.9])
    assert cap == list(grid.names[-7:])


def test_margin_widens_and_narrows(grid):
    ra, dec = grid.centre("J-PLUS-10000")
    half = 9500 * 0.55 / 7200
    just_outside = tangent.deproject([0.0, 0.01, 0.0], half + np.array([0.02, 0.03, 0.04]), ra, dec)
    assert "J-PLUS-10000" not in grid.tiles_touching(*just_outside)
    assert "J-PLUS-10000" in grid.tiles_touching(*just_outside, margin_deg=0.03)
    tile = grid.wcs("J-PLUS-10000").footprint()
    assert grid.tiles_touching(*tile, margin_deg=-0.2) == ["J-PLUS-10000"]
    assert len(grid.tiles_touching(*tile)) > 4


def test_tile_wcs_is_north_up_and_tangent_at_the_centre(grid):
    wcs = grid.wcs("J-PLUS-13000")
    assert wcs.centre == pytest.approx(grid.centre("J-PLUS-13000"))
    assert wcs.shape == (9500, 9500)
    assert wcs.position_angle_deg == pytest.approx(0.0)
    assert wcs.parity == -1
    assert wcs.pv is None
    assert wcs == TileGrid.from_settings(RINGS).wcs("J-PLUS-13000")
    assert np.allclose(
        footprint.area_deg2(footprint.polygon(*wcs.footprint())),
        footprint.area_deg2(grid.corners("J-PLUS-13000")),
    )


def test_listed_tiles():
    grid = TileGrid.from_settings(LISTED)
    assert grid.names == ("NGC2420", "edge")
    assert grid.centre("edge") == pytest.approx((359.9, 0.0))
    assert grid.wcs("NGC2420").shape == (1000, 1200)
    assert grid.tiles_touching([114.5, 114.7, 114.6], [21.5, 21.5, 21.7]) == ["NGC2420"]
    assert grid.tiles_touching([10.0, 10.1, 10.0], [0.0, 0.0, 0.1]) == []
    assert "edge" in grid
    assert "nowhere" not in grid


def test_unknown_tile_is_named(grid):
    with pytest.raises(NotFound, match="J-PLUS-99999"):
        grid.centre("J-PLUS-99999")


@pytest.mark.parametrize(
    ("base", "change", "message"),
    [
        (RINGS, {"scheme": "hexagons"}, "hexagons"),
        (RINGS, {"colour": 1}, "unknown colour"),
        (RINGS, {"version": 2}, "version"),
        (RINGS, {"pitch_deg": 1.5}, "at most a tile"),
        (RINGS, {"pitch_deg": 0.0}, "pitch_deg"),
        (RINGS, {"digits": 4}, "enough for 21442 tiles"),
        (RINGS, {"pixel_scale_arcsec": -1.0}, "pitch_deg|pixel_scale"),
        (LISTED, {"size_px": [1, 2, 3]}, "size_px"),
        (LISTED, {"size_px": 0}, "size_px"),
        (LISTED, {"pixel_scale_arcsec": 0.0}, "pixel_scale_arcsec"),
        (LISTED, {"centres": {}}, "centres"),
        (LISTED, {"centres": {"a": [1.0, 91.0]}}, "centre of tile a"),
        (LISTED, {"pitch_deg": 1.0}, "unknown pitch_deg"),
    ],
)
def test_settings_that_make_no_sense_are_refused(base, change, message):
    with pytest.raises(ConfigError, match=message):
        TileGrid.from_settings(base | change)


def test_missing_setting_is_named():
    with pytest.raises(ConfigError, match="missing size_px"):
        TileGrid.from_settings({k: v for k, v in RINGS.items() if k != "size_px"})


def pair(step_deg=0.1):
    """Two tiles side by side, which overlap by half."""
    centres = {"west": [10.0 + step_deg, 0.0], "east": [10.0, 0.0]}
    settings = {"scheme": "list", "centres": centres, "pixel_scale_arcsec": 0.5, "size_px": 1440}
    return TileGrid.from_settings(settings)


def test_a_position_belongs_to_the_nearest_centre_of_the_tiles_that_hold_it():
    ra = [9.95, 10.04, 10.06, 10.15, 10.25, 9.85, np.nan, 190.0]
    assert list(pair().owners(ra, np.zeros(8))) == [1, 1, 0, 0, -1, -1, -1, -1]
    assert list(pair().owners([10.06, 10.0], [0.0999, 0.1001])) == [0, -1]


def test_at_equal_distance_the_first_tile_has_the_position():
    middle = np.full(3, 10.05), np.array([-0.05, 0.0, 0.05])
    assert list(pair().owners(*middle)) == [0, 0, 0]


def test_every_position_of_a_grid_has_one_owner_whoever_asks(grid):
    """Also near the pole, where many tiles meet; asked one by one and together."""
    rng = np.random.default_rng(4)
    for ra0, dec0 in [(0.0, 89.6), (150.0, 2.0), (359.9, -30.0)]:
        ra, dec = tangent.deproject(*rng.uniform(-0.6, 0.6, (2, 40)), ra0, dec0)
        together = grid.owners(ra, dec)
        assert (together >= 0).all()
        assert [int(grid.owners([a], [d])[0]) for a, d in zip(ra, dec)] == list(together)
        apart = tangent.separation_deg(ra[:, None], dec[:, None], grid.ra_deg, grid.dec_deg)
        owner = np.take_along_axis(apart, together[:, None], axis=1)[:, 0]
        # Another centre may be nearer only if its tile, which is square, ends before.
        for i in np.flatnonzero(owner > apart.min(axis=1)):
            names = [grid.names[k] for k in np.flatnonzero(apart[i] < owner[i])]
            speck = tangent.deproject([1e-6, -1e-6, 0], [1e-6, 1e-6, -1e-6], ra[i], dec[i])
            assert not set(grid.tiles_touching(*speck)) & set(names)


def test_ordinals_are_places_in_the_list_of_names(grid):
    assert grid.ordinal("J-PLUS-00831") == 830
    with pytest.raises(NotFound, match="J-PLUS-0"):
        grid.ordinal("J-PLUS-0")
    assert pair().owners([], []).size == 0
