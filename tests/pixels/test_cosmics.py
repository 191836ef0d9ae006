"""Cosmic rays are found, stars are left alone."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import cosmics, tracks
from tesela.pixels.background import Background
from tesela.simulate import artefacts

SKY, READNOISE = 400.0, 3.5
SIZE = 300


def star(fwhm_px, dx=0.0, dy=0.0, size=31):
    """A Moffat star integrated over pixels, of unit flux."""
    beta, sub = 3.5, 7
    steps = (np.arange(size * sub) + 0.5) / sub - 0.5 - size // 2
    alpha2 = (fwhm_px / 2) ** 2 / (2 ** (1 / beta) - 1)
    r2 = (steps[:, None] - dy) ** 2 + (steps - dx) ** 2
    image = (1 + r2 / alpha2) ** -beta
    image = image.reshape(size, sub, size, sub).mean(axis=(1, 3))
    return image / image.sum()


def field(fwhm_px, n_stars=120, seed=0):
    """Sky and stars before noise, electrons; centres and S/N of the stars."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE + 30, SIZE + 30), SKY)
    stamps = {}
    stars = []
    for _ in range(n_stars):
        y, x = rng.integers(0, SIZE, 2)
        phase = tuple(rng.integers(-2, 3, 2) / 4)
        if phase not in stamps:
            stamps[phase] = star(fwhm_px, *phase)
        flux = 10 ** rng.uniform(3, 5.3)
        image[y : y + 31, x : x + 31] += flux * stamps[phase]
        area = 2.27 * fwhm_px**2
        stars.append((y, x, flux / np.sqrt(flux + area * (SKY + READNOISE**2))))
    return image[15:-15, 15:-15], stars


def rays(n, seed=1):
    rng = np.random.default_rng(seed)
    image = np.zeros((SIZE, SIZE))
    for _ in range(n):
        x, y = rng.uniform(0, SIZE, 2)
        angle, length, charge = rng.uniform(0, 2 * np.pi), rng.exponential(4), rng.uniform(300, 2e3)
        for t in np.arange(0, length + 0.3, 0.1):
            i, j = int(x + t * np.cos(angle)), int(y + t * np.sin(angle))
            if 0 <= i < SIZE and 0 <= j < SIZE:
                image[j, i] += 0.1 * charge
    return image


def expose(image, hits=0.0, seed=2):
    rng = np.random.default_rng(seed)
    seen = rng.poisson(image) + hits + rng.normal(0, READNOISE, image.shape)
    return (seen - SKY).astype(np.float32)


NO_MASK = np.zeros((SIZE, SIZE), bool)


@pytest.mark.parametrize("fwhm_px", [1.4, 2.0, 3.0, 4.0])
def test_rays_are_found_and_star_cores_are_not_touched(fwhm_px):
    truth, stars = field(fwhm_px)
    hits = rays(60)
    noise = np.sqrt(truth + READNOISE**2)
    found = cosmics.find(expose(truth, hits), READNOISE, NO_MASK, sky=SKY, fwhm_px=fwhm_px)
    assert found.dtype == bool
    assert found[hits > 5 * noise].mean() >= 0.95
    clean = cosmics.find(expose(truth), READNOISE, NO_MASK, sky=SKY, fwhm_px=fwhm_px)
    cores = [
        clean[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any()
        for y, x, snr in stars
        if snr > 100
    ]
    assert len(cores) > 30
    assert not any(cores)
    assert clean.mean() < 3e-4


def test_the_limit_rises_only_where_stars_are_undersampled():
    assert cosmics.object_limit(5.0, 2.0) == 5.0
    assert cosmics.object_limit(5.0, 1.6) == 5.0
    assert 7 < cosmics.object_limit(5.0, 1.4) < 8


def test_hits_at_the_very_border_are_found():
    image = expose(np.full((SIZE, SIZE), SKY))
    places = [(0, 0), (0, 40), (1, 80), (2, 120), (150, 0), (150, 1), (150, 299), (299, 299)]
    for y, x in places:
        image[y, x] += 800
    found = cosmics.find(image, READNOISE, NO_MASK, sky=SKY)
    assert all(found[place] for place in places)
    assert found.sum() <= 2 * len(places)  # neighbours are taken from 1.35 sigma on


def test_sky_is_needed_for_the_noise_and_may_be_a_map_or_still_in_the_image():
    image = expose(np.full((SIZE, SIZE), SKY), rays(20))
    plain = cosmics.find(image, READNOISE, NO_MASK, sky=SKY)
    mesh = np.full((1, 1), SKY, np.float32)
    level = Background(mesh, mesh, image.shape, SIZE)
    mapped = cosmics.find(image, READNOISE, NO_MASK, sky=level)
    inside = cosmics.find(image + np.float32(SKY), READNOISE, NO_MASK, sky=0.0)
    assert plain.any()
    assert np.array_equal(plain, mapped)
    assert np.array_equal(plain, inside)
    assert cosmics.find(image, READNOISE, NO_MASK, sky=0.0).sum() > 5 * plain.sum()


def test_masked_pixels_are_not_flagged_and_do_not_make_flags():
    image = expose(np.full((SIZE, SIZE), SKY))
    mask = NO_MASK.copy()
    mask[:, 100] = mask[:, 180] = mask[200, 200] = True
    mask[50:70, 50:70] = True
    image[:, 100], image[:, 180], image[200, 200] = -SKY, 5e4, np.nan
    image[50:70, 50:70] = 6e4
    found = cosmics.find(image, READNOISE, mask, sky=SKY)
    assert found.sum() <= 3


def test_rim_of_a_saturated_star_is_not_flagged():
    image = np.full((SIZE, SIZE), SKY)
    image[135:166, 135:166] += 3e6 * star(3.0)
    seen = np.minimum(expose(image), 6e4)
    found = cosmics.find(seen, READNOISE, seen >= 6e4, sky=SKY, fwhm_px=3.0)
    assert (seen >= 6e4).sum() > 10
    assert not found[130:171, 130:171].any()


def test_nothing_found_in_nothing_and_input_untouched():
    image = np.zeros((SIZE, SIZE), np.float32)
    assert not cosmics.find(image, READNOISE, NO_MASK, sky=0.0).any()
    assert not image.any()


def test_same_input_same_bytes():
    image = expose(field(2.5)[0], rays(30))
    first, second = (cosmics.find(image, READNOISE, NO_MASK, sky=SKY) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_more_candidates_than_there_was_room_for():
    image = np.zeros((SIZE, SIZE), np.float32)
    image[5:-5:4, 5:-5:4] = 5000  # 5329 lonely hits
    assert cosmics.find(image, READNOISE, NO_MASK, sky=SKY).sum() == 73**2


def test_bad_input_is_refused():
    with pytest.raises(BadInput, match="mask"):
        cosmics.find(np.zeros((20, 20), np.float32), 3.0, np.zeros((20, 19), bool), sky=0.0)
    with pytest.raises(BadInput, match="seeing"):
        cosmics.find(
            np.zeros((20, 20), np.float32), 3.0, np.zeros((20, 20), bool), sky=0.0, fwhm_px=0.0
        )


def test_a_hit_on_the_flank_of_a_star_does_not_eat_the_star():
    image = np.full((SIZE, SIZE), SKY)
    image[135:166, 135:166] += 3e5 * star(2.5)
    seen = expose(image)
    seen[150, 153] += 6000
    found = cosmics.find(seen, READNOISE, NO_MASK, sky=SKY, fwhm_px=2.5)
    assert found[150, 153]
    assert not found[148:153, 148:153].any()


def worms(n, seed=4, length=30.0, charge=900.0):
    """Curved tracks, about two pixels wide."""
    rng = np.random.default_rng(seed)
    image = np.zeros((SIZE, SIZE))
    for _ in range(n):
        x, y = rng.uniform(0, SIZE, 2)
        angle = rng.uniform(0, 2 * np.pi)
        for _ in range(int(length / 0.1)):
            angle += rng.normal(0, 0.12)
            x, y = x + 0.1 * np.cos(angle), y + 0.1 * np.sin(angle)
            for j in (int(y), int(y) + 1):
                for i in (int(x), int(x) + 1):
                    if 0 <= i < SIZE and 0 <= j < SIZE:
                        share = (1 - abs(x - i)) * (1 - abs(y - j))
                        image[j, i] += 0.1 * charge * share
    return image


@pytest.mark.parametrize("fwhm_px", [2.3, 3.0, 4.0])
@pytest.mark.parametrize(("charge", "least"), [(300.0, 0.85), (900.0, 0.95), (3000.0, 0.95)])
def test_long_curved_tracks_are_followed_over_stars_and_sky(fwhm_px, charge, least):
    truth, stars = field(fwhm_px, n_stars=30, seed=7)
    hits = worms(12, charge=charge)
    noise = np.sqrt(truth + READNOISE**2)
    found = cosmics.find(expose(truth, hits), READNOISE, NO_MASK, sky=SKY, fwhm_px=fwhm_px)
    assert found[hits > 5 * noise].mean() >= least
    assert (found & (hits < 0.5 * noise)).sum() < 0.1 * (hits > 5 * noise).sum()
    free = [
        found[y - 1 : y + 2, x - 1 : x + 2].any()
        for y, x, snr in stars
        if snr > 100
        and not hits[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5].any()
        and 0 < y < SIZE - 1
        and 0 < x < SIZE - 1
    ]
    assert len(free) > 5
    assert not any(free)


@pytest.mark.parametrize("fwhm_px", [1.4, 2.0, 3.0, 4.0])
def test_nothing_in_a_star_is_narrower_than_a_star(fwhm_px):
    steps, shares, pairs, pair_shares, _ = tracks.cuts(fwhm_px)
    for dx, dy in [(0, 0), (0.25, 0.1), (0.5, 0.5), (0.5, 0)]:
        light = star(fwhm_px, dx, dy)
        core = light > 0.02 * light.max()
        for (j, i), share in zip(steps, shares, strict=True):
            sides = np.maximum(np.roll(light, (j, i), (0, 1)), np.roll(light, (-j, -i), (0, 1)))
            assert (sides[core] > share * light[core]).all()
        for (j, i), share in zip(pairs, pair_shares, strict=True):
            inside = light + np.roll(light, (-j, -i), (0, 1))
            beyond = np.roll(light, (j, i), (0, 1)) + np.roll(light, (-2 * j, -2 * i), (0, 1))
            assert (beyond[core] > share * inside[core]).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_track_that_ends_on_a_star_does_not_take_the_star_with_it(seed):
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE), SKY)
    image[135:166, 135:166] += 1e5 * star(2.6)
    hits = np.zeros_like(image)
    row = 152 + int(rng.integers(0, 2))
    hits[row, 153:175] = 800
    hits[row + 1, 153:175] = 500
    found = cosmics.find(expose(image, hits), READNOISE, NO_MASK, sky=SKY, fwhm_px=2.6)
    assert found[row : row + 2, 156:175].mean() > 0.95
    assert not found[149:152, 149:152].any()


def test_stars_survive_a_seeing_taken_too_high():
    truth, stars = field(2.0)
    found = cosmics.find(expose(truth), READNOISE, NO_MASK, sky=SKY, fwhm_px=3.0)
    cores = [found[y, x] for y, x, snr in stars if snr > 100]
    assert len(cores) > 30
    assert not any(cores)


def test_dark_neighbours_alone_make_no_hit():
    image = expose(np.full((SIZE, SIZE), SKY))
    noise = np.sqrt(SKY + READNOISE**2)
    image[149:152, 149:152] -= 4 * noise
    image[150, 150] = 2 * noise
    assert not cosmics.find(image, READNOISE, NO_MASK, sky=SKY)[149:152, 149:152].any()


def simulated_rays(n, seed=11):
    """Muons, worms and spots of the simulator, electrons."""
    rng = np.random.default_rng(seed)
    image = np.zeros((SIZE, SIZE))
    index, charge = artefacts.cosmic_rays(rng, image.shape, n)
    image.ravel()[index] = charge
    return image


@pytest.mark.parametrize(("fwhm_px", "least"), [(1.4, 0.94), (2.3, 0.97), (4.0, 0.96)])
def test_rays_of_all_kinds_are_found_among_stars(fwhm_px, least):
    strong = found_strong = false = 0
    for seed in range(4):
        truth, _ = field(fwhm_px, n_stars=100, seed=seed)
        hits = simulated_rays(25, seed=seed)
        noise = np.sqrt(truth + READNOISE**2)
        found = cosmics.find(expose(truth, hits), READNOISE, NO_MASK, sky=SKY, fwhm_px=fwhm_px)
        strong += (hits > 5 * noise).sum()
        found_strong += (found & (hits > 5 * noise)).sum()
        false += (found & (hits < 0.5 * noise)).sum()
    assert strong > 500
    assert found_strong >= least * strong
    assert false < 0.2 * strong


def test_the_edges_of_a_hit_are_taken_from_three_sigma_on():
    hits = np.zeros((SIZE, SIZE))
    hits[20:280:20, 20:280:20] = 2000
    hits[20:280:20, 21:280:20] = 6 * np.sqrt(SKY)
    found = cosmics.find(expose(hits + SKY), READNOISE, NO_MASK, sky=SKY)
    assert found[20:280:20, 21:280:20].mean() > 0.98
    assert (found & (hits == 0)).sum() < 0.2 * (hits > 0).sum()  # down to 1.35 sigma


def test_a_knot_of_a_track_goes_with_its_ends_where_stars_are_as_narrow():
    hits = np.zeros((SIZE, SIZE))
    hits[100:103, 100:103] = 800  # as wide as a star of 1.4 px
    hits[101, 103:112] = 900
    image = expose(hits + SKY)
    seen = cosmics.find(image, READNOISE, NO_MASK, sky=SKY, fwhm_px=1.4)
    assert seen[hits > 0].all()
    star_on_track = expose(np.zeros((SIZE, SIZE)) + SKY)
    star_on_track[86:117, 86:117] += (1e5 * star(1.4)).astype(np.float32)
    star_on_track[101, 103:112] += 900
    seen = cosmics.find(star_on_track, READNOISE, NO_MASK, sky=SKY, fwhm_px=1.4)
    assert seen[101, 105:112].all()
    assert not seen[100:103, 100:103].any()


def test_threads_give_the_same_hits():
    stars, _ = field(2.3)
    image = expose(stars, rays(60))
    one, three = (cosmics.find(image, READNOISE, NO_MASK, sky=SKY, threads=n) for n in (1, 3))
    assert one.sum() > 100
    np.testing.assert_array_equal(three, one)
