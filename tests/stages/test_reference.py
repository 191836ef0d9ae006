"""The reference catalogue in the reduction: its epoch, its brightness, its magnitudes."""

from __future__ import annotations

import numpy as np
import pytest

from tesela.config import Reference
from tesela.stages.reduce import astrometry

from . import drawn
from .drawn import reduced

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
    ra, dec, _ = astrometry.reference_positions(refcat, ROWS, MJD_2010)
    assert 3.6e6 * (ra - SKY["ra"]) == pytest.approx([1000.0, 0.0, 0.0], abs=1e-3)
    assert dec == pytest.approx(0.0, abs=1e-12)


def test_a_position_without_error_has_the_usual_one() -> None:
    refcat = {**SKY, "ra_err_mas": np.array([30.0, np.nan, 30.0]), "dec_err_mas": np.full(3, 30.0)}
    _, _, error = astrometry.reference_positions(refcat, ROWS, MJD_2010)
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
