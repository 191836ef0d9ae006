"""Patterns of the sky: what is in all frames comes out, what is in one does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

import skies
from tesela.errors import BadInput, QualityError
from tesela.pixels import pattern, pattern_bins, pattern_smooth, pattern_solve

SIZE, BIN = 512, 4
WAVE = skies.fringes(SIZE)
MESH, CELL = 512 // BIN, 256 // BIN


def everything(image):
    return np.ones(image.shape, bool)


# Blocks of pixels


def test_a_block_is_the_mean_of_its_usable_pixels():
    image = np.arange(42, dtype=np.float32).reshape(6, 7)
    usable = everything(image)
    usable[0, 0] = False
    image[0, 0], image[1, 1] = 1e9, np.nan
    blocks = pattern_bins.shrink(image, usable, 4)
    assert blocks.shape == (2, 2)
    good = usable[:4, :4] & np.isfinite(image[:4, :4])
    assert blocks[0, 0] == pytest.approx(image[:4, :4][good].mean())
    assert blocks[1, 1] == pytest.approx(image[4:, 4:].mean()), "the last ones are narrower"


def test_a_block_with_few_usable_pixels_has_no_value():
    image = np.ones((4, 4), np.float32)
    usable = np.zeros((4, 4), bool)
    usable[0, :3] = True
    assert np.isnan(pattern_bins.shrink(image, usable, 4)[0, 0])
    usable[0, 3] = True
    assert pattern_bins.shrink(image, usable, 4)[0, 0] == 1


def test_bands_of_rows_give_the_blocks_of_the_whole():
    image = np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32)
    bands = [
        pattern_bins.shrink(b, everything(b), 4) for b in (image[:16], image[16:48], image[48:])
    ]
    np.testing.assert_array_equal(
        np.concatenate(bands), pattern_bins.shrink(image, everything(image), 4)
    )


@pytest.mark.parametrize("bin_px", [1, 2, 3, 4, 5])
def test_a_plane_comes_back_from_its_blocks_to_the_last_pixel(bin_px):
    y, x = np.mgrid[0:60, 0:120].astype(np.float32)
    plane = 3 + 0.02 * x - 0.05 * y
    blocks = pattern_bins.shrink(plane, everything(plane), bin_px)
    np.testing.assert_allclose(pattern_bins.expand(blocks, plane.shape, bin_px), plane, atol=1e-4)


def test_a_wave_of_seven_blocks_comes_back():
    """A mean over 4 pixels loses 3 % of a wave of 30; the way back returns it."""
    y, x = np.mgrid[0:256, 0:256]
    wave = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 28).astype(np.float32)
    blocks = pattern_bins.shrink(wave, everything(wave), 4)
    error = pattern_bins.expand(blocks, wave.shape, 4) - wave
    assert np.abs(error[16:-16, 16:-16]).max() < 0.005
    assert np.abs(error).max() < 0.2


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="expected \\(3, 3\\)"):
        pattern_bins.expand(np.zeros((2, 3), np.float32), (12, 12), 4)
    with pytest.raises(BadInput, match="one shape"):
        pattern_bins.shrink(np.zeros((4, 4), np.float32), np.ones((4, 5), bool), 4)


# One image


def test_the_amplitude_is_that_which_was_drawn():
    sky = skies.frame(0.02 * WAVE, 3, amplitude=0.8)
    found = pattern.amplitude(sky.image, 0.02 * WAVE, ~sky.objects, sky_e=sky.level_e)
    assert abs(found.value - 0.8) < 4 * found.error
    assert found.error < 0.03
    assert found.significance == found.value / found.error > 25
    assert found.n > 0.7 * SIZE**2 / BIN**2


def test_a_sky_and_its_gradient_change_no_amplitude():
    image = skies.frame(0.02 * WAVE, 4, n_objects=0, gradient=0).image
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    tilted = (image + 300 + 200 * x - 100 * y).astype(np.float32)
    plain, moved = (
        pattern.amplitude(i, 0.02 * WAVE, everything(i), sky_e=1500.0) for i in (image, tilted)
    )
    assert moved.value == pytest.approx(plain.value, abs=0.002)


def test_errors_of_amplitudes_are_honest():
    """The pull has a spread of one, with objects whose wings no mask covers."""
    pulls = []
    for seed in range(30):
        sky = skies.frame(0.01 * WAVE, 100 + seed, level_e=800.0)
        found = pattern.amplitude(sky.image, 0.01 * WAVE, ~sky.objects, sky_e=800.0)
        pulls.append((found.value - 1) / found.error)
    assert 0.65 < np.std(pulls) < 1.35
    assert abs(np.mean(pulls)) < 0.6


def test_where_there_is_no_pattern_none_is_found():
    flat = np.zeros_like(WAVE)
    significance = []
    for seed in range(12):
        sky = skies.frame(flat, 200 + seed)
        found = pattern.amplitude(sky.image, 0.01 * WAVE, ~sky.objects, sky_e=sky.level_e)
        significance.append(found.significance)
    assert np.abs(significance).max() < 4


def test_what_is_not_usable_changes_nothing():
    sky = skies.frame(0.02 * WAVE, 5)
    usable = ~sky.objects
    usable[100:200, 300:400] = False
    spoiled, holed = sky.image.copy(), (0.02 * WAVE).copy()
    spoiled[~usable], holed[100:200, 300:400] = np.nan, 7.0
    assert pattern.amplitude(spoiled, holed, usable, sky_e=1500.0) == pattern.amplitude(
        sky.image, 0.02 * WAVE, usable, sky_e=1500.0
    )


def test_nothing_can_be_said_without_pixels_or_without_pattern():
    image = np.ones((64, 64), np.float32)
    for wave, usable in ((WAVE[:64, :64], ~everything(image)), (0 * image, everything(image))):
        found = pattern.amplitude(image, wave, usable, sky_e=100.0)
        assert (found.value, found.error, found.n) == (0.0, math.inf, 0)
        assert found.significance == 0


def test_a_sky_that_is_not_positive_is_refused():
    with pytest.raises(BadInput, match="positive"):
        pattern.amplitude(WAVE, WAVE, everything(WAVE), sky_e=0.0)


def test_subtracting_is_in_place_and_knows_holes():
    image, wave = np.full((4, 5), 10, np.float32), np.full((4, 5), 0.5, np.float32)
    wave[1, 1] = np.nan
    pattern.subtract(image, wave, 4.0)
    assert image[1, 1] == 10
    assert np.all(np.delete(image.ravel(), 6) == 8)
    with pytest.raises(BadInput, match="shape"):
        pattern.subtract(image, wave[:3], 1.0)


# Smoothing


def halves(wave, noise, seed=0):
    rng = np.random.default_rng(seed)
    one, other = ((wave + rng.normal(0, noise, wave.shape)).astype(np.float32) for _ in range(2))
    return pattern_smooth.Half(one, 1.0), pattern_smooth.Half(other, 1.0)


def test_smoothing_takes_noise_and_leaves_the_amplitude():
    wave = pattern_bins.shrink(0.01 * WAVE, everything(WAVE), BIN)
    one, other = halves(wave, 0.0025)
    gain = pattern_smooth.gain_of(one, other)
    mean = (one.image + other.image) / 2
    smooth = pattern_smooth.smooth(mean, gain)
    assert gain.noise_rms == pytest.approx(0.0025 / np.sqrt(2), rel=0.1)
    assert np.std(smooth - wave) < 0.5 * np.std(mean - wave)
    slope = np.sum(smooth * wave) / np.sum(wave * wave)
    assert slope == pytest.approx(1, abs=0.03)


def test_unequal_halves_have_the_noise_of_their_mean():
    """Weights 1 and 4: the mean has the variance 1/5."""
    rng = np.random.default_rng(2)
    one, other = (rng.normal(0, s, (128, 128)).astype(np.float32) for s in (1.0, 0.5))
    gain = pattern_smooth.gain_of(pattern_smooth.Half(one, 1.0), pattern_smooth.Half(other, 4.0))
    assert gain.noise_rms == pytest.approx(np.sqrt(1 / 5), rel=0.05)


def test_noise_alone_is_smoothed_away():
    one, other = halves(np.zeros((128, 128), np.float32), 1.0)
    smooth = pattern_smooth.smooth(
        (one.image + other.image) / 2, pattern_smooth.gain_of(one, other)
    )
    assert np.std(smooth) < 0.15


def test_holes_stay_holes_and_do_no_harm_around():
    wave = pattern_bins.shrink(0.05 * WAVE, everything(WAVE), BIN)
    one, other = halves(wave, 0.001)
    for half in (one, other):
        half.image[40:44, 50:54] = np.nan
    smooth = pattern_smooth.smooth(one.image, pattern_smooth.gain_of(one, other))
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(one.image))
    around = np.s_[36:48, 46:58]
    assert np.nanmax(np.abs(smooth - wave)[around]) < 0.012


def test_large_scales_go_and_fringes_stay():
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    wave = pattern_bins.shrink(WAVE, everything(WAVE), BIN)
    wide = pattern_bins.shrink((5 * x + 3 * y).astype(np.float32), everything(WAVE), BIN)
    left = pattern_smooth.without_large_scales(wave + wide, MESH / 4)
    middle = np.s_[40:-40, 40:-40]
    assert np.std((left - wave)[middle]) < 0.1 * np.std(wide)
    alone = pattern_smooth.without_large_scales(wave, MESH / 4)
    assert np.std(alone - wave) < 0.05 * np.std(wave)


# Many images


def planes_of(frames, n_fields=5):
    found = []
    for k, sky in enumerate(frames):
        blocks = pattern_bins.shrink(sky.image, ~sky.objects, BIN)
        found.append(pattern_solve.SkyPlane(f"f{k}", k % n_fields, blocks))
        pattern_solve.take_sky(found[-1], MESH)
    return found


def solved(planes, **more):
    return pattern_solve.solve(planes, mesh=MESH, cell=CELL, **more)


@pytest.mark.parametrize(
    ("amplitude", "level_e", "n", "left"),
    [
        (0.01, (500.0, 3000.0), 15, 0.2),
        (0.01, (500.0, 3000.0), 30, 0.13),
        (0.02, (500.0, 900.0), 30, 0.1),
        (0.05, (500.0, 3000.0), 15, 0.1),
    ],
)
def test_fringes_are_removed_to_a_tenth_of_their_rms(amplitude, level_e, n, left):
    """And to 0.3 % of the sky: frames with stars, galaxies and halos, pixel by pixel.

    Of fringes of a hundredth of the sky, on so small a CCD, the photons leave more.
    """
    size = 768
    truth = amplitude * skies.fringes(size)
    frames = skies.dithered(truth, n, seed=3, level_e=level_e)
    planes = planes_of(frames)
    made = solved(planes)
    full = pattern_bins.expand(np.nan_to_num(made.image), truth.shape, BIN)
    drawn = np.array([sky.amplitude for sky in frames])
    residual = truth * np.median(drawn) - full
    assert np.std(residual) < left * np.std(truth)  # rms over rms
    assert np.std(residual) < 0.003
    assert not made.rejected
    assert made.agreement.value == pytest.approx(1, abs=0.05)
    ratio = np.array([plane.amplitude.value for plane in planes]) / drawn * np.median(drawn)
    assert np.std(ratio) < 0.03
    assert np.mean(ratio) == pytest.approx(1, abs=0.06)


def test_the_pattern_has_the_mean_zero_and_its_frames_the_median_one():
    planes = planes_of(skies.dithered(0.02 * WAVE, 9, seed=5))
    made = solved(planes)
    assert abs(np.nanmean(made.image, dtype=np.float64)) < 1e-6
    assert np.median([plane.scale for plane in planes]) == pytest.approx(1, abs=1e-6)


def test_skies_without_a_pattern_agree_on_none():
    planes = planes_of(skies.dithered(0 * WAVE, 12, seed=6))
    made = solved(planes)
    assert abs(made.agreement.significance) < 5
    assert np.nanstd(made.image) < 0.0005
    assert not made.rejected


def test_a_frame_without_the_pattern_is_left_out_and_said():
    frames = skies.dithered(0.03 * WAVE, 9, seed=7)
    frames[4] = skies.frame(0 * WAVE, 70)
    made = solved(planes_of(frames))
    assert list(made.rejected) == ["f4"]
    assert "+- 0.00 of that of most frames, outside" in made.rejected["f4"]


def test_what_is_in_one_frame_alone_is_not_in_the_pattern():
    frames = skies.dithered(0.02 * WAVE, 12, seed=8, n_objects=0)
    clean = solved(planes_of(frames)).image
    frames[2].image[200:240, 100:140] += 150  # an object that no mask covers
    spoiled = solved(planes_of(frames)).image
    assert np.abs(spoiled - clean)[45:65, 20:40].max() < 0.003


def test_places_seen_by_few_frames_are_holes():
    frames = skies.dithered(0.02 * WAVE, 8, seed=9, n_objects=0)
    for k, sky in enumerate(frames):
        sky.objects[80:96, 160:176] = k > 1
        sky.objects[280:296, 160:176] = k > 3
    made = solved(planes_of(frames), least_count=3)
    assert np.isnan(made.image[20:24, 40:44]).all()
    assert np.count_nonzero(np.isnan(made.image)) == 16


def test_one_frame_is_no_pattern():
    with pytest.raises(QualityError, match="1 frames left"):
        solved(planes_of(skies.dithered(0.02 * WAVE, 1)))
