"""A detrended image is read by bands of rows from one open file; nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.images import STEPS_IN_NOISE, Psf, ReducedImage, open_detrended

SHAPE = (40, 24)
STEP = 1.001 / STEPS_IN_NOISE  # of a sky of variance 1, and rounding


def written(path: Path, *, skysub: object = False) -> ReducedImage:
    rng = np.random.default_rng(5)
    cards = [("SKYLEVEL", 210.5, ""), ("TSL OP1 NAME", "overscan", "")]
    made = ReducedImage(
        rng.normal(200, 14, SHAPE).astype(np.float32),
        rng.integers(0, 128, SHAPE).astype(np.uint8),
        np.ones(SHAPE, np.float32),
        np.ones((2, 1, 1), np.float32),
        Psf({"coefficients": np.arange(6.0)}, {"beta": 3.0}),
        {"x": np.arange(4.0), "flux_aper": np.ones((4, 9), np.float32)},
        cards if skysub is None else [("SKYSUB", skysub, ""), *cards],
    )
    made.write(path)
    return made


def test_rows_cards_and_sources_are_those_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a [1].fits"
    made = written(path)
    with open_detrended(path) as opened:
        assert opened.image.shape == opened.mask.shape == SHAPE
        for y0, y1 in ((0, 7), (7, 33), (33, 40), (38, 90), (12, 12)):
            np.testing.assert_allclose(opened.image[y0:y1], made.image[y0:y1], atol=STEP / 2)
            np.testing.assert_array_equal(opened.mask[y0:y1], made.mask[y0:y1])
        assert opened.image[:].dtype == np.float32 and opened.image[:].dtype.isnative
        assert opened.mask[:].dtype == np.uint8
        assert opened.cards["SKYLEVEL"] == 210.5
        np.testing.assert_array_equal(opened.sources["flux_aper"], made.sources["flux_aper"])


def test_a_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.fits"
    written(path)
    times = []
    real = fitsio.FITS
    monkeypatch.setattr(fitsio, "FITS", lambda *args: times.append(args) or real(*args))
    with open_detrended(path) as opened:
        for y0 in range(0, 40, 8):
            opened.image[y0 : y0 + 8], opened.mask[y0 : y0 + 8]
    assert len(times) == 1


def test_rows_are_not_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    written(path)
    with open_detrended(path) as opened, pytest.raises(ValueError, match="steps of 2"):
        opened.image[0:10:2]


@pytest.mark.parametrize("skysub", [True, None])
def test_an_image_without_its_sky_is_refused(tmp_path: Path, skysub: object) -> None:
    path = tmp_path / "a.fits"
    written(path, skysub=skysub)
    with pytest.raises(ProductError, match="sky was subtracted"), open_detrended(path):
        pass


def test_missing_cut_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="no such file"), open_detrended(tmp_path / "no.fits"):
        pass
    foreign = tmp_path / "foreign.fits"
    fitsio.write(str(foreign), np.zeros((4, 4), np.float32), extname="IMAGE")
    with pytest.raises(ProductError, match="a whole FITS file"), open_detrended(foreign):
        pass
    whole, cut = tmp_path / "whole.fits", tmp_path / "cut.fits"
    written(whole)
    cut.write_bytes(whole.read_bytes()[:4000])
    with pytest.raises(ProductError, match="a whole FITS file"), open_detrended(cut) as opened:
        opened.image[0:40]
