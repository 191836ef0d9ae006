"""The reference catalogue in the reduction: its epoch, its brightness, its magnitudes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tesela import config
from tesela.bands import reference
from tesela.config import Reference
from tesela.errors import ConfigError, QualityError
from tesela.flow.run import bodies
from tesela.sky import epoch
from tesela.stages.reduce import astrometry, photometry
from tesela.stages.reduce.frame import Frame
from tesela.stages.reduce.measure import Sources
from tesela.stages.reduce.settings import PhotometrySettings

from . import drawn
from .drawn import Exposure, reduced

ROWS = np.arange(3)
SKY = {"ra": np.array([10.0, 11.0, 12.0]), "dec": np.zeros(3)}
MJD_2010 = 51544.5 + 10 * 365.25


def test_stars_without_motion_or_epoch_stay_and_others_move() -> None:
    refcat = {
        **SKY,
        "pmra": np.array([100.0, 100.0, np.nan]),
        "pmdec": np.array([0.0, 0.0, np.nan]),
        "ref_epoch": np.array([2000.0, np.nan, 2000.0]),
    }
    ra, dec, _ = epoch.catalogue_positions(refcat, ROWS, MJD_2010)
    assert 3.6e6 * (ra - SKY["ra"]) == pytest.approx([1000.0, 0.0, 0.0], abs=1e-3)
    assert dec == pytest.approx(0.0, abs=1e-12)


def test_a_position_without_error_has_the_usual_one() -> None:
    refcat = {**SKY, "ra_err_mas": np.array([30.0, np.nan, 30.0]), "dec_err_mas": np.full(3, 30.0)}
    _, _, error = epoch.catalogue_positions(refcat, ROWS, MJD_2010)
    assert error == pytest.approx([0.03, 0.05, 0.03])


def test_motions_without_epoch_are_a_warning_on_the_frame() -> None:
    refcat = drawn.stars().refcat()
    assert reduced(refcat=refcat).warnings == []
    still = {"pmra": np.full(121, 1e5), "pmdec": np.full(121, 1e5)}
    said = ["proper motions ignored: the reference catalogue has no ref_epoch"]
    assert reduced(refcat={**refcat, **still}).warnings == said
    still["ref_epoch"] = np.full(121, np.nan)
    assert reduced(refcat={**refcat, **still}).warnings == said


def test_stars_are_sorted_by_the_magnitude_of_the_band() -> None:
    refcat = {
        "J": np.array([3.0, 2.0, 1.0]),
        "V": np.array([12.0, 13.0, np.nan]),
        "whole": np.array([3, 1, 2]),
        "ra": SKY["ra"],
    }

    def brightness(reference: Reference) -> list[float]:
        return list(astrometry.reference_brightness(refcat, ROWS, reference))

    np.testing.assert_array_equal(brightness(Reference(mag="V")), [12.0, 13.0, np.nan])
    assert brightness(Reference(mag="whole")) == [3, 1, 2]
    made = Reference(transform="lupton2005_V", columns={"g": "V", "r": "none"})
    np.testing.assert_array_equal(brightness(made), [12.0, 13.0, np.nan])
    assert brightness(Reference(mag="none")) == [3.0, 2.0, 1.0]
    refcat["V"][:] = np.nan
    assert brightness(Reference(mag="V")) == [3.0, 2.0, 1.0]
    assert np.isnan(astrometry.reference_brightness(SKY, ROWS, Reference())).all()


def calibrated(snr: np.ndarray, refcat: dict[str, np.ndarray], **reference: Any) -> dict[str, Any]:
    """Metrics of the zero point of stars with these S/N, matched with the rows of `refcat`."""
    flux = snr**2
    sources = Sources(
        {
            "i_ref": np.arange(len(snr)),
            "x_win": np.linspace(0.0, 90.0, len(snr)),
            "y_win": np.linspace(90.0, 0.0, len(snr)),
            "flags": np.zeros(len(snr), np.int16),
            "flux_psf": flux,
            "flux_psf_err": flux / snr,
            "flux_aper": flux[:, None],
            "flux_aper_err": (flux / snr)[:, None],
        },
        np.array([12.0]),
    )
    nothing = np.zeros((1, 1), np.float32)
    frame = Frame(nothing, nothing.astype(np.uint8), nothing, nothing)
    inputs = replace(Exposure().inputs(), refcat=refcat, reference=Reference(**reference))
    photometry.calibrate(frame, sources, inputs, PhotometrySettings())
    return frame.metrics


def of_zero(snr: np.ndarray, zeropoint_mag: float = 22.0) -> dict[str, np.ndarray]:
    """A reference in which the stars have this zero point."""
    mag = zeropoint_mag - 2.5 * np.log10(snr**2 / drawn.EXPTIME_S)
    return {"V": mag, "V_err": np.full(len(snr), 0.01), "B": mag + 0.5, "I": mag - 0.5}


@pytest.mark.parametrize(
    ("bright", "faint", "used"), [(100, 50, 100), (30, 50, 30), (29, 50, 30), (11, 50, 30),
                                  (11, 5, 16), (4, 0, 4)],
)  # fmt: skip
def test_a_zero_point_has_thirty_stars_if_there_are_so_many(
    bright: int, faint: int, used: int
) -> None:
    snr = np.concatenate([np.full(bright, 100.0), np.linspace(6.0, 19.0, faint), np.full(9, 4.0)])
    metrics = calibrated(snr, of_zero(snr), mag="V", err="V_err")
    assert metrics["n_zeropoint"] == used
    assert metrics["zeropoint_mag"] == pytest.approx(22.0, abs=1e-6)


def test_too_few_stars_are_told() -> None:
    snr = np.array([100.0, 50.0, 4.0, 3.0])
    with pytest.raises(QualityError, match="2 reference stars with S/N > 5; expected at least 3"):
        calibrated(snr, of_zero(snr), mag="V")


def test_stars_without_colour_are_used_where_no_colour_term_is_wanted() -> None:
    snr = np.full(40, 100.0)
    refcat = of_zero(snr)
    refcat["B"][:25] = np.nan
    named = {"mag": "V", "colour": ("B", "I"), "colour_pivot": 1.0}
    assert calibrated(snr, refcat, **named)["n_zeropoint"] == 40
    assert calibrated(snr, refcat, **named, colour_coefficient=0.1)["n_zeropoint"] == 15


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({}, "no magnitude named for this band"),
        ({"mag": "U"}, "no column 'U' of numbers; expected one of B I V V_err in"),
        ({"mag": "word"}, "no column 'word' of numbers"),
        ({"mag": "V", "err": "V_error"}, "no column 'V_error'"),
        ({"transform": "lupton2005_V", "columns": {"g": "B", "r": "R"}}, "no column 'R'"),
        ({"mag": "V", "colour": ("B", "R"), "colour_coefficient": 0.1}, "no column 'R'"),
    ],
)
def test_columns_that_the_catalogue_lacks_are_named(reference: dict[str, Any], said: str) -> None:
    snr = np.full(40, 100.0)
    refcat = {**of_zero(snr), "word": np.array(["12"] * 40)}
    with pytest.raises(QualityError, match=f"reference catalogue: {said}.*correct survey.toml"):
        calibrated(snr, refcat, **reference)


def test_an_unknown_error_of_a_magnitude_is_a_tenth() -> None:
    refcat = {"V": np.array([12.0, 13.0, 14.0]), "e": np.array([0.02, np.nan, -1.0])}
    _, err = reference.magnitudes(refcat, ROWS, Reference(mag="V", err="e"))
    assert list(err) == [0.02, 0.1, 0.1]
    _, err = reference.magnitudes(refcat, ROWS, Reference(mag="V"))
    assert list(err) == [0.01, 0.01, 0.01]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"transform": "lupton2005_W", "columns": {"g": "g"}}, "transform: 'lupton2005_W'; expect"),
        ({"transform": "lupton2005_V", "columns": {"g": "g", "R": "r"}}, "columns: no r; expect"),
    ],
)
def test_transformations_are_checked_before_anything_runs(
    reference: dict[str, Any], said: str
) -> None:
    filters = {"V": config.Filter(reference=Reference(**reference))}
    survey = config.Survey("s", ("drawn",), filters, {"scheme": "list"})
    with pytest.raises(ConfigError, match=rf"^survey.toml.filters.V.reference.{said}"):
        bodies.registry(survey)
    known = Reference(transform="lupton2005_V", columns={"g": "g", "r": "r"})
    bodies.registry(replace(survey, filters={"V": config.Filter(reference=known)}))
