"""Fringes left in images: their size comes back, noise and single objects do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tesela.products.files import Hdu, write_fits
from tesela.score import fringes
from tesela.score.rows import Row
from tesela.simulate import campaign, detector
from tesela.simulate.truth import write_frame

from . import nights

FIRST = campaign.calibration()[0]
PATTERN = detector.fringes(FIRST, "zSDSS")
SKY_E, FRINGE = 600.0, 0.03


def score(folder: Path, share: float, rng: np.random.Generator, n: int = 6) -> dict[str, Row]:
    """Images in which a share of the fringes is left."""
    frames = {}
    for i in range(n):
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
    rows = score(tmp_path, share, rng)
    of_amplitude = rows["fringes left, of their amplitude"]
    assert of_amplitude.value == pytest.approx(share, abs=0.02)
    assert of_amplitude.passed is passed
    in_sky = rows["fringes left, of the sky"].value
    assert in_sky == pytest.approx(share * FRINGE * float(np.std(PATTERN)), rel=0.3, abs=6e-4)


def test_a_few_images_say_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    assert score(tmp_path, 0.5, rng, n=3) == {}


def test_a_band_without_fringes_has_no_row(tmp_path: Path) -> None:
    write_frame(tmp_path / "f.npz", nights.frame_truth())
    assert list(fringes.rows({"f": tmp_path / "f.fits"}, tmp_path, FIRST, {"zSDSS"})) == []
