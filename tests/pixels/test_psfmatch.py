"""A matching kernel turns one PSF into another and keeps light and holes in their place."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import QualityError
from tesela.pixels import psfmatch

RADIUS_PX, HALF = 27, 47
SIZE = 2 * HALF + 1
V, U = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1].astype(float)


def normalised(psf: np.ndarray) -> np.ndarray:
    """Flux one within the common radius."""
    return psf / psf[np.hypot(U, V) <= RADIUS_PX].sum()


def gaussian(fwhm_px: float) -> np.ndarray:
    return normalised(np.exp(-4 * np.log(2) * (U**2 + V**2) / fwhm_px**2))


def moffat(fwhm_px: float, beta: float, e1: float = 0.0, e2: float = 0.0) -> np.ndarray:
    """Moffat integrated over pixels by brute force."""
    alpha2 = fwhm_px**2 / (4 * (2 ** (1 / beta) - 1)) * np.sqrt(1 - e1**2 - e2**2)
    total = np.zeros_like(U)
    for dv in np.linspace(-0.4, 0.4, 5):
        for du in np.linspace(-0.4, 0.4, 5):
            u, v = U + du, V + dv
            q = ((1 - e1) * u * u - 2 * e2 * u * v + (1 + e1) * v * v) / alpha2
            total += (1 + q) ** -beta
    return normalised(total)


def aperture(image: np.ndarray, radius_px: float) -> float:
    inside = np.clip(radius_px + 0.5 - np.hypot(U, V), 0, 1)
    return float((image * inside).sum())


def one_kernel(narrow: np.ndarray, broad: np.ndarray, radius_px: float) -> psfmatch.MatchingKernel:
    """The same kernel everywhere."""
    zero = np.zeros(1)
    return psfmatch.varying_kernel(
        narrow[None], broad[None], zero, zero, radius_px=radius_px, degree=0
    )


def matched(narrow: np.ndarray, broad: np.ndarray) -> tuple[psfmatch.MatchingKernel, np.ndarray]:
    kernel = one_kernel(narrow, broad, RADIUS_PX)
    return kernel, psfmatch.convolve(narrow.astype(np.float32), kernel)[0]


def test_a_gaussian_of_3_into_5_needs_4() -> None:
    kernel, _ = matched(gaussian(3), gaussian(5))
    assert kernel.sigma_px * 2.35482 == pytest.approx(4.0, rel=0.02)
    shape = kernel.at(0, 0).astype(float)
    offset = np.arange(len(shape)) - len(shape) // 2
    assert (shape.sum(axis=0) * offset**2).sum() == pytest.approx((4 / 2.35482) ** 2, rel=0.02)


def test_equal_psfs_need_a_delta_function() -> None:
    kernel, made = matched(moffat(2.6, 3.0), moffat(2.6, 3.0))
    shape = kernel.at(0, 0)
    middle = len(shape) // 2
    assert shape[middle, middle] == pytest.approx(1, abs=1e-6)
    shape[middle, middle] = 0
    assert np.abs(shape).max() < 1e-6
    assert kernel.sigma_px == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(made, moffat(2.6, 3.0), atol=1e-6)


@pytest.mark.parametrize(
    "broad",
    [
        moffat(3.0, 2.4),
        moffat(2.7, 3.5, 0.05, -0.03),
        moffat(4.2, 3.2, -0.1, 0.08),
        moffat(2.55, 2.4),
        moffat(5.5, 2.8),
    ],
)
def test_apertures_of_matched_stars_agree(broad: np.ndarray) -> None:
    narrow = moffat(2.5, 3.3, 0.02, 0.04)
    kernel, made = matched(narrow, broad)
    for radius_px in (2, 3, 4, 5, 7, 10):
        ratio = aperture(made, radius_px) / aperture(broad, radius_px)
        assert ratio == pytest.approx(1, abs=0.005), radius_px
    assert kernel.residual < 0.03
    assert aperture(narrow, 2) / aperture(broad, 2) > 1.02  # without the kernel it would not do


def test_total_flux_passes_unchanged() -> None:
    kernel, _ = matched(moffat(2.5, 3.3), moffat(3.2, 2.4))
    assert kernel.kernels[0].sum() == pytest.approx(1, abs=1e-5)
    image = np.zeros((160, 150), np.float32)
    image[60:70, 70:80] = 7.0
    assert psfmatch.convolve(image, kernel)[0].sum() == pytest.approx(700, rel=1e-4)


def test_the_kernel_follows_psfs_that_vary() -> None:
    x, y = (v.ravel() for v in np.meshgrid([20.0, 90.0, 160.0], [30.0, 100.0, 170.0]))
    widths = 3.0 + 0.6 * (x - 90) / 90
    narrow = np.stack([moffat(2.5, 3.3)] * len(x))
    broad = np.stack([moffat(width, 3.0) for width in widths])
    kernel = psfmatch.varying_kernel(narrow, broad, x, y, radius_px=RADIUS_PX)
    for place_x, place_y, goal in ((20, 100, broad[3]), (160, 30, broad[2])):
        image = np.zeros((300, 300), np.float32)
        corner = (place_y + 50, place_x + 50)
        rows, columns = (slice(c - HALF, c + HALF + 1) for c in corner)
        image[rows, columns] = narrow[0]
        shifted = psfmatch.MatchingKernel(
            kernel.kernels,
            (kernel.frame[0] + 50, kernel.frame[1] + 50, kernel.frame[2]),
            kernel.degree,
            kernel.residual,
            kernel.noise,
        )
        made = psfmatch.convolve(image, shifted)[0]
        # Light moves with the kernel of its source, so none is lost between kernels.
        assert made.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-4)
        assert aperture(made[rows, columns], 3) == pytest.approx(aperture(goal, 3), rel=0.005)


def test_holes_spread_nothing_and_are_told() -> None:
    kernel, _ = matched(gaussian(3), gaussian(4))
    image = np.ones((120, 130), np.float32)
    image[50, 60] = np.nan
    mask = np.zeros(image.shape, bool)
    mask[80:83, 20] = True
    wild = image.copy()
    wild[81, 20] = 1e6
    made, holes = psfmatch.convolve(wild, kernel, mask)
    assert np.isfinite(made).all()
    assert holes.sum() == 4
    assert holes[50, 60]
    assert holes[81, 20]
    np.testing.assert_array_equal(made, psfmatch.convolve(image, kernel, mask)[0])
    assert made[60, 100] == pytest.approx(1, abs=1e-4)


def test_noise_falls_by_what_the_kernel_says() -> None:
    kernel, _ = matched(gaussian(3), gaussian(5))
    image = np.random.default_rng(4).normal(0, 1, (400, 400)).astype(np.float32)
    made = psfmatch.convolve(image, kernel)[0][30:-30, 30:-30]
    assert np.std(made) == pytest.approx(kernel.noise, rel=0.03)


def test_wings_order_psfs_of_equal_core() -> None:
    assert psfmatch.effective_sigma_px(moffat(3, 2.4)) > psfmatch.effective_sigma_px(moffat(3, 4))
    assert psfmatch.effective_sigma_px(gaussian(6)) == pytest.approx(6 / 2.35482, rel=0.01)


@pytest.mark.parametrize(
    ("narrow", "broad", "radius_px", "words"),
    [
        (gaussian(3)[1:], gaussian(4)[1:], 20, "odd squares"),
        (gaussian(3), gaussian(4)[1:-1, 1:-1], 20, "odd squares"),
        (gaussian(3), gaussian(4), 60, "odd squares"),
        (gaussian(3), gaussian(4), 1, "odd squares"),
        (gaussian(3), np.full_like(U, np.nan), 20, "broad PSF stamp"),
        (np.zeros_like(U), gaussian(4), 20, "narrow PSF stamp"),
    ],
)
def test_what_is_no_psf_is_refused(narrow, broad, radius_px, words) -> None:
    with pytest.raises(QualityError, match=words):
        one_kernel(narrow, broad, radius_px)


def test_too_few_places_for_a_polynomial_are_refused() -> None:
    stamps = np.stack([gaussian(3)] * 4)
    x = np.array([0.0, 9.0, 0.0, 9.0])
    with pytest.raises(QualityError, match="at least 6"):
        psfmatch.varying_kernel(stamps, stamps, x, x[::-1], radius_px=20)
