"""Chromatic refraction: injected, it is found and goes."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import FK5, SkyCoord
from astropy.time import Time
from scipy.spatial import cKDTree

from tesela.sky import chromatic, tangent
from tesela.sky.solve import solve
from tesela.sky.wcs import Wcs

from .fields import Recipe, make

SITE = (-1.0163, 40.0418)


def refracted(mas_per_mag, seed=1, pivot=0.8, known=0.9):
    """A field displaced towards a zenith 35 degrees away: arguments, atmosphere, colours, truth."""
    recipe = Recipe(
        n_stars=3000, size_px=4096, noise_px=0.05, spurious=0.2, missing=0.2, distortion_px=3.0,
        seed=seed,
    )  # fmt: skip
    field = make(recipe)
    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.0, 1.8, len(field.ref_ra))
    zenith = (30.0, 70.0)
    east, north = chromatic.towards_zenith(field.ref_ra, field.ref_dec, zenith, field.truth.centre)
    shift = 1e-3 * mas_per_mag * (colour - pivot) / 3600.0
    dec = np.radians(field.ref_dec)
    here = np.column_stack(field.truth.sky_to_pix(field.ref_ra, field.ref_dec))
    seen = field.truth.sky_to_pix(
        field.ref_ra + shift * east / np.cos(dec), field.ref_dec + shift * north
    )
    # Detections move with their stars: those within half a pixel of one.
    distance, star = cKDTree(here).query(np.column_stack([field.x, field.y]))
    moved = np.where((distance < 0.5)[:, None], (np.column_stack(seen) - here)[star], 0.0)
    told = np.where(rng.random(len(colour)) < known, colour, np.nan)
    arguments = (field.x + moved[:, 0], field.y + moved[:, 1], *field.arguments()[2:])
    return arguments, chromatic.Atmosphere(told, zenith, pivot), colour, field


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mas_per_mag", [100.0, -100.0])
def test_injected_refraction_is_recovered(mas_per_mag, seed):
    arguments, atmosphere, colour, field = refracted(mas_per_mag, seed)
    found = solve(*arguments, atmosphere=atmosphere)
    refraction = found.refraction
    assert refraction.mas_per_mag == pytest.approx(mas_per_mag, rel=0.05)
    assert abs(refraction.mas_per_mag - mas_per_mag) < 4 * refraction.error_mas_per_mag
    assert field.worst_px(found.wcs) < 0.1
    # What is left does not know the colour.
    told = np.isfinite(atmosphere.colour[found.i_ref])
    slope, error = _slope(colour[found.i_ref][told], _along(found, atmosphere, field)[told])
    assert abs(slope) < 4 * error
    plain = solve(*arguments)
    slope, error = _slope(colour[plain.i_ref], _along(plain, atmosphere, field))
    assert abs(slope) > 20 * error
    assert found.rms_arcsec.max() < 0.8 * plain.rms_arcsec.max()


def _along(solution, atmosphere, field):
    toward = chromatic.towards_zenith(
        field.ref_ra[solution.i_ref], field.ref_dec[solution.i_ref], atmosphere.zenith,
        field.truth.centre,
    )  # fmt: skip
    return (solution.dx_arcsec * toward[0] + solution.dy_arcsec * toward[1]) / np.hypot(*toward)


def _slope(colour, along):
    design = colour - colour.mean()
    slope = np.sum(design * along) / np.sum(design**2)
    return slope, np.std(along - slope * design) / np.sqrt(np.sum(design**2))


def test_the_wcs_holds_at_the_pivot():
    arguments, atmosphere, colour, field = refracted(200.0, pivot=0.4)
    at_pivot = solve(*arguments, atmosphere=atmosphere)
    assert field.worst_px(at_pivot.wcs) < 0.06
    # A pivot that is no colour of the field gives way to the median.
    median = solve(*arguments, atmosphere=replace(atmosphere, pivot=-3.0))
    assert median.refraction.pivot == pytest.approx(np.median(colour), abs=0.05)
    away = 3600 * tangent.separation_deg(*median.wcs.centre, *at_pivot.wcs.centre)
    assert away == pytest.approx(0.2 * (median.refraction.pivot - 0.4), abs=0.004)


def test_no_refraction_is_found_where_there_is_none():
    arguments, atmosphere, _, _ = refracted(0.0)
    refraction = solve(*arguments, atmosphere=atmosphere).refraction
    assert abs(refraction.mas_per_mag) < 4 * refraction.error_mas_per_mag


def test_too_few_colours_leave_it_out():
    arguments, atmosphere, _, field = refracted(100.0, known=0.002)
    assert solve(*arguments, atmosphere=atmosphere).refraction is None
    one = replace(atmosphere, colour=np.full(len(field.ref_ra), 0.7))
    assert solve(*arguments, atmosphere=one).refraction is None


def test_zenith_agrees_with_astropy():
    time = Time(57937.9, format="mjd", scale="utc")
    time.delta_ut1_utc = 0.0
    sidereal = time.sidereal_time("mean", longitude=SITE[0] * units.deg)
    there = FK5(equinox=Time(time.jyear, format="jyear"))
    peer = SkyCoord(sidereal, SITE[1] * units.deg, frame=there).icrs
    found = chromatic.zenith(57937.9, *SITE)
    assert float(tangent.separation_deg(peer.ra.deg, peer.dec.deg, *found)) < 0.02


def test_angles_on_the_meridian_and_in_the_east():
    assert chromatic.angles(100.0, 20.0, (100.0, 40.0)) == pytest.approx((20.0, 0.0))
    assert chromatic.angles(100.0, 60.0, (100.0, 40.0))[1] == pytest.approx(180.0)
    # East of the meridian the zenith lies to the west.
    assert chromatic.angles(130.0, 30.0, (100.0, 40.0))[1] < 0


def test_direction_is_that_of_the_great_circle():
    zenith, star = (40.0, 40.0), (10.0, 5.0)
    east, north = chromatic.towards_zenith(np.array([10.0]), np.array([5.0]), zenith, star)
    assert np.hypot(east, north) == pytest.approx(1.0)
    step_deg = 0.01
    plane = Wcs.tangent_plane(*star, 1.0, (3, 3))
    moved = plane.pix_to_sky(*plane.plane_to_pix(step_deg * east, step_deg * north))
    before = float(tangent.separation_deg(*star, *zenith))
    after = float(tangent.separation_deg(moved[0][0], moved[1][0], *zenith))
    assert before - after == pytest.approx(step_deg, rel=1e-4)
