"""Combining keeps what the planes share and leaves out what one of them alone has."""

import numpy as np
import pytest

from tesela.errors import BadInput
from tesela.pixels import combine


def planes(n, shape=(40, 50), level=1000.0, noise=5.0, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(level, noise, shape).astype(np.float32) for _ in range(n)]


@pytest.mark.parametrize("n", [3, 4, 5, 6, 9, 12])
def test_gaussian_planes_average_to_their_mean_with_nearly_the_noise_of_a_mean(n):
    found = combine.clipped_mean(planes(n), noise=5.0)
    assert abs(found.image.mean() - 1000) < 0.3
    assert found.image.std() < 1.05 * 5 / np.sqrt(n)
    assert found.count.mean() > 0.98 * n
    assert found.count.dtype == np.uint16
    assert abs(np.sqrt((found.sigma.astype(float) ** 2).mean()) / 5 - 1) < 0.05


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_a_cosmic_ray_in_one_plane_is_left_out(n):
    frames = planes(n)
    clean = combine.clipped_mean(frames, noise=5.0).image[7, 7]
    frames[1][7, 7] = 30000
    found = combine.clipped_mean(frames, noise=5.0)
    assert found.count[7, 7] <= n - 1
    assert abs(found.image[7, 7] - clean) < 15


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_the_clip_is_that_of_median_and_mad(n):
    frames = np.random.default_rng(n).standard_t(2, (n, 30, 30)).astype(np.float32)
    found = combine.clipped_mean(list(frames), noise=0.0, clip_sigma=2.0)
    middle = np.median(frames, axis=0)
    mad = np.median(np.abs(frames - middle), axis=0)
    kept = np.abs(frames - middle) <= 2.0 * np.float32(1.4826) * mad
    expected = np.where(kept, frames, 0).sum(axis=0) / kept.sum(axis=0)
    assert np.array_equal(found.count, kept.sum(axis=0))
    assert np.allclose(found.image, expected, atol=1e-5)


def test_one_plane_passes_through():
    (frame,) = planes(1)
    found = combine.clipped_mean([frame])
    assert np.array_equal(found.image, frame)
    assert (found.count == 1).all()
    assert not found.sigma.any()


def test_scale_and_offset_bring_planes_together():
    base = planes(1)[0]
    found = combine.clipped_mean(
        [base + 10, base * 2 + 20, base / 2 - 7], offset=[10, 20, -7], scale=[1, 0.5, 2], noise=0.1
    )
    assert np.allclose(found.image, base, atol=1e-3)
    assert (found.count == 3).all()


def test_weights_are_inverse_variances():
    found = combine.clipped_mean(
        [np.full((4, 4), 1.0), np.full((4, 4), 4.0)], variance=[1.0, 2.0], noise=100.0
    )
    assert np.allclose(found.image, (1 + 4 / 2) / 1.5)


def test_photon_noise_is_expected_where_a_gain_is_given():
    rng = np.random.default_rng(4)
    frames = [rng.poisson(20000, (40, 50)).astype(np.uint16) for _ in range(3)]
    assert combine.clipped_mean(frames, noise=4.0).count.mean() < 2.9
    assert combine.clipped_mean(frames, noise=4.0, gain=1.0).count.mean() > 2.98
    assert combine.clipped_mean(frames[:2], noise=4.0, gain=1.0).count.mean() > 1.99


def test_two_planes_are_not_biased_by_a_noise_given_too_small():
    found = combine.clipped_mean(planes(2), noise=0.5)
    assert abs(found.image.mean() - 1000) < 0.3
    assert found.count.mean() > 1.98


def test_without_a_noise_the_scatter_between_planes_serves():
    frames = planes(3)
    frames[2][9, 9] += 1000
    found = combine.clipped_mean(frames)
    assert found.count[9, 9] == 2
    assert found.count.mean() > 2.98


def test_nan_is_no_data_and_no_data_at_all_is_zero():
    frames = planes(3)
    for frame in frames:
        frame[0, 0] = np.nan
    frames[0][1, 1] = np.nan
    found = combine.clipped_mean(frames, noise=5.0)
    assert found.count[0, 0] == found.image[0, 0] == found.sigma[0, 0] == 0
    assert found.count[1, 1] == 2
    assert np.isfinite(found.image).all()


def test_the_result_does_not_depend_on_the_bands():
    frames = planes(5)
    whole = combine.clipped_mean(frames)
    bands = combine.clipped_mean(frames, band_rows=7)
    assert whole.image.tobytes() == bands.image.tobytes()
    assert whole.sigma.tobytes() == bands.sigma.tobytes()


class Lazy:
    """Rows read on demand, as from a file."""

    def __init__(self, array):
        self.array, self.read = array, []
        self.shape = array.shape

    def __getitem__(self, rows):
        self.read.append((rows.start, rows.stop))
        return self.array[rows]


def test_planes_are_read_by_rows_in_order_and_once():
    lazy = [Lazy(frame) for frame in planes(3)]
    combine.clipped_mean(lazy, noise=5.0, band_rows=16)  # three: no scatter to sample first
    assert lazy[0].read == [(0, 16), (16, 32), (32, 40)]


def test_planes_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="0 planes"):
        combine.clipped_mean([])
    with pytest.raises(BadInput, match="one shape"):
        combine.clipped_mean([np.zeros((2, 2)), np.zeros((2, 3))])
    with pytest.raises(BadInput, match="scale"):
        combine.clipped_mean(planes(3), scale=[1, 2])


@pytest.mark.parametrize("n", [3, 10, 33])
def test_planes_with_gaps_are_clipped_by_the_values_they_have(n):
    rng = np.random.default_rng(n)
    frames = rng.standard_t(2, (n, 30, 70)).astype(np.float32)
    frames[rng.random(frames.shape) < 0.3] = np.nan
    frames[:, 3, 4] = np.nan
    found = combine.clipped_mean(list(frames), noise=0.0, clip_sigma=2.0)
    many = np.isfinite(frames).sum(axis=0) > 2
    middle = np.nanmedian(frames[:, many], axis=0)
    mad = np.nanmedian(np.abs(frames[:, many] - middle), axis=0)
    kept = np.abs(frames[:, many] - middle) <= 2.0 * np.float32(1.4826) * mad
    expected = np.where(kept, frames[:, many], 0).sum(axis=0) / kept.sum(axis=0)
    assert np.array_equal(found.count[many], kept.sum(axis=0))
    assert np.allclose(found.image[many], expected, atol=1e-5)
    assert found.count[3, 4] == found.image[3, 4] == 0
    one = np.isfinite(frames).sum(axis=0) == 1
    assert np.array_equal(found.image[one], np.nansum(frames, axis=0)[one])


def test_sigma_is_that_of_the_values_kept():
    frames = np.stack(planes(8))
    frames[2, 5, 5] = 9000
    found = combine.clipped_mean(list(frames), noise=5.0, clip_sigma=6.0)
    frames[2, 5, 5] = np.nan
    assert np.allclose(found.sigma, np.nanstd(frames, axis=0, ddof=1), rtol=1e-4)
    assert combine.clipped_mean(planes(3), with_sigma=False).sigma.size == 0


@pytest.mark.parametrize("n", [2, 7])
def test_the_plane_that_is_clipped_is_counted(n):
    frames = planes(n)
    clean = combine.clipped_mean(frames, noise=5.0, clip_sigma=6.0)
    assert not clean.clipped.any()
    frames[1][10:20, 10:20] += 500
    frames[0][0, 0] = np.nan
    found = combine.clipped_mean(frames, noise=5.0, clip_sigma=6.0)
    expected = np.zeros(n, int)
    expected[1] = 100
    assert np.array_equal(found.clipped, expected)
    missing = 1
    assert found.count.sum() + found.clipped.sum() + missing == n * frames[0].size


@pytest.mark.parametrize("n", [1, 2, 6])
def test_the_result_does_not_depend_on_the_threads(n):
    frames = planes(n, shape=(40, 150))
    frames[0][3, 3] = np.nan
    one = combine.clipped_mean(frames, threads=1)
    for threads in (2, 3):
        more = combine.clipped_mean(frames, threads=threads, band_rows=13)
        assert one.image.tobytes() == more.image.tobytes()
        assert one.sigma.tobytes() == more.sigma.tobytes()
        assert np.array_equal(one.clipped, more.clipped)


def test_each_plane_is_judged_by_its_own_noise():
    frames = planes(6, noise=1.0)
    frames[0] += np.float32(40) * np.random.default_rng(1).standard_normal((40, 50)).astype("f4")
    noise = [40.0, 1, 1, 1, 1, 1]
    found = combine.clipped_mean(frames, noise=noise, variance=np.square(noise))
    assert found.clipped[0] < 30
    assert found.image.std() < 1.1 / np.sqrt(5)
    strict = combine.clipped_mean(frames, noise=1.0)
    assert strict.clipped[0] > 1500
