"""Fringes left in images: their size comes back, noise and single objects do not count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from tesela.products.files import Hdu, write_fits
from tesela.score import fringes
from tesela.score.rows import Row
from tesela.simulate import campaign, detector
from tesela.simulate.truth import write_frame

from . import nights

FIRST = campaign.calibration()[0]
PATTERN = detector.fringes(FIRST, "zSDSS")
SKY_E, FRINGE = 600.0, 0.03


def score(folder: Path, shares: Sequence[float], rng: np.random.Generator) -> dict[str, Row]:
    """Images in each of which a share of the fringes is left."""
    frames = {}
    for i, share in enumerate(shares):
        noise = rng.standard_normal(PATTERN.shape, dtype=np.float32) * np.float32(25.0)
        image = noise + np.float32(share * SKY_E * FRINGE) * PATTERN
        mask = np.zeros(image.shape, np.uint8)
        image[300 + 20 * i, :200] += 1e5  # something bright and masked
        mask[300 + 20 * i, :200] = 64
        path = folder / f"f{i}.fits"
        write_fits(path, [Hdu("IMAGE", image), Hdu("MASK", mask, compress=True)])
        facts = nights.frame_truth(band="zSDSS", sky_e=SKY_E, fringe=FRINGE)
        write_frame(folder / f"f{i}.npz", facts)
        frames[f"f{i}"] = path
    return {row.metric: row for row in fringes.rows(frames, folder, FIRST, {"zSDSS"})}


@pytest.mark.parametrize(("share", "passed"), [(0.0, True), (0.05, True), (0.3, False)])
def test_the_share_that_is_left_comes_back(
    tmp_path: Path, rng: np.random.Generator, share: float, passed: bool
) -> None:
    rows = score(tmp_path, [share] * 6, rng)
    of_amplitude = rows["fringes left, of their amplitude"]
    assert of_amplitude.value == pytest.approx(share, abs=0.02)
    assert of_amplitude.passed is passed
    of_scale = rows["fringe scale left, image by image"]
    assert of_scale.value == pytest.approx(share, abs=0.01)
    assert of_scale.passed is passed
    in_sky = rows["fringes left, of the sky"].value
    assert in_sky == pytest.approx(share * FRINGE * float(np.std(PATTERN)), rel=0.3, abs=6e-4)


def test_a_few_images_say_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    assert score(tmp_path, [0.5] * 3, rng) == {}


def test_scales_that_are_wrong_either_way_do_not_average_away(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """The pattern is right and half of the images have too much of it taken off."""
    shares = [0.3, 0.2, -0.3, -0.2] * 2
    rows = score(tmp_path, shares, rng)
    assert rows["fringes left, of their amplitude"].passed
    of_scale = rows["fringe scale left, image by image"]
    assert of_scale.value == pytest.approx(np.sqrt(np.mean(np.square(shares))), abs=0.01)
    assert not of_scale.passed


def test_the_error_of_a_slope_is_that_of_correlated_noise(rng: np.random.Generator) -> None:
    """What is alike in neighbouring blocks makes slopes as uncertain as is said."""
    pattern = np.sin(np.arange(144) / 3.0)[:, None] * np.sin(np.arange(144) / 4.0)[None, :]
    found = []
    for _ in range(60):
        noise = ndimage.gaussian_filter(rng.standard_normal(pattern.shape), 2.0)
        noise[rng.random(noise.shape) < 0.05] = np.nan
        found.append(fringes.slope(0.2 * pattern + noise, pattern))
    slopes, errors = np.transpose(found)
    assert np.mean(slopes) == pytest.approx(0.2, abs=4 * np.std(slopes) / np.sqrt(60))
    assert np.std(slopes) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.35)


def test_a_band_without_fringes_has_no_row(tmp_path: Path) -> None:
    write_frame(tmp_path / "f.npz", nights.frame_truth())
    assert list(fringes.rows({"f": tmp_path / "f.fits"}, tmp_path, FIRST, {"zSDSS"})) == []
