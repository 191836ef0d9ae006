"""A field of the SDSS against its own calibration: positions, fluxes, seeing, masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tesela.errors import TeselaError
from tesela.pixels.psf_model import PsfModel
from tesela.products.images import card_dict
from tesela.products.maskbit import MaskBit
from tesela.sky.wcs import Wcs
from tesela.stages import reduce

from . import sdss
from .sdss import Field
from .seeing import moffat_fwhm

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def field(real_data: Path) -> Field:
    folder = real_data / "sdss_drift_5754_r3_0280"
    if not folder.is_dir():
        pytest.skip("no field of the SDSS among the real observations")
    return Field(folder)


@pytest.fixture(scope="module")
def made(field: Field) -> reduce.ReduceOutputs:
    return sdss.reduced(field)


def test_the_wcs_is_that_of_the_header(field: Field, made: reduce.ReduceOutputs) -> None:
    ours = Wcs.from_cards(card_dict(made.image.cards), (1489, 2048))
    x, y = (g.ravel() for g in np.meshgrid(np.linspace(20, 2028, 9), np.linspace(20, 1468, 7)))
    ra, dec = ours.pix_to_sky(x, y)
    ra_sdss, dec_sdss = field.wcs().wcs_pix2world(x, y, 0)
    assert np.abs(ra - ra_sdss).max() * 3600 < 0.03
    assert np.abs(dec - dec_sdss).max() * 3600 < 0.03
    centre = ours.pix_to_sky(1024, 744)
    assert centre == pytest.approx((343.6226, -0.3154), abs=1e-3)
    assert made.metrics["n_astrometry"] > 60


def test_an_unknown_orientation_is_found(field: Field) -> None:
    """Here x runs north and y east; said are north up with east left, and its mirror image."""
    for east in (-1.0, 1.0):
        wrong = replace(sdss.camera(), cd_signs=((east, 0.0), (0.0, 1.0)))
        made = sdss.reduced(field, blind=True, unit=wrong)
        ours = Wcs.from_cards(card_dict(made.image.cards), (1489, 2048))
        assert np.abs(ours.matrix * 3600 / 0.396 - [[0, 1], [1, 0]]).max() < 0.01
        assert made.metrics["n_astrometry"] > 60
        with pytest.raises(TeselaError, match=r"parity \(the image may be mirrored\)"):
            sdss.reduced(field, unit=wrong)


def test_the_zero_point_is_that_of_tsfield(field: Field, made: reduce.ReduceOutputs) -> None:
    known = field.calibration()
    m = made.metrics
    assert m["zeropoint_aperture_adu_mag"] == pytest.approx(known["zeropoint_adu"], abs=0.02)
    # That of PSF fluxes means all the light, and says the same.
    in_electrons = known["zeropoint_adu"] + 2.5 * np.log10(known["gain"])
    assert m["zeropoint_mag"] == pytest.approx(in_electrons, abs=0.02)
    assert m["zeropoint_scatter_mag"] < 0.015


def test_fluxes_are_those_of_an_independent_sum(field: Field, made: reduce.ReduceOutputs) -> None:
    stars, ours = field.extracted(), made.image.sources
    away, k = cKDTree(np.c_[ours["x"], ours["y"]]).query(np.c_[stars["x"], stars["y"]])
    bright = (away < 0.5) & (stars["counts"] > 2e4)
    assert np.count_nonzero(bright) >= 35
    ratio = ours["flux_aper"][k[bright], -1] / field.calibration()["gain"] / stars["counts"][bright]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
    assert 1.4826 * np.median(np.abs(ratio - np.median(ratio))) < 0.02
    assert np.median(away[bright]) < 0.05


def test_the_sources_of_the_field_are_found(field: Field, made: reduce.ReduceOutputs) -> None:
    stars, ours = field.extracted(), made.image.sources
    assert len(stars["x"]) == 113
    away, _ = cKDTree(np.c_[ours["x"], ours["y"]]).query(np.c_[stars["x"], stars["y"]])
    assert np.count_nonzero(away < 1.5) >= 110
    # Ours go deeper: 1.5 sigma a pixel in the smoothed image.
    assert 200 < len(ours["x"]) < 400


def test_the_noise_is_that_of_gain_and_dark_variance(
    field: Field, made: reduce.ReduceOutputs
) -> None:
    known = field.calibration()
    sky = np.median(field.counts())
    expected = np.sqrt(sky / known["gain"] + known["dark_variance"]) * known["gain"]
    variance = np.median(made.image.variance)
    assert np.sqrt(variance) == pytest.approx(expected, rel=0.01)
    # Measured in the image, interpolated columns and all.
    assert made.metrics["noise_over_expected"] == pytest.approx(1.0, abs=0.02)


def test_the_seeing_is_that_of_psfield(field: Field, made: reduce.ReduceOutputs) -> None:
    model = PsfModel.from_arrays(made.image.psf.arrays, made.image.psf.numbers)
    ours, theirs = moffat_fwhm(model.stamp(1024, 744, 25)), moffat_fwhm(field.psf(1024, 744))
    assert theirs == pytest.approx(3.26, abs=0.01)
    assert ours == pytest.approx(theirs, rel=0.02)
    # The median of sources, by their moments, is a little more.
    assert made.metrics["fwhm_px"] == pytest.approx(3.4, abs=0.2)


def test_the_size_over_the_field_is_that_of_its_stars(made: reduce.ReduceOutputs) -> None:
    """The seeing changed by 6 % while the field drifted over the CCD."""
    stars, image = made.image.sources, made.image.image
    model = PsfModel.from_arrays(made.image.psf.arrays, made.image.psf.numbers)
    sure = (stars["flags"] == 0) & (stars["flux_auto"] > 140 * stars["flux_auto_err"])
    sure &= (stars["fwhm"] > 2.8) & (stars["fwhm"] < 4.0)
    sure &= (np.abs(stars["x"] - 1024) < 1000) & (np.abs(stars["y"] - 744) < 720)
    ratio = []
    for x, y in zip(stars["x"][sure], stars["y"][sure]):
        i, j = round(x), round(y)
        seen = image[j - 12 : j + 13, i - 12 : i + 13]
        ratio.append(moffat_fwhm(model.stamp(x, y, 12)) / moffat_fwhm(seen.astype(float)))
    thirds = np.floor_divide(stars["y"][sure], 500)
    found = [np.median(np.array(ratio)[thirds == k]) for k in range(3)]
    assert [np.count_nonzero(thirds == k) for k in range(3)] > [5, 5, 5]
    np.testing.assert_allclose(found, 1.0, atol=0.03)


def test_what_the_survey_interpolated_shows_no_more(
    field: Field, made: reduce.ReduceOutputs
) -> None:
    """Bad columns, cosmic rays and 1091 saturated pixels are repaired in the corrected frame."""
    saturated, hit = field.plane(sdss.SATURATED), field.plane(sdss.COSMIC_RAY)
    assert (np.count_nonzero(saturated), np.count_nonzero(hit)) == (1091, 393)
    level = field.calibration()["saturation_level"]
    assert field.counts().max() + sdss.SOFT_BIAS_ADU < level
    ours = made.image.mask
    assert np.count_nonzero((ours & MaskBit.SATURATED) > 0) < 20
    assert np.count_nonzero((ours & MaskBit.COSMIC_RAY) > 0) < 60  # left over, or invented
    assert np.count_nonzero((ours & MaskBit.TRAIL) > 0) == 0


def test_bad_pixels_are_filled_as_the_survey_fills_them(field: Field) -> None:
    repaired = field.plane(sdss.INTERPOLATED)
    made = sdss.reduced(field, with_mask=True)
    assert np.array_equal((made.image.mask & MaskBit.BAD) > 0, repaired)
    # On the sky, where both can only guess: they differ by about the noise of a pixel.
    theirs = field.counts() * field.calibration()["gain"] - made.metrics["sky_e"]
    sky = repaired & ((made.image.mask & MaskBit.OBJECT) == 0)
    apart = (made.image.image - theirs)[sky]
    noise = np.sqrt(np.median(made.image.variance))
    assert abs(np.median(apart)) < 0.1 * noise
    assert 1.4826 * np.median(np.abs(apart)) < 1.25 * noise
    assert made.metrics["zeropoint_aperture_adu_mag"] == pytest.approx(
        field.calibration()["zeropoint_adu"], abs=0.02
    )
