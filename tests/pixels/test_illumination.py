"""The illumination: the map that was put in comes out, with errors that mean something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tesela.errors import BadInput, QualityError
from tesela.pixels import illumination
from tesela.pixels.illumination import NODES, Model, Observations
from tesela.pixels.illumination_epochs import difference, on_nodes
from tesela.pixels.illumination_priors import area_weights

Floats = NDArray[np.float64]
SHAPE = (900, 1000)
AREA = area_weights()
QUIET = Model(correlated_mag=0.0, gradient_mag=0.0)
NONE = np.empty(0)
N_IMAGES = 15


def bowl(u: Floats, v: Floats, tilt: float = 0.04) -> Floats:
    """30 mmag to the corner, and a tilt in x that is given across the CCD; mean 0."""
    return 0.015 * (u**2 + v**2 - 2 / 3) + 0.5 * tilt * u


def nodes(tilt: float = 0.04) -> Floats:
    """The truth as a map."""
    line = np.linspace(-1, 1, NODES)
    v, u = np.meshgrid(line, line, indexing="ij")
    return bowl(u, v, tilt)


def rms(values: Floats) -> float:
    """Over the CCD, mmag."""
    return float(1e3 * np.sqrt(np.sum(AREA * values**2)))


def observed(
    seed: int,
    *,
    n_stars: int = 1200,
    tilt: float = 0.04,
    colour: float = 0.0,
    gradient: float = 0.0,
    shared: float = 0.0,
    zeropoint_scatter: float = 0.1,
) -> Observations:
    """Dithered by a quarter of the field; 5 mmag a measurement, 30 mmag in the catalogue."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1.5, 1.5, (n_stars, 2))
    mag, blue = rng.uniform(14, 18, n_stars), rng.normal(0, 0.4, n_stars)
    blue += 0.3 * place[:, 0]  # redder on one side: a colour term looks like a tilt
    columns: list[list[Floats]] = []
    for k in range(N_IMAGES):
        at = place - rng.uniform(-0.5, 0.5, 2)
        inside = np.flatnonzero(np.all(np.abs(at) < 1, axis=1))
        u, v = at[inside].T
        cloud = gradient * (rng.normal() * u + rng.normal() * v)
        seen = mag[inside] - 23 - rng.normal(0, zeropoint_scatter) + bowl(u, v, tilt) - cloud
        columns.append(
            [
                0.5 * (u + 1) * (SHAPE[1] - 1),
                0.5 * (v + 1) * (SHAPE[0] - 1),
                np.full(u.size, k),
                inside,
                seen + rng.normal(0, np.hypot(0.002, 0.005), u.size),
            ]
        )
    x, y, frame, star, seen = (np.concatenate(part) for part in zip(*columns))
    wave = rng.uniform(0, 2 * np.pi, 30)
    k = rng.normal(0, 1, (2, 30))
    field = shared * np.sqrt(2 / 30) * np.cos(0.7 * place @ k + wave).sum(axis=1)
    return Observations(
        x, y, frame.astype(int), star.astype(int), seen, np.full(x.size, 0.002), N_IMAGES, n_stars,
        mag + colour * blue + field + rng.normal(0, 0.03, n_stars), np.full(n_stars, 0.01), blue,
        0.7 * place,
    )  # fmt: skip


def without_catalogue(obs: Observations) -> Observations:
    return replace(obs, ext_mag=NONE, ext_err=NONE, ext_colour=NONE)


@pytest.mark.parametrize("tilt", [0.04, -0.04])
def test_a_tilt_comes_back_with_its_sign(tilt: float) -> None:
    """Stars look fainter at large x: instrumental minus true is positive there."""
    found = illumination.solve(observed(1, tilt=tilt), SHAPE, QUIET)
    assert abs(found.plane[0] - tilt) < 3 * found.plane_error[0] < 0.01
    assert abs(found.plane[1]) < 3 * found.plane_error[1] < 0.01
    assert rms(found.map - nodes(tilt)) < 3.0
    assert abs(np.sum(AREA * found.map)) < 1e-9


def test_dividing_by_the_effective_flat_removes_the_tilt() -> None:
    """I' = I 10^(+0.4 f), and its variance goes with the square."""
    found = illumination.solve(observed(1), SHAPE, QUIET)
    v, u = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] / (np.array(SHAPE)[:, None, None] - 1) * 2 - 1
    image = 1000 * 10 ** (-0.4 * bowl(u, v))
    corrected = image / illumination.factor(found.map, SHAPE)
    assert np.std(2.5 * np.log10(corrected)) < 0.003
    assert np.std(2.5 * np.log10(image)) > 0.012


def test_without_anything_that_holds_it_the_plane_is_refused() -> None:
    with pytest.raises(QualityError, match=r"nothing that holds the plane.*expected a catalogue"):
        illumination.solve(without_catalogue(observed(1)), SHAPE)


def test_a_map_without_plane_says_so_and_has_the_rest_right() -> None:
    found = illumination.solve(
        without_catalogue(observed(1)), SHAPE, replace(QUIET, fit_plane=False)
    )
    assert np.isnan(found.plane_error).all()
    assert rms(found.map - nodes(0.0)) < 2.0
    assert found.zeropoints.mean() == pytest.approx(0, abs=1e-9)


def test_a_photometric_sequence_holds_the_plane() -> None:
    obs = without_catalogue(observed(2, zeropoint_scatter=0.003, n_stars=2500))
    obs = replace(obs, photometric=np.zeros(N_IMAGES, int))
    found = illumination.solve(obs, SHAPE, QUIET)
    assert abs(found.plane[0] - 0.04) < 3 * found.plane_error[0] < 0.02
    assert found.plane_error[0] > 0.002


def test_a_turned_frame_holds_the_plane_too() -> None:
    """Nothing but geometry: half the frames are seen upside down."""
    obs = without_catalogue(observed(3, tilt=0.0))
    turned = obs.frame % 2 == 1
    x, y = (np.where(turned, n - 1 - c, c) for c, n in ((obs.x, SHAPE[1]), (obs.y, SHAPE[0])))
    tilted = obs.mag + 0.04 * (x / (SHAPE[1] - 1) - 0.5)
    found = illumination.solve(replace(obs, x=x, y=y, mag=tilted), SHAPE, QUIET)
    assert found.plane[0] == pytest.approx(0.04, abs=0.004)


def test_the_stated_errors_are_the_true_ones() -> None:
    """Gradients of clouds and errors that the catalogue's stars share are in them."""
    pulls, planes = [], []
    for seed in range(12):
        obs = observed(100 + seed, gradient=0.003, shared=0.005, n_stars=1500)
        found = illumination.solve(obs, SHAPE, Model(gradient_mag=0.003))
        pulls.append(np.mean(((found.map - nodes()) / found.error) ** 2))
        planes += list((found.plane - (0.04, 0.0)) / found.plane_error)
        assert rms(found.map - nodes()) < 4.5
    assert 0.6 < np.sqrt(np.mean(pulls)) < 1.3
    assert 0.5 < np.sqrt(np.mean(np.square(planes))) < 1.4


def test_errors_that_stars_share_widen_the_planes_error_alone() -> None:
    obs = observed(4)
    alone = illumination.solve(obs, SHAPE, QUIET)
    shared = illumination.solve(obs, SHAPE, replace(QUIET, correlated_mag=0.005))
    assert shared.plane_error[0] > 2 * alone.plane_error[0]
    middle = NODES // 2
    assert shared.error[middle, middle] < 1.1 * alone.error[middle, middle]


def test_two_epochs_are_told_apart_and_one_is_not() -> None:
    one, same, other = (
        illumination.solve(observed(seed, tilt=tilt), SHAPE)
        for seed, tilt in ((5, 0.04), (6, 0.04), (7, -0.02))
    )
    quiet = difference(one.map, one.error, same.map, same.error)
    changed = difference(other.map, other.error, one.map, one.error)
    assert quiet.significance < 1.6
    assert changed.significance > 4
    assert changed.plane[0] == pytest.approx(-0.06, abs=0.015)


def test_outliers_and_variables_do_not_move_the_map() -> None:
    rng = np.random.default_rng(0)
    obs = observed(8)
    mag = obs.mag.copy()
    wrong = rng.random(mag.size) < 0.01
    mag[wrong] += rng.normal(0, 0.5, np.count_nonzero(wrong))
    varies = rng.random(obs.n_stars) < 0.03
    at = varies[obs.star]
    mag[at] += rng.normal(0, 0.1, np.count_nonzero(at))
    ext = np.where(rng.random(obs.n_stars) < 0.02, obs.ext_mag - 0.4, obs.ext_mag)
    clean = illumination.solve(obs, SHAPE, QUIET)
    found = illumination.solve(replace(obs, mag=mag, ext_mag=ext), SHAPE, QUIET)
    assert rms(found.map - clean.map) < 0.8
    assert not found.used[wrong & (np.abs(mag - obs.mag) > 0.1)].any()
    assert np.mean(found.used[~wrong & ~at]) > 0.99


def test_a_colour_term_does_not_leak_into_the_map() -> None:
    """Colours grow with x on the sky, so a term that is left out tilts the map."""
    obs = observed(9, colour=0.2)
    fitted = illumination.solve(obs, SHAPE, replace(QUIET, colour="fit"))
    given = illumination.solve(obs, SHAPE, replace(QUIET, colour=0.2))
    ignored = illumination.solve(obs, SHAPE, QUIET)
    assert fitted.colour == pytest.approx(0.2, abs=4 * fitted.colour_error)
    assert 0 < fitted.colour_error < 0.01
    assert abs(fitted.plane[0] - 0.04) < 0.006
    assert abs(given.plane[0] - 0.04) < 0.006
    assert abs(ignored.plane[0] - 0.04) > 0.03


def test_a_patch_of_cloud_is_clipped() -> None:
    obs = observed(10)
    cloud = (obs.frame == 3) & (obs.x < 400) & (obs.y < 400)
    found = illumination.solve(replace(obs, mag=obs.mag + 0.05 * cloud), SHAPE, QUIET)
    assert np.mean(found.used[cloud]) < 0.05
    assert rms(found.map - illumination.solve(obs, SHAPE, QUIET).map) < 0.5


def test_order_of_observations_and_missing_values_do_not_matter() -> None:
    obs = observed(11, n_stars=300)
    columns = ("x", "y", "frame", "star", "mag", "mag_err")
    order = np.random.default_rng(0).permutation(obs.mag.size)
    shuffled = replace(obs, **{name: getattr(obs, name)[order] for name in columns})
    lost = {name: np.append(getattr(shuffled, name), 0) for name in columns}
    lost["mag"] = np.append(shuffled.mag, np.nan)
    one = illumination.solve(obs, SHAPE)
    two = illumination.solve(replace(shuffled, **lost), SHAPE)
    assert two.map == pytest.approx(one.map, abs=1e-8)
    assert two.residual[:-1] == pytest.approx(one.residual[order], abs=1e-8)
    assert not two.used[-1]


def test_frames_without_observations_do_not_widen_the_errors_of_the_others() -> None:
    obs = without_catalogue(observed(1))
    model = replace(QUIET, fit_plane=False)
    there = np.arange(obs.n_frames) != 3
    some = illumination.of_frames(obs, there)
    fewer = replace(some, frame=some.frame - (some.frame > 3), n_frames=obs.n_frames - 1)
    found = illumination.solve(some, SHAPE, model)
    expected = illumination.solve(fewer, SHAPE, model)
    assert found.zeropoints[there] == pytest.approx(expected.zeropoints, abs=1e-6)
    assert found.zeropoint_errors[there] == pytest.approx(expected.zeropoint_errors, rel=1e-4)


def test_stars_seen_once_without_a_catalogue_are_refused() -> None:
    obs = without_catalogue(observed(12, n_stars=300))
    alone = replace(obs, star=np.arange(obs.mag.size), n_stars=obs.mag.size, sky=np.empty((0, 2)))
    with pytest.raises(QualityError, match="none of which was seen twice"):
        illumination.solve(alone, SHAPE)


def test_arrays_that_do_not_agree_are_refused() -> None:
    obs = observed(13, n_stars=50)
    with pytest.raises(BadInput, match="observations of stars"):
        replace(obs, x=obs.x[:-1])
    with pytest.raises(BadInput, match="frame: 0 to"):
        replace(obs, n_frames=3)


def test_the_surface_of_a_cubic_is_exact_and_rows_are_its_rows() -> None:
    def truth(x: Floats, y: Floats) -> Floats:
        return 0.1 * x**3 - 0.2 * x * y + 0.05 * y**2 + 0.01

    v, u = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 13), indexing="ij")
    ny, nx = 77, 101
    y, x = np.meshgrid(np.linspace(0, 1, ny), np.linspace(0, 1, nx), indexing="ij")
    whole = illumination.surface(truth(u, v), (ny, nx))
    assert whole.dtype == np.float32
    assert whole == pytest.approx(truth(x, y), abs=1e-7)
    part = illumination.surface(truth(u, v), (ny, nx), slice(20, 31))
    assert np.array_equal(part, whole[20:31])
    factor = illumination.factor(truth(u, v), (ny, nx))
    assert factor == pytest.approx(10 ** (-0.4 * truth(x, y)), rel=1e-6)


def test_the_surface_of_a_ring_is_good_to_a_tenth_of_a_mmag() -> None:
    def ring(u: Floats, v: Floats) -> Floats:
        return 0.05 * np.exp(-0.5 * ((np.hypot(u, v) - 0.6) / 0.15) ** 2)

    line = np.linspace(-1, 1, NODES)
    v, u = np.meshgrid(line, line, indexing="ij")
    fine = np.linspace(-1, 1, 401)
    y, x = np.meshgrid(fine, fine, indexing="ij")
    error = illumination.surface(ring(u, v), (401, 401)) - ring(x, y)
    assert np.abs(error).max() < 3e-4
    assert np.std(error) < 1e-4


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_surface_may_have_few_nodes(n: int) -> None:
    node_map = np.full((n, n), 0.02)
    assert illumination.surface(node_map, (5, 7)) == pytest.approx(np.full((5, 7), 0.02))


@pytest.mark.parametrize("node_map", [np.empty((0, 0)), np.array([[np.nan, 0.0]])])
def test_a_surface_of_nothing_is_refused(node_map: Floats) -> None:
    with pytest.raises(BadInput, match="illumination map"):
        illumination.surface(node_map, (5, 7))


def test_maps_of_other_nodes_are_compared_all_the_same() -> None:
    line = np.linspace(-1, 1, 17)
    v, u = np.meshgrid(line, line, indexing="ij")
    assert on_nodes(bowl(u, v)) == pytest.approx(nodes(), abs=5e-4)
