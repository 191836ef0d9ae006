"""Instrumental fluxes and zero points joined."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.errors import ProductError
from tesela.products.calibrated import AB_ZERO_UJY_MAG, ZeroPoints, calibrated
from tesela.products.catalogue import Catalogue
from tesela.products.columns import MASKED, MEASURED, NOT_DETECTED, NOT_OBSERVED

BANDS = ["gSDSS", "rSDSS", "iSDSS"]
ZERO = ZeroPoints("T", {"gSDSS": 23.9, "rSDSS": 25.0}, {"gSDSS": 0.01, "rSDSS": 0.01})


def dual(flux: np.ndarray, status: np.ndarray) -> Catalogue:
    columns = {
        "number": np.arange(1, len(flux) + 1),
        "flux_auto": flux.astype(np.float32),
        "flux_auto_err": np.full(flux.shape, 0.1, np.float32),
        "flux_radius": np.ones(len(flux), np.float32),
        "status": status.astype(np.int8),
    }
    return Catalogue(columns, {"tile": "T", "bands": BANDS}, "dual")


def single(flux: np.ndarray) -> Catalogue:
    columns = {"flux_aper": flux, "flux_aper_err": 0.1 * np.abs(flux)}
    return Catalogue(columns, {"tile": "T", "band": "rSDSS"}, "single")


def test_one_electron_a_second_has_the_magnitude_of_the_zero_point() -> None:
    out = calibrated(dual(np.ones((1, 3)), np.full((1, 3), MEASURED)), ZERO)
    assert out["mag_auto"][0, :2] == pytest.approx([23.9, 25.0], abs=1e-5)
    assert out["flux_auto"][0, 0] == pytest.approx(1.0)
    assert out["mag_auto_err"][0, 0] == pytest.approx(0.1085736, rel=1e-4)
    assert {v.dtype for v in out.values()} == {np.dtype(np.float32)}
    assert sorted(out) == ["flux_auto", "flux_auto_err", "mag_auto", "mag_auto_err"]


def test_magnitudes_and_fluxes_agree_wherever_there_is_a_magnitude() -> None:
    rng = np.random.default_rng(1)
    flux = rng.normal(5, 10, (200, 3))
    status = rng.choice([MEASURED, NOT_DETECTED], (200, 3))
    out = calibrated(dual(flux, status), ZERO)
    known = np.isfinite(out["mag_auto"])
    expected = (flux > 0) & (status == MEASURED)
    expected[:, 2] = False
    np.testing.assert_array_equal(known, expected)
    again = AB_ZERO_UJY_MAG - 2.5 * np.log10(out["flux_auto"][known])
    np.testing.assert_allclose(out["mag_auto"][known], again, atol=1e-4)


def test_a_band_without_zero_point_is_absent_and_others_stay() -> None:
    out = calibrated(dual(np.ones((2, 3)), np.zeros((2, 3))), ZERO)
    assert np.isnan(out["flux_auto"][:, 2]).all()
    assert np.isnan(out["mag_auto"][:, 2]).all()
    assert np.isfinite(out["flux_auto"][:, :2]).all()


@pytest.mark.parametrize("status", [NOT_DETECTED, NOT_OBSERVED, MASKED])
def test_only_what_was_measured_has_a_magnitude(status: int) -> None:
    out = calibrated(dual(np.ones((1, 3)), np.full((1, 3), status)), ZERO)
    assert np.isnan(out["mag_auto"]).all()
    assert out["flux_auto"][0, 0] == pytest.approx(1.0)


def test_negative_and_unknown_fluxes_have_no_magnitude() -> None:
    out = calibrated(single(np.array([[-2.0, 0.0], [np.nan, 3.0]])), ZERO)
    np.testing.assert_array_equal(np.isfinite(out["mag_aper"]), [[False, False], [False, True]])
    assert out["flux_aper"][0, 0] < 0
    assert np.isnan(out["flux_aper"][1, 0])


def test_fluxes_without_errors_are_not_calibrated() -> None:
    catalogue = Catalogue({"flux_iso": np.ones(2)}, {"tile": "T", "band": "rSDSS"}, "single")
    assert calibrated(catalogue, ZERO) == {}


def test_rows_of_frames_are_not_those_of_the_tile() -> None:
    columns = {
        "band": np.array(["rSDSS", "rSDSS"], dtype=object),
        "frame": np.array(["a", ""], dtype=object),
        "zeropoint_mag": np.array([1.0, 25.0]),
        "zeropoint_err_mag": np.array([0.1, 0.01]),
    }
    found = ZeroPoints.of(Catalogue(columns, {"tile": "T"}, "zeropoints"))
    assert found == ZeroPoints("T", {"rSDSS": 25.0}, {"rSDSS": 0.01})


def test_zero_points_of_another_tile_are_refused() -> None:
    other = ZeroPoints("U", ZERO.zeropoint_mag, ZERO.error_mag)
    with pytest.raises(ProductError, match=r"tile T: zero points of tile U; expected zero points"):
        calibrated(single(np.ones((1, 1))), other)


def test_arrays_of_other_bands_and_other_catalogues_are_refused() -> None:
    with pytest.raises(ProductError, match=r"flux_auto: 2 values a source; expected one for each"):
        calibrated(dual(np.ones((1, 2)), np.zeros((1, 2))), ZERO)
    with pytest.raises(ProductError, match="of kind 'single'"):
        ZeroPoints.of(single(np.ones((1, 1))))
