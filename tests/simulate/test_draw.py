from dataclasses import replace

import numpy as np
import pytest

from tesela.simulate import draw
from tesela.simulate.conditions import conditions
from tesela.simulate.psf import Psf, aureole_within
from tesela.simulate.schedule import plan
from tesela.simulate.settings import tiny
from tesela.simulate.streams import stream

SHAPE = (1154, 1152)


@pytest.fixture(scope="module")
def psf():
    wanted = tiny()
    exposure = next(e for e in plan(wanted) if e.kind == "science")
    return Psf(conditions(wanted, exposure, 4.0), 0.55)


def one(flux, x=600.3, y=500.8, disc=0.0, bulge=0.0, share=0.0):
    round_ = lambda r: np.array([[r, 0.0, 0.0, r]])  # noqa: E731
    return draw.Sources(
        x=np.array([x]), y=np.array([y]), flux=np.array([flux]),
        bulge_fraction=np.array([share]), is_point=np.array([disc + bulge == 0]),
        disc=round_(disc), bulge=round_(bulge),
    )  # fmt: skip


def inside(image, radius=100.0, x=600.3, y=500.8):
    ys, xs = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return float(image[np.hypot(xs - x, ys - y) < radius].sum())


def test_a_bright_star_has_its_flux_within_a_radius(psf):
    light = draw.draw(one(1e6), psf, SHAPE, np.random.default_rng(1), 1.0)
    found = inside(light.expected, 15.0 / 0.55)
    assert found / 1e6 == pytest.approx(psf.fraction_within(15.0), abs=1.5e-3)
    assert light.counts.sum() == 0


def test_photons_and_profiles_draw_the_same_star(psf, monkeypatch):
    profile = draw.draw(one(4e5), psf, SHAPE, np.random.default_rng(1), 1.0).expected
    monkeypatch.setattr(draw, "BRIGHT_STAR_E", 1e9)
    photons = draw.draw(one(4e5), psf, SHAPE, np.random.default_rng(1), 1.0).counts
    box = np.s_[490:512, 590:612]
    chi2 = np.mean((photons[box] - profile[box]) ** 2 / np.maximum(profile[box], 1))
    assert 0.8 < chi2 < 1.2
    for radius in (3.0, 8.0, 27.0, 90.0):
        a, b = inside(photons, radius), inside(profile, radius)
        assert abs(a - b) < 4 * np.sqrt(b) + 1e-3 * b


def test_photons_and_profiles_draw_the_same_galaxy(psf, monkeypatch):
    galaxy = one(4e5, disc=4.0, bulge=2.0, share=0.3)
    profile = draw.draw(galaxy, psf, SHAPE, np.random.default_rng(1), 1.0).expected
    monkeypatch.setattr(draw, "BRIGHT_GALAXY_E", 1e9)
    photons = draw.draw(galaxy, psf, SHAPE, np.random.default_rng(1), 1.0).counts
    for radius in (2.0, 4.0, 8.0, 16.0):
        a, b = inside(photons, radius), inside(profile, radius)
        assert abs(a - b) < 4 * np.sqrt(b) + 4e-3 * b


def test_centroid_is_the_position(psf):
    image = draw.draw(one(1e6), psf, SHAPE, np.random.default_rng(1), 1.0).expected
    box = image[480:522, 580:622]
    y, x = np.mgrid[480:522, 580:622]
    near = np.hypot(x - 600.3, y - 500.8) < 9
    box = box * near
    assert (box * x).sum() / box.sum() == pytest.approx(600.3, abs=0.02)
    assert (box * y).sum() / box.sum() == pytest.approx(500.8, abs=0.02)


def test_sources_beyond_the_edge_give_only_what_falls_inside(psf):
    light = draw.draw(one(1e6, x=-400.0, y=500.0), psf, SHAPE, np.random.default_rng(1), 1.0)
    assert 0 <= light.expected.sum() < 0.02 * 1e6


def test_no_sources_no_light(psf):
    light = draw.draw(one(0.0), psf, SHAPE, np.random.default_rng(1), 1.0)
    assert light.counts.sum() == 0
    assert light.expected.sum() == 0


def test_many_photons_are_drawn_in_parts_without_loss(psf, monkeypatch):
    monkeypatch.setattr(draw, "PHOTONS_AT_ONCE", 500)
    rng = np.random.default_rng(2)
    n = 20
    sources = draw.Sources(
        x=rng.uniform(400, 700, n), y=rng.uniform(400, 700, n), flux=np.full(n, 300.0),
        bulge_fraction=np.zeros(n), is_point=np.ones(n, bool),
        disc=np.zeros((n, 4)), bulge=np.zeros((n, 4)),
    )  # fmt: skip
    counts = draw.draw(sources, psf, SHAPE, np.random.default_rng(3), 1.0).counts
    assert abs(counts.sum() - 6000) < 4 * np.sqrt(6000)


def test_the_aureole_holds_a_few_percent_beyond_15_arcsec(psf):
    assert aureole_within(300.0) == 1.0
    beyond = 1 - psf.fraction_within(15.0)
    assert 0.01 < beyond < 0.03


def test_streams_depend_on_the_name_not_the_order():
    a = stream(1, "frame", "x").normal(size=3)
    stream(1, "frame", "y").normal(size=3)
    np.testing.assert_array_equal(a, stream(1, "frame", "x").normal(size=3))
    assert not np.array_equal(a, stream(2, "frame", "x").normal(size=3))
    assert not np.array_equal(a, stream(1, "frame", "y").normal(size=3))


def test_bright_stars_are_fatter_and_lose_nothing(psf):
    fat = replace(psf, brighter_fatter=0.05)
    for flux, growth in ((1e6, 0.02), (1e4, 0.0)):
        plain = draw.draw(one(flux), psf, SHAPE, np.random.default_rng(1), 1.0).expected
        grown = draw.draw(one(flux), fat, SHAPE, np.random.default_rng(1), 1.0).expected
        assert inside(grown) == pytest.approx(inside(plain), rel=1e-3)
        # The peak falls as the square of the width.
        width = np.sqrt(plain[501, 600] / grown[501, 600]) - 1
        assert width == pytest.approx(fat.growth(float(psf.fwhm_px(600, 500)), flux) - 1, rel=0.3)
        assert width >= growth
